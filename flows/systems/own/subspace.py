r"""Entries that a flow keeps equal, opposite or zero, from a start in which they are.

.. math:: y_i = \frac{\sigma_i}{\sqrt{m_c}} z_c, \qquad \sigma_i \in \{-1, 0, 1\}, \qquad
   \dot z = -\nabla_z L(y(z))

for the `m_c` entries `i` of a class `c`. They make a subspace, and the flow stays in it where the
gradient does. Rounding would lead a run away beside a saddle, so the run takes the coordinates `z`,
in which the loss may have a minimum where that of `y` has a saddle.

The largest such subspace is found by refinement. Entries of one size are a class, and a class is
divided where the gradient at random places of the subspace tells its entries apart. The gradient is
analytic, so entries that are equal there to 60 digits are equal everywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from flint import arb
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.symmetric import eigen
from flows.systems.own.exact import balls, from_doubles, to_doubles, width
from flows.systems.own.loss import Loss
from flows.systems.own.sound_state import SoundState
from symbolic.language.lower import NoBall, Undecided

__all__ = ["Alike", "alike_at", "found_alike", "lifted", "moved", "restricted"]

# Bits at a random place, at which entries of a gradient are equal that differ by less than the
# second number times the largest one.
BITS, EQUAL = 400, 1e-60
# Random places of a division, and parts of a class's size by which these differ from the start.
PLACES, PARTS = 2, 1024
# Functions that are not analytic: the gradient may be alike on one side of a kink alone.
KINKS = (sp.Max, sp.Min, sp.Abs, sp.sign, sp.Heaviside, sp.Piecewise, sp.floor, sp.ceiling)
# Bits of a coordinate beyond those of an entry.
SPARE = 64

Numbers = NDArray[np.int64]
Gradient = Callable[[Sequence[Any]], Sequence[Any]]


class Alike(NamedTuple):
    """Which entries are alike.

    Parameters
    ----------
    of : tuple of int, length N
        The class of each entry, from 0 on; -1 of an entry that stays zero.
    sign : tuple of int, length N
        Its sign relative to its class, 0 of an entry that stays zero.
    """

    of: tuple[int, ...]
    sign: tuple[int, ...]

    @property
    def sizes(self) -> list[int]:
        """How many entries each class has."""
        return np.bincount([c for c in self.of if c >= 0]).tolist()

    @property
    def basis(self) -> Array:
        """Orthonormal columns, shape (N, K)."""
        found = np.zeros((len(self.of), len(self.sizes)))
        for i, (c, sign) in enumerate(zip(self.of, self.sign, strict=True)):
            if sign:
                found[i, c] = sign / math.sqrt(self.sizes[c])
        return found


def alike_at(gradient: Gradient, start: Array) -> Alike | None:
    """Entries that the flow from a start keeps equal, opposite or zero; None where there are none.

    Parameters
    ----------
    gradient : callable
        Gradient in balls, an analytic function.
    start : ndarray, shape (N,)
        Where the flow begins.

    Examples
    --------
    >>> alike_at(lambda y: [y[1], y[0], y[2]], np.array([1.0, -1.0, 2.0]))
    Alike(of=(0, 0, 1), sign=(1, -1, 1))
    """
    sizes, of = np.unique(np.abs(start), return_inverse=True)
    if len(sizes) == len(start) and sizes[0] > 0:
        return None
    draw = np.random.default_rng(0)
    of, sign = of.astype(np.int64), np.sign(start).astype(np.int64)
    while True:
        before = of, sign
        for _ in range(PLACES):
            part = 1 + draw.integers(-PARTS // 4, PARTS // 4, of.max() + 1) / PARTS
            size = np.where(start == 0, float(sizes[-1] or 1.0), np.abs(start))
            try:
                with precision(BITS):
                    place = [arb(s) * arb(p) for s, p in zip(sign * size, part[of], strict=True)]
                    of, sign = _divided(gradient(place), of, sign)
            except Undecided:
                return None
        if all(np.array_equal(x, y) for x, y in zip(before, (of, sign), strict=True)):
            break
    known = sorted({int(c) for c, s in zip(of, sign, strict=True) if s})
    if not known or (len(known) == len(start)):
        return None
    first = {c: int(sign[np.argmax(of == c)]) for c in known}
    return Alike(
        tuple(known.index(int(c)) if s else -1 for c, s in zip(of, sign, strict=True)),
        tuple(int(s) * first[int(c)] if s else 0 for c, s in zip(of, sign, strict=True)),
    )


def _divided(slopes: Sequence[Any], of: Numbers, sign: Numbers) -> tuple[Numbers, Numbers]:
    """Classes whose entries the gradient at a place of the subspace does not tell apart."""
    most = max(float(abs(g).upper()) for g in slopes)
    if not most < math.inf:
        raise Undecided

    def same(one: Any, other: Any) -> bool:
        return bool(float(abs(one - other).upper()) <= EQUAL * most)

    sign, led = sign.copy(), [g * int(s) if s else g for g, s in zip(slopes, sign, strict=True)]
    kinds: dict[int, list[tuple[Any, int]]] = {}
    found = np.zeros_like(of)
    count = 0
    for i, c in enumerate(of.tolist()):
        still = sign[i] == 0
        if still and same(led[i], arb(0)):
            led[i] = arb(0)
        elif still:  # something moves it, and nothing holds it to others
            sign[i], found[i], count = 1, count, count + 1
            continue
        known = kinds.setdefault(c, [])
        number = next((n for slope, n in known if same(slope, led[i])), None)
        if number is None:
            number, count = count, count + 1
            known.append((led[i], number))
        found[i] = number
    return found, sign


@functools.lru_cache(maxsize=64)
def restricted(
    loss: Loss, potentials: tuple[tuple[str, Any], ...], alike: Alike
) -> tuple[list[sp.Symbol], Any, dict[str, Any]]:
    """Coordinates, loss and potentials in a subspace.

    Parameters
    ----------
    loss : Loss
        In closed form.
    potentials : tuple of pairs
        Names and expressions in the entries.
    alike : Alike
        The subspace.
    """
    z = [sp.Symbol(f"kept{c}", real=True) for c in range(len(alike.sizes))]
    places = {
        y: sign * z[c] / sp.sqrt(alike.sizes[c]) if sign else sp.S.Zero
        for y, c, sign in zip(loss.y, alike.of, alike.sign, strict=True)
    }
    found = [
        e.subs(places, simultaneous=True) for e in (loss.form.plain, *dict(potentials).values())
    ]
    return z, found[0], dict(zip(dict(potentials), found[1:], strict=True))


def found_alike(loss: Any, start: Array) -> Alike | None:
    """Entries of a start that the flow of an analytic loss in closed form keeps alike."""
    if not isinstance(loss, Loss) or loss.averaged or loss.form.plain.has(*KINKS):
        return None
    try:
        exact = balls(loss)
    except NoBall:
        return None
    return alike_at(lambda place: exact.both(place)[1:], start)


def moved(states: SoundState, alike: Alike, losses: tuple[Loss, Loss], up: bool) -> SoundState:
    """States of the whole system from those in the subspace, or the reverse.

    Errors along axes of one Hessian are at most those along axes of the other, times the products
    of both; errors of entries are those of their class.

    Parameters
    ----------
    states : SoundState
        Shape (T, ...).
    alike : Alike
        The subspace.
    losses : tuple of Loss
        The whole one, and that in the subspace.
    up : bool
        Whether the result is of the whole system.
    """
    bits = 53 * states.digits.shape[-1] + SPARE
    first = [alike.of.index(c) for c in range(len(alike.sizes))]
    with precision(bits):
        scale = [arb(m).sqrt().mid() for m in alike.sizes]
    place = functools.partial(_lifted if up else _lowered, alike=alike, scale=scale)
    shown = []
    for digits in states.digits:
        known = from_doubles(digits)
        with precision(bits):
            shown.append(to_doubles(place(known)))
    size = len(alike.of) if up else len(first)
    x = np.array([digits[:, 0] for digits in shown]).reshape(-1, size)
    low = width(size, [digits[:, 1:] for digits in shown])
    basis = alike.basis if up else alike.basis.T
    error = np.abs(basis) @ states.error[..., None]
    if states.exact:
        whole, part = (states.x, x)[:: 1 if not up else -1]
        for k in range(len(states)):
            matrices = losses[0].hessian(whole[k]), losses[1].hessian(part[k])
            if np.isfinite(matrices[0]).all() and np.isfinite(matrices[1]).all():
                axes, inner = (eigen(matrix)[1] for matrix in matrices)
                products = np.abs(axes.T @ alike.basis @ inner)
                error[k, :, 0] = (products if up else products.T) @ states.error[k]
    time = np.abs(basis) @ states.time[..., None]
    return replace(states, x=x, low=low, error=error[..., 0], time=time[..., 0])


def lifted(states: SoundState, alike: Alike, losses: tuple[Loss, Loss], start: Array) -> SoundState:
    """States of the whole system from those in the subspace; the first one is the start."""
    found = moved(states, alike, losses, up=True)
    found.x[0], found.low[0] = start, 0.0
    return found


def _lifted(known: list[Any], alike: Alike, scale: list[Any]) -> list[Any]:
    """Entries from coordinates."""
    parts = [(z / s).mid() for z, s in zip(known, scale, strict=True)]
    each = zip(alike.of, alike.sign, strict=True)
    return [parts[c] * sign if sign else arb(0) for c, sign in each]


def _lowered(known: list[Any], alike: Alike, scale: list[Any]) -> list[Any]:
    """Coordinates from entries."""
    return [(known[alike.of.index(c)] * s).mid() for c, s in enumerate(scale)]
