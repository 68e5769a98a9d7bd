"""Sums of a Gaussian mixture's integrands over the nodes of a rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.quadrature_rules import Rule
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
    from flows.systems.mixture import curves, sums_compiled  # Numba loads where it is first needed
    from flows.systems.mixture.nodes import packed

    components = components_of(means)
    k, r = components.mu.shape
    numbers = packed(rule.nodes, rule.weights)
    together = components_of(means.at(None))
    total, size = sums_compiled.of_list(means.form, calculus, together, numbers)[0]
    second = np.zeros((k, r, k, r))
    if curve:
        curves.curve_of(means.form, calculus)(components, numbers, second)
    kl, fisher = total[:2].tolist()
    sizes = np.array([size[0], size[1], size[2:].max()])
    return Moments(kl, fisher, total[2:].reshape(k, r), sizes, second)


def components_of(means: Means, axes: Any = None) -> Any:
    """Components of one state or several as compiled sums take them.

    ``axes`` are those along which nodes are given, the coordinates' own by default. Who is at home
    is decided once, by the means: two that are equally near are told apart by last bits.
    """
    from flows.systems.mixture.node_posteriors import Components

    mu, deviation, mean = (np.ascontiguousarray(x) for x in means[:3])
    home: Any = np.zeros(mu.shape[:-2], np.int64)
    if means.form == FAR:
        home = means.at_home.argmax(axis=-1)
    if axes is None:
        r = mu.shape[-1]
        axes = np.zeros((*mu.shape[:-2], r, r)) + np.eye(r)
    at = home if home.ndim else int(home)
    return Components(mu, deviation, mean, means.weight, at, np.ascontiguousarray(axes))
