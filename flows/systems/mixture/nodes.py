"""Compiled: lists of nodes of products of rules, block by block, without those that add nothing.

A block is a vector of weights, then one of each coordinate (:mod:`flows.arithmetic.vectors`), so
that sums take both as they lie in memory. Those that the last block has too many have no weight.
Coordinates are those along axes that turn with the means (:mod:`flows.systems.mixture.axes`).

Far means live where one of them takes over from the component at home. With `a_i(x)` the logarithm
of its density over that at home, its part of a node is at most

    exp(-|x|^2/2 + min(0, a_i(x))).

Nodes where this is small next to its largest value, of all components, are left out, with room for
means that move.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flows.arithmetic.kept import lean, shared, unlocked
from flows.arithmetic.vectors import WIDTH
from flows.core.arrays import Array

__all__ = ["Region", "length", "listed", "packed"]


class Region(NamedTuple):
    """Where nodes add something.

    Parameters
    ----------
    ball : float
        Largest squared length.
    least : float
        Least logarithm of the bound above; without far components none is asked for.
    mu : ndarray, shape (k, r)
        Means along the axes; no rows without far components.
    gap : ndarray, shape (k,)
        `-a_i(0)`; that of the component at home is infinite.
    home : int
        The component at home.
    moves : float
        How far a mean may move.
    """

    ball: float
    least: float
    mu: Array
    gap: Array
    home: int
    moves: float


@shared
def length(count: int, r: int) -> int:
    """Numbers of a list of so many nodes."""
    return (count + WIDTH - 1) // WIDTH * WIDTH * (1 + r)


@lean
def _put(numbers, place, r, weight, at):
    """Write a node of a list."""
    block, q = place // WIDTH, place % WIDTH
    begin = block * WIDTH * (1 + r) + q
    numbers[begin] = weight
    for a in range(r):
        numbers[begin + (1 + a) * WIDTH] = at[a]


@lean
def _adds(at, square, region):
    """Whether a node adds something."""
    if not square <= region.ball:
        return False
    if len(region.mu) == 0:
        return True
    own = 0.0
    for a in range(len(at)):
        own += (at[a] - region.mu[region.home, a]) ** 2
    own = math.sqrt(own)
    for i in range(len(region.mu)):
        if i == region.home:
            continue
        ahead, other = -region.gap[i], 0.0
        for a in range(len(at)):
            ahead += (region.mu[i, a] - region.mu[region.home, a]) * at[a]
            other += (at[a] - region.mu[i, a]) ** 2
        ahead += region.moves * (own + math.sqrt(other))
        if min(ahead, 0.0) - 0.5 * square >= region.least:
            return True
    return False


@unlocked
def _product(x, w, begin, region, numbers):
    """Write the nodes of a product of rules; how many. An empty list has them counted only."""
    r = len(begin) - 1
    index, at, last, count = begin[:-1].copy(), np.empty(r), np.empty(r), 0
    squares, weights = np.zeros(r + 1), np.ones(r + 1)
    level = 0
    while level >= 0:
        if index[level] == begin[level + 1]:
            index[level] = begin[level]
            level -= 1
            if level >= 0:
                index[level] += 1
            continue
        one = index[level]
        at[level] = x[one]
        squares[level + 1] = squares[level] + x[one] * x[one]
        weights[level + 1] = weights[level] * w[one]
        if level < r - 1 and squares[level + 1] <= region.ball:
            level += 1
            continue
        if level == r - 1 and _adds(at, squares[r], region):
            if len(numbers) > 0:
                _put(numbers, count, r, weights[r], at)
                last[:] = at
            count += 1
        index[level] += 1
    # What the last block has too many is its last node, without a weight.
    for place in range(count, len(numbers) // (1 + r)):
        _put(numbers, place, r, 0.0, last)
    return count


def listed(axes: Sequence[tuple[Array, Array]], region: Region) -> tuple[Array, int]:
    """List of the nodes of a product of rules that add something.

    Parameters
    ----------
    axes : sequence of (ndarray, ndarray)
        Nodes and weights of each axis.
    region : Region
        Where they add something.

    Returns
    -------
    numbers : ndarray
        The list.
    count : int
        How many nodes.
    """
    x, w = (np.concatenate(parts) for parts in zip(*axes, strict=True))
    begin = np.cumsum([0, *(len(x) for x, _ in axes)])
    count = _product(x, w, begin, region, np.zeros(0))
    numbers = np.empty(length(count, len(axes)))
    _product(x, w, begin, region, numbers)
    return numbers, count


def packed(nodes: Array, weights: Array) -> Array:
    """List of nodes, shape (M, r), and their weights."""
    count, r = nodes.shape
    rows = np.zeros((-(-count // WIDTH) * WIDTH, 1 + r))
    rows[:count] = np.column_stack([weights, nodes])
    rows[count:, 1:] = nodes[-1:]
    return rows.reshape(-1, WIDTH, 1 + r).swapaxes(1, 2).ravel()


def unpacked(numbers: Array, count: int, r: int) -> tuple[Array, Array]:
    """Nodes, shape (M, r), and weights of a list."""
    blocks = numbers.reshape(-1, 1 + r, WIDTH)
    nodes = np.moveaxis(blocks[:, 1:], 1, 2).reshape(-1, r)
    return nodes[:count].copy(), blocks[:, 0].ravel()[:count].copy()
