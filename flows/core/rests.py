r"""Compiled: the change of functions of one number beyond its linear part, without cancellation.

With `F` at the centre, a change `d = p + v`, of which `p` is linear, makes of it

.. math:: F(x + d) = F(x) + F'(x) p + \text{rest}
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

from flows.arithmetic.kept import lean

__all__ = ["changed", "derivative", "rate_changed"]

# Below these the series are taken, whose next terms are below the rounding of their first ones.
RAISED, TURNED, LOGGED, TERMS, SMALL = 0.5, 0.5, 0.1, 16, 8


@lean
def exponential_rest(d):
    r"""`e^d - 1 - d`."""
    if not abs(d) < RAISED:
        return math.expm1(d) - d
    total = 1.0
    for k in range(TERMS, 2, -1):
        total = 1.0 + total * d / k
    return d * d / 2.0 * total


@lean
def logarithm_rest(w):
    r"""`\log(1 + w) - w`."""
    if not abs(w) < LOGGED:
        return math.log1p(w) - w
    total = 0.0
    for k in range(TERMS + 2, 1, -1):
        total = (-1.0 if k % 2 == 0 else 1.0) / k + total * w
    return w * w * total


@lean
def sine_rest(d):
    r"""`\sin d - d`."""
    if not abs(d) < TURNED:
        return math.sin(d) - d
    total, z = 1.0, d * d
    for k in range(SMALL, 1, -1):
        total = 1.0 - total * z / ((2 * k) * (2 * k + 1))
    return -d * z / 6.0 * total


@lean
def shift(operation):
    """What an exponential is less, or a number whose logarithm is taken is more."""
    return 1.0 if operation > 8 else 0.0


@lean
def derivative(operation, x, value):
    """`F'(x)`, where `F(x)` is known, of an exponential, logarithm, sine or cosine."""
    if operation == 5 or operation == 9:
        return value + shift(operation)
    if operation == 6 or operation == 10:
        return 1.0 / (x + shift(operation))
    return math.cos(x) if operation == 7 else -math.sin(x)


@lean
def changed(operation, x, value, p, v):
    """Rest of `F`."""
    d = p + v
    if operation == 5 or operation == 9:
        return (value + shift(operation)) * (exponential_rest(d) + v)
    if operation == 6 or operation == 10:
        return logarithm_rest(d / (x + shift(operation))) + v / (x + shift(operation))
    half = math.sin(0.5 * d)
    slope = math.cos(x) if operation == 7 else -math.sin(x)
    return slope * (sine_rest(d) + v) - 2.0 * value * half * half


@lean
def rate_changed(operation, x, value, d, p, v):
    r"""Rate of the rest, `F'(x + d) (p + v) - F'(x) p`, where the parts of `d` change by `p, v`."""
    if operation == 5 or operation == 9:
        return (value + shift(operation)) * (math.expm1(d) * (p + v) + v)
    if operation == 6 or operation == 10:
        x = x + shift(operation)
        return (v - p * d / x) / (x + d)
    half = math.sin(0.5 * d)
    slope = math.cos(x) if operation == 7 else -math.sin(x)
    moved = -2.0 * slope * half * half - value * math.sin(d)  # of the slope
    return moved * (p + v) + slope * v
