"""The compiled loop of :mod:`flows.systems.own.twofold`: a program in balls of two doubles.

Roots of pairs are those of Lefevre et al. (2023), whose errors are proved there; the others are of
:mod:`flows.arithmetic.pairs`. Radii are doubles.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic import pairs
from flows.arithmetic.kept import loop, unfolded
from flows.arithmetic.pairs import add, divided, exponential, multiply, product
from flows.arithmetic.signatures import signature_of
from flows.arithmetic.vectors import larger, magnitude, root, smaller, where_less

__all__ = ["added", "defect", "evaluate", "logged", "moves", "multiplied", "plain", "quotient"]
__all__ += ["raised", "rooted", "spread_out", "step", "turned"]

# Relative errors with u = 2^-53: of a quotient or a root below 16 u^2; of a sum or a product,
# and of axes that two doubles hold, below 8 u^2.
UNIT, SHARP = 2.0**-102, 2.0**-103
# What underflow leaves of a product; below the next one a quotient, or a root, is not taken.
UNDERFLOW, LEAST = 1e-300, 1e-240
# An angle is right to this part of it; of points nearer to zero, or farther, none is taken.
TURNED, NEAREST, FARTHEST = 2.0**-95, 1e-120, 1e120
# An exponential is right to this part of it, and to four times that less one, of an argument that
# is below the next number in size, and known to the last one.
RAISED, HIGHEST, BLURRED = 2.0**-100, 600.0, 1e-3
# A logarithm is right to this part of itself and of one, and that of a number plus one to four
# times this part of itself; a sine to the next one, of angles up to the last.
LOGGED, WAVED, WIDEST = 2.0**-99, 2.0**-100, 1e6
# An error function is right to this part of it, and farther out it is one up to the second number.
SPREAD, BEYOND = 2.0**-91, 3e-33
# Radii are rounded to nearest.
UPWARD = 1 + 2.0**-40


@unfolded
def added(a, b, ra, c, d, rb):
    """Sum of balls, alone or in lanes."""
    high, low = add(a, b, c, d)
    return high, low, ra + rb + SHARP * magnitude(high)


@unfolded
def multiplied(a, b, ra, c, d, rb):
    """Product of balls."""
    high, low = multiply(a, b, c, d)
    one, other = magnitude(a), magnitude(c)
    lost = where_less(0.0, smaller(one + ra, other + rb), UNDERFLOW, 0.0)
    return high, low, one * rb + other * ra + ra * rb + SHARP * magnitude(high) + lost


@unfolded
def quotient(a, b, ra, c, d, rb):
    """Quotient of balls; of a numerator that underflow may have changed, zero up to its size."""
    one, other = magnitude(a), magnitude(c)
    high, low = divided(a, b, c, d)
    high, low = where_less(LEAST, one, high, 0.0), where_less(LEAST, one, low, 0.0)
    off = where_less(LEAST, one, magnitude(high) * rb, 2.0 * one)
    off = (ra + off) / (other - rb) + UNIT * magnitude(high)
    least = larger(2.0 * rb, LEAST)
    known = where_less(least, other, off, np.nan)
    return where_less(least, other, high, np.nan), low, known


@loop
def raised(a, b, ra, less):
    """Exponential of a ball, less zero or one; far below zero a bound is all that is left of it."""
    high, low = exponential(smaller(larger(a, -HIGHEST), HIGHEST), b, less)
    lost = (1.0 + 3.0 * less) * RAISED * magnitude(high)
    lost = lost + where_less(0.0, magnitude(a), less * UNDERFLOW, 0.0)
    off = (high + less) * ra * (1.0 + ra) + lost
    high, low = where_less(-HIGHEST, a, high, -less), where_less(-HIGHEST, a, low, 0.0)
    off = where_less(-HIGHEST, a, off, 2.0 * math.exp(-HIGHEST))
    known = where_less(ra, BLURRED, where_less(a, HIGHEST, off, np.nan), np.nan)
    return where_less(a, HIGHEST, high, np.nan), low, known


@loop
def spread_out(a, b, ra):
    """Error function of a ball."""
    inside = smaller(larger(a, -pairs.ERF_END), pairs.ERF_END)
    high, low = pairs.error_function(inside, where_less(magnitude(a), pairs.ERF_END, b, 0.0))
    far = where_less(magnitude(a), pairs.ERF_END, 0.0, BEYOND)
    return high, low, 1.2 * ra + SPREAD * magnitude(high) + far


@loop
def logged(y, a, b, ra, more):
    """Logarithm of a ball, plus zero or one, from that in doubles."""
    whole = a + more
    high, low = pairs.logarithm(y, a, b, more)
    lost = LOGGED * ((1.0 + 3.0 * more) * magnitude(high) + 1.0 - more)
    off = ra / (whole - ra) + lost + where_less(0.0, magnitude(a), more * UNDERFLOW, 0.0)
    least = larger(4.0 * ra, LEAST)
    off = where_less(whole, 1.0 / LEAST, off, np.nan)
    return where_less(least, whole, high, np.nan), low, where_less(least, whole, off, np.nan)


@unfolded
def rooted(a, b, ra):
    """Square root of a ball."""
    s = root(a)
    p, e = product(s, s)
    e = (b + ((a - p) - e)) / (2.0 * s)
    high = s + e
    least = larger(4.0 * ra, LEAST)
    off = where_less(a, 1.0 / LEAST, ra / s + UNIT * s, np.nan)
    known = where_less(least, a, off, np.nan)
    return where_less(least, a, high, np.nan), e - (high - s), known


@loop
def step(operation, a, b, ra, c, d, rb):
    """One operation of balls, those of `flows.systems.own.code` in order.

    A radius that is not finite says that the number is not known.
    """
    if operation == 0:
        return added(a, b, ra, c, d, rb)
    if operation == 1:
        return multiplied(a, b, ra, c, d, rb)
    if operation == 2:
        return quotient(a, b, ra, c, d, rb)
    if operation == 4:
        size, near = math.hypot(a, c), math.hypot(ra, rb)
        if not (size > 2.0 * near and NEAREST < size < FARTHEST and (c > rb or abs(a) > ra)):
            return np.nan, np.nan, np.nan
        high, low = pairs.arctangent(a, b, c, d)
        seen = (abs(c) / size * ra + abs(a) / size * rb) / (size - near)
        return high, low, seen + TURNED * abs(high)
    if operation == 5 or operation == 9:
        return raised(a, b, ra, 1.0 if operation == 9 else 0.0)
    if operation == 7 or operation == 8:
        if not (abs(a) < WIDEST and ra < 1.0):
            return np.nan, np.nan, np.nan
        high, low = pairs.sine(a, b, operation - 7)
        return high, low, ra + WAVED * (abs(high) if operation == 7 and abs(a) < 0.5 else 1.0)
    if operation == 11:
        return (-a, -b, ra) if a < 0.0 else (a, b, ra)
    if operation == 12:
        if abs(a) > 2.0 * ra:
            return math.copysign(1.0, a), 0.0, 0.0
        return 0.0, 0.0, 1.0 if ra > 0.0 else 0.0
    if operation == 13:
        return spread_out(a, b, ra)
    if operation == 6 or operation == 10:
        more = 1.0 if operation == 10 else 0.0
        return logged(math.log1p(a) if more == 1.0 else math.log(a), a, b, ra, more)
    return rooted(a, b, ra)


@loop
def plain(operation, a, b):
    """One operation of two doubles."""
    if operation == 0:
        return a + b
    if operation == 1:
        return a * b
    if operation == 2:
        return a / b
    if operation == 5:
        return math.exp(a)
    if operation == 6:
        return math.log(a)
    if operation > 10:
        return abs(a) if operation == 11 else math.erf(a) if operation == 13 else np.sign(a)
    if operation > 8:
        return math.expm1(a) if operation == 9 else math.log1p(a)
    if operation > 6:
        return math.sin(a) if operation == 7 else math.cos(a)
    return math.atan2(a, b) if operation == 4 else math.sqrt(a)


@loop
def moves(n, first, operation, operands):
    """Which steps of a program of rates depend on the direction, the second half of 2 N variables.

    The others are the same for each one.
    """
    found = np.zeros(first + len(operation), np.bool_)
    found[n : 2 * n] = True
    for k in range(len(operation)):
        found[first + k] = found[operands[k, 0]] or found[operands[k, 1]]
    return found[first:]


@loop
def turned(axes, r, results, found):
    """What registers hold along the axes, in rows of `found`, with the arguments of `evaluate`."""
    n = len(found)  # results beyond are not of the gradient
    assert axes.shape[2] == 2 and r.shape[1] == found.shape[1] == 3  # LLVM has to know for vectors
    for i in range(n):
        found[i, 0] = found[i, 1] = found[i, 2] = 0.0
    for j in range(n):  # outermost, so that sums are side by side
        x = results[j]
        c, d, off = r[x, 0], r[x, 1], r[x, 2]
        for i in range(n):
            a, b = multiply(axes[j, i, 0], axes[j, i, 1], c, d)
            high, low = add(found[i, 0], found[i, 1], a, b)
            found[i, 0], found[i, 1] = high, low
            lost = SHARP * (abs(a) + abs(high)) + (UNDERFLOW if a != 0.0 else 0.0)
            found[i, 2] += abs(axes[j, i, 0]) * off + lost
    for i in range(n):
        found[i, 2] *= UPWARD


def _evaluate(u, unit, centre, axes, operation, operands, results, r, found):
    """Gradient along the axes, in rows of `found`: high and low double, and radius.

    Parameters
    ----------
    u, unit : ndarray, shape (N,)
        The increment along the axes, and its units.
    centre : ndarray, shape (N, 3)
        High and low doubles of the state, and radii.
    axes : ndarray, shape (N, N, 2)
        Columns, high and low doubles.
    operation, operands, results : ndarray of int
        The program, see :class:`flows.core.axis_field.Program`.
    r : ndarray, shape (R, 3)
        Registers, with the constants after the first N.
    found : ndarray, shape (N, 3)
        What is computed.
    """
    n = len(u)
    assert axes.shape[2] == 2 and r.shape[1] == found.shape[1] == 3  # LLVM has to know for vectors
    for i in range(n):
        r[i, 0] = r[i, 1] = r[i, 2] = 0.0
    for j in range(n):  # outermost, so that sums are side by side
        c, d = product(u[j], unit[j])
        for i in range(n):
            a, b = multiply(axes[i, j, 0], axes[i, j, 1], c, d)
            high, low = add(r[i, 0], r[i, 1], a, b)
            r[i, 0], r[i, 1] = high, low
            r[i, 2] += abs(a) + abs(high)
    for i in range(n):
        size = r[i, 2]
        r[i, 0], r[i, 1] = add(centre[i, 0], centre[i, 1], r[i, 0], r[i, 1])
        off = SHARP * (size + abs(r[i, 0])) + centre[i, 2]
        r[i, 2] = UPWARD * (off + (UNDERFLOW if size > 0.0 else 0.0))
    first = len(r) - len(operation)
    for k in range(len(operation)):
        x, y = operands[k, 0], operands[k, 1]
        high, low, off = step(operation[k], r[x, 0], r[x, 1], r[x, 2], r[y, 0], r[y, 1], r[y, 2])
        r[first + k, 0], r[first + k, 1], r[first + k, 2] = high, low, UPWARD * off
    turned(axes, r, results, found)


def _defect(axes, found):
    """What columns lack of being orthonormal, `I - Q^T Q`, rounded from two doubles."""
    n = len(axes)
    low = np.empty(n)
    for i in range(n):
        for k in range(i + 1):  # innermost, so that sums are side by side
            found[i, k], low[k] = -1.0 if i == k else 0.0, 0.0
        for j in range(n):
            for k in range(i + 1):
                a, b = product(axes[j, i], axes[j, k])
                found[i, k], low[k] = add(found[i, k], low[k], a, b)
        for k in range(i + 1):
            found[i, k] = found[k, i] = -(found[i, k] + low[k])


defect = loop(_defect, signature_of("real 2", "real 2"))
evaluate = loop(
    _evaluate,
    signature_of(
        *("real 1", "real 1", "real 2", "real 3", "whole 1", "whole 2", "whole 1"),
        *("real 2", "real 2"),
    ),
)
