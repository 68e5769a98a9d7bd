"""Exponentials and logarithms of vectors of nodes, with all their digits and without branches."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from fractions import Fraction

from flows.arithmetic.exponentials import LEAST, OCTAVE, OCTAVE_LOW, PER_OCTAVE, above
from flows.arithmetic.functions import polynomial
from flows.arithmetic.kept import unfolded
from flows.arithmetic.vectors import (
    MAGIC,
    halves,
    larger,
    magnitude,
    power_of_two,
    smaller,
    where_less,
)
from symbolic.lemmas import mixture_node

__all__ = ["density", "divergence", "log_of_more", "logarithm"]

SWITCH = float(mixture_node.SWITCH)
# Beyond, an exponential is as large as it becomes.
MOST = 709.0
ROOT = math.sqrt(0.5)
# atanh(s)/s and that less 1, in powers of the square: for |s| <= 3 - sqrt(8) and |s| <= 1/3 the
# first term dropped is below 1e-17 of the sum.
_series = [Fraction(1, 2 * j + 1) for j in range(mixture_node.TERMS + 1)]
_atanh, _rest = polynomial(_series[:11]), polynomial([Fraction(0), *_series[1:]])


@unfolded
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


@unfolded
def logarithm(value):
    """Logarithm of a positive number."""
    mantissa, octaves = halves(value)
    high = 2.0 * ROOT
    octaves = octaves + where_less(high, mantissa, 1.0, 0.0 * mantissa)
    mantissa = where_less(high, mantissa, 0.5 * mantissa, mantissa)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return octaves * OCTAVE + (octaves * OCTAVE_LOW + 2.0 * s * _atanh(s * s))


@unfolded
def divergence(delta):
    """Return `delta - log(1 + delta)` with all its digits."""
    size = magnitude(delta)
    small = where_less(size, SWITCH, delta, 0.0)
    ratio = small / (2.0 + small)
    found = small * ratio - 2.0 * ratio * _rest(ratio * ratio)
    return where_less(size, SWITCH, found, delta - logarithm(1.0 + delta))


@unfolded
def log_of_more(delta, log):
    """Return `log(1 + delta)` with all its digits where `delta` is small, or else ``log``."""
    size = magnitude(delta)
    small = where_less(size, SWITCH, delta, 0.0)
    ratio = small / (2.0 + small)
    found = 2.0 * ratio * (1.0 + _rest(ratio * ratio))
    return where_less(size, SWITCH, found, log)
