"""Exponentials and logarithms of vectors of nodes, with all their digits and without branches."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import sympy as sp

from flows.core.vectors import (
    MAGIC,
    halves,
    larger,
    magnitude,
    power_of_two,
    smaller,
    where_less,
)
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node

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
#: Of what Python calls: it makes no array either.
KERNEL: dict[str, Any] = {**OPTIONS, "_nrt": False}
helper: Any = numba.njit(**OPTIONS, **INNER)
#: Vectors stay in registers where no call comes between.
number: Any = numba.njit(**OPTIONS, **INNER, forceinline=True)


def _density_coefficients() -> tuple[float, ...]:
    """Of `exp(l) - 1 - l` for small `l`, from the square on."""
    series = sp.Poly(mixture_node.relative_density().args[0][0], mixture_node.L)
    first, second, *others = (float(c) for c in reversed(series.all_coeffs()))
    assert first == second == 0.0
    assert len(others) == mixture_node.DENSITY_TERMS
    return tuple(others)


C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13 = _density_coefficients()


@number
def above(x):
    """Return `exp(x) - 1 - x` of what is small; not by Horner's rule: each step would wait."""
    s = x * x
    q = s * s
    low = ((C0 + C1 * x) + s * (C2 + C3 * x)) + q * ((C4 + C5 * x) + s * (C6 + C7 * x))
    high = ((C8 + C9 * x) + s * (C10 + C11 * x)) + q * (C12 + C13 * x)
    return s * (low + (q * q) * high)


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
    small = above(rest)
    far = power_of_two(shifted) * (1.0 + (rest + small)) - 1.0 - log
    return where_less(size, SWITCH, small, far)


@number
def exponential(log):
    """Return `exp(log)` of what is not positive."""
    held = larger(log, LEAST)
    shifted = held * PER_OCTAVE + MAGIC
    octaves = shifted - MAGIC
    rest = (held - octaves * OCTAVE) - octaves * OCTAVE_LOW
    found = power_of_two(shifted) * (1.0 + (rest + above(rest)))
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
    return or_of_more(delta, logarithm(1.0 + delta))


@number
def or_of_more(delta, log):
    """Return `log(1 + delta)` with all its digits where `delta` is small, or else ``log``."""
    size = magnitude(delta)
    small = where_less(size, SWITCH, delta, 0.0)
    ratio = small / (2.0 + small)
    found = 2.0 * ratio * (1.0 + _rest(ratio * ratio)[0])
    return where_less(size, SWITCH, found, log)


# Rows of a block ----------------------------------------------------------------------------------
