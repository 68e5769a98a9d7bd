r"""Averages over half-planes whose edges move with the state, as averages over fixed nodes.

Between two kinks at `T` and `T'` along a line ``x = p + u e``,

.. math:: \int_T^{T'} f(p + u e)\, \varphi(u)\, du
   = \int_0^1 f\big(p + (T + \theta J) e\big)\, \varphi(T + \theta J)\, J\, d\theta,
   \qquad J = T' - T,

where ``T = -(a.p + b)/(a.e)`` moves with the state and `theta` does not. The steps are numbers on a
cell, so that derivatives of the right side contain every boundary term and jump by themselves. In a
plane the lines are those of `p = v f`, between the points where two kinks cross.

Boundary terms of two cells cancel where `f` is continuous. Then the gradient is the average of that
of `f` between kinks, and the right side with this one in place of `f` has the Hessian.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symbolic.language.averages.kinks import Kinks

__all__ = ["Moving", "moving"]

Symbols = tuple[sp.Symbol, ...]


@dataclass(frozen=True)
class Moving:
    """Nodes of cells as functions of the state.

    Parameters
    ----------
    density : Expr
        Of a node, in what the kinks are in and in its columns.
    point : tuple of Expr
        The numbers that are averaged over, at a node.
    axis, other, place : tuple of Symbol
        `e`, `f` and `p`, orthogonal to both; empty of one number `x`.
    ends : pair of tuple of Symbol
        Of each end of an inner cell: a number, and one for each kink: 1 for that which is the end.
    inside : pair of Symbol
        `theta` and `1 - theta`.
    outer : pair of tuple of Symbol
        As ``ends``, of a cell of `v` and for the pairs of kinks that cross; empty of one number.
    between : tuple of Symbol
        Place in the outer cell; empty of one number.
    pairs : tuple of (int, int)
        Kinks that cross.
    lengths : tuple of pairs of Expr
        Of the cells of a node, with its place there: negative where ends have changed their places.
    """

    density: sp.Expr
    point: tuple[sp.Expr, ...]
    axis: Symbols
    other: Symbols
    place: Symbols
    ends: tuple[Symbols, Symbols]
    inside: Symbols
    outer: tuple[Symbols, Symbols]
    between: Symbols
    steps: Symbols
    pairs: tuple[tuple[int, int], ...]
    lengths: tuple[tuple[sp.Expr, sp.Expr], ...]

    @property
    def columns(self) -> Symbols:
        """All numbers of a node, in their order."""
        first = (*self.axis, *self.other, *self.place, *self.ends[0], *self.ends[1], *self.inside)
        return (*first, *self.outer[0], *self.outer[1], *self.between, *self.steps)


def moving(kinks: Kinks, x: Sequence[sp.Symbol]) -> Moving:
    """Nodes of cells of the kinks of an average over standard normal numbers.

    Parameters
    ----------
    kinks : Kinks
        With one form or more.
    x : sequence of Symbol
        The Gaussian numbers.
    """
    d, m = len(x), len(kinks.forms)
    zero = dict.fromkeys(x, sp.S.Zero)
    slopes = [[sp.diff(z, s) for s in x] for z in kinks.forms]
    constants = [z.xreplace(zero) for z in kinks.forms]
    plane = d > 1
    axis, other, place = (_named(letter, d if plane else 0) for letter in "efp")
    pairs = tuple(
        (i, j)
        for i, j in itertools.combinations(range(m), 2)
        if plane and not _parallel(slopes[i], slopes[j])
    )
    ends = _named("lo", m + 1), _named("hi", m + 1)
    outer = (_named("vlo", len(pairs) + 1), _named("vhi", len(pairs) + 1)) if plane else ((), ())
    inside, between = _named("theta", 2), _named("eta", int(plane))

    along = [_dot(a, axis) if plane else a[0] for a in slopes]
    beside = [_dot(a, other) if plane else sp.S.Zero for a in slopes]
    before = [_dot(a, place) + b if plane else b for a, b in zip(slopes, constants, strict=True)]
    density, v, lengths = sp.S.One, sp.S.Zero, []
    if plane:
        crossings = [
            (
                before[j] * along[i] - before[i] * along[j],
                beside[i] * along[j] - beside[j] * along[i],
            )
            for i, j in pairs
        ]
        left, right = (_end(end, crossings) for end in outer)
        v = left + between[0] * (right - left)
        lengths.append((right - left, v))
        density = (right - left) * _normal(v)
    breaks = [(-(k + g * v), c) for k, g, c in zip(before, beside, along, strict=True)]
    left, right = (_end(end, breaks) for end in ends)
    length = right - left
    u = left + inside[0] * length
    lengths.append((length, u))
    density *= length * _normal(u)
    point = [p + v * f + u * e for p, f, e in zip(place, other, axis, strict=True)] or [u]
    found = (axis, other, place, ends, inside, outer, between, kinks.steps, pairs)
    return Moving(density, tuple(point), *found, tuple(lengths))


def _named(letter: str, count: int) -> Symbols:
    return tuple(sp.Symbol(f"_{letter}{k}", real=True) for k in range(count))


def _dot(a: Sequence[sp.Expr], b: Sequence[sp.Expr]) -> sp.Expr:
    return sp.Add(*(s * t for s, t in zip(a, b, strict=True)))


def _normal(u: sp.Expr) -> sp.Expr:
    return sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)


def _end(end: Symbols, quotients: Sequence[tuple[sp.Expr, sp.Expr]]) -> sp.Expr:
    """A number, or the quotient that is chosen; the others are not divided."""
    chosen = (
        pick * above / (pick * below + 1 - pick)
        for pick, (above, below) in zip(end[1:], quotients, strict=True)
    )
    return sp.Add(end[0], *chosen)


def _parallel(a: Sequence[sp.Expr], b: Sequence[sp.Expr]) -> bool:
    return all(
        sp.expand(a[i] * b[j] - a[j] * b[i]) == 0
        for i, j in itertools.combinations(range(len(a)), 2)
    )
