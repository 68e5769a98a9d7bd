"""Nodes and weights for `N(0, I_r)`: Gauss-Hermite rules of an axis, and random points."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import scipy.special

from flows.core.arrays import Array

__all__ = ["Rule", "gauss", "random"]


class Rule(NamedTuple):
    """Nodes and weights of a rule for `N(0, I_r)`.

    Parameters
    ----------
    nodes : ndarray, shape (M, r)
        Nodes.
    weights : ndarray, shape (M,)
        Weights, of sum one (up to the tail that is left out).
    label : str
        What it is, for people.
    """

    nodes: Array
    weights: Array
    label: str

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.weights)


@functools.cache
def gauss(size: int) -> tuple[Array, Array]:
    """Gauss-Hermite nodes and weights for `N(0, 1)`, symmetric to the last bit.

    Parameters
    ----------
    size : int
        Number of nodes; exact for polynomials of degree ``2 size - 1``.
    """
    x, w = np.polynomial.hermite_e.hermegauss(size)
    x, w = (x - x[::-1]) / 2, (w + w[::-1]) / 2
    return x, w / np.sum(w)


@functools.lru_cache(maxsize=32)
def random(r: int, power: int, replicate: int) -> Rule:
    """Scrambled Sobol points, ``2^power`` of them; replicates are independent.

    Parameters
    ----------
    r : int
        Dimension.
    power : int
        Binary logarithm of the number of points.
    replicate : int
        Seed of the scrambling.

    Returns
    -------
    Rule
        Equal weights.
    """
    from scipy.stats import qmc  # takes half a second

    uniform = qmc.Sobol(r, seed=np.random.default_rng(replicate)).random_base2(power)
    inside = np.clip(uniform, 2.0**-54, 1 - 2.0**-53)  # a scrambled point may round to an end
    size = 2**power
    return Rule(scipy.special.ndtri(inside), np.full(size, 1 / size), f"Sobol 2^{power}")
