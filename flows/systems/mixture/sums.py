"""Sums over the nodes of a rule, for a Gaussian mixture: posteriors, losses, pulls, curvature.

What is summed (:mod:`symbolic.lemmas.mixture_node` and the paper's own module) is derived and
lowered; this file only reduces over indices. ``k`` distinct components in ``r`` dimensions;
component ``i`` has the weight ``W_i``, and the gradient of a loss by its mean is ``pull_i`` times
its weight,

    pull_i = linear_i + E[...]

Three forms, each for the means where it has no terms that cancel:

* near, all means short: ``linear_i`` is the mean ``m = sum_i W_i mu_i``, the rest of third order;
* cluster, all means close to each other: the same, with densities relative to ``N(m, I)``, so that
  offsets of any size keep their relative accuracy;
* far, means apart: ``linear`` is the mean of the component at *home* (that which the target takes
  for its own), and the rest lives where other components take over, however far out that is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.quadrature import Rule
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node
from symbolic.systems import gmm_em
from symbolic.systems.score_matching import calculus as score_matching

FAR, NEAR, CLUSTER = 1, 2, 3
SIGNATURE = (
    "void(f8[:,::1], f8[:,::1], f8[::1], f8[::1], f8[:,::1], f8[::1], i8, i8, b1,"
    " f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1])"
)
#: The integrands of a loss: of its gradient, and of its second derivatives.
LAWS: dict[str, Any] = {"gmm_em": gmm_em, "score_matching": score_matching}
# What the three forms of the KL divergence are functions of.
KL = (
    (mixture_node.DELTA_0,),
    (mixture_node.LOG_0, mixture_node.DELTA),
    (mixture_node.PEAK, mixture_node.TOTAL),
)
# Nodes are summed in blocks: most have weights that a sum of order one would not feel one by one.
BLOCK = 256


class Means(NamedTuple):
    """Distinct components, in the form in which they are summed.

    Parameters
    ----------
    mu, deviation : ndarray, shape (k, r)
        Means, and means less ``mean``.
    mean : ndarray, shape (r,)
        ``sum_i W_i mu_i``.
    weight : ndarray, shape (k,)
        ``W_i``.
    form : int
        ``NEAR``, ``CLUSTER`` or ``FAR``.
    """

    mu: Array
    deviation: Array
    mean: Array
    weight: Array
    form: int

    @property
    def home(self) -> int:
        """Component with the largest density at the target."""
        return int(np.argmax(np.log(self.weight) - 0.5 * np.sum(self.mu**2, axis=1)))

    @property
    def constant(self) -> tuple[float, float]:
        """What the KL divergence and ``E|v|^2`` are if no node counts."""
        if self.form == FAR:
            square = float(np.sum(self.mu[self.home] ** 2))
            return square / 2 - math.log(self.weight[self.home]), square
        return float(np.sum(self.mean**2)) / 2 * (self.form == CLUSTER), 0.0

    @property
    def linear(self) -> Array:
        """Linear part of the pulls, shape (k, r)."""
        if self.form != FAR:
            return np.broadcast_to(self.mean, self.mu.shape)
        home = self.home
        part = np.zeros_like(self.mu)
        part[home] = self.mu[home] / self.weight[home]
        return part

    @property
    def linear_curve(self) -> Array:
        """Derivative of ``linear_i`` by ``mu_j``, shape (k, k), the same in each coordinate."""
        if self.form != FAR:
            return np.broadcast_to(self.weight, (len(self.weight),) * 2)
        part = np.zeros((len(self.weight),) * 2)
        part[self.home, self.home] = 1 / self.weight[self.home]
        return part


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


@functools.cache
def _sums(law: str) -> Callable[..., None]:
    """Compile the sums over the nodes for one of `LAWS`."""
    import numba

    density = lower((mixture_node.relative_density(),), (mixture_node.L,), "numba")
    posterior = lower((mixture_node.relative_posterior(),), mixture_node.NODE, "numba")
    tilted = lower((mixture_node.tilted(),), mixture_node.TILT, "numba")
    pair_near, pair_cluster, pair_far = (
        lower((form,), mixture_node.PAIR, "numba") for form in mixture_node.pair_integrands()
    )
    kl_near, kl_cluster, kl_far = (
        lower((form,), arguments, "numba")
        for form, arguments in zip(mixture_node.kl_integrands(), KL, strict=True)
    )
    gradient = lower((LAWS[law].gradient_integrand(),), mixture_node.GRADIENT, "numba")
    near_gradient = lower(
        (LAWS[law].near_gradient_integrand(),), mixture_node.NEAR_GRADIENT, "numba"
    )
    curve_parts = lower(LAWS[law].hessian_integrands(), mixture_node.HESSIAN, "numba")

    def sums(  # type: ignore[no-untyped-def]
        mu,
        deviation,
        mean,
        weight,
        nodes,
        node_weight,
        form,
        home,
        want_curve,
        scalars,
        pull,
        curve,
        pair,
    ):
        k, r = mu.shape
        l, g, rho, hv = np.empty(k), np.empty(k), np.empty(k), np.empty(k)  # noqa: E741
        u, v, b, common = np.empty(r), np.empty(r), np.empty(r), np.empty(r)
        h, away, s, hh = np.empty((k, r)), np.empty((k, r)), np.empty((r, r)), np.empty((k, k))
        part, parts_size = np.zeros((k, r)), np.zeros((k, r))
        kl = kl_part = fisher = fisher_part = square = 0.0
        kl_size = fisher_size = 0.0
        for a in range(r):
            square += mean[a] * mean[a]
        for node in range(nodes.shape[0]):
            if node % BLOCK == 0:
                kl, fisher = kl + kl_part, fisher + fisher_part
                kl_part = fisher_part = 0.0
                for i in range(k):
                    for a in range(r):
                        pull[i, a] += part[i, a]
                        part[i, a] = 0.0
            w = node_weight[node]
            delta, delta_0, q = 0.0, 0.0, 0.0
            for i in range(k):
                l[i] = 0.0
                for a in range(r):
                    away[i, a] = nodes[node, a] - mu[i, a]
            if form == FAR:
                peak, total = -math.inf, 0.0
                for i in range(k):
                    # Relative to the component at home.
                    for a in range(r):
                        step = mu[i, a] - mu[home, a]
                        l[i] += step * (nodes[node, a] - 0.5 * (mu[i, a] + mu[home, a]))
                    peak = max(peak, l[i])
                for i in range(k):
                    rho[i] = math.exp(l[i] - peak)
                    total += weight[i] * rho[i]
                for i in range(k):
                    rho[i] /= total
                    g[i] = rho[i]
                    if i != home:
                        q += weight[i] * rho[i]
                g[home] = 0.0
                if q > 0.5:
                    log_ratio = w * kl_far(peak, total / weight[home])[0]
                else:
                    log_ratio = w * kl_cluster(0.0, q / (weight[home] * rho[home]))[0]
                for a in range(r):
                    b[a] = 0.0
                    for i in range(k):
                        b[a] += weight[i] * rho[i] * (mu[i, a] - mu[home, a])
                    v[a] = mu[home, a] + b[a]
                    u[a] = 0.0
                    for i in range(k):
                        h[i, a] = -b[a] if i == home else mu[i, a] - v[a]
                    term = w * b[a] * (2.0 * mu[home, a] + b[a])
                    fisher_part += term
                    fisher_size += abs(term)
            else:
                log_0 = -0.5 * square
                for a in range(r):
                    log_0 += mean[a] * nodes[node, a]
                for i in range(k):
                    size = 0.0
                    for a in range(r):
                        l[i] += deviation[i, a] * (nodes[node, a] - mean[a])
                        size += deviation[i, a] * deviation[i, a]
                    l[i] -= 0.5 * size
                    # The linear part of delta cancels, for the deviations sum to zero.
                    rest = density(l[i])[0]
                    delta += weight[i] * (rest - 0.5 * size)
                    g[i] = rest + l[i]
                for i in range(k):
                    g[i] = posterior(g[i], delta)[0]
                    rho[i] = 1.0 + g[i]
                if form == NEAR:
                    delta_0 = tilted(math.expm1(log_0), delta)[0]
                    log_ratio = w * kl_near(delta_0)[0]
                else:
                    log_ratio = w * kl_cluster(0.0, delta)[0]
                for a in range(r):
                    u[a] = 0.0
                    for i in range(k):
                        u[a] += weight[i] * g[i] * deviation[i, a]
                    v[a] = mean[a] + u[a]
                    for i in range(k):
                        h[i, a] = deviation[i, a] - u[a]
                    fisher_part += w * v[a] * v[a]
                    fisher_size += w * v[a] * v[a]
                    common[a] = u[a]
            kl_part += log_ratio
            kl_size += abs(log_ratio)
            for i in range(k):
                hv[i] = 0.0
                for a in range(r):
                    hv[i] += h[i, a] * v[a]
                if form == NEAR:
                    # h_i.v in two parts: a number, and what changes with the node.
                    dm, hu = 0.0, 0.0
                    for a in range(r):
                        dm += deviation[i, a] * mean[a]
                        hu += h[i, a] * u[a] - u[a] * mean[a]
                    for a in range(r):
                        term = (
                            w
                            * near_gradient(
                                g[i], u[a], mean[a], delta_0, dm, hu, away[i, a], mu[i, a]
                            )[0]
                        )
                        part[i, a] += term
                        parts_size[i, a] += abs(term)
                    continue
                for a in range(r):
                    if form == FAR:
                        common[a] = (b[a] - q * v[a]) / weight[home] if i == home else 0.0
                    term = w * gradient(g[i], rho[i], v[a], common[a], hv[i], away[i, a])[0]
                    part[i, a] += term
                    parts_size[i, a] += abs(term)
            if not want_curve:
                continue
            for a in range(r):
                for c in range(r):
                    s[a, c] = 0.0
                    for i in range(k):
                        s[a, c] += weight[i] * rho[i] * h[i, a] * h[i, c]
            for i in range(k):
                for j in range(k):
                    hh[i, j] = 0.0
                    for a in range(r):
                        hh[i, j] += h[i, a] * h[j, a]
            for i in range(k):
                for j in range(k):
                    if form == NEAR:
                        both = pair_near(g[i], g[j], rho[i], rho[j], delta_0)[0]
                    elif form == CLUSTER:
                        both = pair_cluster(g[i], g[j], rho[i], rho[j], 0.0)[0]
                    elif i == home and j == home:
                        # psi^2 - 1, psi = 1 - q
                        both = -q * (2.0 - q) / (weight[home] * weight[home])
                    else:
                        both = pair_far(g[i], g[j], rho[i], rho[j], 0.0)[0]
                    pair[i, j] += w * both
                    for a in range(r):
                        for c in range(r):
                            outer, own = curve_parts(
                                rho[i],
                                rho[j],
                                v[a],
                                v[c],
                                hv[i],
                                hv[j],
                                hh[i, j],
                                away[i, a],
                                away[i, c],
                                away[j, c],
                                h[i, c],
                                h[j, a],
                                s[a, c],
                                1.0 if a == c else 0.0,
                            )
                            both = weight[j] * outer
                            if i == j:
                                both += own
                            curve[i * r + a, j * r + c] += w * both
        kl, fisher = kl + kl_part, fisher + fisher_part
        for i in range(k):
            for a in range(r):
                pull[i, a] += part[i, a]
        largest = 0.0
        for i in range(k):
            for a in range(r):
                largest = max(largest, parts_size[i, a])
        scalars[0, 0], scalars[0, 1] = kl, fisher
        scalars[1, 0], scalars[1, 1], scalars[1, 2] = kl_size, fisher_size, largest
        if want_curve:
            for i in range(k):
                for j in range(k):
                    for a in range(r):
                        curve[i * r + a, j * r + a] += weight[j] * pair[i, j]

    return numba.njit(SIGNATURE, error_model="numpy")(sums)


def moments(law: str, means: Means, rule: Rule, curve: bool = False) -> Moments:
    """Sum the integrands over the nodes of a rule.

    Parameters
    ----------
    law : str
        One of `LAWS`.
    means : Means
        Components.
    rule : Rule
        Nodes and weights.
    curve : bool
        Whether second derivatives are wanted.
    """
    k, r = means.mu.shape
    scalars, pull, pair = np.zeros((2, 3)), np.zeros((k, r)), np.zeros((k, k))
    matrix = np.zeros((k * r, k * r))
    mu, deviation, mean = (np.ascontiguousarray(x) for x in means[:3])
    _sums(law)(
        mu,
        deviation,
        mean,
        means.weight,
        rule.nodes,
        rule.weights,
        means.form,
        means.home,
        curve,
        scalars,
        pull,
        matrix,
        pair,
    )
    kl, fisher, _ = scalars[0].tolist()
    return Moments(kl, fisher, pull, scalars[1], matrix.reshape(k, r, k, r))
