"""Numbers of two doubles, `high + low`, alone or in lanes: what rounding loses is in the second.

Sums, products and quotients are those of Joldes, Muller & Popescu, *Tight and rigorous error bounds
for basic building blocks of double-word arithmetic* (2017), Algorithms 6, 11 and 17, whose errors
are proved there. Each operation in them is rounded once and never fused with another.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flint import arb, ctx
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.cgutils import get_or_insert_function

from flows.arithmetic.kept import loop, unfolded
from flows.arithmetic.vectors import MAGIC, intrinsic_of_numbers, power_of_two, where_less

__all__ = ["add", "arctangent", "divided", "error_function", "exponential", "gather", "joined"]
__all__ += ["logarithm", "multiply", "product", "sine"]

# A turn by a multiple of pi / PARTS leaves an angle below pi / 64, of which so many terms of the
# series are more than 2^-106 of the first; those from the second number on, in doubles.
PARTS, TERMS, ROUGH = 32, 13, 6
# An exponential is one of an argument below `log(2)/2` over 2^HALVES. Of its series so many terms
# are more than 2^-106 of the first; HEAVY of them in two doubles.
HALVES, POWERS, HEAVY = 9, 10, 6
# The logarithm of a number that is nearer to one is found by how far it is from one.
NEAR_ONE = 0.5
# An error function is one of an argument up to this; its series has so many terms.
ERF_END, ERF_TERMS = 8.5, 200
# A sine is one of an angle below half a right angle, whose series has so many terms.
SWINGS = 28
# Bits of what is then rounded to two doubles.
BITS = 200


def _pairs(values: Any) -> Any:
    """Numbers with many digits, as high and low doubles."""
    return np.array([(float(x), float(x - float(x))) for x in values])


with ctx.workprec(BITS):
    _TURNS = [arb(k) / PARTS for k in range(PARTS + 1)]
    COSINES = _pairs(arb.cos_pi(x) for x in _TURNS)
    SINES = _pairs(arb.sin_pi(x) for x in _TURNS)
    ANGLES = _pairs(arb.pi() * x for x in _TURNS)
    # So short that its product with a power of two's exponent is a double; then what is left.
    _OCTAVE = math.floor(math.log(2.0) * 2.0**40) * 2.0**-40
    OCTAVE = np.array([_OCTAVE, *_pairs([arb(2).log() - _OCTAVE])[0]])
    _QUARTER = math.floor(math.pi * 2.0**29) * 2.0**-30
    QUARTER = np.array([_QUARTER, *_pairs([arb.pi() / 2 - _QUARTER])[0]])
    WAVES = _pairs(arb((-1) ** (k // 2)) / arb.fac_ui(k) for k in range(SWINGS))
    FACTORIALS = _pairs(arb(1) / arb.fac_ui(k + 1) for k in range(POWERS))
    ODD = _pairs(arb(1) / (2 * k + 3) for k in range(ERF_TERMS))
    ERF_SLOPE = _pairs([2 / arb.pi().sqrt()])[0]
    SERIES = _pairs(arb((-1) ** k) / (2 * k + 1) for k in range(TERMS))


def _fused(builder, x, y, z):
    lanes = f"v{x.type.count}" if isinstance(x.type, ir.VectorType) else ""
    kind = ir.FunctionType(x.type, [x.type] * 3)
    name = f"llvm.fma.{lanes}f64"
    return builder.call(get_or_insert_function(builder.module, kind, name), [x, y, z])


plus = intrinsic_of_numbers(2, lambda builder, x, y: builder.fadd(x, y))
minus = intrinsic_of_numbers(2, lambda builder, x, y: builder.fsub(x, y))
times = intrinsic_of_numbers(2, lambda builder, x, y: builder.fmul(x, y))
over = intrinsic_of_numbers(2, lambda builder, x, y: builder.fdiv(x, y))
fused = intrinsic_of_numbers(3, _fused)


@unfolded
def product(x, y):
    """Two doubles whose sum is the product."""
    p = times(x, y)
    return p, fused(x, y, -p)


@unfolded
def joined(s, low):
    """Pair of a sum and of what has been gathered beside it."""
    high = plus(s, low)
    return high, minus(low, minus(high, s))


@unfolded
def add(a, b, c, d):
    """Sum of two pairs."""
    s, v = plus(a, c), plus(b, d)
    t = minus(s, a)
    e = plus(minus(a, minus(s, t)), minus(c, t))
    t = minus(v, b)
    w = plus(minus(b, minus(v, t)), minus(d, t))
    e = plus(e, v)
    high = plus(s, e)
    return joined(high, plus(w, minus(e, minus(high, s))))


@unfolded
def multiply(a, b, c, d):
    """Product of two pairs."""
    p, e = product(a, c)
    return joined(p, plus(e, plus(times(a, d), times(b, c))))


@unfolded
def divided(a, b, c, d):
    """Quotient of two pairs."""
    q = over(a, c)
    p, e = multiply(c, d, q, times(q, 0.0))
    return joined(q, over(plus(minus(a, p), minus(b, e)), c))


@unfolded
def gather(s, low, a, b, c, d):
    """Sum with a product of pairs added; `low` gathers what is lost, and is added at the end.

    As Dot2 of Ogita, Rump & Oishi, *Accurate sum and dot product* (2005).
    """
    p, e = product(a, c)
    total = plus(s, p)
    t = minus(total, s)
    lost = plus(minus(s, minus(total, t)), minus(p, t))
    return total, plus(low, plus(lost, plus(e, plus(times(a, d), times(b, c)))))


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


@loop
def exponential(a, b, less):
    r"""Exponential of a pair between -600 and 600, less zero or one.

    .. math:: e^x = 2^k \left(1 + s_9\right), \qquad s_{i+1} = 2 s_i + s_i^2, \qquad
              s_0 = e^r - 1, \quad r = 2^{-9} (x - k \log 2)

    Each doubling leaves relative errors of `s` as they are, but for its own rounding. The error is
    below `2^-100` of the exponential, and below `2^-98` of that less one.
    """
    k = minus(plus(over(a, OCTAVE[0]), MAGIC), MAGIC)
    r, low = add(a, b, times(k, -OCTAVE[0]), 0.0)
    p, e = multiply(k, 0.0, -OCTAVE[1], -OCTAVE[2])
    r, low = add(r, low, p, e)
    r, low = times(r, 2.0**-HALVES), times(low, 2.0**-HALVES)
    rest = s_low = times(r, 0.0)
    for n in range(POWERS - 1, HEAVY - 1, -1):
        rest = plus(times(rest, r), FACTORIALS[n, 0])
    s = rest
    for n in range(HEAVY - 1, -1, -1):
        s, s_low = multiply(s, s_low, r, low)
        s, s_low = add(s, s_low, FACTORIALS[n, 0], FACTORIALS[n, 1])
    s, s_low = multiply(s, s_low, r, low)
    for _ in range(HALVES):
        p, e = multiply(s, s_low, s, s_low)
        s, s_low = add(times(s, 2.0), times(s_low, 2.0), p, e)
    p, e = add(1.0, 0.0, s, s_low)
    scale = power_of_two(plus(k, MAGIC))
    p, e = times(p, scale), times(e, scale)
    if less == 0.0:
        return p, e
    p, e = add(p, e, -1.0, 0.0)
    own = times(k, k)  # zero where the difference is what the series has
    return where_less(own, 0.5, s, p), where_less(own, 0.5, s_low, e)


@loop
def error_function(a, b):
    r"""Error function of a pair of size `ERF_END` at most.

    .. math:: \operatorname{erf} x = \frac{2 x}{\sqrt\pi} e^{-x^2}
              \left(1 + \frac{2 x^2}3 \left(1 + \frac{2 x^2}5 (1 + \ldots)\right)\right)

    All terms have one sign. The error is below `2^-92` of it.
    """
    z, z_low = multiply(a, b, a, b)
    r, low = exponential(times(z, -1.0), times(z_low, -1.0), 0.0)
    z, z_low = times(z, 2.0), times(z_low, 2.0)
    s, s_low = plus(times(a, 0.0), 1.0), times(a, 0.0)
    for n in range(ERF_TERMS - 1, -1, -1):
        s, s_low = multiply(s, s_low, ODD[n, 0], ODD[n, 1])
        s, s_low = multiply(s, s_low, z, z_low)
        s, s_low = add(s, s_low, 1.0, 0.0)
    s, s_low = multiply(s, s_low, r, low)
    s, s_low = multiply(s, s_low, ERF_SLOPE[0], ERF_SLOPE[1])
    return multiply(s, s_low, a, b)


@loop
def logarithm(y, a, b, more):
    """Logarithm of a pair that doubles hold, plus zero or one, from that in doubles.

    Its error is below `2^-99` of itself and of one, and that of a pair plus one `2^-97` of itself.
    """
    c, d = add(a, b, more, 0.0)
    high, low = _refined(y, c, d, 0.0)
    if more == 0.0:
        return high, low
    square, end = times(a, a), NEAR_ONE**2
    near, rest = _refined(y, a, b, 1.0)
    return where_less(square, end, near, high), where_less(square, end, rest, low)


@loop
def _refined(y, a, b, more):
    """A logarithm by a step of Newton's method."""
    r, low = exponential(times(y, -1.0), times(y, 0.0), more)
    p, e = multiply(a, b, r, low)
    if more == 1.0:
        p, e = add(p, e, a, b)
        p, e = add(p, e, r, low)
    else:
        p, e = add(p, e, -1.0, 0.0)
    # What is left is so small that two terms of its series are enough.
    return add(y, times(y, 0.0), p, minus(e, times(0.5, times(p, p))))


@loop
def sine(a, b, turns):
    r"""Sine of a pair, turned by so many right angles: one turn makes it the cosine.

    .. math:: x = r + \frac{k \pi}2, \qquad |r| \le \frac\pi4

    Its error is below `2^-100`, and below that part of it where `k` and the turns are zero.
    """
    k = float(math.floor(a / QUARTER[0] + 0.5))
    r, low = add(a, b, -k * QUARTER[0], 0.0)
    p, e = multiply(k, 0.0, QUARTER[1], QUARTER[2])
    r, low = add(r, low, -p, -e)
    z, z_low = multiply(r, low, r, low)
    quarter = (int(k) + turns) % 4
    odd = 1 - quarter % 2
    s, s_low = 0.0, 0.0
    for n in range(SWINGS - 2 + odd, -1, -2):
        s, s_low = multiply(s, s_low, z, z_low)
        s, s_low = add(s, s_low, WAVES[n, 0], WAVES[n, 1])
    if odd == 1:
        s, s_low = multiply(s, s_low, r, low)
    return (s, s_low) if quarter < 2 else (-s, -s_low)
