"""Compiled: sums and products of pairs of doubles, and the angle of two of them.

Sums and products are those of Joldes, Muller & Popescu, *Tight and rigorous error bounds for basic
building blocks of double-word arithmetic* (2017), Algorithms 6 and 11, whose errors are proved
there.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flint import arb
from numba import types
from numba.extending import intrinsic

from flows.arithmetic.kept import loop
from flows.core.arrays import Array
from flows.core.balls import precision

__all__ = ["add", "arctangent", "divided", "multiply", "product"]

# A turn by a multiple of pi / PARTS leaves an angle below pi / 64, of which so many terms of the
# series are more than 2^-106 of the first; those from the second number on, in doubles.
PARTS, TERMS, ROUGH = 32, 13, 6
# Bits of what is then rounded to two doubles.
BITS = 200


@intrinsic
def fused(context, a, b, c):
    """`a b + c`, rounded once."""
    signature = types.float64(types.float64, types.float64, types.float64)
    return signature, lambda _context, builder, _signature, given: builder.fma(*given)


def _pairs(values: Any) -> Array:
    """Numbers with many digits, as high and low doubles."""
    return np.array([(float(x), float(x - float(x))) for x in values])


with precision(BITS):
    _TURNS = [arb(k) / PARTS for k in range(PARTS + 1)]
    COSINES = _pairs(arb.cos_pi(x) for x in _TURNS)
    SINES = _pairs(arb.sin_pi(x) for x in _TURNS)
    ANGLES = _pairs(arb.pi() * x for x in _TURNS)
    SERIES = _pairs(arb((-1) ** k) / (2 * k + 1) for k in range(TERMS))


@loop
def product(x, y):
    """Two doubles whose sum is the product."""
    p = x * y
    return p, fused(x, y, -p)


@loop
def add(a, b, c, d):
    """Sum of two pairs."""
    s = a + c
    t = s - a
    e = (a - (s - t)) + (c - t)
    v = b + d
    t = v - b
    w = (b - (v - t)) + (d - t)
    e += v
    high = s + e
    e = w + (e - (high - s))
    total = high + e
    return total, e - (total - high)


@loop
def multiply(a, b, c, d):
    """Product of two pairs."""
    p, e = product(a, c)
    e += a * d + b * c
    high = p + e
    return high, e - (high - p)


@loop
def divided(a, b, c, d):
    """Quotient of two pairs, as Algorithm 17."""
    q = a / c
    p, e = multiply(c, d, q, 0.0)
    e = ((a - p) + (b - e)) / c
    high = q + e
    return high, e - (high - q)


@loop
def arctangent(a, b, c, d):
    r"""Angle in `(-\pi, \pi]` at which the point `(c + d, a + b)` is seen, in two doubles.

    The point is turned by a multiple `k` of `\pi/32`, to an angle of which the series converges.
    Its error is at most `2^{-95}` of the angle: turn and quotient leave less than `2^{-98}` of the
    length, and an angle of `k \ne 0` is at least `\pi/64`; of `k = 0` nothing is turned.
    """
    turns = math.atan2(a, c) * (PARTS / math.pi)
    k, way = int(abs(turns) + 0.5), math.copysign(1.0, turns)
    if k > 0:
        cos, cos_low = COSINES[k, 0], COSINES[k, 1]
        sin, sin_low = way * SINES[k, 0], way * SINES[k, 1]
        p, q = multiply(a, b, cos, cos_low)
        r, s = multiply(c, d, -sin, -sin_low)
        v, w = add(p, q, r, s)
        p, q = multiply(c, d, cos, cos_low)
        r, s = multiply(a, b, sin, sin_low)
        c, d = add(p, q, r, s)
        a, b = v, w
    t, low = divided(a, b, c, d)
    z, z_low = multiply(t, low, t, low)
    rest = 0.0
    for n in range(TERMS - 1, ROUGH - 1, -1):
        rest = rest * z + SERIES[n, 0]
    total, total_low = rest, 0.0
    for n in range(ROUGH - 1, -1, -1):
        total, total_low = multiply(total, total_low, z, z_low)
        total, total_low = add(total, total_low, SERIES[n, 0], SERIES[n, 1])
    t, low = multiply(t, low, total, total_low)
    return add(way * ANGLES[k, 0], way * ANGLES[k, 1], t, low) if k > 0 else (t, low)
