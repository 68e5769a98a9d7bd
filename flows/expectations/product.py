"""Products of rules, in balls of two doubles: high double, low double, radius."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.balls import UPWARD, split

__all__ = ["Paired", "product"]

# Numbers are halved by multiplication with this one (Veltkamp).
HALF = 2.0**27 + 1.0
# Rounding of a product of two doubles each.
ROUNDED = 2.0**-100


class Paired(NamedTuple):
    """Nodes of a rule.

    Parameters
    ----------
    places : ndarray, shape (M, k, 3)
        Places along its axes.
    weights : ndarray, shape (M, 3)
        Weights.
    """

    places: Array
    weights: Array


def product(lines: Sequence[Sequence[tuple[Any, Any]]], kept: NDArray[np.bool_]) -> Paired:
    """Product of rules of axes.

    Parameters
    ----------
    lines : sequence of sequences of pairs
        Node and weight in balls, of each axis.
    kept : ndarray of bool
        Which of all nodes are in it.
    """
    index = np.argwhere(kept)
    both = [np.array([[split(x), split(w)] for x, w in line]) for line in lines]
    picked = [part[index[:, e]] for e, part in enumerate(both)]
    places = np.stack([part[:, 0] for part in picked], axis=1)
    return Paired(places, functools.reduce(_times, (part[:, 1] for part in picked)))


def _times(a: Array, b: Array) -> Array:
    """Products of balls, shape (M, 3)."""
    (high, low, off), (other, rest, beside) = a.T, b.T
    total = high * other
    (up, down), (over, under) = (_halves(x) for x in (high, other))
    left = ((up * over - total) + up * under + down * over) + down * under
    left = left + (high * rest + low * other)
    size, beyond = np.abs(high) + np.abs(low), np.abs(other) + np.abs(rest)
    radius = off * (beyond + beside) + size * beside + ROUNDED * size * beyond
    return np.stack([total, left, UPWARD * radius], axis=-1)


def _halves(x: Array) -> tuple[Array, Array]:
    """Two numbers of half as many digits."""
    up = HALF * x - (HALF * x - x)
    return up, x - up
