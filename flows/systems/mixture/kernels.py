"""Sums over the nodes of a rule, for a Gaussian mixture: one compiled kernel a form.

What is summed (:mod:`symbolic.lemmas.mixture_node` and the paper's own module) is derived and
lowered; this file only reduces over indices. A kernel visits the nodes. At each it finds the
posteriors in its form's way, adds losses and pulls, and, where it is asked to, second derivatives.
No other file of the mixtures loads Numba.

The names are those of the lemma: ``rho_i = psi_i/W_i``, ``g_i = rho_i - 1``, ``v = sum_i psi_i
mu_i``, ``h_i = mu_i - v``; ``u`` is ``v`` less the mean, or less the mean at home, and
``hv_i = h_i.v``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np

from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.compiled import kept
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import CLUSTER, FAR, NEAR
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node

# Nodes are summed in blocks: most have weights that a sum of order one would not feel one by one.
BLOCK = 256
# Rows of `Sums.terms`, and its columns.
CLOSED, OPEN, SIZE = 0, 1, 2
KL, FISHER, PULL = 0, 1, 2


class Components(NamedTuple):
    """Components as a kernel takes them.

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
    """

    mu: Array
    deviation: Array
    mean: Array
    weight: Array
    home: int


class Sums(NamedTuple):
    """What a kernel adds to, zero before.

    Parameters
    ----------
    terms : ndarray, shape (3, 2 + k r)
        KL divergence, ``E|v|^2`` and the pulls: closed blocks, the open block, and the magnitudes
        of all terms. In the end the largest magnitude of a pull is that of the first.
    pairs : ndarray, shape (k, k)
        ``E[psi_i psi_j]/(W_i W_j)``.
    curve : ndarray, shape (k, r, k, r)
        Derivative of ``pull_i`` by ``mu_j``.
    """

    terms: Array
    pairs: Array
    curve: Array


MATRIX, VECTOR = numba.float64[:, ::1], numba.float64[::1]
SIGNATURE = numba.void(
    numba.types.NamedTuple((MATRIX, MATRIX, VECTOR, VECTOR, numba.int64), Components),
    MATRIX,
    VECTOR,
    numba.boolean,
    numba.types.NamedTuple((MATRIX, MATRIX, numba.float64[:, :, :, ::1]), Sums),
)
Kernel = Callable[[Components, Array, Array, bool, Sums], None]
OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_rewrites": True}
kernel: Any = numba.njit(SIGNATURE, **OPTIONS)
# Helpers make no array, so that none has to be counted, and are called by compiled code only.
INNER: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
helper: Any = numba.njit(**OPTIONS, **INNER)


# Sums ---------------------------------------------------------------------------------------------


@helper
def add(terms: Array, place: int, term: float) -> None:
    """Add a term, and its magnitude."""
    terms[OPEN, place] += term
    terms[SIZE, place] += abs(term)


@helper
def close_block(terms: Array) -> None:
    """Add the open block to those before it."""
    for place in range(terms.shape[1]):
        terms[CLOSED, place] += terms[OPEN, place]
        terms[OPEN, place] = 0.0


@helper
def finish(weight: Array, want_curve: bool, terms: Array, pairs: Array, curve: Array) -> None:
    """Bring the sums together after the last node."""
    close_block(terms)
    for place in range(PULL, terms.shape[1]):
        terms[SIZE, PULL] = max(terms[SIZE, PULL], terms[SIZE, place])
    if want_curve:
        for i in range(curve.shape[0]):
            for j in range(curve.shape[0]):
                for a in range(curve.shape[1]):
                    curve[i, a, j, a] += weight[j] * pairs[i, j]


# At a node ----------------------------------------------------------------------------------------

density = lower((mixture_node.relative_density(),), (mixture_node.L,), "numba")
posterior = lower((mixture_node.relative_posterior(),), mixture_node.NODE, "numba")


@helper
def posteriors_about_mean(
    x: Array, deviation: Array, mean: Array, weight: Array, g: Array, rho: Array
) -> float:
    """Set ``g`` and ``rho`` from densities relative to that at the mean; return ``delta``."""
    delta = 0.0
    for i in range(len(g)):
        log, square = 0.0, 0.0
        for a in range(len(x)):
            log += deviation[i, a] * (x[a] - mean[a])
            square += deviation[i, a] * deviation[i, a]
        log -= 0.5 * square
        # The linear part of delta cancels, for the deviations sum to zero.
        rest = density(log)[0]
        delta += weight[i] * (rest - 0.5 * square)
        g[i] = rest + log
    for i in range(len(g)):
        g[i] = posterior(g[i], delta)[0]
        rho[i] = 1.0 + g[i]
    return delta


@helper
def posteriors_about_home(
    x: Array, mu: Array, home: int, weight: Array, rho: Array
) -> tuple[float, float]:
    """Set ``rho`` from densities relative to that at home.

    Returns the logarithm of the largest, and the mixture's density over the largest.
    """
    peak, total = -math.inf, 0.0
    for i in range(len(rho)):
        log = 0.0
        for a in range(len(x)):
            log += (mu[i, a] - mu[home, a]) * (x[a] - 0.5 * (mu[i, a] + mu[home, a]))
        rho[i] = log
        peak = max(peak, log)
    for i in range(len(rho)):
        rho[i] = math.exp(rho[i] - peak)
        total += weight[i] * rho[i]
    for i in range(len(rho)):
        rho[i] /= total
    return peak, total


@helper
def average_about_mean(
    deviation: Array, mean: Array, weight: Array, g: Array, u: Array, v: Array, h: Array, hv: Array
) -> None:
    """Set ``u``, ``v``, ``h`` and ``hv`` with the digits of the deviations."""
    for a in range(len(u)):
        u[a] = 0.0
        for i in range(len(g)):
            u[a] += weight[i] * g[i] * deviation[i, a]
        v[a] = mean[a] + u[a]
    for i in range(len(g)):
        hv[i] = 0.0
        for a in range(len(u)):
            h[i, a] = deviation[i, a] - u[a]
            hv[i] += h[i, a] * v[a]


@helper
def average_about_home(
    mu: Array, home: int, weight: Array, rho: Array, u: Array, v: Array, h: Array, hv: Array
) -> None:
    """Set ``u``, ``v``, ``h`` and ``hv``, at home with the digits of ``u``."""
    for a in range(len(u)):
        u[a] = 0.0
        for i in range(len(rho)):
            u[a] += weight[i] * rho[i] * (mu[i, a] - mu[home, a])
        v[a] = mu[home, a] + u[a]
    for i in range(len(rho)):
        hv[i] = 0.0
        for a in range(len(u)):
            h[i, a] = -u[a] if i == home else mu[i, a] - v[a]
            hv[i] += h[i, a] * v[a]


@helper
def add_fisher(w: float, v: Array, terms: Array) -> None:
    """Add ``|v|^2``, a square, which is its own magnitude."""
    for a in range(len(v)):
        term = w * v[a] * v[a]
        terms[OPEN, FISHER] += term
        terms[SIZE, FISHER] += term


@functools.cache
def curve_adder(calculus: Calculus) -> Callable[..., None]:
    """What adds the second derivatives of a loss at a node, but for the pairs of posteriors."""
    integrands = lower(calculus.hessian_integrands(), mixture_node.HESSIAN, "numba")

    @helper
    def add_curve(w, x, mu, weight, rho, v, h, hv, s, curve):  # type: ignore[no-untyped-def]
        k, r = h.shape
        for a in range(r):
            for c in range(r):
                total = 0.0
                for i in range(k):
                    total += weight[i] * rho[i] * h[i, a] * h[i, c]
                s[a, c] = total
        for i in range(k):
            for j in range(k):
                hh = 0.0
                for a in range(r):
                    hh += h[i, a] * h[j, a]
                for a in range(r):
                    for c in range(r):
                        outer, own = integrands(
                            rho[i],
                            rho[j],
                            v[a],
                            v[c],
                            hv[i],
                            hv[j],
                            hh,
                            x[a] - mu[i, a],
                            x[c] - mu[i, c],
                            x[c] - mu[j, c],
                            h[i, c],
                            h[j, a],
                            s[a, c],
                            1.0 if a == c else 0.0,
                        )
                        both = weight[j] * outer
                        if i == j:
                            both += own
                        curve[i, a, j, c] += w * both

    return add_curve


# Kernels ------------------------------------------------------------------------------------------


def near(calculus: Calculus) -> Kernel:
    """Sums of a loss in the near form."""
    divergence = lower((mixture_node.kl_integrands()[0],), (mixture_node.DELTA_0,), "numba")
    tilted = lower((mixture_node.tilted(),), mixture_node.TILT, "numba")
    pair = lower((mixture_node.pair_integrands()[0],), mixture_node.PAIR, "numba")
    pull = lower((calculus.near_gradient_integrand(),), mixture_node.NEAR_GRADIENT, "numba")
    add_curve = curve_adder(calculus)

    @kernel
    def near(components, nodes, node_weight, want_curve, sums):  # type: ignore[no-untyped-def]
        mu, deviation, mean, weight, _ = components
        terms, pairs, curve = sums
        k, r = mu.shape
        x, u, v = np.empty(r), np.empty(r), np.empty(r)
        g, rho, hv = np.empty(k), np.empty(k), np.empty(k)
        h, s = np.empty((k, r)), np.empty((r, r))
        square = 0.0
        for a in range(r):
            square += mean[a] * mean[a]
        for node in range(len(node_weight)):
            if node % BLOCK == 0:
                close_block(terms)
            w = node_weight[node]
            log_0 = -0.5 * square
            for a in range(r):
                x[a] = nodes[node, a]
                log_0 += mean[a] * x[a]
            delta = posteriors_about_mean(x, deviation, mean, weight, g, rho)
            delta_0 = tilted(math.expm1(log_0), delta)[0]
            average_about_mean(deviation, mean, weight, g, u, v, h, hv)
            add(terms, KL, w * divergence(delta_0)[0])
            add_fisher(w, v, terms)
            for i in range(k):
                # h_i.v in two parts: a number, and what changes with the node.
                dm, hu = 0.0, 0.0
                for a in range(r):
                    dm += deviation[i, a] * mean[a]
                    hu += h[i, a] * u[a] - u[a] * mean[a]
                for a in range(r):
                    away = x[a] - mu[i, a]
                    term = pull(g[i], u[a], mean[a], delta_0, dm, hu, away, mu[i, a])[0]
                    add(terms, PULL + i * r + a, w * term)
            if want_curve:
                for i in range(k):
                    for j in range(k):
                        pairs[i, j] += w * pair(g[i], g[j], rho[i], rho[j], delta_0)[0]
                add_curve(w, x, mu, weight, rho, v, h, hv, s, curve)
        finish(weight, want_curve, terms, pairs, curve)

    return near


def cluster(calculus: Calculus) -> Kernel:
    """Sums of a loss in the cluster form."""
    log_density = (mixture_node.LOG_0, mixture_node.DELTA)
    divergence = lower((mixture_node.kl_integrands()[1],), log_density, "numba")
    pair = lower((mixture_node.pair_integrands()[1],), mixture_node.PAIR, "numba")
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")
    add_curve = curve_adder(calculus)

    @kernel
    def cluster(components, nodes, node_weight, want_curve, sums):  # type: ignore[no-untyped-def]
        mu, deviation, mean, weight, _ = components
        terms, pairs, curve = sums
        k, r = mu.shape
        x, u, v = np.empty(r), np.empty(r), np.empty(r)
        g, rho, hv = np.empty(k), np.empty(k), np.empty(k)
        h, s = np.empty((k, r)), np.empty((r, r))
        for node in range(len(node_weight)):
            if node % BLOCK == 0:
                close_block(terms)
            w = node_weight[node]
            for a in range(r):
                x[a] = nodes[node, a]
            delta = posteriors_about_mean(x, deviation, mean, weight, g, rho)
            average_about_mean(deviation, mean, weight, g, u, v, h, hv)
            # Of the density at the mean a constant is left, see `Means.constant`.
            add(terms, KL, w * divergence(0.0, delta)[0])
            add_fisher(w, v, terms)
            for i in range(k):
                for a in range(r):
                    term = pull(g[i], rho[i], v[a], u[a], hv[i], x[a] - mu[i, a])[0]
                    add(terms, PULL + i * r + a, w * term)
            if want_curve:
                for i in range(k):
                    for j in range(k):
                        pairs[i, j] += w * pair(g[i], g[j], rho[i], rho[j], 0.0)[0]
                add_curve(w, x, mu, weight, rho, v, h, hv, s, curve)
        finish(weight, want_curve, terms, pairs, curve)

    return cluster


def far(calculus: Calculus) -> Kernel:
    """Sums of a loss in the far form."""
    _, beside, away = mixture_node.kl_integrands()
    beside_home = lower((beside,), (mixture_node.LOG_0, mixture_node.DELTA), "numba")
    away_from_home = lower((away,), (mixture_node.PEAK, mixture_node.TOTAL), "numba")
    pair = lower((mixture_node.pair_integrands()[2],), mixture_node.PAIR, "numba")
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")
    add_curve = curve_adder(calculus)

    @kernel
    def far(components, nodes, node_weight, want_curve, sums):  # type: ignore[no-untyped-def]
        mu, _, _, weight, home = components
        terms, pairs, curve = sums
        k, r = mu.shape
        x, u, v = np.empty(r), np.empty(r), np.empty(r)
        rho, hv = np.empty(k), np.empty(k)
        h, s = np.empty((k, r)), np.empty((r, r))
        for node in range(len(node_weight)):
            if node % BLOCK == 0:
                close_block(terms)
            w = node_weight[node]
            for a in range(r):
                x[a] = nodes[node, a]
            peak, total = posteriors_about_home(x, mu, home, weight, rho)
            average_about_home(mu, home, weight, rho, u, v, h, hv)
            others = 0.0
            for i in range(k):
                if i != home:
                    others += weight[i] * rho[i]
            if others > 0.5:
                divergence = away_from_home(peak, total / weight[home])[0]
            else:
                divergence = beside_home(0.0, others / (weight[home] * rho[home]))[0]
            add(terms, KL, w * divergence)
            for a in range(r):
                add(terms, FISHER, w * u[a] * (2.0 * mu[home, a] + u[a]))
            for i in range(k):
                for a in range(r):
                    # At home rho is almost 1/W: without the linear part the others are left.
                    omega, common = rho[i], 0.0
                    if i == home:
                        omega, common = 0.0, (u[a] - others * v[a]) / weight[home]
                    term = pull(omega, rho[i], v[a], common, hv[i], x[a] - mu[i, a])[0]
                    add(terms, PULL + i * r + a, w * term)
            if want_curve:
                for i in range(k):
                    for j in range(k):
                        both = pair(0.0, 0.0, rho[i], rho[j], 0.0)[0]
                        if i == home and j == home:  # psi^2 - 1, psi = 1 - others
                            both = -others * (2.0 - others) / (weight[home] * weight[home])
                        pairs[i, j] += w * both
                add_curve(w, x, mu, weight, rho, v, h, hv, s, curve)
        finish(weight, want_curve, terms, pairs, curve)

    return far


@functools.cache
@uncollected()
def kernel_of(form: int, calculus: Calculus) -> Kernel:
    """Sums of a loss in one of the forms, compiled once a version of what it is made from."""
    make = {NEAR: near, CLUSTER: cluster, FAR: far}[form]
    return cast("Kernel", kept((make, calculus), SIGNATURE, lambda: make(calculus)))
