"""Nodes and weights of `N(0, I_r)`: products of rules of an axis, sparse grids, random points.

What they are for, and their sources: :mod:`flows.core.quadrature`, which chooses among them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.special

from flows.core.arrays import Array

__all__ = [
    "FIRST_STEP",
    "GAUSS",
    "LAST_RUNG",
    "Rule",
    "gauss",
    "least_weight",
    "most_nodes",
    "random",
    "sparse",
    "tensor",
]

# The ladder of an axis: Gauss-Hermite rules of these sizes, then trapezoidal rules of steps
# 1/2, 1/2^(3/2), ... Two nodes are the zeros of the second Hermite polynomial, where what matters
# may vanish: the lowest rung is for THIN axes only, those along which the means differ by less than
# this part of their largest distance, so that another axis knows the size.
GAUSS = (2, 4, 6, 8, 12, 16, 24, 32)
FIRST_STEP = 0.5
LAST_RUNG = len(GAUSS) + 20

# Nodes end where the density is below exp(-40) of what it is where the integrand lives, and those
# of tensor products are left out where their weight is, by the number of nodes that may be.
NEGLIGIBLE, LEFT_OUT = 40.0, 1e-4

# Larger rules are not kept for the next state: making one takes less time than using it.
KEPT = 200_000
# ... and of so many rules of fewer nodes than this.
SMALL = 2_000


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


@functools.cache
def _trapezoid(rung: int, reach: float) -> tuple[Array, Array]:
    """Trapezoidal rule number ``rung`` on `[-end, end]`, beyond which weights are negligible."""
    step = FIRST_STEP * 2 ** (-rung / 2)
    end = min(
        math.sqrt(2 * NEGLIGIBLE + reach**2 / 4), math.sqrt(-2 * math.log(least_weight(reach)))
    )
    last = math.ceil(end / step)
    x: Array = step * np.arange(-last, last + 1, dtype=np.float64)
    return x, step * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _axis(rung: int, reach: float, window: tuple[float, float]) -> tuple[Array, Array]:
    """Rule of one coordinate, number ``rung`` of the ladder, without what is left out anyway."""
    x, w = gauss(GAUSS[rung]) if rung < len(GAUSS) else _trapezoid(rung - len(GAUSS), reach)
    inside = (x >= window[0]) & (x <= window[1]) & (w > least_weight(reach))
    return x[inside], w[inside]


def _axes(
    rungs: tuple[int, ...], reach: float, window: tuple[float, float]
) -> list[tuple[Array, Array]]:
    """Rules of all coordinates; the window is one of the first."""
    windows = [window, *[(-math.inf, math.inf)] * (len(rungs) - 1)]
    return [_axis(rung, reach, w) for rung, w in zip(rungs, windows, strict=True)]


def least_weight(reach: float) -> float:
    """Weight below which a node is left out."""
    # Halfway to the longest mean the density is exp(-reach^2/8), and fields are that small.
    return LEFT_OUT * math.exp(-NEGLIGIBLE - min(reach, 70.0) ** 2 / 8)


def tensor(
    rungs: tuple[int, ...], reach: float, window: tuple[float, float] = (-math.inf, math.inf)
) -> Rule:
    """Tensor product of the rules ``rungs`` of the ladder, without nodes of negligible weight.

    Parameters
    ----------
    rungs : tuple of int
        Number on the ladder, for each coordinate: Gauss-Hermite first, then trapezoidal rules.
    reach : float
        Length of the longest mean; components take over at half of it.
    window : tuple of float
        Nodes outside of it, along the first coordinate, are left out.

    Returns
    -------
    Rule
        Its error is exponentially small in the number of nodes along each axis.
    """
    most = most_nodes(rungs, reach, window)
    make = _small if most <= SMALL else _tensor if most <= KEPT else _tensor.__wrapped__
    return make(rungs, reach, window)


@functools.lru_cache(maxsize=32)
def _tensor(rungs: tuple[int, ...], reach: float, window: tuple[float, float]) -> Rule:
    """Rule of :func:`tensor`."""
    nodes, weights, least = np.zeros((1, 0)), np.ones(1), least_weight(reach)
    for x, w in _axes(rungs, reach, window):
        products = (weights[:, None] * w).ravel()
        kept = np.flatnonzero(products > least)
        before, here = np.divmod(kept, max(len(x), 1))
        nodes, weights = np.column_stack([nodes[before], x[here]]), products[kept]
    return Rule(np.ascontiguousarray(nodes), weights, f"tensor {rungs}")


@functools.lru_cache(maxsize=512)
def _small(rungs: tuple[int, ...], reach: float, window: tuple[float, float]) -> Rule:
    """:func:`_tensor` of few nodes, which many states ask for in turn."""
    return _tensor.__wrapped__(rungs, reach, window)


@functools.lru_cache(maxsize=512)
def most_nodes(rungs: tuple[int, ...], reach: float, window: tuple[float, float]) -> int:
    """Most nodes that a tensor product can have, before it is made."""
    return math.prod(len(x) for x, _ in _axes(rungs, reach, window))


@functools.lru_cache(maxsize=16)
def sparse(r: int, level: int) -> Rule:
    r"""Smolyak's sparse grid of Gauss-Hermite rules, exact for total degree ``2 level - 1``.

    .. math:: \sum_{|k| = level + r - 1 - j} (-1)^j \binom{r - 1}{j} Q_{k_1} \otimes \dots
              \otimes Q_{k_r}, \qquad k_i \geq 1

    Parameters
    ----------
    r : int
        Dimension.
    level : int
        At least 1.

    Returns
    -------
    Rule
        Weights of both signs.
    """
    found: dict[bytes, tuple[Array, float]] = {}
    for j in range(min(r, level)):
        sign = (-1) ** j * math.comb(r - 1, j)
        for excess in _compositions(level - 1 - j, r):
            live = [i for i, e in enumerate(excess) if e]
            axes = [gauss(excess[i] + 1) for i in live]
            for picked in itertools.product(*(range(excess[i] + 1) for i in live)):
                node = np.zeros(r)
                weight = float(sign)
                for i, (x, w), k in zip(live, axes, picked, strict=True):
                    node[i] = x[k]
                    weight *= w[k]
                key = (node + 0.0).tobytes()
                found[key] = (node, found.get(key, (node, 0.0))[1] + weight)
    nodes, weights = zip(*found.values(), strict=True)
    return Rule(np.array(nodes), np.array(weights), f"sparse level {level}")


def _compositions(total: int, parts: int) -> Iterable[tuple[int, ...]]:
    """Tuples of ``parts`` non-negative integers of the given sum."""
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        edges = (-1, *bars, total + parts - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


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
