"""Nodes in a plane that a run keeps: which serve, near which states, and what they leave."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.quadrature_rules import Rule
from flows.expectations.forms import STEEP, Forms, Plane
from flows.expectations.strips import MOST_AXES, THIN, Axis, Gauss, Line, Strips, strips
from flows.expectations.tubes import has_bound

__all__ = ["MOST_NODES", "PlaneNodes", "plane_nodes"]

# What a rule leaves of the average of sizes at most.
RIGHT = 1e-13
# It serves while rows have moved by this part of their size along an axis.
SLACK = 0.2
# Rows that reach out of the plane by more than this part of the longest one have another plane.
OUT = 1e-9
#: More nodes cost more than a second a step.
MOST_NODES = 300_000
# A second rule has spacings that are this part, more Gauss-Hermite nodes, and nodes farther out.
FINER, MORE, FARTHER = 0.7, 3, 1.0
# A rule with this part of the nodes is taken instead.
FEWER = 0.5


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

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.weights)

    @property
    def rule(self) -> Rule:
        """Nodes in space."""
        return Rule(self.places @ self.axes.T, self.weights, self.label)

    def turned(self, forms: Forms, y: Array) -> PlaneNodes:
        """Nodes in the plane of forms at a state, along axes as near to these as there are."""
        rows = forms.at(y)[0, :, :-1]
        if not np.isfinite(rows).all():  # no state
            return self
        _, _, plane = np.linalg.svd(rows, full_matrices=True)
        span = plane[: self.axes.shape[1]].T
        one, _, other = np.linalg.svd(span.T @ self.axes)
        return replace(self, axes=span @ (one @ other))

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
    def finer(self) -> PlaneNodes:
        """Nodes that show what these leave where the average is small beside its terms."""
        rules: list[Axis | Gauss] = []
        for axis in self.rules:
            if isinstance(axis, Gauss):
                rules.append(axis._replace(size=axis.size + MORE))
                continue
            spacing = FINER * axis.spacing
            low, high = (k * axis.spacing for k in (axis.first, axis.last))
            ends = math.floor((low - FARTHER) / spacing), math.ceil((high + FARTHER) / spacing)
            rules.append(Axis(axis.line, spacing, *ends))
        return _made(self.made, tuple(rules), self.axes, self.y, self.bound, None)


def _leaves(forms: Forms, y: Array, axes: Array) -> bool:
    """Whether rows of forms reach out of a plane."""
    rows = forms.at(y)[0, :, :-1]
    beyond = rows - rows @ axes @ axes.T
    return not np.isfinite(beyond).all() or bool(
        np.abs(beyond).max(initial=0.0) > OUT * np.abs(rows).max(initial=0.0)
    )


def _made(
    known: Strips,
    rules: tuple[Any, ...],
    axes: Array,
    y: Array,
    bound: Array,
    asked: Array | None,
) -> PlaneNodes:
    """Product of rules, without the corners that hold a part of the error that is asked for."""
    found = [axis.nodes for axis in rules]
    grid = np.stack(np.meshgrid(*(x for x, _ in found), indexing="ij"), axis=-1)
    weights = functools.reduce(np.multiply.outer, (w for _, w in found))
    kept = weights > 0
    if asked is not None and len(rules) > 1:
        outside = known.outside(asked)
        bound = bound + 2 * known.real[:, outside].sum(axis=-1)
        boxes = (_boxes(axis, edge) for axis, edge in zip(rules, known.edges, strict=True))
        kept = kept & ~outside[np.ix_(*boxes)]
    turn = axes.T @ known.plane.axes  # along the axes of the rule
    label = " x ".join(str(axis.size) for axis in rules)
    return PlaneNodes(axes, turn, grid[kept] @ turn.T, weights[kept], label, bound, known, y, rules)


def _boxes(axis: Any, edges: Array) -> Any:
    """Number of the rectangle of each node."""
    if isinstance(axis, Gauss):
        return np.zeros(axis.size, dtype=np.int64)
    tau = axis.spacing * np.arange(axis.first, axis.last + 1.0)
    return np.clip(np.searchsorted(edges, tau, side="right") - 1, 0, len(edges) - 2)


def plane_nodes(
    forms: Forms, y: Array, before: PlaneNodes | None = None, most: int = MOST_NODES
) -> PlaneNodes | None:
    """Nodes that serve near a state, to a part of the average of sizes that is proved.

    Parameters
    ----------
    forms : Forms
        The integrand.
    y : ndarray, shape (N,)
        The state.
    before : PlaneNodes, optional
        Those of the run so far, which are kept while they serve and others are not far fewer.
    most : int
        Most nodes.

    Returns
    -------
    PlaneNodes or None
        None where nothing is proved, or it takes more nodes.
    """
    if not forms.symbols or not all(map(has_bound, forms.slopes)):
        return None
    kept = before is not None and not _leaves(forms, y, before.axes)
    axes = before.axes if before is not None and kept else forms.plane(y).axes
    k = axes.shape[1]
    if not k or not np.isfinite(axes).all():
        return None
    plane = forms.plane(y, axes)
    if not np.isfinite(plane.rows).all():
        return None
    plane = forms.plane(y, axes @ _turn(plane.rows))
    lines = _lines(plane)
    if before is not None and kept and before.off(forms, y) <= 1:
        thinner = zip(lines, before.made.lines, plane.rows.T, before.made.plane.rows.T, strict=True)
        if not any(
            new.thin and (not old.thin or np.abs(now).max() < FEWER * np.abs(then).max())
            for new, old, now, then in thinner
        ):
            return before
    found = None
    # Where singularities are near, a Gauss-Hermite rule of a thin axis has too few nodes.
    for each in dict.fromkeys([lines, tuple(Line() for _ in lines)]):
        if found is None and sum(not line.thin for line in each) <= MOST_AXES:
            found = _fitting(forms, y, plane, axes, each, most)
    return found


def _fitting(
    forms: Forms, y: Array, plane: Plane, axes: Array, lines: tuple[Line, ...], most: int
) -> PlaneNodes | None:
    """Nodes on axes that are divided so; None where nothing is proved, or it takes more nodes."""
    known = strips(forms, y, plane, lines, SLACK if forms.affine else 0.0)
    if known is None:
        return None
    asked = RIGHT * known.size
    rules = known.axes(asked)
    # A ball has half of the volume of its cube, or less.
    if not 0 < math.prod(axis.size for axis in rules) <= 2 * most:
        return None
    found = _made(known, rules, axes, y, known.bound(rules), asked)
    return found if len(found) <= most else None


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


def _lines(plane: Plane) -> tuple[Line, ...]:
    """How each axis is divided."""
    largest = np.abs(plane.rows).max(axis=0)
    return tuple(Line(thin=bool(size <= THIN)) for size in largest)
