"""Where a run of a loss in closed form arrives, in numbers from which its law is derived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.limit import BITS, Balls, find_limit, nearly
from flows.core.minimiser import Approach, Minimiser
from symbolic.asymptotics.averaged import DIGITS
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw

__all__ = ["GUESSED", "NEAREST", "SIMPLE", "arrival", "fractions"]

# An entry of the limit is taken for a fraction with a denominator up to the first number that is as
# near as the second; one that is guessed, for those of the others.
SIMPLE, GUESSED = (100, 1e-9), (12, 1e-2)
NEAREST = "the limit point is guessed: the nearest critical point of simple fractions"


def arrival(
    loss: Balls,
    point: Point,
    state: Sequence[Any],
    t: float,
    user: Callable[[Array], Any],
    symmetries: Sequence[sp.ImmutableMatrix] = (),
) -> Approach:
    """Limit of the flow through a late state, as fractions if they are simple, else in decimals.

    Parameters
    ----------
    loss : Balls
        The loss.
    point : Point
        The same, at any place.
    state : sequence of arb
        Exact entries.
    t : float
        Time since the flow began.
    user : callable
        Entries as a user's parameters.
    symmetries : sequence of Matrix
        Linear symmetries of the loss that are known.

    Raises
    ------
    NoLaw
        Where the limit is not found.
    """
    limit = find_limit(loss, state, t, passing=True)
    remark: tuple[str, ...] = ()
    if isinstance(limit, str):
        guess = nearly(loss, state, t)
        found = None if guess is None else _critical(loss, point, fractions(guess, *GUESSED))
        if found is None:
            raise NoLaw(limit)
        remark = (NEAREST,)
        where = _balls(found.at)
    else:
        where = limit.where
        numbers = [float(x) for x in where]
        found = _critical(loss, point, fractions(numbers, *SIMPLE))
        if found is None:
            digits = tuple(sp.Float(x.str(DIGITS, radius=False), DIGITS) for x in where)
            found = replace(point, at=digits)
            remark = ("in decimals: the numbers of the limit point are no simple fractions",)
    place = user(np.array([float(x) for x in where]))
    with precision(BITS):
        away = np.array([float(a - b) for a, b in zip(state, where, strict=True)])
    guessed = isinstance(limit, str)
    minimiser = Minimiser(
        place, found, symmetries=tuple(symmetries), remarks=remark, guessed=guessed
    )
    return Approach(place, away, minimiser)


def fractions(values: Sequence[float], most: int, near: float) -> tuple[sp.Rational, ...] | None:
    """Simple fractions that are as near as that to numbers, if all are."""
    found = [sp.Rational(v).limit_denominator(most) for v in values]
    close = all(abs(float(f) - v) <= near for f, v in zip(found, values, strict=True))
    return tuple(found) if close else None


def _balls(at: Sequence[sp.Rational]) -> list[Any]:
    return [arb(int(a.p)) / int(a.q) for a in at]


def _critical(loss: Balls, point: Point, at: tuple[sp.Rational, ...] | None) -> Point | None:
    """Point with these entries, if the gradient is zero there; balls exclude most others."""
    if at is None:
        return None
    with precision(BITS):
        if not all(slope.contains(0) for slope in loss.both(_balls(at))[1:]) and not loss.known:
            return None
    moved = replace(point, at=at)
    try:
        zero = all(sp.cancel(slope) == 0 for slope in moved.quadratic.gradient)
    except NoLaw:
        return None
    return moved if zero else None
