"""Double-double arithmetic on arrays: about 32 digits, for the few places where 16 do not do.

A number is the unevaluated sum of two doubles ``(high, low)``. Used to bring a start into sound
coordinates: the rest after the projection on the teacher may be 1e-15 of the whole.
Algorithms: Dekker (1971), Knuth's two-sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array

_SPLIT = 134217729.0  # 2^27 + 1


class Pair(NamedTuple):
    """The number ``high + low``."""

    high: Array
    low: Array


def two_sum(a: Array, b: Array) -> Pair:
    """``a + b`` exactly."""
    total = a + b
    shadow = total - a
    return Pair(total, (a - (total - shadow)) + (b - shadow))


def two_product(a: Array, b: Array) -> Pair:
    """``a b`` exactly, barring overflow."""
    product = a * b
    scaled = _SPLIT * a
    a_high = scaled - (scaled - a)
    scaled = _SPLIT * b
    b_high = scaled - (scaled - b)
    a_low, b_low = a - a_high, b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return Pair(product, error)


def add(a: Pair, b: Pair) -> Pair:
    """``a + b``, relative error about 2^-104 of the larger summand."""
    high, error = two_sum(a.high, b.high)
    low, rest = two_sum(a.low, b.low)
    high, error = two_sum(high, error + low)
    return two_sum(high, error + rest)


def multiply(a: Pair, b: Pair) -> Pair:
    """``a b``, relative error about 2^-102."""
    high, error = two_product(a.high, b.high)
    return two_sum(high, error + (a.high * b.low + a.low * b.high))


def divide(a: Pair, b: Pair) -> Pair:
    """``a / b``, relative error about 2^-100."""
    first = a.high / b.high
    rest = add(a, multiply(Pair(-first, np.zeros_like(first)), b))
    second = rest.high / b.high
    rest = add(rest, multiply(Pair(-second, np.zeros_like(second)), b))
    high, error = two_sum(first, second)
    return two_sum(high, error + rest.high / b.high)


def exact(a: Array) -> Pair:
    """The doubles ``a`` as pairs."""
    a = np.asarray(a, dtype=float)
    return Pair(a, np.zeros_like(a))


def total(a: Pair, axis: int) -> Pair:
    """Sum along ``axis``, by halves."""
    a = Pair(np.moveaxis(a.high, axis, 0), np.moveaxis(a.low, axis, 0))
    while a.high.shape[0] > 1:
        half = a.high.shape[0] // 2
        summed = add(
            Pair(a.high[:half], a.low[:half]), Pair(a.high[half : 2 * half], a.low[half : 2 * half])
        )
        a = Pair(
            np.concatenate([summed.high, a.high[2 * half :]]),
            np.concatenate([summed.low, a.low[2 * half :]]),
        )
    return Pair(a.high[0], a.low[0])


def dot(a: Array, b: Array) -> Pair:
    """Inner product of doubles along the last axis, exact products summed in pairs."""
    return total(two_product(*np.broadcast_arrays(a, b)), axis=-1)
