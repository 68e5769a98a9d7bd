"""Blocks of nodes of a Gaussian mixture, so that the processor works on several nodes at a time.

What is summed is that of :mod:`flows.systems.mixture.kernels`, without second derivatives; where
the whole is not wanted, pulls alone. The innermost loop of everything runs over the nodes of a
block. A loop that calls a function is not taken several nodes at a time, so the exponential and the
logarithm here are polynomials; a loop writes one row, because of few rows alone the compiler can
know that they are not the same. Rows are whole blocks: a loop of a known length has no rest.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import sympy as sp
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import CLUSTER, FAR, NEAR
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node

#: Nodes of a block.
WIDTH = 64
# Rows of sums: KL divergence, `E|v|^2`, and the pulls.
KL, FISHER, PULL = 0, 1, 2

# `x + MAGIC` holds the nearest integer of `x` in its last bits.
MAGIC = 6755399441055744.0
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
#: A call that is left in a loop keeps it from being taken several nodes at a time.
number: Any = numba.njit(**OPTIONS, **INNER, forceinline=True)


@intrinsic
def _bits(typing, number):
    """Bits of a double."""

    def code(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), code


@intrinsic
def _double(typing, bits):
    """Double of these bits."""

    def code(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), code


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
    held = min(max(log, LEAST), MOST)
    near = abs(held) < SWITCH
    shifted = (0.0 if near else held * PER_OCTAVE) + MAGIC
    octaves = shifted - MAGIC
    rest = (held - octaves * OCTAVE) - octaves * OCTAVE_LOW
    above = _series(rest)[0]
    power = _double((_bits(shifted) - _bits(MAGIC) + 1023) << 52)
    far = power * (1.0 + (rest + above)) - 1.0 - log
    return above if near else far


@number
def exponential(log):
    """Return `exp(log)` of what is not positive."""
    held = max(log, LEAST)
    shifted = held * PER_OCTAVE + MAGIC
    octaves = shifted - MAGIC
    rest = (held - octaves * OCTAVE) - octaves * OCTAVE_LOW
    found = _double((_bits(shifted) - _bits(MAGIC) + 1023) << 52) * (
        1.0 + (rest + _series(rest)[0])
    )
    return 0.0 if log < LEAST else found


@number
def logarithm(value):
    """Logarithm of a positive number."""
    bits = _bits(value)
    exponent = (bits >> 52) - 1023
    mantissa = _double((bits & 0xFFFFFFFFFFFFF) | (1023 << 52))
    high = mantissa > 2.0 * ROOT
    mantissa = 0.5 * mantissa if high else mantissa
    octaves = (_double(exponent + _bits(MAGIC)) - MAGIC) + (1.0 if high else 0.0)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return octaves * OCTAVE + (octaves * OCTAVE_LOW + 2.0 * s * _atanh(s * s)[0])


@number
def divergence(delta):
    """Return `delta - log(1 + delta)` with all its digits."""
    near = abs(delta) < SWITCH
    small = delta if near else 0.0
    ratio = small / (2.0 + small)
    found = small * ratio - 2.0 * ratio * _rest(ratio * ratio)[0]
    far = delta - logarithm(1.0 + delta)
    return found if near else far


@number
def logarithm_of_more(delta):
    """Return `log(1 + delta)` with all its digits."""
    near = abs(delta) < SWITCH
    small = delta if near else 0.0
    ratio = small / (2.0 + small)
    found = 2.0 * ratio * (1.0 + _rest(ratio * ratio)[0])
    far = logarithm(1.0 + delta)
    return found if near else far


# Sums ---------------------------------------------------------------------------------------------


@helper
def add(sums, place, terms, weights, whole):
    """Add terms with their weights to one of the sums; if it is the whole, their magnitudes."""
    total, size = sums[0, place], sums[1, place]
    if not whole:
        for q in range(WIDTH):
            total[q] += terms[q] * weights[q]
        return
    for q in range(WIDTH):
        terms[q] *= weights[q]
    for q in range(WIDTH):
        total[q] += terms[q]
    for q in range(WIDTH):
        size[q] += abs(terms[q])


@helper
def add_scaled(factor, row, out):
    """Add a multiple of a row."""
    for q in range(WIDTH):
        out[q] += factor * row[q]


@helper
def fill(value, out):
    """Set all entries of a row."""
    for q in range(WIDTH):
        out[q] = value


_posterior = lower((mixture_node.relative_posterior(),), mixture_node.NODE, "numba")


@helper
def about_mean(x, deviation, mean, weight, g, rho, delta, log):
    """Set `g`, `rho` and `delta` from densities relative to that at the mean."""
    fill(0.0, delta)
    for i in range(len(g)):
        one, square = g[i], 0.0
        for a in range(len(x)):
            square += deviation[i, a] * deviation[i, a]
        fill(-0.5 * square, log)
        for a in range(len(x)):
            factor, centre, along = deviation[i, a], mean[a], x[a]
            for q in range(WIDTH):
                log[q] += factor * (along[q] - centre)
        for q in range(WIDTH):
            one[q] = density(log[q])
        # The linear part of delta cancels, for the deviations sum to zero.
        share, half = weight[i], 0.5 * square
        for q in range(WIDTH):
            delta[q] += share * (one[q] - half)
        for q in range(WIDTH):
            one[q] += log[q]
    for i in range(len(g)):
        one, more = g[i], rho[i]
        for q in range(WIDTH):
            one[q] = _posterior(one[q], delta[q])[0]
        for q in range(WIDTH):
            more[q] = 1.0 + one[q]


@helper
def add_fisher(sums, weights, v, term):
    """Add `|v|^2`, a square, which is its own magnitude."""
    for a in range(len(v)):
        one = v[a]
        for q in range(WIDTH):
            term[q] = one[q] * one[q]
        add(sums, FISHER, term, weights, True)


def rows(k: int, r: int) -> int:
    """Rows that a block needs to work in."""
    return 2 * k + 2 * r + 6


def near(calculus: Calculus) -> Callable[..., None]:
    """Add a block in the near form."""
    pull = lower((calculus.near_gradient_integrand(),), mixture_node.NEAR_GRADIENT, "numba")
    tilted = lower((mixture_node.tilted(),), mixture_node.TILT, "numba")

    @helper
    def near(components, whole, x, weights, room, sums):
        mu, deviation, mean, weight, _ = components
        k, r = mu.shape
        g, rho, u, v = room[:k], room[k : 2 * k], room[2 * k : 2 * k + r], room[2 * k + r :]
        v, rest = v[:r], room[2 * k + 2 * r :]
        delta, delta_0, log, hu, term = rest[0], rest[1], rest[2], rest[3], rest[4]
        square = 0.0
        about_mean(x, deviation, mean, weight, g, rho, delta, log)
        for a in range(r):
            square += mean[a] * mean[a]
        fill(-0.5 * square, log)
        for a in range(r):
            add_scaled(mean[a], x[a], log)
        for q in range(WIDTH):
            delta_0[q] = tilted(density(log[q]) + log[q], delta[q])[0]
        for a in range(r):
            fill(0.0, u[a])
            for i in range(k):
                add_scaled(weight[i] * deviation[i, a], g[i], u[a])
            one, more, centre = u[a], v[a], mean[a]
            for q in range(WIDTH):
                more[q] = centre + one[q]
        if whole:
            for q in range(WIDTH):
                term[q] = divergence(delta_0[q])
            add(sums, KL, term, weights, True)
            add_fisher(sums, weights, v, term)
        for i in range(k):
            # h_i.v in two parts: a number, and what changes with the node.
            dm, one_g = 0.0, g[i]
            fill(0.0, hu)
            for a in range(r):
                dm += deviation[i, a] * mean[a]
                own, centre, one = deviation[i, a], mean[a], u[a]
                for q in range(WIDTH):
                    hu[q] += (own - one[q]) * one[q] - one[q] * centre
            for a in range(r):
                here, centre, one, along = mu[i, a], mean[a], u[a], x[a]
                for q in range(WIDTH):
                    term[q] = pull(
                        one_g[q], one[q], centre, delta_0[q], dm, hu[q], along[q] - here, here
                    )[0]
                add(sums, PULL + i * r + a, term, weights, whole)

    return near


def cluster(calculus: Calculus) -> Callable[..., None]:
    """Add a block in the cluster form."""
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")

    @helper
    def cluster(components, whole, x, weights, room, sums):
        mu, deviation, mean, weight, _ = components
        k, r = mu.shape
        g, rho, u, v = room[:k], room[k : 2 * k], room[2 * k : 2 * k + r], room[2 * k + r :]
        v, rest = v[:r], room[2 * k + 2 * r :]
        delta, log, hv, term = rest[0], rest[2], rest[3], rest[4]
        about_mean(x, deviation, mean, weight, g, rho, delta, log)
        for a in range(r):
            fill(0.0, u[a])
            for i in range(k):
                add_scaled(weight[i] * deviation[i, a], g[i], u[a])
            one, more, centre = u[a], v[a], mean[a]
            for q in range(WIDTH):
                more[q] = centre + one[q]
        if whole:  # of the density at the mean a constant is left, see `Means.constant`
            for q in range(WIDTH):
                term[q] = -logarithm_of_more(delta[q])
            add(sums, KL, term, weights, True)
            add_fisher(sums, weights, v, term)
        for i in range(k):
            one_g, one_rho = g[i], rho[i]
            fill(0.0, hv)
            for a in range(r):
                own, one, more = deviation[i, a], u[a], v[a]
                for q in range(WIDTH):
                    hv[q] += (own - one[q]) * more[q]
            for a in range(r):
                here, one, more, along = mu[i, a], u[a], v[a], x[a]
                for q in range(WIDTH):
                    term[q] = pull(one_g[q], one_rho[q], more[q], one[q], hv[q], along[q] - here)[0]
                add(sums, PULL + i * r + a, term, weights, whole)

    return cluster


def far(calculus: Calculus) -> Callable[..., None]:
    """Add a block in the far form."""
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")

    @helper
    def far(components, whole, x, weights, room, sums):
        mu, _, _, weight, home = components
        k, r = mu.shape
        rho, u, v = room[k : 2 * k], room[2 * k : 2 * k + r], room[2 * k + r :]
        v, rest = v[:r], room[2 * k + 2 * r :]
        peak, total, others, hv, term = rest[0], rest[1], rest[2], rest[3], rest[4]
        common = rest[5]
        fill(-np.inf, peak)
        for i in range(k):
            log = rho[i]
            fill(0.0, log)
            for a in range(r):
                step, middle, along = mu[i, a] - mu[home, a], 0.5 * (mu[i, a] + mu[home, a]), x[a]
                for q in range(WIDTH):
                    log[q] += step * (along[q] - middle)
            for q in range(WIDTH):
                peak[q] = max(peak[q], log[q])
        fill(0.0, total)
        for i in range(k):
            one = rho[i]
            for q in range(WIDTH):
                one[q] = exponential(one[q] - peak[q])
            add_scaled(weight[i], one, total)
        for i in range(k):
            one = rho[i]
            for q in range(WIDTH):
                one[q] /= total[q]
        fill(0.0, others)
        for i in range(k):
            if i != home:
                add_scaled(weight[i], rho[i], others)
        for a in range(r):
            fill(0.0, u[a])
            for i in range(k):
                add_scaled(weight[i] * (mu[i, a] - mu[home, a]), rho[i], u[a])
            one, more, centre = u[a], v[a], mu[home, a]
            for q in range(WIDTH):
                more[q] = centre + one[q]
        at_home, own = rho[home], weight[home]
        if whole:
            for q in range(WIDTH):
                away = others[q] > 0.5
                ratio = 0.0 if away else others[q] / (own * at_home[q])
                over = total[q] / own if away else 1.0
                beside, apart = -logarithm_of_more(ratio), -(peak[q] + logarithm(over))
                term[q] = apart if away else beside
            add(sums, KL, term, weights, True)
            for a in range(r):
                one, centre = u[a], 2.0 * mu[home, a]
                for q in range(WIDTH):
                    term[q] = one[q] * (centre + one[q])
                add(sums, FISHER, term, weights, True)
        for i in range(k):
            one_rho = rho[i]
            fill(0.0, hv)
            for a in range(r):
                here, one, more = mu[i, a], u[a], v[a]
                if i == home:
                    for q in range(WIDTH):
                        hv[q] -= one[q] * more[q]
                else:
                    for q in range(WIDTH):
                        hv[q] += (here - more[q]) * more[q]
            for a in range(r):
                here, one, more, along = mu[i, a], u[a], v[a], x[a]
                # At home rho is almost 1/W: without the linear part the others are left.
                if i == home:
                    for q in range(WIDTH):
                        common[q] = (one[q] - others[q] * more[q]) / own
                    for q in range(WIDTH):
                        term[q] = pull(0.0, one_rho[q], more[q], common[q], hv[q], along[q] - here)[
                            0
                        ]
                else:
                    for q in range(WIDTH):
                        term[q] = pull(
                            one_rho[q], one_rho[q], more[q], 0.0, hv[q], along[q] - here
                        )[0]
                add(sums, PULL + i * r + a, term, weights, whole)

    return far


#: What adds a block, by the form.
BLOCKS = {NEAR: near, CLUSTER: cluster, FAR: far}
