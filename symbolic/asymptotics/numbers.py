"""Kinds of numbers in which a form is evaluated: exact ones, balls, and doubles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from symbolic.language.lower import lower

__all__ = ["BALLS", "DOUBLES", "EXACT", "Kind", "ball"]

Steps = Sequence[tuple[sp.Symbol, sp.Expr]]


@dataclass(frozen=True)
class Kind:
    """What an algorithm needs of numbers beside their sums and products.

    Parameters
    ----------
    number : callable
        A fraction as such a number.
    compiled : callable
        Of expressions, arguments and steps that come first: a function with the values, in the
        precision of the moment.
    power : callable
        Of a base that is not negative, and a fraction.
    sign : callable
        Of a number.
    normal : callable
        The same number in normal form, so that zeros are seen.
    along : callable
        Of a function, its first arguments and a size: its values with each axis as the last ones.
    """

    number: Callable[[sp.Rational], Any]
    compiled: Callable[..., Callable[..., tuple[Any, ...]]]
    power: Callable[[Any, sp.Rational], Any]
    sign: Callable[[Any], Any]
    normal: Callable[[Any], Any]
    along: Callable[[Callable[..., Any], Sequence[Any], int], Any]


def ball(a: sp.Rational) -> Any:
    """A fraction as a ball."""
    from flint import arb

    return arb(int(a.p)) / int(a.q)


def _evaluated(
    expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol], steps: Steps = ()
) -> Callable[..., tuple[Any, ...]]:
    """Values at an exact point, step by step."""

    def at(*values: sp.Expr) -> tuple[Any, ...]:
        known: dict[Any, Any] = dict(zip(arguments, values, strict=True))
        for symbol, step in steps:
            known[symbol] = sp.expand(step.xreplace(known))
        return tuple(e.xreplace(known) for e in expressions)

    return at


def _lowered(backend: Any) -> Callable[..., Callable[..., tuple[Any, ...]]]:
    return lambda expressions, arguments, steps=(): lower(expressions, arguments, backend, steps)


def _one_by_one(function: Callable[..., Any], first: Sequence[Any], n: int) -> list[list[Any]]:
    return [list(function(*first, *(int(i == j) for i in range(n)))) for j in range(n)]


def _together(function: Callable[..., Any], first: Sequence[Any], n: int) -> Any:
    return np.stack([np.broadcast_to(r, (n,)) for r in function(*first, *np.eye(n))], axis=-1)


def _power_of_ball(b: Any, q: sp.Rational) -> Any:
    """Power of a positive ball; of one that may not be, nothing is decided."""
    if not b > 0:
        raise ArithmeticError("a kink of the form lies on the direction")
    return b.sqrt() ** int(2 * q) if q.q == 2 else b ** ball(q)


def _sign_of_ball(a: Any) -> int:
    if not (a > 0 or a < 0):
        raise ArithmeticError("a kink of the form lies on the direction")
    return 1 if a > 0 else -1


def _same(a: Any) -> Any:
    return a


EXACT = Kind(_same, _evaluated, sp.Pow, sp.sign, sp.expand, _one_by_one)
BALLS = Kind(ball, _lowered("ball"), _power_of_ball, _sign_of_ball, _same, _one_by_one)
DOUBLES = Kind(float, _lowered("numpy"), lambda b, q: b ** float(q), np.sign, _same, _together)
