"""The flow along the axes of charts at all stages of a step, in lanes.

What :func:`flows.solvers.near_flow.field` gives one after the other: axes and Hessians, which are
most of what a field reads, are read once for all stages.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from typing import Any

from flows.arithmetic.kept import lean
from flows.arithmetic.numbers import numbers_of
from flows.solvers.near_flow import LANES, flow_of
from flows.solvers.near_plan import PARTS
from flows.solvers.timed_radau import STAGES

__all__ = ["TOGETHER", "fields", "products", "stages_of"]

#: Rows whose sums are written out.
TOGETHER = 5
assert STAGES == TOGETHER


@functools.cache
def stages_of(lanes: int) -> Any:
    """Products with matrices, and fields, at all stages of steps in so many lanes."""
    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero
    _, change, _ = flow_of(lanes)

    @lean
    def products(matrix, down, across, x, found):
        """Products of matrices (N, N, lanes) with five rows `x` (5, N, lanes), summed in registers.

        Neighbouring entries of a column are ``down`` numbers apart, those of a row
        ``across``: `N` and 1, or 1 and `N` for the transpose.
        """
        n = x.shape[1]
        for i in range(n):
            a = b = c = d = e = zero()
            for j in range(n):
                entry = get(matrix, i * down + j * across)
                a += entry * get(x, j)
                b += entry * get(x, j + n)
                c += entry * get(x, j + 2 * n)
                d += entry * get(x, j + 3 * n)
                e += entry * get(x, j + 4 * n)
            put(found, i, a)
            put(found, i + n, b)
            put(found, i + 2 * n, c)
            put(found, i + 3 * n, d)
            put(found, i + 4 * n, e)

    @lean
    def fields(near, program, s, u, moved, out):
        """Slopes `out` (5, N, lanes) of increments `u` (5, N, lanes); `moved` is such room."""
        n, r, results = u.shape[1], near.registers, program.results
        for k in range(STAGES):
            for i in range(n):
                at = k * n + i
                put(moved, at, get(near.size, i) * get(u, at))
        products(near.axes, n, 1, moved, out)
        for k in range(STAGES):
            for i in range(n):
                put(r, i * PARTS + 1, get(out, k * n + i))
            change(program, r)
            for i in range(n):
                put(out, k * n + i, get(r, results[i] * PARTS + 2))
        products(near.axes, 1, n, out, moved)
        products(near.matrix, n, 1, u, out)
        for k in range(STAGES):
            for i in range(n):
                at = k * n + i
                total = get(near.slope, i) + get(out, at)
                total += get(near.unit, i) * get(moved, at)
                put(out, at, -get(s, 0) * total)

    return products, fields


products, fields = stages_of(LANES)
