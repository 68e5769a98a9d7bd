"""The gradient flow of a Gaussian mixture: sums over nodes, components and coordinates.

What is summed (:mod:`symbolic.gmm_em`) is derived and lowered; this file only reduces over indices.
``k`` distinct components in ``r`` dimensions; component ``i`` has the weight ``W_i`` and moves by
``rate_i`` (its weight, or that of one of the coincident components it stands for):

    mu_i' = -rate_i E[(psi_i / W_i) v]

Charts of the raw state, ``k`` blocks of ``r`` numbers each:

* linear, one distinct component: ``mu' = -rate mu``;
* far, where some mean is long: block ``i`` is ``mu_i``;
* near: block 0 is the mean ``m = sum_i W_i mu_i``, block ``i`` the deviation
  ``x_i = mu_i / rate_i - m / Q``, ``Q = sum_i W_i rate_i``; component 0 follows from
  ``sum_i W_i rate_i x_i = 0``. With the gradient split into ``rate_i (m + p_i)``, where ``p_i`` is
  of third order,

      m' = -Q (m + p),        x_i' = p - p_i,        p = sum_i W_i rate_i p_i / Q,

  the stiff linear part acts on ``m`` alone: the slow deviations do not feel it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.quadrature import Rule
from flows.self_similar import Array, wrap_plain
from symbolic import gmm_em
from symbolic.lower import lower

LINEAR, FAR, NEAR = 0, 1, 2
SIGNATURE = (
    "void(f8[:,::1], f8[:,::1], f8[::1], f8[::1], f8[:,::1], f8[::1], b1, b1,"
    " f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1])"
)


class Moments(NamedTuple):
    """Expectations at a state, by one rule.

    Parameters
    ----------
    kl : float
        KL divergence, the loss.
    fisher : float
        ``E|v|^2``.
    pull : ndarray, shape (k, r)
        ``p_i`` (near), or ``m + p_i`` (far): the gradient by ``mu_i`` over ``rate_i``.
    curve : ndarray, shape (k, r, k, r)
        Derivative of ``pull_i`` by ``mu_j``; zero where it was not asked for.
    both : ndarray, shape (k, k)
        ``E[psi_i psi_j] / (W_i W_j)``, less 1 (near).
    """

    kl: float
    fisher: float
    pull: Array
    curve: Array
    both: Array


@functools.cache
def _sums() -> Callable[..., None]:
    """Compile the sums over the nodes."""
    import numba

    density = lower((gmm_em.relative_density(),), (gmm_em.L,), "numba")
    posterior = lower((gmm_em.relative_posterior(),), gmm_em.NODE, "numba")
    kl_near_form, kl_far_form = gmm_em.kl_integrands()
    kl_near = lower((kl_near_form,), gmm_em.NEAR, "numba")
    kl_far = lower((kl_far_form,), gmm_em.FAR, "numba")
    pull_near_form, pull_far_form = gmm_em.gradient_integrands()
    pull_near = lower((pull_near_form,), gmm_em.GRADIENT, "numba")
    pull_far = lower((pull_far_form,), gmm_em.GRADIENT, "numba")
    both_near_form, both_far_form, *others = gmm_em.hessian_integrands()
    both_near = lower((both_near_form,), gmm_em.HESSIAN, "numba")
    both_far = lower((both_far_form,), gmm_em.HESSIAN, "numba")
    curve_parts = lower(others, gmm_em.HESSIAN, "numba")

    def sums(  # type: ignore[no-untyped-def]
        mu, deviation, mean, weight, nodes, node_weight, near, want_curve,
        scalars, pull, curve, both,
    ):  # fmt: skip
        k, r = mu.shape
        g, rho, l = np.empty((1, k)), np.empty((1, k)), np.empty((1, k))  # noqa: E741
        u, v, s = np.empty((1, r)), np.empty((1, r)), np.empty((r, r))
        scalars[0, 0] = scalars[0, 1] = 0.0
        pull[:] = 0.0
        if want_curve:
            curve[:] = 0.0
            both[:] = 0.0
        for node in range(nodes.shape[0]):
            w = node_weight[node]
            delta, peak = 0.0, -math.inf
            for i in range(k):
                l[0, i] = 0.0
                for a in range(r):
                    l[0, i] += mu[i, a] * (nodes[node, a] - 0.5 * mu[i, a])
                peak = max(peak, l[0, i])
            if near:
                # The linear part of delta is collected in the mean, where it cancels.
                for a in range(r):
                    delta += mean[a] * nodes[node, a]
                for i in range(k):
                    rest = density(l[0, i])[0]
                    square = 0.0
                    for a in range(r):
                        square += mu[i, a] * mu[i, a]
                    delta += weight[i] * (rest - 0.5 * square)
                    g[0, i] = rest + l[0, i]
                for i in range(k):
                    g[0, i] = posterior(g[0, i], delta)[0]
                    rho[0, i] = 1.0 + g[0, i]
                scalars[0, 0] += w * kl_near(delta)[0]
            else:
                total = 0.0
                for i in range(k):
                    rho[0, i] = math.exp(l[0, i] - peak)
                    total += weight[i] * rho[0, i]
                for i in range(k):
                    rho[0, i] /= total
                    g[0, i] = rho[0, i] - 1.0
                scalars[0, 0] += w * kl_far(peak, total)[0]
            for a in range(r):
                u[0, a] = v[0, a] = 0.0
                for i in range(k):
                    u[0, a] += weight[i] * g[0, i] * deviation[i, a]
                    v[0, a] += weight[i] * rho[0, i] * mu[i, a]
                if near:
                    v[0, a] = mean[a] + u[0, a]
                scalars[0, 1] += w * v[0, a] * v[0, a]
                for i in range(k):
                    if near:
                        pull[i, a] += w * pull_near(g[0, i], rho[0, i], delta, u[0, a], mean[a],
                                                    v[0, a])[0]  # fmt: skip
                    else:
                        pull[i, a] += w * pull_far(g[0, i], rho[0, i], delta, u[0, a], mean[a],
                                                   v[0, a])[0]  # fmt: skip
            if not want_curve:
                continue
            for a in range(r):
                for c in range(r):
                    s[a, c] = 0.0
                    for i in range(k):
                        off = (mu[i, a] - v[0, a]) * (mu[i, c] - v[0, c])
                        s[a, c] += weight[i] * rho[0, i] * off
            for i in range(k):
                for j in range(k):
                    if near:
                        both[i, j] += w * both_near(g[0, i], g[0, j], rho[0, i], rho[0, j], delta,
                                                    0.0, 0.0, 0.0, 0.0, 0.0)[0]  # fmt: skip
                    else:
                        both[i, j] += w * both_far(g[0, i], g[0, j], rho[0, i], rho[0, j], delta,
                                                   0.0, 0.0, 0.0, 0.0, 0.0)[0]  # fmt: skip
                    for a in range(r):
                        for c in range(r):
                            outer, own = curve_parts(
                                g[0, i], g[0, j], rho[0, i], rho[0, j], delta, v[0, a], v[0, c],
                                mu[i, c], mu[j, a], s[a, c],
                            )  # fmt: skip
                            curve[i * r + a, j * r + c] += w * weight[j] * outer
                            if i == j:
                                curve[i * r + a, j * r + c] += w * own
        if want_curve:
            for i in range(k):
                for j in range(k):
                    for a in range(r):
                        curve[i * r + a, j * r + a] += weight[j] * both[i, j]

    return numba.njit(SIGNATURE, error_model="numpy")(sums)


def moments(
    mu: Array, deviation: Array, mean: Array, weight: Array, rule: Rule, near: bool,
    curve: bool = False,
) -> Moments:  # fmt: skip
    """Sum the integrands over the nodes of a rule.

    Parameters
    ----------
    mu, deviation : ndarray, shape (k, r)
        Means, and means less ``mean``.
    mean : ndarray, shape (r,)
        ``sum_i W_i mu_i``.
    weight : ndarray, shape (k,)
        ``W_i``.
    rule : Rule
        Nodes and weights.
    near : bool
        Which form of the integrands.
    curve : bool
        Whether second derivatives are wanted.
    """
    k, r = mu.shape
    scalars, pull, both = np.zeros((1, 2)), np.zeros((k, r)), np.zeros((k, k))
    matrix = np.zeros((k * r, k * r))
    _sums()(np.ascontiguousarray(mu), np.ascontiguousarray(deviation), np.ascontiguousarray(mean),
            weight, rule.nodes, rule.weights, near, curve, scalars, pull, matrix, both)  # fmt: skip
    kl, fisher = scalars[0].tolist()
    return Moments(kl, fisher, pull, matrix.reshape(k, r, k, r), both)


def pack(weight: Array, rate: Array, rule: Rule) -> Array:
    """Constant argument of the raw field: weights, rates, weights of the nodes, nodes."""
    return np.concatenate([weight, rate, rule.weights, rule.nodes.ravel()])


def raw(
    x: Array, constants: Array, shape: NDArray[np.int64], out: Array, jacobian: Array,
    want_jacobian: bool,
) -> None:  # fmt: skip
    """Raw field and its exact Jacobian, for :func:`flows.self_similar.wrap_plain`.

    Parameters
    ----------
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
        found = moments(blocks, blocks - mean, mean, weight, rule, False, want_jacobian)
        out[:] = (-rate[:, None] * found.pull).ravel()
        if want_jacobian:
            jacobian[:] = (-rate[:, None, None, None] * found.curve).reshape(k * r, k * r)
        return
    mean, deviation = from_blocks(blocks, weight, rate)
    found = moments(mean + deviation, deviation, mean, weight, rule, True, want_jacobian)
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


def from_blocks(blocks: Array, weight: Array, rate: Array) -> tuple[Array, Array]:
    """Mean and deviations of near blocks, shapes (..., r) and (..., k, r)."""
    share = weight * rate
    mean, slow = blocks[..., 0, :], blocks[..., 1:, :]
    first = -np.sum((share[1:] / share[0])[:, None] * slow, axis=-2, keepdims=True)
    slow = np.concatenate([first, slow], axis=-2)
    shift = (rate / np.sum(share) - 1)[:, None] * mean[..., None, :]
    return mean, rate[:, None] * slow + shift


@functools.cache
def field() -> Callable[..., None]:
    """Raw field with the clocks around it, the same object every time."""
    return wrap_plain(raw)


def evaluator(
    mu: Array, deviation: Array, mean: Array, weight: Array, near: bool, curve: bool = False
) -> Callable[[Rule], tuple[Any, ...]]:
    """Sums at a state as a function of the rule, for :func:`flows.quadrature.refine`."""

    def evaluate(rule: Rule) -> tuple[Any, ...]:
        found = moments(mu, deviation, mean, weight, rule, near, curve)
        sums = np.array([found.kl]), np.array([found.fisher]), found.pull
        return (*sums, found.curve) if curve else sums

    return evaluate
