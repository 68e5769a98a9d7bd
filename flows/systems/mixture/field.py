"""Raw fields of a Gaussian mixture's gradient flow, in the coordinates of its charts.

``k`` distinct components in ``r`` dimensions move by ``mu_i' = -rate_i pull_i``, with the pulls of
:mod:`flows.systems.mixture.sums`. Charts of the raw state, ``k`` blocks of ``r`` numbers each:

* linear, one distinct component: ``mu' = -rate mu``;
* far: block ``i`` is ``mu_i``;
* near and cluster: block 0 is the mean ``m``, block ``i`` the deviation
  ``x_i = mu_i / rate_i - m / Q``, ``Q = sum_i W_i rate_i``; component 0 follows from
  ``sum_i W_i rate_i x_i = 0``. With ``pull_i = m + p_i``,

      m' = -Q (m + p),        x_i' = p - p_i,        p = sum_i W_i rate_i p_i / Q,

  the stiff linear part acts on ``m`` alone: the slow deviations do not feel it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import wrap_plain
from flows.core.quadrature import Rule
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import FAR, Means
from flows.systems.mixture.sums import moments

LINEAR = 0


def pack(weight: Array, rate: Array, rule: Rule) -> Array:
    """Constant argument of the raw field: weights, rates, weights of the nodes, nodes."""
    return np.concatenate([weight, rate, rule.weights, rule.nodes.ravel()])


def _raw(
    calculus: Calculus,
    x: Array,
    constants: Array,
    shape: NDArray[np.int64],
    out: Array,
    jacobian: Array,
    want_jacobian: bool,
) -> None:
    """Raw field and its exact Jacobian, for :func:`flows.core.chart.wrap_plain`.

    Parameters
    ----------
    calculus : Calculus
        The loss's derived integrands.
    x : ndarray, shape (k r,)
        Raw state.
    constants : ndarray
        What :func:`pack` gives.
    shape : ndarray
        ``(k, r, nodes, chart)``.
    out, jacobian : ndarray
        Filled with the field and, if ``want_jacobian``, with its derivative. Cost ``nodes k r`` and
        ``nodes k^2 r^2``.
    """
    k, r, count, kind = shape.tolist()
    weight, rate = constants[:k], constants[k : 2 * k]
    if kind == LINEAR:
        out[:] = -rate[0] * x
        if want_jacobian:
            jacobian[:] = -rate[0] * np.eye(r)
        return
    nodes = constants[2 * k + count :].reshape(count, r)
    rule = Rule(nodes, constants[2 * k : 2 * k + count], "")
    blocks = x.reshape(k, r)
    if kind == FAR:
        mean = weight @ blocks
        means = Means(blocks, blocks - mean, mean, weight, FAR)
        found = moments(calculus, means, rule, want_jacobian)
        out[:] = (-rate[:, None] * (means.linear + found.pull)).ravel()
        if want_jacobian:
            curve = found.curve + np.einsum("ij,ac->iajc", means.linear_curve, np.eye(r))
            jacobian[:] = (-rate[:, None, None, None] * curve).reshape(k * r, k * r)
        return
    mean, deviation = from_blocks(blocks, weight, rate)
    found = moments(
        calculus, Means(mean + deviation, deviation, mean, weight, kind), rule, want_jacobian
    )
    share = weight * rate
    q = np.sum(share)

    def to_blocks(pull: Array) -> Array:
        """Velocities of mean and deviations; the linear part of the mean's is left out."""
        average = np.tensordot(share, pull, 1) / q
        return np.concatenate([-q * average[None], (average - pull)[1:]])

    velocity = to_blocks(found.pull)
    velocity[0] -= q * mean
    out[:] = velocity.ravel()
    if want_jacobian:
        # The means move with the mean by rate / q, with their own deviation by rate.
        by_mean = np.einsum("iajc,j->iac", found.curve, rate / q)[:, :, None]
        own = found.curve * rate[:, None]
        own = own - own[:, :, :1] * (share / share[0])[:, None]
        turn = np.concatenate([by_mean, own[:, :, 1:]], axis=2)
        jacobian[:] = to_blocks(turn).reshape(k * r, k * r)
        jacobian[:r, :r] -= q * np.eye(r)


def excess(weight: Array, rate: Array) -> Array:
    """How much faster each component follows the mean's pull, exactly zero for equal rates."""
    if np.ptp(rate) == 0:
        return np.zeros_like(rate)
    return np.asarray(rate / np.sum(weight * rate) - 1.0)


def from_blocks(blocks: Array, weight: Array, rate: Array) -> tuple[Array, Array]:
    """Mean and deviations of near blocks, shapes (..., r) and (..., k, r)."""
    share = weight * rate
    mean, slow = blocks[..., 0, :], blocks[..., 1:, :]
    first = -np.sum((share[1:] / share[0])[:, None] * slow, axis=-2, keepdims=True)
    slow = np.concatenate([first, slow], axis=-2)
    shift = excess(weight, rate)[:, None] * mean[..., None, :]
    return mean, rate[:, None] * slow + shift


@functools.cache
def field(calculus: Calculus) -> Callable[..., None]:
    """Raw field with the clocks around it, the same object every time."""
    return wrap_plain(functools.partial(_raw, calculus))
