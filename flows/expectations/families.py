"""Families of rules on an interval, which share no error: Gauss-Legendre, Fejer, tanh-sinh."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array

__all__ = ["Ends", "fejer", "panels", "tanh_sinh"]

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


@functools.cache
def fejer(size: int) -> tuple[Array, Array]:
    """Fejer's first rule between -1 and 1: it integrates the polynomial through Chebyshev nodes."""
    angle, k = math.pi * (np.arange(size) + 0.5) / size, np.arange(1, size // 2 + 1)
    waves = np.cos(2 * np.outer(angle, k)) / (4 * k**2 - 1)
    return np.cos(angle), (2 - 4 * waves.sum(axis=1)) / size


def tanh_sinh(steps: int) -> Ends:
    """Trapezoidal rule of so many nodes to each side, in a variable that makes ends flat."""
    t = SPACING * np.arange(-steps, steps + 1)
    s = math.pi / 2 * np.sinh(t)
    weights = SPACING * math.pi / 4 * np.cosh(t) / np.cosh(s) ** 2
    return Ends(1 / (1 + np.exp(-2 * s)), 1 / (1 + np.exp(2 * s)), weights)
