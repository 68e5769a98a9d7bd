"""Sums and products of pairs of vectors: what rounding loses stands in the second of a pair.

That takes operations that are rounded once each and never fused, unlike those of other vectors.
What sums lose is gathered beside them, and added at their ends.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.cgutils import get_or_insert_function

from flows.arithmetic.kept import inner
from flows.arithmetic.vectors import intrinsic_of_vectors

__all__ = ["add", "gather", "joined", "multiply", "product"]


def _fused(builder, x, y, z):
    kind = ir.FunctionType(x.type, [x.type] * 3)
    name = f"llvm.fma.v{x.type.count}f64"
    return builder.call(get_or_insert_function(builder.module, kind, name), [x, y, z])


plus = intrinsic_of_vectors(2, lambda builder, x, y: builder.fadd(x, y))
minus = intrinsic_of_vectors(2, lambda builder, x, y: builder.fsub(x, y))
times = intrinsic_of_vectors(2, lambda builder, x, y: builder.fmul(x, y))
fused = intrinsic_of_vectors(3, _fused)

#: Vectors stay in registers where no call comes between.
_number: Any = functools.partial(inner, unfolds=True, counts=False)


@_number
def product(x, y):
    """Two vectors whose sum is the product."""
    p = times(x, y)
    return p, fused(x, y, -p)


@_number
def add(a, b, c, d):
    """Sum of two pairs, as in :mod:`flows.core.twofold_pairs`."""
    s, v = plus(a, c), plus(b, d)
    t = minus(s, a)
    e = plus(minus(a, minus(s, t)), minus(c, t))
    t = minus(v, b)
    w = plus(minus(b, minus(v, t)), minus(d, t))
    e = plus(e, v)
    high = plus(s, e)
    return joined(high, plus(w, minus(e, minus(high, s))))


@_number
def multiply(a, b, c, d):
    """Product of two pairs, as there."""
    p, e = product(a, c)
    return joined(p, plus(e, plus(times(a, d), times(b, c))))


@_number
def gather(s, low, a, b, c, d):
    """Sum with a product of pairs added; `low` gathers what is lost, and is added at the end.

    As Dot2 of Ogita, Rump & Oishi, *Accurate sum and dot product* (2005).
    """
    p, e = product(a, c)
    total = plus(s, p)
    t = minus(total, s)
    lost = plus(minus(s, minus(total, t)), minus(p, t))
    return total, plus(low, plus(lost, plus(e, plus(times(a, d), times(b, c)))))


@_number
def joined(s, low):
    """Pair of a sum and of what has been gathered beside it."""
    high = plus(s, low)
    return high, minus(low, minus(high, s))
