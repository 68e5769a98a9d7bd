"""Exponentials and logarithms of vectors of nodes, with all their digits and without branches."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import sympy as sp

from flows.arithmetic.exponentials import (
    LEAST,
    OCTAVE,
    OCTAVE_LOW,
    PER_OCTAVE,
    TERMS,
    above,
)
from flows.arithmetic.vectors import (
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

SWITCH = float(mixture_node.SWITCH)
# Beyond, an exponential is as large as it becomes.
MOST = 709.0
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


assert _density_coefficients() == TERMS


def _divergence_series() -> Callable[..., Any]:
    """`(delta s - delta + log(1 + delta))/(2 s)`, of `s^2`, for `s = delta/(2 + delta)`."""
    delta, s, square = mixture_node.DELTA_0, sp.Symbol("s"), sp.Symbol("square")
    small = (
        mixture_node.kl_integrands()[0]
        .args[0][0]
        .replace(lambda e: e.is_Pow and e.base == 2 + delta, lambda e: (delta / s) ** e.exp)
    )
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
