r"""Trapezoidal rules for analytic integrands, with a proved bound of their error.

Along one axis, with nodes `tau = j h` of `u = u(tau)` and `g = phi(u) u' f`,

.. math:: \Big| h \sum_j g(j h) - \int g \Big| \leq \frac{2 M}{e^{2 \pi c/h} - 1}, \qquad
   M = \int |g(\tau + i c)| d\tau,

if `g` is analytic for `|Im tau| <= c` (Trefethen & Weideman 2014, SIAM Review 56(3), theorem 5.1).
The integrand is enclosed on rectangles that cover the strip (:mod:`flows.expectations.tubes`), so
`M` is an upper bound, and it is proved that `g` is analytic. Errors of several axes add up, with
sums along the others. Nodes end where the same rectangles show that little is left out. A map
`u = u_0 + w sinh(tau)` puts nodes where a steep integrand turns.

Along a thin axis, on which the integrand hardly changes, a Gauss-Hermite rule takes fewer nodes:

.. math:: |E f - Q_n f| = \frac{n!}{(2n)!} |f^{(2n)}(\xi)| \leq \frac{n!}{c^{2n}}
   \max_{|\mathrm{Re}\, u| \leq R + c,\ |\mathrm{Im}\, u| \leq c} |f|

where `xi` is an average over a density that has nothing beyond `R`. Bounds hold up to rounding.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.expectations.forms import Forms, Plane
from flows.expectations.lines import Axis, Gauss, Line
from flows.expectations.tubes import Tube, enclosed, number

__all__ = ["MOST_AXES", "THIN", "THINNEST", "TINY", "Axis", "Gauss", "Line", "Strips", "strips"]

#: More axes take too many nodes.
MOST_AXES = 3
# Rectangles: of this length up to where the density is small, from there on longer and longer.
LENGTHS = (0.25, 0.5, 0.9)
# Beyond the last one nothing is left of an integrand whose share of it is below this.
NOTHING = 1e-60
# Half widths of strips: absolute ones, and ones in units of the scale of steep integrands.
ABSOLUTE = tuple(np.geomspace(0.7, 12.0, 9).tolist())
RELATIVE = (0.1, 0.3, 0.6, 0.85, 1.05, 1.2, 1.3, 1.4, 1.47, 1.53, 2.0, 2.6, 3.0)
# Those of a map by sinh, below pi/4, where the density ceases to fall.
MAPPED = (0.1, 0.2, 0.3, 0.4, 0.5, 0.57, 0.64, 0.7, 0.74, 0.77)
# Spacings are powers of two to this, so that nearby states have the same, and at most one.
RUNGS, WIDEST = 4, 1.0
# A map turns within this many units of the scale of a steep integrand.
TURNS = 2.0
#: A scale below this is none.
TINY = 1e-30
#: Rows of forms are at most this long along a thin axis.
THIN = 0.15
#: A thinner axis is taken to be as thick as this one.
THINNEST = 1e-8
# Its largest number of nodes, and the half widths of its strips, in units of its scale.
MOST_GAUSS, AROUND = 24, (0.6, 0.85, 1.05, 1.2, 1.3, 1.4, 1.47, 2.0, 3.0)
# Rectangles that are looked at together: there is a number for each, at each step of a program.
TOGETHER = 50_000
# Bounds are of sums of rounded numbers.
UPWARD = 1.0 + 1e-9


class Near(NamedTuple):
    """States near one, at which its bounds hold too.

    Parameters
    ----------
    slack : float
        Part of the largest row, offset and entry.
    rows : list of float
        How far rows may be off along each axis; along a thin one, how long they may be.
    thin : list of bool
        Which axes are thin.
    offsets, entries : float
        How far these may be off.
    """

    slack: float
    rows: list[float]
    thin: list[bool]
    offsets: float
    entries: float

    @classmethod
    def of(cls, plane: Plane, y: Array, lines: tuple[Line, ...], slack: float) -> Near:
        """States within a part of the largest row along each axis, and of all else."""
        largest = np.abs(plane.rows).max(axis=0, initial=0.0)
        thin = np.array([line.thin for line in lines])
        rows = np.where(thin, (1 + slack) * np.maximum(largest, THINNEST), slack * largest)
        scale = max(float(np.abs(plane.offsets).max(initial=0.0)), float(largest.max(initial=0.0)))
        entries = slack * float(np.abs(y).max(initial=0.0))
        return cls(slack, rows.tolist(), thin.tolist(), slack * scale, entries)

    def parts(self, before: Plane, now: Plane, moved: float) -> float:
        """How far a state is off, in units of what it may be: at 1 or less, bounds hold."""
        rows, thin = np.array(self.rows), np.array(self.thin, dtype=bool)
        off = np.where(thin, np.abs(now.rows), np.abs(now.rows - before.rows))
        aside = float(np.abs(now.offsets - before.offsets).max(initial=0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = [
                (off / rows).max(initial=0.0),
                *np.divide([aside, moved], [self.offsets, self.entries]),
            ]
        return float(np.nan_to_num(shares, nan=0.0, posinf=np.inf).max())


@dataclass(frozen=True)
class Strips:
    """Bounds of an integrand and its gradient on strips around each axis.

    Parameters
    ----------
    plane : Plane
        The forms.
    lines : tuple of Line
        Of each axis.
    edges : tuple of ndarray
        Ends of rectangles.
    shares : list of ndarray, shape (B, 2)
        Of each axis: upper bounds of the parts of `E |f|`, and of that of the gradient, in each
        slice of rectangles.
    widths, sizes : list of ndarray, shapes (C,) and (C, 2)
        Of each axis: half widths of strips, and `M` of both.
    real : ndarray, shape (2, B1, .., Bk)
        Upper bounds of the parts of both in each rectangle.
    near : Near
        Where they hold.
    """

    plane: Plane
    lines: tuple[Line, ...]
    edges: tuple[Array, ...]
    shares: list[Array]
    widths: list[Array]
    sizes: list[Array]
    real: Array
    near: Near

    @property
    def size(self) -> Array:
        """Upper bounds of `E |f|`, and of that of the gradient, shape (2,)."""
        return np.zeros(2) if not self.shares else np.asarray(self.shares[0].sum(axis=0))

    def axes(self, asked: Array) -> tuple[Axis | Gauss, ...]:
        """Axes whose rule has at most the error asked for, shape (2,)."""
        part = np.maximum(asked, TINY**2) / (4 * max(len(self.lines), 1))
        return tuple(self._axis(e, part) for e in range(len(self.lines)))

    def bound(self, axes: tuple[Axis | Gauss, ...]) -> Array:
        """Upper bounds of the error of the loss, and of the gradient, by a rule, shape (2,)."""
        total = np.zeros(2)
        for e, axis in enumerate(axes):
            if isinstance(axis, Gauss):
                total += self._thin(e, axis.size).min(axis=0)
                continue
            with np.errstate(all="ignore"):
                turns = 2 * math.pi * self.widths[e] / axis.spacing
                strip = 2 * self.sizes[e] / np.expm1(turns)[:, None]
            total += np.where(np.isnan(strip), np.inf, strip).min(axis=0)
            low, high = axis.spacing * axis.first, axis.spacing * axis.last
            outside = (self.edges[e][:-1] < low) | (self.edges[e][1:] > high)
            total += 2 * self.shares[e][outside].sum(axis=0)
        return UPWARD * total

    def outside(self, asked: Array) -> NDArray[np.bool_]:
        """Rectangles that hold a quarter of the error asked for, or less, shape (B1, .., Bk)."""
        shares = self.real.reshape(2, -1) / np.maximum(asked, TINY**2)[:, None]
        order = np.argsort(shares.max(axis=0), kind="stable")
        found = np.zeros(order.shape, dtype=bool)
        found[order] = (np.cumsum(shares[:, order], axis=1) <= 0.25).all(axis=0)
        return found.reshape(self.real.shape[1:])

    def _thin(self, e: int, size: int) -> Array:
        """Bounds of the errors of a Gauss-Hermite rule, shape (C, 2)."""
        with np.errstate(all="ignore"):
            share = np.exp(math.lgamma(size + 1) - 2 * size * np.log(self.widths[e]))
            found = share[:, None] * self.sizes[e]
        return np.where(np.isnan(found), np.inf, found)

    def _axis(self, e: int, part: Array) -> Axis | Gauss:
        """Widest spacing, and the fewest nodes, whose errors are at most a part each."""
        if self.lines[e].thin:
            fits = (n for n in range(2, MOST_GAUSS + 1) if (self._thin(e, n) <= part).all(1).any())
            return Gauss(self.lines[e], next(fits, 0))
        with np.errstate(all="ignore"):
            digits = np.log1p(2 * self.sizes[e] / part).max(axis=1)
            spacings = 2 * math.pi * self.widths[e] / digits
            widest = float(np.where(np.isfinite(digits), spacings, 0.0).max())
        if not widest > 0:
            return Axis(self.lines[e], WIDEST, 0, -1)
        spacing = 2.0 ** (math.floor(RUNGS * math.log2(min(widest, WIDEST))) / RUNGS)
        edges, shares = self.edges[e], 2 * self.shares[e]
        below = np.max(np.cumsum(shares, axis=0) / part, axis=1) <= 0.5
        above = np.flip(np.max(np.cumsum(shares[::-1], axis=0) / part, axis=1) <= 0.5)
        first = edges[:-1][~below].min(initial=0.0)
        last = edges[1:][~above].max(initial=0.0)
        return Axis(self.lines[e], spacing, math.floor(first / spacing), math.ceil(last / spacing))


@np.errstate(all="ignore")  # a number that overflows is no bound
def strips(
    forms: Forms, y: Array, plane: Plane, lines: tuple[Line, ...], slack: float = 0.0
) -> Strips | None:
    """Bounds of an integrand on strips; None where it has none, even on the line.

    Parameters
    ----------
    forms, y : Forms, and ndarray of shape (N,)
        The integrand, and the state.
    plane : Plane
        Its forms there.
    lines : tuple of Line
        How each axis is divided.
    slack : float
        Bounds also hold where rows along an axis, offsets and entries move by this part of the
        largest ones, if rows are affine in the entries.

    Returns
    -------
    Strips or None
        Its bounds hold up to rounding.
    """
    k = len(lines)
    if not k:  # the average of a constant, whose gradient is affine
        return Strips(plane, (), (), [], [], [], np.zeros(2), Near.of(plane, y, (), slack))
    wide = max(1, sum(not line.thin for line in lines))
    edges = tuple(line.edges(LENGTHS[wide - 1]) for line in lines)
    near = Near.of(plane, y, lines, slack)
    scale = np.abs(plane.rows).max(axis=0)
    fine = slice(None) if wide == 1 else slice(1, None, wide + 1)
    widths, found, places = [], [], range(1, k + 1)
    for e, line in enumerate(lines):
        relative = np.array(RELATIVE[fine]) / max(float(scale[e]), TINY)
        both = relative[relative < ABSOLUTE[-1]], np.array(ABSOLUTE[fine])
        cs = np.array(MAPPED[fine]) if line.mapped else np.concatenate(both)
        if line.thin:
            cs = np.array(AROUND) / max(float(scale[e]), THINNEST)
        widths.append(cs)
        asked = cs if e else np.append(0.0, cs)  # the first of all is the line itself
        few = max(1, TOGETHER // math.prod(len(edge) - 1 for edge in edges))
        parts = (asked[k : k + few] for k in range(0, len(asked), few))
        some = [_sizes(forms, y, plane, lines, edges, e, part, near) for part in parts]
        if not e:
            real, some[0] = some[0][:, 0], some[0][:, 1:]
            shares = [real.sum(axis=tuple(j for j in places if j != i)).T for i in places]
            ends = [x for x, line in zip(shares, lines, strict=True) if not line.thin]
            if not np.isfinite(real).all() or any(
                np.any(share[[0, -1]] > NOTHING * share.sum(axis=0)) for share in ends
            ):
                return None
        found.append(np.concatenate([x.sum(axis=tuple(range(2, 2 + k))).T for x in some]))
    return Strips(plane, lines, edges, shares, widths, found, real, near)


def _sizes(
    forms: Forms,
    y: Array,
    plane: Plane,
    lines: tuple[Line, ...],
    edges: tuple[Array, ...],
    axis: int,
    cs: Array,
    near: Near,
) -> Array:
    """Bounds of loss and gradient times density on all rectangles, shape (2, C, B1, .., Bk).

    Along other axes there are sums over nodes: each is at most the integral and one node more.
    """
    k, tubes = len(lines), []
    weight: Any = np.ones((1,) * (k + 1))
    for e, (line, edge) in enumerate(zip(lines, edges, strict=True)):
        shape = [1] * (k + 1)
        shape[e + 1] = len(edge) - 1
        low, high = edge[:-1].reshape(shape), edge[1:].reshape(shape)
        c = cs.reshape(-1, *[1] * k) if e == axis else np.zeros((1,) * (k + 1))
        tubes.append(line.tube(low, high, c))
        weight = weight * line.measure(low, high, c, np.where(c == 0, WIDEST, 0.0))
    known = {
        symbol: _form(tubes, row, offset, near)
        for symbol, row, offset in zip(forms.symbols, plane.rows, plane.offsets, strict=True)
    }
    for symbol, value in zip(forms.y, y.tolist(), strict=True):
        place = number(value)
        known[symbol] = Tube(place.low - near.entries, place.high + near.entries, place.width)
    of_value, *slopes = (tube.size for tube in enclosed(forms.slopes, known))
    of_forms, beside = slopes[: len(forms.symbols)], slopes[len(forms.symbols) :]
    lengths = np.linalg.norm(plane.moves, axis=0)
    with np.errstate(all="ignore"):
        of_slope: Any = np.sqrt(sum((b**2 for b in beside), start=np.zeros(1)))
        far = [tube.size for tube in tubes]
        for size, (*row, offset) in zip(of_forms, lengths.tolist(), strict=True):
            parts = (r * f for r, f in zip(row, far, strict=True) if r)
            of_slope = of_slope + size * sum(parts, start=np.float64(offset))
        found = np.stack(np.broadcast_arrays(of_value * weight, of_slope * weight))
    return np.where(np.isnan(found), np.inf, found)


def _form(tubes: list[Tube], row: Array, offset: float, near: Near) -> Tube:
    """An affine form of independent numbers, as it is, and where its row is a little off."""
    low, high = np.full(1, offset - near.offsets), np.full(1, offset + near.offsets)
    width, none = np.zeros(1), near.slack == 0
    for r, off, thin, tube in zip(row.tolist(), near.rows, near.thin, tubes, strict=True):
        if r and none:
            one, other = r * tube.low, r * tube.high
            low, high = low + np.minimum(one, other), high + np.maximum(one, other)
            width = width + abs(r) * tube.width
        elif off:
            ends = (-off, off) if thin else (r - off, r + off)
            products = [end * x for end in ends for x in (tube.low, tube.high)]
            low = low + functools.reduce(np.minimum, products)
            high = high + functools.reduce(np.maximum, products)
            width = width + max(abs(end) for end in ends) * tube.width
    return Tube(low, high, width)
