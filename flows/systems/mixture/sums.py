"""Sums of a Gaussian mixture's integrands over the nodes of a rule."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.quadrature import Rule
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import FAR, Means


class Moments(NamedTuple):
    """Expectations at a state, by one rule.

    Parameters
    ----------
    kl, fisher : float
        KL divergence and ``E|v|^2``, without their constant.
    pull : ndarray, shape (k, r)
        The gradient by ``mu_i`` over ``rate_i``, without its linear part.
    size : ndarray, shape (3,)
        The same three sums (of the pulls, the largest) with the magnitudes of the terms: what
        their rounding and their error are relative to.
    curve : ndarray, shape (k, r, k, r)
        Derivative of ``pull_i`` by ``mu_j``; zero where it was not asked for.
    """

    kl: float
    fisher: float
    pull: Array
    size: Array
    curve: Array


def moments(calculus: Calculus, means: Means, rule: Rule, curve: bool = False) -> Moments:
    """Sum the integrands over the nodes of a rule.

    Parameters
    ----------
    calculus : Calculus
        The loss's derived integrands.
    means : Means
        Components.
    rule : Rule
        Nodes and weights.
    curve : bool
        Whether second derivatives are wanted.
    """
    from flows.systems.mixture import kernels  # Numba loads where it is first needed

    kernel = kernels.kernel_of(means.form, calculus)
    mu, deviation, mean = (np.ascontiguousarray(x) for x in means[:3])
    home = means.home if means.form == FAR else 0
    k, r = mu.shape
    sums = kernels.Sums(np.zeros((3, 2 + k * r)), np.zeros((k, k)), np.zeros((k, r, k, r)))
    components = kernels.Components(mu, deviation, mean, means.weight, home)
    kernel(components, rule.nodes, rule.weights, curve, sums)
    total, _, size = sums.terms
    kl, fisher = total[:2].tolist()
    return Moments(kl, fisher, total[2:].reshape(k, r), size[:3], sums.curve)
