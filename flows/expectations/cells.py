r"""Nodes of cells between kinks: Gauss-Legendre on panels, graded towards what is steep there.

A cell is an interval between two kinks, or a kink and an end where the density is nothing. One that
is short beside its distance from where a steep form turns is one panel; another one is halved until
its panels are. Positions are parts of the cell from the nearer end, with all of their digits. The
second rule on the same panels is Fejer's, of a family of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.expectations.families import fejer, panels

__all__ = ["ALONE", "REACH", "Cells", "Panels", "Turns", "nodes_of"]

#: Nodes of a plane end here, where beyond is 1e-19 of all; those of a line, which are few, where
#: averages over what is far from the middle have their digits.
REACH, ALONE = 9.0, 14.0
# Widest panels, and how long one may be beside its distance from a turn, or the width of that.
WIDEST, NEAR = 4.5, 2.5
# Nodes of a panel by the first rule, and by the second one.
GAUSS, FEJER = 20, 36
# Halvings of a cell.
DEEPEST = 60


class Panels(NamedTuple):
    """A rule: whether it is the second one, and how often its panels are halved."""

    second: bool
    halved: int


class Turns(NamedTuple):
    """Where something steep is, and its width there, both of shape (C, K) or (1, K).

    An infinite place is none.
    """

    place: Array
    width: Array


class Cells(NamedTuple):
    """Nodes of intervals.

    Parameters
    ----------
    of : ndarray of int, shape (N,)
        The interval of each node.
    theta, rest : ndarray, shape (N,)
        Parts of the length from the lower and to the upper end.
    weights : ndarray, shape (N,)
        Of sum one in each interval.
    """

    of: NDArray[np.int64]
    theta: Array
    rest: Array
    weights: Array


def nodes_of(low: Array, high: Array, turns: Turns, rule: Panels) -> Cells:
    """Nodes of cells between two places.

    Parameters
    ----------
    low, high : ndarray, shape (C,)
        Their ends.
    turns : Turns
        What is steep.
    rule : Panels
        Which one is asked for.
    """
    every, part = np.arange(len(low)), 2.0**-rule.halved
    alone = _short(every, low, high, turns, part)
    found = [_placed(every[alone], np.tile([0.0, 1.0], (alone.sum(), 1)), rule.second, False)]
    for start, length, upper in ((low, high - low, False), (high, low - high, True)):
        halves = _halved(every[~alone], start, length, turns, part)
        found.append(_placed(*halves, rule.second, upper))
    return Cells(*map(np.concatenate, zip(*found, strict=True)))


def _placed(of: NDArray[np.int64], ends: Array, second: bool, upper: bool) -> Cells:
    """Nodes of panels, parts of cells from their lower or upper end."""
    x, w = fejer(FEJER) if second else panels(-1, 1, 1, GAUSS)
    half = (ends[:, 1] - ends[:, 0])[:, None] / 2
    part = (ends.mean(axis=1)[:, None] + half * x).ravel()
    sides = (1 - part, part) if upper else (part, 1 - part)
    return Cells(np.repeat(of, len(x)), *sides, (half * w).ravel())


def _short(
    of: NDArray[np.int64], low: Array, high: Array, turns: Turns, part: float
) -> NDArray[np.bool_]:
    """Whether intervals are short beside their distance from each turn, or a part of its width."""
    place, width = (t if len(t) == 1 else t[of] for t in turns)
    away = np.maximum(low[:, None] - place, place - high[:, None])
    near = NEAR * np.maximum(away, width)
    return np.asarray(high - low <= part * np.minimum(near.min(axis=1, initial=WIDEST), WIDEST))


def _halved(
    of: NDArray[np.int64], start: Array, length: Array, turns: Turns, part: float
) -> tuple[NDArray[np.int64], Array]:
    """Panels of the nearer halves of cells: which cell, and parts of it."""
    parts = np.tile([0.0, 0.5], (len(of), 1))
    done: list[tuple[Any, Array]] = []
    for depth in range(DEEPEST + 1):
        ends = start[of, None] + parts * length[of, None]
        ends.sort(axis=1)
        short = _short(of, ends[:, 0], ends[:, 1], turns, part) | (depth == DEEPEST)
        done.append((of[short], parts[short]))
        of, long = of[~short], parts[~short]
        if not len(of):
            break
        middle = long.mean(axis=1)
        first, last = np.stack([long[:, 0], middle], 1), np.stack([middle, long[:, 1]], 1)
        of, parts = np.concatenate([of, of]), np.concatenate([first, last])
    return np.concatenate([of for of, _ in done]), np.concatenate([part for _, part in done])
