r"""Entries that a flow keeps equal, opposite or where they are, from a start in which they are so.

.. math:: y_i = \frac{\sigma_i}{\sqrt{m_c}} z_c \text{ or } y_i = y_i(0), \qquad
   \sigma_i \in \{-1, 1\}, \qquad \dot z = -\nabla_z L(y(z))

for the `m_c` entries `i` of a class `c`. They make a subspace, and the flow stays in it where the
gradient does. Rounding would lead a run away beside a saddle, so the run takes the coordinates `z`,
in which the loss may have a minimum where that of `y` has a saddle.

The largest such subspace is found by refinement. Entries of one size are a class, and a class is
divided where the gradient at random places of the subspace tells its entries apart: entries of an
analytic gradient that are equal there to 60 digits are equal everywhere. A root, or a length, may
hide a kink, beyond which they are not; so of other losses than sums, products and entire functions
each state is looked at, and a run that has left the subspace is led anew in all entries.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from flint import arb
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.symmetric import eigen
from flows.systems.own.embedded import BITS, Embedded, begun, moved
from flows.systems.own.exact import balls, from_doubles
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric
from flows.systems.own.sound_state import SoundState
from symbolic.language.lower import NoBall, Undecided

__all__ = ["Alike", "alike_at", "found_alike", "is_analytic", "lifted", "may_be_alike"]

# At a random place entries of a gradient are equal that differ by less than this part of the
# largest one.
EQUAL = 1e-60
# Random places of a division, and parts of a class's size by which these differ from the start.
PLACES, PARTS = 2, 1024
# A gradient that may be zero is below this part of the largest one, in doubles.
ROUNDED = 1e-12
# Numbers of an average that are reflected, and those that are exchanged: 64 and 48 terms.
MOST_REFLECTED, MOST_ORDERED = 6, 3
# Functions that are not analytic: the gradient may be alike on one side of a kink alone.
KINKS = (sp.Max, sp.Min, sp.Abs, sp.sign, sp.Heaviside, sp.Piecewise, sp.floor, sp.ceiling)
# Functions that are analytic wherever they have a value.
ANALYTIC = (sp.exp, sp.log, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.erf, sp.atan)

Numbers = NDArray[np.int64]
Gradient = Callable[[Sequence[Any]], Sequence[Any]]


class Alike(NamedTuple):
    """Which entries are alike.

    Parameters
    ----------
    of : tuple of int, length N
        The class of each entry, from 0 on; -1 of an entry that stays where it is.
    sign : tuple of int, length N
        Its sign relative to its class, 0 of an entry that stays.
    held : tuple of float, length N
        Where an entry stays; 0 of others.
    """

    of: tuple[int, ...]
    sign: tuple[int, ...]
    held: tuple[float, ...]

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

    def lifted(self, known: Sequence[Any]) -> list[Any]:
        """Entries from coordinates."""
        parts = [(z / s).mid() for z, s in zip(known, self._scale(), strict=True)]
        each = zip(*self, strict=True)
        return [parts[c] * sign if sign else arb(at) for c, sign, at in each]

    def lowered(self, known: Sequence[Any]) -> list[Any]:
        """Coordinates from entries."""
        return [(known[self.of.index(c)] * s).mid() for c, s in enumerate(self._scale())]

    def products(self, losses: tuple[Loss, Loss], whole: Array, part: Array) -> Array:
        """Sizes of products of axes of both Hessians at a state, shape (N, K)."""
        if losses[0].averaged:  # what is seen of a state is seen in the subspace
            return np.eye(len(whole), len(part))
        matrices = losses[0].hessian(whole), losses[1].hessian(part)
        if not all(np.isfinite(matrix).all() for matrix in matrices):
            return np.ones((len(whole), len(part)))
        axes, inner = (eigen(matrix)[1] for matrix in matrices)
        return np.abs(axes.T @ self.basis @ inner)

    def holds(self, x: Array) -> bool:
        """Whether entries, shape (T, N), are alike to all bits of a double."""
        first = [self.of.index(c) for c in range(len(self.sizes))]
        each = zip(*self, strict=True)
        columns = [s * x[:, first[c]] if s else np.full(len(x), at) for c, s, at in each]
        return bool((x == np.stack(columns, axis=-1)).all())

    def said(self, names: Sequence[str]) -> str:
        """Equations of the subspace, by the names of entries."""
        kinds: dict[int, list[str]] = {}
        for name, c, sign in zip(names, self.of, self.sign, strict=True):
            if sign:
                kinds.setdefault(c, []).append(f"-{name}" if sign < 0 else name)
        equal = [" = ".join(kind) for kind in kinds.values() if len(kind) > 1]
        each = zip(names, self.sign, self.held, strict=True)
        return ", ".join([*equal, *(f"{name} = {at:g}" for name, sign, at in each if not sign)])

    def written(self, known: Sequence[sp.Symbol]) -> list[sp.Expr]:
        """Entries as expressions."""
        return [
            sign * known[c] / sp.sqrt(self.sizes[c]) if sign else sp.Rational(at)
            for c, sign, at in zip(*self, strict=True)
        ]

    def _scale(self) -> list[Any]:
        return [arb(m).sqrt().mid() for m in self.sizes]


def may_be_alike(starts: Array, slopes: Array) -> NDArray[np.bool_]:
    """Which of some starts may have entries that are kept so, by their gradients in doubles."""
    sizes, steep = np.sort(np.abs(starts), axis=-1), np.abs(slopes)
    alike = (sizes[..., 0] == 0) | (np.diff(sizes, axis=-1) == 0).any(axis=-1)
    found: NDArray[np.bool_] = alike | (
        steep <= ROUNDED * steep.max(axis=-1, keepdims=True, initial=0.0)
    ).any(axis=-1)
    return found


def alike_at(gradient: Gradient, start: Array) -> Alike | None:
    """Entries that the flow from a start keeps alike; None where there are none.

    Parameters
    ----------
    gradient : callable
        Gradient in balls, an analytic function.
    start : ndarray, shape (N,)
        Where the flow begins.

    Examples
    --------
    >>> alike_at(lambda y: [y[1], y[0], y[2]], np.array([1.0, -1.0, 2.0]))
    Alike(of=(0, 0, 1), sign=(1, -1, 1), held=(0.0, 0.0, 0.0))
    """
    _, of = np.unique(np.abs(start), return_inverse=True)
    draw, largest = np.random.default_rng(0), float(np.abs(start).max(initial=0.0)) or 1.0
    sign, size = np.where(start < 0, -1, 1), np.where(start == 0, largest, np.abs(start))

    def led(part: Array, held: NDArray[np.bool_]) -> tuple[list[Any], float]:
        """Gradient where entries are these parts of their sizes, and below which it is none."""
        each = zip(start.tolist(), held, (sign * size).tolist(), part.tolist(), strict=True)
        with precision(BITS):
            place = [arb(x) if still else arb(y) * arb(p) for x, still, y, p in each]
            return _signed(gradient(place), sign)

    try:
        slopes, small = led(np.ones(len(start)), start == 0)
        held = np.array([_none(g, small) for g in slopes])
        # What moves one that may stay holds it to no other.
        of = np.where(held | (start == 0), len(start) + np.arange(len(start)), of).astype(np.int64)
        while True:
            before = of, held
            for _ in range(PLACES):
                part = 1 + draw.integers(-PARTS // 4, PARTS // 4, of.max() + 1) / PARTS
                of, held = _divided(*led(part[of], held), of, held)
            if all(np.array_equal(x, y) for x, y in zip(before, (of, held), strict=True)):
                break
    except Undecided:
        return None
    known = sorted({int(c) for c, still in zip(of, held, strict=True) if not still})
    if not known or len(known) == len(start):
        return None
    first = {c: int(sign[np.argmax(of == c)]) for c in known}
    each = list(zip(of.tolist(), sign.tolist(), held.tolist(), start.tolist(), strict=True))
    return Alike(
        tuple(-1 if still else known.index(c) for c, _, still, _ in each),
        tuple(0 if still else s * first[c] for c, s, still, _ in each),
        tuple(x if still else 0.0 for _, _, still, x in each),
    )


def _signed(slopes: Sequence[Any], sign: Numbers) -> tuple[list[Any], float]:
    """Slopes of entries whose signs are taken out, and below which one is none."""
    found = [g * int(s) for g, s in zip(slopes, sign, strict=True)]
    steep = max(float(abs(g).upper()) for g in found)
    if not steep < math.inf:
        raise Undecided
    return found, EQUAL * steep


def _none(slope: Any, small: float) -> bool:
    """Whether a ball may be zero, and is known to be as small as this."""
    return bool(slope.contains(0)) and float(abs(slope).upper()) <= small


def _divided(
    slopes: Sequence[Any], small: float, of: Numbers, held: NDArray[np.bool_]
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Classes whose entries the gradient at a place of the subspace does not tell apart."""
    found, still, kinds = np.zeros_like(of), held.copy(), dict[int, list[tuple[Any, int]]]()
    for i, c in enumerate(of.tolist()):
        if held[i] and not _none(slopes[i], small):
            still[i] = False  # something moves it, and nothing holds it to others
            found[i] = len(of) + i
            continue
        known = kinds.setdefault(c, [])
        seen = (n for g, n in known if _none(g - slopes[i], small))
        number = next(seen, None)
        if number is None:
            number = i
            known.append((slopes[i], number))
        found[i] = number
    return np.unique(found, return_inverse=True)[1].astype(np.int64), still


def found_alike(loss: Any, start: Array) -> Alike | None:
    """Entries of a start that the flow of an analytic loss keeps alike."""
    if not isinstance(loss, Loss) or loss.form.plain.has(*KINKS):
        return None
    slopes = np.ones_like(start) if loss.averaged else loss.at(start)[1]
    if not may_be_alike(start, slopes):
        return None
    try:
        gradient = _in_average(loss) if loss.averaged else _closed(loss)
    except NoBall:
        return None
    return None if gradient is None else alike_at(gradient, start)


def _closed(loss: Loss) -> Gradient:
    exact = balls(loss)
    return lambda place: exact.both(place)[1:]


def _in_average(loss: Loss) -> Gradient | None:
    """Gradient at random standard normal numbers, and where these are reflected or exchanged.

    An average does not tell entries apart that the sum over all such numbers does not. None where
    the numbers are others, or a function may have a kink.
    """
    form = loss.form
    if loss.measured is not None or form.density is not None:
        return None
    if not all(map(is_analytic, form[:2])) or len(form.x) > MOST_REFLECTED:
        return None
    plain = numeric(form.plain, loss.y, (), "ball").both
    inner = numeric(form.integrand, (*loss.y, *form.x), (), "ball").both
    draw = np.random.default_rng(1)

    def gradient(place: Sequence[Any]) -> list[Any]:
        numbers = [arb(int(k)) / PARTS for k in draw.integers(-PARTS, PARTS, len(form.x))]
        terms = [inner(*place, *turned)[1 : len(place) + 1] for turned in _reflected(numbers)]
        return [sum(each, g) for g, *each in zip(plain(*place)[1:], *terms, strict=True)]

    return gradient


def _reflected(numbers: list[Any]) -> Iterator[list[Any]]:
    """Numbers in every order, with every sign; in one order where they are many."""
    orders = itertools.permutations(numbers) if len(numbers) <= MOST_ORDERED else [tuple(numbers)]
    for order in orders:
        for signs in itertools.product((1, -1), repeat=len(numbers)):
            yield [sign * x for sign, x in zip(signs, order, strict=True)]


def is_analytic(expression: Any) -> bool:
    """Whether an expression is made of functions that are analytic wherever they have a value."""
    return all(
        isinstance(e, (sp.Add, sp.Mul, *ANALYTIC)) or e.is_Atom or (e.is_Pow and e.exp.is_Integer)
        for e in sp.preorder_traversal(expression)
        if e.free_symbols
    )


def _is_kept(loss: Loss, states: SoundState, alike: Alike) -> bool:
    """Whether the gradient at states of a subspace leads along it."""
    exact, sign = balls(loss), np.array([s or 1 for s in alike.sign])
    for digits in states.digits:
        place = from_doubles(digits)
        with precision(BITS):
            try:
                slopes, small = _signed(exact.both(place)[1:], sign)
            except Undecided:  # on a kink, or where the run says that nothing is known
                continue
        first = [slopes[alike.of.index(c)] for c in range(len(alike.sizes))]
        each = zip(slopes, alike.of, alike.sign, strict=True)
        if any(float(abs(g - first[c] if s else g).lower()) > small for g, c, s in each):
            return False
    return True


def lifted(
    states: SoundState, inside: Embedded, losses: tuple[Loss, Loss], start: Array
) -> SoundState | None:
    """States of the whole system from those in the subspace; None where the flow leaves it.

    The first one is the start.
    """
    found = begun(moved(states, inside, losses, up=True), start)
    if not isinstance(inside, Alike) or is_analytic(losses[0].form.plain):
        return found
    return found if _is_kept(losses[0], found, inside) else None
