"""Nodes for the average of an integrand of forms, with a proved bound of what they leave.

They lie in the plane that the forms span at a state, which may be a line. A run keeps them while
the bound holds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.expectations.forms import Forms
from flows.expectations.hermite import Rule
from flows.expectations.lines import Axis, Gauss, Line, in_balls
from flows.expectations.product import Paired, product
from flows.expectations.strips import MOST_AXES, THIN, THINNEST, TINY, TURNS, Strips, strips

__all__ = ["MOST_NODES", "RIGHT", "PlaneNodes", "fewest", "plane_nodes", "surveyed"]

#: What a rule that is kept leaves of the average of sizes at most.
RIGHT = 1e-13
# Bits of nodes that are then rounded to two doubles.
BITS = 160
# It serves while rows have moved by this part of their size along an axis.
SLACK = 0.4
# Where nodes are chosen, they are kept up to this part of the way: each choice begins a piece.
# Those of a thin axis begin at 1/(1 + SLACK).
KEPT = 0.75
# Rows that reach out of the plane by more than this part of the longest one have another plane.
OUT = 1e-9
#: More nodes cost more than a second a step.
MOST_NODES = 300_000
# A rule with this part of the nodes is taken instead.
FEWER = 0.5
# Nodes of a rule along a thin axis, of which hardly any can be spared.
FEWEST = 2
# Longer rows are steep functions: the first axis lies along the longest one.
STEEP = 3.0
# On a line, shorter rows than that are tried with nodes where they turn, if it takes more nodes
# than the second number otherwise: to look costs as much as so many nodes.
TURNING, MANY = 0.5, 40
# A box may have this many times the largest number of nodes, before its corners are left out.
CORNERS = 3


@dataclass(frozen=True, eq=False)
class PlaneNodes:
    """Nodes in a plane, with a bound that holds near a state.

    Parameters
    ----------
    axes : ndarray, shape (d, k)
        Orthonormal columns: they stay the same along a run, whose gradient leaves its plane as it
        is.
    turn : ndarray, shape (k, k)
        Axes of the rule along them.
    places : ndarray, shape (M, k)
        Nodes along them.
    weights : ndarray, shape (M,)
        Weights.
    label : str
        What it is, for people.
    bound : ndarray, shape (2,)
        Of the errors of the average, and of the length of its gradient.
    made : Strips
        Of which state, and near which ones.
    y : ndarray, shape (N,)
        That state.
    rules : tuple of Axis or Gauss
        Of each axis of the rule, which are turned in the plane.
    kept : ndarray of bool
        Nodes of their product that are not left out.
    part : float
        What it may leave of the average of sizes.
    """

    axes: Array
    turn: Array
    places: Array
    weights: Array
    label: str
    bound: Array
    made: Strips
    y: Array
    rules: tuple[Any, ...]
    kept: NDArray[np.bool_]
    part: float = RIGHT

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.weights)

    @property
    def rule(self) -> Rule:
        """Nodes in space."""
        return Rule(self.places @ self.axes.T, self.weights, self.label)

    def turned(self, forms: Forms, y: Array) -> PlaneNodes:
        """Nodes in the plane of forms at a state, along axes as near to these as there are."""
        return replace(self, axes=forms.turned(self.axes, y))

    def off(self, forms: Forms, y: Array, axes: Array | None = None) -> float:
        """How far a state is off, in units of what it may be: no node is visited.

        At 1 or less the bound holds, of nodes along other ``axes`` too.
        """
        axes = self.axes if axes is None else axes
        if _leaves(forms, y, axes):
            return math.inf
        now, moved = forms.plane(y, axes @ self.turn), np.abs(y - self.y)
        # What stands in forms alone moves these.
        beside = float(moved[list(forms.beside)].max(initial=0.0))
        return self.made.near.parts(self.made.plane, now, beside)

    @functools.cached_property
    def paired(self) -> Paired:
        """Nodes along the axes of the rule, with their weights, in balls of two doubles."""
        return product([in_balls(rule, BITS, False) for rule in self.rules], self.kept)

    @functools.cached_property
    def finer(self) -> PlaneNodes:
        """Nodes that show what these leave where the average is small beside its terms."""
        rules = tuple(rule.finer for rule in self.rules)
        return _made(self.made, rules, self.axes, self.y, self.bound, None)

    def left(self, forms: Forms, y: Array) -> float:
        """What they leave at a state at most, as a part of the average of sizes.

        The larger one of the average and of its gradient, of which doubles may see nothing;
        infinite where nothing is proved.
        """
        plane = forms.plane(y, self.axes @ self.turn)
        known = strips(forms, y, plane, self.made.lines)
        if known is None:
            return math.inf
        with np.errstate(all="ignore"):
            parts = known.bound(self.rules) / np.maximum(known.size, TINY)
        return float(np.nan_to_num(parts, nan=np.inf, posinf=np.inf).max())


def _leaves(forms: Forms, y: Array, axes: Array) -> bool:
    """Whether rows of forms reach out of a plane."""
    rows = forms.at(y)[0, :, :-1]
    beyond = rows - rows @ axes @ axes.T
    return not np.isfinite(beyond).all() or bool(
        np.abs(beyond).max(initial=0.0) > OUT * np.abs(rows).max(initial=0.0)
    )


def _made(
    known: Strips, rules: tuple[Any, ...], axes: Array, y: Array, bound: Array, asked: Array | None
) -> PlaneNodes:
    """Product of rules, without the corners that hold a part of the error that is asked for."""
    if not rules:
        nothing = np.zeros((1, 0))
        kept = np.ones((), dtype=bool)
        return PlaneNodes(axes, np.eye(0), nothing, np.ones(1), "one", bound, known, y, rules, kept)
    found = [axis.nodes for axis in rules]
    grid = np.stack(np.meshgrid(*(x for x, _ in found), indexing="ij"), axis=-1)
    weights = functools.reduce(np.multiply.outer, (w for _, w in found))
    kept = weights > 0
    if asked is not None and len(rules) > 1:
        outside = known.outside(asked)
        bound = bound + 2 * known.real[:, outside].sum(axis=-1)
        boxes = (axis.boxes(edge) for axis, edge in zip(rules, known.edges, strict=True))
        kept = kept & ~outside[np.ix_(*boxes)]
    turn = axes.T @ known.plane.axes  # along the axes of the rule
    label = " x ".join(str(axis.size) for axis in rules)
    places = grid[kept] @ turn.T
    return PlaneNodes(axes, turn, places, weights[kept], label, bound, known, y, rules, kept)


def surveyed(
    forms: Forms, y: Array, axes: Array | None = None, slack: float = 0.0
) -> tuple[Strips, ...]:
    """Bounds on strips, one for each way to divide the axes; none where nothing is proved.

    Parameters
    ----------
    forms, y : Forms, and ndarray of shape (N,)
        The integrand, and the state.
    axes : ndarray, shape (d, k), optional
        Columns that span the plane; those of the forms by default.
    slack : float
        Bounds also hold near the state, see :func:`flows.expectations.strips.strips`.

    Returns
    -------
    tuple of Strips
        All axes as they are, and of a steep integrand the first axis mapped to where it turns.
        Where singularities are near, a Gauss-Hermite rule of a thin axis has too few nodes: so
        without any, too.
    """
    if not forms.bounded:
        return ()
    axes = forms.plane(y).axes if axes is None else axes
    plane, k = forms.plane(y, axes), axes.shape[1]
    if not np.isfinite(plane.rows).all() or not np.isfinite(plane.offsets).all():
        return ()
    if k > 1:
        plane = forms.plane(y, axes @ _turn(plane.rows))
    # On a line the trapezoidal rule costs next to nothing, and serves in any number of digits.
    thin = (k > 1) & (np.abs(plane.rows).max(axis=0, initial=0.0) <= THIN)
    usual = tuple(Line(thin=bool(t)) for t in thin)
    first = strips(forms, y, plane, usual, slack) if k - thin.sum() <= MOST_AXES else None
    known: list[Strips | None] = [first]
    lines: list[tuple[Line, ...]] = []
    if k == 1 and first and 0 < first.axes(RIGHT * first.size)[0].size <= MANY:
        return (first,)
    steep = np.abs(plane.rows[:, 0]) if k else np.zeros(1)
    if steep.max() > (TURNING if k == 1 else STEEP):
        sharpest = int(steep.argmax())
        turned = -plane.offsets[sharpest] / plane.rows[sharpest, 0]
        # Powers of two, so that nearby states have the same nodes.
        scale = 2.0 ** round(math.log2(TURNS / steep.max()))
        lines.append((Line(scale, float(turned)), *usual[1:]))
    lines += [(Line(),) * k] if thin.any() else []
    some = (each for each in lines if sum(not line.thin for line in each) <= MOST_AXES)
    known += [strips(forms, y, plane, each, slack) for each in some]
    return tuple(each for each in known if each is not None)


def fewest(
    known: Sequence[Strips], y: Array, axes: Array, asked: Array, most: int
) -> PlaneNodes | None:
    """Fewest nodes whose errors are at most those asked for.

    Parameters
    ----------
    known : sequence of Strips
        Of :func:`surveyed`, with the state `y` and the axes of the plane.
    asked : ndarray, shape (2,)
        Error of the average, and of the length of its gradient.
    most : int
        Most nodes.

    Returns
    -------
    PlaneNodes or None
        None where it takes more nodes.
    """
    best: tuple[int, Strips, tuple[Axis | Gauss, ...]] | None = None
    for each in known:
        rules = each.axes(asked)
        count = math.prod(rule.size for rule in rules)
        if 0 < count <= CORNERS * most and (best is None or count < best[0]):
            best = count, each, rules
    if best is None:
        return None
    _, chosen, rules = best
    found = _made(chosen, rules, axes, y, chosen.bound(rules), asked)
    return found if len(found) <= most else None


def plane_nodes(
    forms: Forms,
    y: Array,
    before: PlaneNodes | None = None,
    part: float = RIGHT,
    slack: float = SLACK,
    most: int = MOST_NODES,
) -> PlaneNodes | None:
    """Nodes that serve near a state, to a part of the average of sizes that is proved.

    Parameters
    ----------
    forms, y : Forms, and ndarray of shape (N,)
        The integrand, and the state.
    before : PlaneNodes, optional
        Those of the run so far, which are kept while they serve and others are not far fewer.
    part : float
        What they leave, relative to the average of sizes.
    slack : float
        How far rows may move along an axis, relative to their size.
    most : int
        Most nodes.

    Returns
    -------
    PlaneNodes or None
        None where nothing is proved, or it takes more nodes.
    """
    axes = forms.plane(y).axes
    if before is not None:
        # Axes that rows have left are kept, but none may be missing: nothing would move along it.
        kept = before.axes.shape[1] >= axes.shape[1] and not _leaves(forms, y, before.axes)
        axes = before.axes if kept else axes
        serves = kept and before.part <= part and before.off(forms, y) <= KEPT
        if serves and not _thinner(forms, y, before):
            return before
    if not axes.shape[1] or not np.isfinite(axes).all():
        return None
    known = surveyed(forms, y, axes, slack if forms.affine else 0.0)
    found = fewest(known, y, axes, part * known[0].size, most) if known else None
    return found and replace(found, part=part)


def _thinner(forms: Forms, y: Array, before: PlaneNodes) -> bool:
    """Whether an axis, of those that fit the state best, has become thin, or thinner by far.

    Along a thin axis with the fewest nodes, or with the thickness that is the least one for bounds,
    nothing is to be gained.
    """
    many = np.array([rule.size > FEWEST for rule in before.rules])
    thin = np.array([line.thin for line in before.made.lines])
    rows = forms.plane(y, before.axes).rows
    old = np.abs(before.made.plane.rows).max(axis=0, initial=0.0)
    new = np.abs(rows @ _turn(rows)).max(axis=0, initial=0.0)
    thinner = many & (old > THINNEST) & (new < FEWER * old)
    return bool(((new <= THIN) & (~thin | thinner)).any())


def _turn(rows: Array) -> Array:
    """Axes in the plane: the first one along the longest row where it is steep, then the widest."""
    lengths = np.linalg.norm(rows, axis=1)
    found = np.eye(rows.shape[1])
    first = int(lengths.max() > STEEP)
    if first:
        found, _ = np.linalg.qr(np.column_stack([rows[lengths.argmax()], found]))
        found = found[:, : rows.shape[1]]
    _, _, turned = np.linalg.svd(rows @ found[:, first:])
    found[:, first:] = found[:, first:] @ turned.T
    return found
