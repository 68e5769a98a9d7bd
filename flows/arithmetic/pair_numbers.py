"""Pairs of vectors as one kind of number: what rounding loses of each lane is in a second vector.

Sums, products and quotients of these numbers are written with operators; the formulas are those of
:mod:`flows.arithmetic.pairs`. Elementary functions go lane by lane, and only through lanes in use;
where an argument is outside their domain, the result is NaN.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call, misc"

from __future__ import annotations

import math
import operator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, make_attribute_wrapper, models, overload, register_model

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.pairs import (
    add,
    arctangent,
    divided,
    exponential,
    gather,
    joined,
    logarithm,
    minus,
    multiply,
    plus,
    product,
    sine,
    times,
)
from flows.arithmetic.vectors import load, spread, store, vector

__all__ = ["UNIT", "beside", "elementary", "ended", "get", "less", "more", "negative", "pair"]
__all__ += ["put", "scaled", "whole"]

#: What one operation rounds, relative to its result.
UNIT = 2.0**-104
# Arguments of an exponential that are smaller give zero, and larger ones nothing.
HIGHEST = 600.0
# Angles of larger arguments have too few digits.
WIDEST = 1e8


class _Pair(types.Type):
    """Type of a pair of vectors."""

    def __init__(self) -> None:
        super().__init__(name="pair of vectors")


_pair = _Pair()


@register_model(_Pair)
class _Model(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("high", vector), ("low", vector)])


make_attribute_wrapper(_Pair, "high", "high")
make_attribute_wrapper(_Pair, "low", "low")


@intrinsic
def pair(typing, high, low):
    """Number of its high and its low part."""

    def code(context, builder, sig, args):
        both = cgutils.create_struct_proxy(_pair)(context, builder)
        both.high, both.low = args
        return both._getvalue()

    return _pair(vector, vector), code


@lean
def _sum(x, y):
    return pair(*add(x.high, x.low, y.high, y.low))


@lean
def _difference(x, y):
    return pair(*add(x.high, x.low, times(y.high, -1.0), times(y.low, -1.0)))


@lean
def _product(x, y):
    return pair(*multiply(x.high, x.low, y.high, y.low))


@lean
def _quotient(x, y):
    return pair(*divided(x.high, x.low, y.high, y.low))


def _define(operation: Any, of_two: Any) -> None:
    @overload(operation)
    def chosen(x, y):
        if isinstance(x, _Pair) and isinstance(y, _Pair):
            return lambda x, y: of_two(x, y)
        return None


for _operation, _of_two in (
    (operator.add, _sum),
    (operator.sub, _difference),
    (operator.mul, _product),
    (operator.truediv, _quotient),
):
    _define(_operation, _of_two)


@lean
def get(x, i):
    """Number `i` of an array of vectors, two for each number."""
    return pair(load(x, 2 * i), load(x, 2 * i + 1))


@lean
def put(x, i, number):
    """Write number `i` of an array."""
    store(x, 2 * i, number.high)
    store(x, 2 * i + 1, number.low)


@lean
def whole(high, low):
    """Number that is the same in each lane."""
    return pair(spread(high), spread(low))


@lean
def negative(x):
    """What is as large below zero."""
    return pair(times(x.high, -1.0), times(x.low, -1.0))


@lean
def scaled(x, by):
    """Product with doubles."""
    p, e = product(x.high, by)
    return pair(*joined(p, plus(e, times(x.low, by))))


@lean
def less(s, low, x, y):
    """Take the product of two numbers from a sum, as :func:`flows.arithmetic.pairs.gather` adds."""
    return gather(s, low, times(x.high, -1.0), times(x.low, -1.0), y.high, y.low)


@lean
def more(s, low, x, by):
    """Add the product of a number with doubles to a sum."""
    p, e = product(x.high, by)
    total = plus(s, p)
    t = minus(total, s)
    lost = plus(minus(s, minus(total, t)), minus(p, t))
    return total, plus(low, plus(lost, plus(e, times(x.low, by))))


@lean
def beside(x, y):
    """Sum with doubles."""
    total = plus(x.high, y)
    t = minus(total, x.high)
    lost = plus(minus(x.high, minus(total, t)), minus(y, t))
    return pair(*joined(total, plus(lost, x.low)))


@lean
def ended(s, low):
    """Number of a sum and what has been gathered beside it."""
    return pair(*joined(s, low))


@inner
def elementary(operation, at, x, y, to, lanes):
    """Carry out an operation that is no sum, product or quotient, in the first lanes.

    ``at`` (2 R, lanes) holds registers, high parts above low ones.
    """
    for e in range(lanes):
        a, b, high, low = at[2 * x, e], at[2 * x + 1, e], math.nan, math.nan
        if operation == 3:
            s = math.sqrt(a)
            p, q = product(s, s)
            rest = (b + ((a - p) - q)) / (2.0 * s) if s > 0.0 else s
            high = s + rest
            low = rest - (high - s)
        elif operation == 4:
            high, low = arctangent(a, b, at[2 * y, e], at[2 * y + 1, e])
        elif operation == 5:
            if abs(a) < HIGHEST:
                high, low = exponential(a, b)
            elif a < 0.0:
                high, low = 0.0, 0.0
        elif operation == 6:
            if a > 0.0:
                high, low = logarithm(a, b)
        elif abs(a) < WIDEST:
            high, low = sine(a, b, operation - 7)
        at[2 * to, e], at[2 * to + 1, e] = high, low
