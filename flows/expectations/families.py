"""Two families of rules on an interval, which share no error: Gauss-Legendre, and tanh-sinh."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array

__all__ = ["Ends", "panels", "tanh_sinh"]

# Spacing of tanh-sinh nodes.
SPACING = 0.09


class Ends(NamedTuple):
    """Nodes between 0 and 1, as parts of it from both ends, with all digits of each.

    Parameters
    ----------
    low, high : ndarray, shape (M,)
        Of sum one.
    weights : ndarray, shape (M,)
        Weights.
    """

    low: Array
    high: Array
    weights: Array


@functools.lru_cache(maxsize=256)
def panels(low: float, high: float, count: int, size: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on panels of one length."""
    t, w = np.polynomial.legendre.leggauss(size)
    half = (high - low) / (2 * count)
    middles = np.linspace(low + half, high - half, count)
    return (middles[:, None] + half * t).ravel(), np.tile(half * w, count)


def tanh_sinh(steps: int) -> Ends:
    """Trapezoidal rule of so many nodes to each side, in a variable that makes ends flat."""
    t = SPACING * np.arange(-steps, steps + 1)
    s = math.pi / 2 * np.sinh(t)
    weights = SPACING * math.pi / 4 * np.cosh(t) / np.cosh(s) ** 2
    return Ends(1 / (1 + np.exp(-2 * s)), 1 / (1 + np.exp(2 * s)), weights)
