"""Nodes for the average of an integrand at a state, with a proved bound of their error."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.quadrature_rules import Rule
from flows.expectations.forms import STEEP, Forms, forms_of
from flows.expectations.strips import MOST_AXES, THIN, TURNS, Axis, Gauss, Line, Strips, strips
from flows.expectations.tubes import has_bound
from symbolic.language.stable import stable

__all__ = [
    "Proved",
    "along_one",
    "lattice",
    "left_by",
    "panelled",
    "surveyed",
    "turned",
]

# On a line, shorter rows than :data:`STEEP` are tried with nodes where they turn: it costs little.
TURNING = 0.5
# Panels, nodes on each, and how far they go.
PANELS, ON_PANEL, REACH = 96, 10, 12.0
# A box may have this many times the largest number of nodes, before its corners are left out.
CORNERS = 3


class Proved(NamedTuple):
    """A rule with upper bounds of its errors.

    Parameters
    ----------
    rule : Rule
        Nodes and weights.
    bound : ndarray, shape (2,)
        Of the error of the average, and of that of the length of its gradient.
    """

    rule: Rule
    bound: Array


@functools.lru_cache(maxsize=64)
def _forms(integrand: sp.Expr, x: tuple[sp.Symbol, ...], y: tuple[sp.Symbol, ...]) -> Forms | None:
    """Forms of an integrand; None where a function has no bound on tubes, or nothing varies."""
    found = forms_of(stable(integrand), x, y)
    return found if found.symbols and all(map(has_bound, found.slopes)) else None


def surveyed(
    integrand: sp.Expr, x: Sequence[sp.Symbol], entries: Sequence[sp.Symbol], y: Array
) -> tuple[Strips, ...]:
    """Bounds on strips, one for each way to divide the axes; none where nothing is proved.

    Parameters
    ----------
    integrand : Expr
        In `x` and the entries.
    x, entries : sequence of Symbol
        The Gaussian numbers, and the entries.
    y : ndarray, shape (N,)
        The state.

    Returns
    -------
    tuple of Strips
        All axes as they are; then, of a steep integrand, the first axis mapped to where it turns.
    """
    forms = _forms(integrand, tuple(x), tuple(entries))
    if forms is None:
        return ()
    plane = forms.plane(y)
    k = plane.axes.shape[1]
    if k > MOST_AXES or not np.isfinite(plane.rows).all() or not np.isfinite(plane.offsets).all():
        return ()
    # On a line the trapezoidal rule costs next to nothing, and serves in any number of digits.
    thin = (k > 1) & (np.abs(plane.rows).max(axis=0, initial=0.0) <= THIN)
    usual = tuple(Line(thin=bool(t)) for t in thin)
    lines = [usual, *([(Line(),) * k] if thin.any() else [])]
    steep = np.abs(plane.rows[:, 0]) if k else np.zeros(1)
    if steep.max() > (TURNING if k == 1 else STEEP):
        sharpest = int(steep.argmax())
        turned = -plane.offsets[sharpest] / plane.rows[sharpest, 0]
        # Powers of two, so that nearby states have the same nodes.
        scale = 2.0 ** round(math.log2(TURNS / steep.max()))
        lines.append((Line(scale, float(turned)), *usual[1:]))
    found = (strips(forms, y, plane, each) for each in lines)
    return tuple(each for each in found if each is not None)


def lattice(known: Sequence[Strips], asked: Array, most: int) -> Proved | None:
    """Rule of the fewest nodes whose errors are at most those asked for.

    Parameters
    ----------
    known : sequence of Strips
        Of :func:`surveyed`.
    asked : ndarray, shape (2,)
        Error of the average, and of the length of its gradient.
    most : int
        Most nodes.

    Returns
    -------
    Proved or None
        The rule with its bounds; None where it takes more nodes.
    """
    best: tuple[int, Strips, tuple[Axis | Gauss, ...]] | None = None
    for each in known:
        axes = each.axes(asked)
        count = math.prod(axis.size for axis in axes)
        if 0 < count <= CORNERS * most and (best is None or count < best[0]):
            best = count, each, axes
    if best is None:
        return None
    _, chosen, axes = best
    if not axes:
        nothing = np.zeros((1, len(chosen.plane.axes)))
        return Proved(Rule(nothing, np.ones(1), "one node"), np.zeros(2))
    places, weights = zip(*(axis.nodes for axis in axes), strict=True)
    grid = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1)
    weight = functools.reduce(np.multiply.outer, weights)
    bound, kept = chosen.bound(axes), np.ones(weight.shape, dtype=bool)
    if len(axes) > 1:  # corners of a box, where there is next to nothing
        outside = chosen.outside(asked)
        bound = bound + 2 * chosen.real[:, outside].sum(axis=-1)
        kept = ~outside[np.ix_(*map(_box_of, axes, chosen.edges))]
    if int(kept.sum()) > most:
        return None
    label = "lattice " + " x ".join(str(axis.size) for axis in axes)
    return Proved(Rule(grid[kept] @ chosen.plane.axes.T, weight[kept], label), bound)


def _box_of(axis: Axis | Gauss, edges: Array) -> NDArray[np.int64]:
    """Number of the rectangle of each node."""
    if isinstance(axis, Gauss):
        return np.zeros(axis.size, dtype=np.int64)
    tau = axis.spacing * np.arange(axis.first, axis.last + 1.0)
    return np.clip(np.searchsorted(edges, tau, side="right") - 1, 0, len(edges) - 2)


def along_one(known: Sequence[Strips], part: float) -> Axis | None:
    """Fewest nodes on a line whose errors are small beside the average of sizes.

    Parameters
    ----------
    known : sequence of Strips
        Of :func:`surveyed`.
    part : float
        Errors of the average, and of its gradient, in units of `E |f|` and of that of the gradient.

    Returns
    -------
    Axis or None
        The nodes; None of integrands on a plane, or without a bound.
    """
    lines = (each for each in known if len(each.lines) == 1)
    found = [each.axes(part * each.size)[0] for each in lines]
    some = (axis for axis in found if isinstance(axis, Axis) and axis.size)
    return min(some, key=lambda a: a.size, default=None)


def left_by(
    axis: Axis,
    integrand: sp.Expr,
    x: Sequence[sp.Symbol],
    entries: Sequence[sp.Symbol],
    y: Array,
) -> float:
    """What nodes on the line leave at a state at most, as a part of the average of sizes.

    Parameters
    ----------
    axis : Axis
        The nodes.
    integrand, x, entries, y
        As of :func:`surveyed`.

    Returns
    -------
    float
        The larger one of the average and of its gradient; infinite where nothing is proved.
    """
    forms = _forms(integrand, tuple(x), tuple(entries))
    known = None if forms is None else strips(forms, y, forms.plane(y), (axis.line,))
    if known is None:
        return math.inf
    with np.errstate(all="ignore"):
        return float(np.nan_to_num(known.bound((axis,)) / known.size, nan=0.0, posinf=np.inf).max())


@functools.cache
def panelled() -> Rule:
    """Gauss-Legendre rules on panels, another family than trapezoidal and Gauss-Hermite rules."""
    t, w = np.polynomial.legendre.leggauss(ON_PANEL)
    half = REACH / PANELS
    x = (np.linspace(half - REACH, REACH - half, PANELS)[:, None] + half * t).ravel()
    w = np.tile(half * w, PANELS) * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return Rule(x[:, None], w, f"{PANELS} panels of {ON_PANEL}")


def turned(rule: Rule) -> Rule:
    """Return the rule along other axes: its own may fit a step or a symmetry by chance."""
    size = rule.nodes.shape[1]
    if size == 1:
        return rule
    axes, _ = np.linalg.qr(np.random.default_rng(size).normal(size=(size, size)))
    return Rule(rule.nodes @ axes, rule.weights, f"{rule.label}, turned")
