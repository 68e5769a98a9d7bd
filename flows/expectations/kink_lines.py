"""Lines of a plane between kinks: which cells a line has, and how the lines lie side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.expectations.cells import REACH, Turn, inside, nodes_of

__all__ = ["Plane", "axes_of", "line", "picked", "sweep", "way_of"]

# A direction is one of its own if it is this part of a form beyond the others.
SPANNED = 1e-13
# Forms with a shorter slope turn more slowly than the density.
STEEP = 0.5
# Directions of a plane among which that of the lines is chosen.
WAYS = 64


class Plane(NamedTuple):
    """Forms at a state along two axes: `z = along u + beside v + before`."""

    along: Array
    beside: Array
    before: Array


def axes_of(rows: Array) -> Array:
    """Orthonormal columns that span the slopes."""
    slopes = rows[:, :-1]
    lengths = np.linalg.norm(slopes, axis=1)
    unit = slopes[lengths > 0] / lengths[lengths > 0, None]
    if not len(unit):
        return np.eye(slopes.shape[1])[:, :1]
    _, sizes, axes = np.linalg.svd(unit, full_matrices=False)
    return axes[sizes > SPANNED * sizes[0]].T


def way_of(hard: Array, axes: Array) -> Array:
    """Direction of the lines in a plane: no kink is nearly parallel to it."""
    if axes.shape[1] == 1:
        return np.ones(1)
    slopes = hard[:, :-1] @ axes
    lengths = np.linalg.norm(slopes, axis=1)
    unit = slopes[lengths > 0] / lengths[lengths > 0, None]
    if len(unit) == 1:
        return unit[0]
    angles = np.pi * np.arange(WAYS) / WAYS
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return ways[np.abs(ways @ unit.T).min(axis=1, initial=1.0).argmax()]


def picked(number: float, chosen: int, count: int) -> list[float]:
    """End of a cell: a number, or the kink of a number from 1 on."""
    return [0.0 if chosen else number, *(float(k + 1 == chosen) for k in range(count))]


def line(hard: Plane, smooth: Plane, v: float, second: bool) -> tuple[Array, Array]:
    """Nodes of a line: ends, parts, steps and weight, and where they are."""
    count = len(hard.along)
    with np.errstate(all="ignore"):
        places = -(hard.before + hard.beside * v) / hard.along
        at = smooth.before + smooth.beside * v
    order = inside(places.tolist())
    marks = [(-REACH, 0), *((float(places[k]), k + 1) for k in order), (REACH, 0)]
    rows, where = [], []
    for (low, left), (high, right) in itertools.pairwise(marks):
        middle = (low + high) / 2
        signs = hard.before + hard.beside * v + hard.along * middle > 0
        pattern = int("".join(str(int(s)) for s in signs), 2)
        turns = [
            Turn(-k / c, 1 / abs(c))
            for c, k in zip(smooth.along[pattern], at[pattern], strict=True)
            if abs(c) > STEEP and abs(k / c) < 2 * REACH
        ]
        cell = nodes_of(low, high, turns, second)
        ends = [*picked(low, left, count), *picked(high, right, count)]
        size = len(cell.theta)
        rows.append(
            np.column_stack(
                [
                    np.tile(ends, (size, 1)),
                    cell.theta,
                    cell.rest,
                    np.tile(signs.astype(float), (size, 1)),
                    cell.weights,
                ]
            )
        )
        where.append(low + cell.theta * (high - low))
    return np.concatenate(rows), np.concatenate(where)


def sweep(
    hard: Plane, smooth: Plane, pairs: Sequence[tuple[int, int]], second: bool
) -> list[tuple[Array, float, float]]:
    """Nodes across the lines: ends and part, where they are, and weights."""
    flat = Plane(*(part.reshape(-1) for part in smooth))
    size = np.hypot(flat.along, flat.beside)
    steep = [k for k in range(len(size)) if size[k] > STEEP]
    known = sorted({tuple(float(part[k]) for part in flat) for k in steep})
    sharp = [*zip(*(part.tolist() for part in hard), strict=True)]
    turns = []
    for (c, g, k), (c2, g2, k2) in itertools.combinations([*sharp, *known], 2):
        # Along one line the other form changes so fast.
        turned = g * c2 - g2 * c
        rates = [abs(turned / s) for s in (c, c2) if s]
        if turned and rates and max(rates) > STEEP:
            turns.append(Turn((k2 * c - k * c2) / turned, 1 / max(rates)))
    for c, g, k in known:
        if abs(g) > STEEP * max(abs(c), 1.0):
            turns.append(Turn(-k / g, max(abs(c), 1.0) / abs(g)))
    for c, g, k in sharp:
        if abs(g) > STEEP * abs(c):
            turns.append(Turn(-k / g, abs(c) / abs(g)))
    turns = [turn for turn in turns if abs(turn.place) < 2 * REACH]
    with np.errstate(all="ignore"):
        crossings = [
            float(
                (hard.before[j] * hard.along[i] - hard.before[i] * hard.along[j])
                / (hard.beside[i] * hard.along[j] - hard.beside[j] * hard.along[i])
            )
            for i, j in pairs
        ]
    order = inside(crossings)
    marks = [(-REACH, 0), *((crossings[k], k + 1) for k in order), (REACH, 0)]
    found = []
    for (low, left), (high, right) in itertools.pairwise(marks):
        cell = nodes_of(low, high, turns, second)
        ends = [*picked(low, left, len(pairs)), *picked(high, right, len(pairs))]
        for theta, weight in zip(cell.theta.tolist(), cell.weights.tolist(), strict=True):
            found.append((np.array([*ends, theta]), low + theta * (high - low), weight))
    return found
