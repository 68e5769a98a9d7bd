"""Lines of a plane between kinks: which cells a line has, and how the lines lie side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.expectations.cells import Panels, Turns, nodes_of

__all__ = ["Plane", "axes_of", "lines", "sweep", "way_of"]

# A direction is one of its own if it is this part of a form beyond the others.
SPANNED = 1e-13
# Forms with a shorter slope turn more slowly than the density.
STEEP = 0.5
# Kinks are far out from here on, and the density falls within so much over their distance.
FAR, FALLS = 4.0, 2.0
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


class Lines(NamedTuple):
    """Nodes of lines.

    Parameters
    ----------
    of : ndarray of int, shape (N,)
        The line of each node.
    ends : ndarray, shape (N, 2 M + 2)
        Both ends of its cell: a number, and one for each kink that may be the end.
    theta, rest : ndarray, shape (N,)
        Where it is in the cell.
    steps : ndarray, shape (N, M)
        Of the kinks.
    weights, where : ndarray, shape (N,)
        Its weight, and how far along the line it is.
    """

    of: NDArray[np.int64]
    ends: Array
    theta: Array
    rest: Array
    steps: Array
    weights: Array
    where: Array


def lines(
    hard: Plane, smooth: Plane, v: Array, reach: float, rule: Panels, something: NDArray[np.bool_]
) -> Lines:
    """Nodes of the lines at places `v` across, shape (L,), up to a distance from the middle.

    Cells of some signs of the kinks have none, as beyond a cube: there is nothing to average.
    """
    with np.errstate(all="ignore"):
        places = -(hard.before + np.multiply.outer(v, hard.beside)) / hard.along
    line, low, high, picked = _between(places, reach)
    middle = ((low + high) / 2)[:, None]
    signs = hard.before + hard.beside * v[line, None] + hard.along * middle > 0
    pattern = signs @ (1 << np.arange(signs.shape[1])[::-1])
    kept = something[pattern]
    kept[:1] |= not kept.any()  # an average of nothing has a node
    line, signs, pattern = line[kept], signs[kept], pattern[kept]
    low, high, picked = low[kept], high[kept], picked[kept]
    along = smooth.along[pattern]
    with np.errstate(all="ignore"):
        turn = -(smooth.before[pattern] + smooth.beside[pattern] * v[line, None]) / along
        steep = (np.abs(along) > STEEP) & (np.abs(turn) < 2 * reach)
        # Beyond a kink far out the density falls within a part of the distance from the middle.
        ends = np.stack([low, high], axis=1)
        outside = (np.abs(ends) > FAR) & (np.abs(ends) < reach)
        turns = Turns(
            np.hstack([np.where(steep, turn, np.inf), np.where(outside, ends, np.inf)]),
            np.hstack([np.where(steep, 1 / np.abs(along), np.inf), FALLS / np.abs(ends)]),
        )
    of, theta, rest, weights = nodes_of(low, high, turns, rule)
    where = low[of] + theta * (high - low)[of]
    return Lines(line[of], picked[of], theta, rest, signs[of].astype(float), weights, where)


def _between(places: Array, reach: float) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """Cells of lines whose kinks are at places, shape (L, M): line, ends, and what these are."""
    count, many = places.shape
    inside = np.where(np.abs(places) < reach, places, np.inf)
    order = np.argsort(inside, axis=1)
    inside = np.take_along_axis(inside, order, axis=1)
    seen = np.isfinite(inside)
    edge = np.full((count, 1), reach)
    marks = np.concatenate([-edge, np.where(seen, inside, reach), edge], axis=1)
    zero = np.zeros((count, 1), dtype=int)
    picks = np.concatenate([zero, np.where(seen, order + 1, 0), zero], axis=1)
    line, cell = np.nonzero(np.concatenate([zero == 0, seen], axis=1))
    low, high = marks[line, cell], marks[line, cell + 1]
    chosen = np.eye(many + 1)
    numbers = [
        np.where(pick > 0, 0.0, place)
        for pick, place in ((picks[line, cell], low), (picks[line, cell + 1], high))
    ]
    ends = [chosen[picks[line, cell + k]] for k in range(2)]
    for end, number in zip(ends, numbers, strict=True):
        end[:, 0] = number
    return line, low, high, np.concatenate(ends, axis=1)


def sweep(
    hard: Plane, smooth: Plane, pairs: Sequence[tuple[int, int]], reach: float, rule: Panels
) -> tuple[Array, Array, Array]:
    """Nodes across the lines: ends and part, where they are, and weights."""
    flat = Plane(*(part.reshape(-1) for part in smooth))
    steep = np.hypot(flat.along, flat.beside) > STEEP
    known = np.unique(np.stack([part[steep] for part in flat], axis=1), axis=0)
    sharp = np.stack(hard, axis=1)
    every = np.concatenate([sharp, known])
    first, last = (every[k] for k in np.triu_indices(len(every), 1))
    found = []
    with np.errstate(all="ignore"):
        # Along one line the other form changes so fast.
        turned = first[:, 1] * last[:, 0] - last[:, 1] * first[:, 0]
        slopes = np.abs(np.stack([first[:, 0], last[:, 0]]))
        rate = np.max(np.where(slopes > 0, np.abs(turned) / slopes, 0.0), axis=0)
        meet = (last[:, 2] * first[:, 0] - first[:, 2] * last[:, 0]) / turned
        found.append(np.stack([meet, 1 / rate, rate])[:, rate > STEEP])
        for forms, least in ((known, 1.0), (sharp, 0.0)):
            size = np.maximum(np.abs(forms[:, 0]), least)
            rate = np.abs(forms[:, 1]) / size
            turn = np.stack([-forms[:, 2] / forms[:, 1], 1 / rate, rate])
            found.append(turn[:, rate > STEEP])
        place, width, _ = np.concatenate(found, axis=1)
        near = np.abs(place) < 2 * reach
        i, j = np.array(pairs, dtype=int).reshape(-1, 2).T
        crossings = (hard.before[j] * hard.along[i] - hard.before[i] * hard.along[j]) / (
            hard.beside[i] * hard.along[j] - hard.beside[j] * hard.along[i]
        )
    _, low, high, ends = _between(crossings[None], reach)
    of, theta, _, weights = nodes_of(low, high, Turns(place[None, near], width[None, near]), rule)
    return np.column_stack([ends[of], theta]), low[of] + theta * (high - low)[of], weights
