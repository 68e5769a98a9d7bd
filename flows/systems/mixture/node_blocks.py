"""Blocks of nodes of a Gaussian mixture, one vector of them at a time.

What is summed (:mod:`symbolic.lemmas.mixture_node` and the paper's own module) is derived and
lowered; this file only reduces over indices. Everything about a block is vectors over its nodes
(:mod:`flows.core.vectors`), so exponential and logarithm here are polynomials without branches.

The names are those of the lemma: ``rho_i = psi_i/W_i``, ``g_i = rho_i - 1``, ``v = sum_i psi_i
mu_i``, ``h_i = mu_i - v``; ``u`` is ``v`` less the mean, or less the mean at home, and
``hv_i = h_i.v``. A block finds the posteriors in its form's way, then adds losses and pulls, or
second derivatives.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import sympy as sp
from numba.extending import register_jitable

from flows.core.arrays import Array
from flows.core.vectors import (
    MAGIC,
    WIDTH,
    halves,
    larger,
    load,
    magnitude,
    power_of_two,
    smaller,
    spread,
    store,
    where_less,
)
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import CLUSTER, FAR, NEAR
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node

__all__ = ["BLOCKS", "COMPONENTS", "INNER", "MATRIX", "OPTIONS", "VECTOR", "WIDTH", "Block"]
__all__ += ["Components", "fill", "rows"]

# Places of sums: KL divergence, `E|v|^2`, and the pulls.
KL, FISHER, PULL = 0, 1, 2

PER_OCTAVE, OCTAVE, OCTAVE_LOW = 1 / math.log(2), 0.6931471803691238, 1.9082149292705877e-10
SWITCH = float(mixture_node.SWITCH)
# Beyond, an exponential is zero, or as large as it becomes.
LEAST, MOST = -708.0, 709.0
# atanh(s)/s for |s| <= 3 - sqrt(8), in powers of the square: the first term dropped is below 1e-17.
LOG_TERMS = 11
ROOT = math.sqrt(0.5)

# Products and sums may be fused: every sum is over whole blocks, in the same code.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_rewrites": True, "fastmath": {"contract"}}
# Helpers make no array, so that none has to be counted, and are called by compiled code only.
INNER: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
helper: Any = numba.njit(**OPTIONS, **INNER)
#: Vectors stay in registers where no call comes between.
number: Any = numba.njit(**OPTIONS, **INNER, forceinline=True)


_series = lower((mixture_node.relative_density().args[0][0],), (mixture_node.L,), "numba")


def _divergence_series() -> Callable[..., Any]:
    """`(delta s - delta + log(1 + delta))/(2 s)`, of `s^2`, for `s = delta/(2 + delta)`."""
    delta, s, square = mixture_node.DELTA_0, sp.Symbol("s"), sp.Symbol("square")
    small = mixture_node.kl_integrands()[0].args[0][0].subs(delta / (2 + delta), s)
    series = sp.Poly(sp.expand((delta * s - small) / (2 * s)), s)
    terms = [c * square ** (power // 2) for (power,), c in series.terms()]
    return lower((sp.horner(sp.Add(*terms)),), (square,), "numba")


_rest = _divergence_series()


def _logarithm_series() -> Callable[..., Any]:
    square = sp.Symbol("square")
    terms = [square**j / (2 * j + 1) for j in range(LOG_TERMS)]
    return lower((sp.horner(sp.Add(*terms)),), (square,), "numba")


_atanh = _logarithm_series()


@number
def density(log):
    """Return `exp(log) - 1 - log` with all its digits."""
    held = larger(log, LEAST)
    held = smaller(held, MOST)
    size = magnitude(held)
    shifted = where_less(size, SWITCH, 0.0, held * PER_OCTAVE) + MAGIC
    octaves = shifted - MAGIC
    rest = (held - octaves * OCTAVE) - octaves * OCTAVE_LOW
    above = _series(rest)[0]
    far = power_of_two(shifted) * (1.0 + (rest + above)) - 1.0 - log
    return where_less(size, SWITCH, above, far)


@number
def exponential(log):
    """Return `exp(log)` of what is not positive."""
    held = larger(log, LEAST)
    shifted = held * PER_OCTAVE + MAGIC
    octaves = shifted - MAGIC
    rest = (held - octaves * OCTAVE) - octaves * OCTAVE_LOW
    found = power_of_two(shifted) * (1.0 + (rest + _series(rest)[0]))
    return where_less(log, LEAST, 0.0, found)


@number
def logarithm(value):
    """Logarithm of a positive number."""
    mantissa, octaves = halves(value)
    high = 2.0 * ROOT
    octaves = octaves + where_less(high, mantissa, 1.0, 0.0 * mantissa)
    mantissa = where_less(high, mantissa, 0.5 * mantissa, mantissa)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return octaves * OCTAVE + (octaves * OCTAVE_LOW + 2.0 * s * _atanh(s * s)[0])


@number
def divergence(delta):
    """Return `delta - log(1 + delta)` with all its digits."""
    size = magnitude(delta)
    small = where_less(size, SWITCH, delta, 0.0)
    ratio = small / (2.0 + small)
    found = small * ratio - 2.0 * ratio * _rest(ratio * ratio)[0]
    return where_less(size, SWITCH, found, delta - logarithm(1.0 + delta))


@number
def logarithm_of_more(delta):
    """Return `log(1 + delta)` with all its digits."""
    size = magnitude(delta)
    small = where_less(size, SWITCH, delta, 0.0)
    ratio = small / (2.0 + small)
    found = 2.0 * ratio * (1.0 + _rest(ratio * ratio)[0])
    return where_less(size, SWITCH, found, logarithm(1.0 + delta))


# Rows of a block ----------------------------------------------------------------------------------


@register_jitable(**INNER)
def rows(k: int, r: int) -> int:
    """Rows of a block: `g`, `rho`, `u`, `v`, and `h`, `hv`, `sum_k psi_k h_ka h_kc` for curves."""
    return 2 * (k + r) + k * r + k + r * r


@number
def add(sums, place, places, term, whole):
    """Add terms to one of the sums; if it is the whole, their magnitudes."""
    store(sums, place, load(sums, place) + term)
    if whole:
        store(sums, places + place, load(sums, places + place) + magnitude(term))


# One quotient serves all components: it takes as long as ten products.
_above, _below = (
    lower((part,), mixture_node.NODE, "numba")
    for part in sp.fraction(mixture_node.relative_posterior())
)


@helper
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


@helper
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
    """

    mu: Array
    deviation: Array
    mean: Array
    weight: Array
    home: int


MATRIX, VECTOR = numba.float64[:, ::1], numba.float64[::1]
COMPONENTS = numba.types.NamedTuple((MATRIX, MATRIX, VECTOR, VECTOR, numba.int64), Components)


@helper
def fill(nodes, node_weight, begin, x, weights):
    """Fill a block from a list of nodes, on from one of them; how many it got."""
    count = min(WIDTH, len(node_weight) - begin)
    for q in range(WIDTH):
        one = begin + min(q, count - 1)  # the rest are nodes of no weight
        weights[q] = node_weight[one] if q < count else 0.0
        for a in range(nodes.shape[1]):
            x[a * WIDTH + q] = nodes[one, a]
    return count


class Block(NamedTuple):
    """What a form adds of a block of nodes.

    ``first(components, whole, x, weights, room, sums)`` adds pulls, and both losses and all
    magnitudes where the whole is wanted; ``second(components, x, weights, room, pairs, curve)``
    adds ``psi_i psi_j/(W_i W_j)`` and second derivatives, both for ``i <= j`` alone.
    """

    first: Callable[..., None]
    second: Callable[..., None]


def _curve_adder(calculus: Calculus) -> Callable[..., None]:
    """What adds second derivatives, but for the pairs of posteriors."""
    integrands = lower(calculus.hessian_integrands(), mixture_node.HESSIAN, "numba")

    @helper
    def add_curve(x, w, mu, weight, room, curve):
        k, r = mu.shape
        h, hv, s = 2 * (k + r), 2 * (k + r) + k * r, 2 * (k + r) + k * r + k
        for a in range(r):
            for c in range(r):
                total = spread(0.0)
                for i in range(k):
                    share = weight[i] * load(room, k + i)
                    total += share * load(room, h + i * r + a) * load(room, h + i * r + c)
                store(room, s + a * r + c, total)
        for i in range(k):
            rho_i, hv_i = load(room, k + i), load(room, hv + i)
            for j in range(i, k):
                rho_j, hv_j, hh = load(room, k + j), load(room, hv + j), spread(0.0)
                for a in range(r):
                    hh += load(room, h + i * r + a) * load(room, h + j * r + a)
                for a in range(r):
                    for c in range(r):
                        outer, own = integrands(
                            rho_i,
                            rho_j,
                            load(room, 2 * k + r + a),
                            load(room, 2 * k + r + c),
                            hv_i,
                            hv_j,
                            hh,
                            load(x, a) - mu[i, a],
                            load(x, c) - mu[i, c],
                            load(x, c) - mu[j, c],
                            load(room, h + i * r + c),
                            load(room, h + j * r + a),
                            load(room, s + a * r + c),
                            1.0 if a == c else 0.0,
                        )
                        both = weight[j] * outer
                        if i == j:
                            both += own
                        place = ((i * r + a) * k + j) * r + c
                        store(curve, place, load(curve, place) + w * both)

    added: Callable[..., None] = add_curve
    return added


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


# Forms --------------------------------------------------------------------------------------------


def near(calculus: Calculus) -> Block:
    """Blocks in the near form."""
    pull = lower((calculus.near_gradient_integrand(),), mixture_node.NEAR_GRADIENT, "numba")
    tilted = lower((mixture_node.tilted(),), mixture_node.TILT, "numba")
    pair = lower((mixture_node.pair_integrands()[0],), mixture_node.PAIR, "numba")
    add_curve = _curve_adder(calculus)

    @helper
    def density_at_mean(x, mean, delta):
        square, log = 0.0, spread(0.0)
        for a in range(len(mean)):
            square += mean[a] * mean[a]
            log += mean[a] * load(x, a)
        log -= 0.5 * square
        return tilted(density(log) + log, delta)[0]

    @helper
    def first(components, whole, x, weights, room, sums):
        mu, deviation, mean, weight, _ = components
        k, r = mu.shape
        w, places = load(weights, 0), 2 + k * r
        delta_0 = density_at_mean(x, mean, about_mean(x, deviation, mean, weight, room))
        if whole:
            add(sums, KL, places, w * divergence(delta_0), True)
            for a in range(r):
                v = load(room, 2 * k + r + a)
                add(sums, FISHER, places, w * (v * v), True)
        for i in range(k):
            # h_i.v in two parts: a number, and what changes with the node.
            dm, hu, g = 0.0, spread(0.0), load(room, i)
            for a in range(r):
                u = load(room, 2 * k + a)
                dm += deviation[i, a] * mean[a]
                hu += (deviation[i, a] - u) * u - u * mean[a]
            for a in range(r):
                u, here = load(room, 2 * k + a), mu[i, a]
                term = pull(g, u, mean[a], delta_0, dm, hu, load(x, a) - here, here)[0]
                add(sums, PULL + i * r + a, places, w * term, whole)

    @helper
    def second(components, x, weights, room, pairs, curve):
        mu, deviation, mean, weight, _ = components
        k = len(mu)
        w = load(weights, 0)
        delta_0 = density_at_mean(x, mean, about_mean(x, deviation, mean, weight, room))
        away_from_mean(deviation, room)
        for i in range(k):
            for j in range(i, k):
                g_i, g_j, rho_i, rho_j = (
                    load(room, i), load(room, j), load(room, k + i), load(room, k + j),
                )  # fmt: skip
                both = w * pair(g_i, g_j, rho_i, rho_j, delta_0)[0]
                store(pairs, i * k + j, load(pairs, i * k + j) + both)
        add_curve(x, w, mu, weight, room, curve)

    return Block(first, second)


def cluster(calculus: Calculus) -> Block:
    """Blocks in the cluster form."""
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")
    pair = lower((mixture_node.pair_integrands()[1],), mixture_node.PAIR, "numba")
    add_curve = _curve_adder(calculus)

    @helper
    def first(components, whole, x, weights, room, sums):
        mu, deviation, mean, weight, _ = components
        k, r = mu.shape
        w, places = load(weights, 0), 2 + k * r
        delta = about_mean(x, deviation, mean, weight, room)
        if whole:  # of the density at the mean a constant is left, see `Means.constant`
            add(sums, KL, places, -w * logarithm_of_more(delta), True)
            for a in range(r):
                v = load(room, 2 * k + r + a)
                add(sums, FISHER, places, w * (v * v), True)
        for i in range(k):
            g, rho, hv = load(room, i), load(room, k + i), spread(0.0)
            for a in range(r):
                hv += (deviation[i, a] - load(room, 2 * k + a)) * load(room, 2 * k + r + a)
            for a in range(r):
                u, v, away = load(room, 2 * k + a), load(room, 2 * k + r + a), load(x, a) - mu[i, a]
                add(sums, PULL + i * r + a, places, w * pull(g, rho, v, u, hv, away)[0], whole)

    @helper
    def second(components, x, weights, room, pairs, curve):
        mu, deviation, mean, weight, _ = components
        k = len(mu)
        w = load(weights, 0)
        about_mean(x, deviation, mean, weight, room)
        away_from_mean(deviation, room)
        for i in range(k):
            for j in range(i, k):
                g_i, g_j, rho_i, rho_j = (
                    load(room, i), load(room, j), load(room, k + i), load(room, k + j),
                )  # fmt: skip
                both = w * pair(g_i, g_j, rho_i, rho_j, 0.0)[0]
                store(pairs, i * k + j, load(pairs, i * k + j) + both)
        add_curve(x, w, mu, weight, room, curve)

    return Block(first, second)


def far(calculus: Calculus) -> Block:
    """Blocks in the far form."""
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")
    add_curve = _curve_adder(calculus)

    @helper
    def first(components, whole, x, weights, room, sums):
        mu, _, _, weight, home = components
        k, r = mu.shape
        w, places = load(weights, 0), 2 + k * r
        peak, total, others = about_home(x, mu, home, weight, room)
        if whole:
            at_home, own = load(room, k + home), weight[home]
            ratio = where_less(0.5, others, 0.0, others / (own * at_home))
            over = where_less(0.5, others, total / own, 1.0)
            away = -(peak + logarithm(over))
            add(
                sums, KL, places, w * where_less(0.5, others, away, -logarithm_of_more(ratio)), True
            )
            for a in range(r):
                u = load(room, 2 * k + a)
                add(sums, FISHER, places, w * (u * (2.0 * mu[home, a] + u)), True)
        for i in range(k):
            rho, hv = load(room, k + i), spread(0.0)
            # At home rho is almost 1/W: without the linear part the others are left.
            if i == home:
                for a in range(r):
                    hv -= load(room, 2 * k + a) * load(room, 2 * k + r + a)
                for a in range(r):
                    v, away = load(room, 2 * k + r + a), load(x, a) - mu[i, a]
                    common = (load(room, 2 * k + a) - others * v) / weight[home]
                    term = pull(0.0, rho, v, common, hv, away)[0]
                    add(sums, PULL + i * r + a, places, w * term, whole)
            else:
                for a in range(r):
                    v = load(room, 2 * k + r + a)
                    hv += (mu[i, a] - v) * v
                for a in range(r):
                    v, away = load(room, 2 * k + r + a), load(x, a) - mu[i, a]
                    term = pull(rho, rho, v, 0.0, hv, away)[0]
                    add(sums, PULL + i * r + a, places, w * term, whole)

    @helper
    def second(components, x, weights, room, pairs, curve):
        mu, _, _, weight, home = components
        k = len(mu)
        w = load(weights, 0)
        _, _, others = about_home(x, mu, home, weight, room)
        away_from_home(mu, home, room)
        for i in range(k):
            for j in range(i, k):
                both = load(room, k + i) * load(room, k + j)
                if i == home and j == home:  # psi^2 - 1, psi = 1 - others
                    both = others * (others - 2.0) / (weight[home] * weight[home])
                store(pairs, i * k + j, load(pairs, i * k + j) + w * both)
        add_curve(x, w, mu, weight, room, curve)

    return Block(first, second)


#: What adds a block, by the form.
BLOCKS = {NEAR: near, CLUSTER: cluster, FAR: far}
