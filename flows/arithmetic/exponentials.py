"""Exponentials of vectors, with all their digits and without branches."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

from flows.arithmetic.kept import unfolded
from flows.arithmetic.vectors import MAGIC, larger, power_of_two, where_less

__all__ = ["LEAST", "OCTAVE", "OCTAVE_LOW", "PER_OCTAVE", "TERMS", "above", "exponential"]

PER_OCTAVE, OCTAVE, OCTAVE_LOW = 1 / math.log(2), 0.6931471803691238, 1.9082149292705877e-10
# Below, an exponential is zero.
LEAST = -708.0
#: Of `exp(x) - 1 - x` for small `x`, from the square on.
TERMS = tuple(1 / math.factorial(j) for j in range(2, 16))
C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13 = TERMS


@unfolded
def above(x):
    """Return `exp(x) - 1 - x` of what is small; not by Horner's rule: each step would wait."""
    s = x * x
    q = s * s
    low = ((C0 + C1 * x) + s * (C2 + C3 * x)) + q * ((C4 + C5 * x) + s * (C6 + C7 * x))
    high = ((C8 + C9 * x) + s * (C10 + C11 * x)) + q * (C12 + C13 * x)
    return s * (low + (q * q) * high)


@unfolded
def exponential(log):
    """Return `exp(log)` of what is below 709, NaN of NaN."""
    held = larger(LEAST, log)
    shifted = held * PER_OCTAVE + MAGIC
    octaves = shifted - MAGIC
    rest = (held - octaves * OCTAVE) - octaves * OCTAVE_LOW
    found = power_of_two(shifted) * (1.0 + (rest + above(rest)))
    return where_less(log, LEAST, 0.0, found)
