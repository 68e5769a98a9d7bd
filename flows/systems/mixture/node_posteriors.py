"""Posteriors of components at a block of nodes, relative to the density at the mean or at home.

The names are those of the lemma: ``rho_i = psi_i/W_i``, ``g_i = rho_i - 1``, ``v = sum_i psi_i
mu_i``, ``h_i = mu_i - v``; ``u`` is ``v`` less the mean, or less the mean at home, and
``hv_i = h_i.v``.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import sympy as sp
from numba.extending import register_jitable

from flows.arithmetic.exponentials import exponential
from flows.arithmetic.vectors import larger, load, spread, store
from flows.core.arrays import Array
from flows.systems.mixture.node_functions import INNER, density, helper, number
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node


class Components(NamedTuple):
    """Components as compiled sums take them.

    Parameters
    ----------
    mu, deviation : ndarray, shape (k, r)
        Means, and means less ``mean``.
    mean : ndarray, shape (r,)
        ``sum_i W_i mu_i``.
    weight : ndarray, shape (k,)
        ``W_i``.
    home : int
        Component at home, for the far form.
    axes : ndarray, shape (r, r)
        Orthonormal rows, along which nodes are given.
    """

    mu: Array
    deviation: Array
    mean: Array
    weight: Array
    home: int
    axes: Array


MATRIX, VECTOR = numba.float64[:, ::1], numba.float64[::1]
COMPONENTS = numba.types.NamedTuple(
    (MATRIX, MATRIX, VECTOR, VECTOR, numba.int64, MATRIX), Components
)


@number
def turned(along, axes, x):
    """Set the coordinates of a block of nodes that are given along axes."""
    r = len(axes)
    for a in range(r):
        at = spread(0.0)
        for b in range(r):
            at += axes[b, a] * load(along, b)
        store(x, a, at)


@register_jitable(**INNER)
def rows(k: int, r: int) -> int:
    """Rows of a block: `g`, `rho`, `u`, `v`, and `h`, `hv`, `sum_k psi_k h_ka h_kc` for curves."""
    return 2 * (k + r) + k * r + k + r * r


# One quotient serves all components: it takes as long as ten products.
_above, _below = (
    lower((part,), mixture_node.NODE, "numba")
    for part in sp.fraction(mixture_node.relative_posterior())
)


@number
def about_mean(x, deviation, mean, weight, room):
    """Set `g`, `rho`, `u` and `v` from densities relative to that at the mean; return `delta`."""
    k, r = deviation.shape
    delta = spread(0.0)
    for i in range(k):
        square, log = 0.0, spread(0.0)
        for a in range(r):
            square += deviation[i, a] * deviation[i, a]
            log += deviation[i, a] * (load(x, a) - mean[a])
        log -= 0.5 * square
        above = density(log)
        # The linear part of delta cancels, for the deviations sum to zero.
        delta += weight[i] * (above - 0.5 * square)
        store(room, i, above + log)
    inverse = 1.0 / _below(delta, delta)[0]
    for i in range(k):
        g = _above(load(room, i), delta)[0] * inverse
        store(room, i, g)
        store(room, k + i, 1.0 + g)
    for a in range(r):
        u = spread(0.0)
        for i in range(k):
            u += (weight[i] * deviation[i, a]) * load(room, i)
        store(room, 2 * k + a, u)
        store(room, 2 * k + r + a, mean[a] + u)
    return delta


@number
def about_home(x, mu, home, weight, room):
    """Set `rho`, `u` and `v` from densities relative to that at home.

    Returns the logarithm of the largest, the mixture's density over the largest, and the posterior
    of all that are not at home.
    """
    k, r = mu.shape
    peak, total, others = spread(-np.inf), spread(0.0), spread(0.0)
    for i in range(k):
        log = spread(0.0)
        for a in range(r):
            step, middle = mu[i, a] - mu[home, a], 0.5 * (mu[i, a] + mu[home, a])
            log += step * (load(x, a) - middle)
        store(room, k + i, log)
        peak = larger(peak, log)
    for i in range(k):
        one = exponential(load(room, k + i) - peak)
        store(room, k + i, one)
        total += weight[i] * one
    inverse = 1.0 / total
    for i in range(k):
        rho = load(room, k + i) * inverse
        store(room, k + i, rho)
        if i != home:
            others += weight[i] * rho
    for a in range(r):
        u = spread(0.0)
        for i in range(k):
            u += (weight[i] * (mu[i, a] - mu[home, a])) * load(room, k + i)
        store(room, 2 * k + a, u)
        store(room, 2 * k + r + a, mu[home, a] + u)
    return peak, total, others


@helper
def away_from_mean(deviation, room):
    """Set `h` and `hv` with the digits of the deviations."""
    k, r = deviation.shape
    h = 2 * (k + r)
    for i in range(k):
        hv = spread(0.0)
        for a in range(r):
            one = deviation[i, a] - load(room, 2 * k + a)
            store(room, h + i * r + a, one)
            hv += one * load(room, 2 * k + r + a)
        store(room, h + k * r + i, hv)


@helper
def away_from_home(mu, home, room):
    """Set `h` and `hv`, at home with the digits of `u`."""
    k, r = mu.shape
    h = 2 * (k + r)
    for i in range(k):
        hv = spread(0.0)
        for a in range(r):
            v = load(room, 2 * k + r + a)
            one = mu[i, a] - v
            if i == home:
                one = -load(room, 2 * k + a)
            store(room, h + i * r + a, one)
            hv += one * v
        store(room, h + k * r + i, hv)
