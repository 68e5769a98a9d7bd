r"""Nodes of cells between kinks: Gauss-Legendre on panels, graded towards what is steep there.

A cell is an interval between two kinks, or a kink and an end where the density is nothing. It is
halved until each panel is short beside its distance from where a steep form turns. Positions are
parts of the cell from the nearer end, with all of their digits. The second rule on the same panels
is trapezoidal in a variable that makes their ends flat (tanh-sinh), a family of its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array

__all__ = ["REACH", "Cell", "Turn", "inside", "nodes_of"]

#: The density ends here: beyond, it is 1e-19 of all.
REACH = 9.0
# Widest panels, and how long one may be beside its distance from a turn, or the width of that.
WIDEST, NEAR = 2.3, 1.5
# Nodes of a panel, and spacing and reach of the second rule.
GAUSS, SPACING, STEPS = 16, 0.15, 22
# Halvings of a cell.
DEEPEST = 60


class Turn(NamedTuple):
    """Where something steep is, and its width there."""

    place: float
    width: float


class Cell(NamedTuple):
    """An interval with nodes in it.

    Parameters
    ----------
    theta, rest : ndarray, shape (K,)
        Parts of the length from the lower and to the upper end.
    weights : ndarray, shape (K,)
        Of sum one.
    """

    theta: Array
    rest: Array
    weights: Array


@functools.cache
def _rule(second: bool) -> tuple[Array, Array]:
    """Nodes and weights between -1 and 1."""
    if not second:
        return np.polynomial.legendre.leggauss(GAUSS)
    t = SPACING * np.arange(-STEPS, STEPS + 1)
    s = math.pi / 2 * np.sinh(t)
    weights = SPACING * math.pi / 2 * np.cosh(t) / np.cosh(s) ** 2
    return np.tanh(s), weights


def inside(places: Sequence[float]) -> list[int]:
    """Numbers of those that are between the ends, in their order."""
    near = [k for k, place in enumerate(places) if abs(place) < REACH]
    return sorted(near, key=lambda k: places[k])


def nodes_of(low: float, high: float, turns: Sequence[Turn], second: bool) -> Cell:
    """Nodes of the cell between two places.

    Parameters
    ----------
    low, high : float
        Its ends.
    turns : sequence of Turn
        What is steep.
    second : bool
        Whether the second rule is asked for.
    """
    length = high - low
    x, w = _rule(second)
    part, weights = [], []
    for start, way in ((low, 1.0), (high, -1.0)):
        panels = np.array(_halved(0.0, 0.5, 0, start, way * length, turns))
        middle, half = panels.mean(axis=1), np.diff(panels, axis=1)[:, 0] / 2
        part.append((middle[:, None] + half[:, None] * x).ravel())
        weights.append((half[:, None] * w).ravel())
    theta = np.concatenate([part[0], 1 - part[1]])
    rest = np.concatenate([1 - part[0], part[1]])
    return Cell(theta, rest, np.concatenate(weights))


def _halved(
    first: float, last: float, depth: int, start: float, length: float, turns: Sequence[Turn]
) -> list[tuple[float, float]]:
    """Panels between two parts of a cell."""
    size = (last - first) * abs(length)
    one, other = start + first * length, start + last * length
    low, high = min(one, other), max(one, other)
    most = WIDEST
    for place, width in turns:
        away = max(low - place, place - high, 0.0)
        most = min(most, NEAR * max(width, away))
    if size <= most or depth == DEEPEST:
        return [(first, last)]
    middle = (first + last) / 2
    return [
        *_halved(first, middle, depth + 1, start, length, turns),
        *_halved(middle, last, depth + 1, start, length, turns),
    ]
