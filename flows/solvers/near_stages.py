"""The flow along the axes of charts at all stages of a step, in lanes.

What :func:`flows.solvers.near_lanes.field` gives one after the other: axes and Hessians, which are
most of what a field reads, are read once for all stages.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.core.compiled import lean
from flows.core.vectors import load, spread, store
from flows.solvers.axis_radau import STAGES
from flows.solvers.near_lanes import PARTS, VECTORS, change

__all__ = ["TOGETHER", "fields", "products"]

#: Rows whose sums are written out.
TOGETHER = 5
assert STAGES == TOGETHER


@lean
def products(matrix, down, across, x, found, busy):
    """Products of matrices (N, N, lanes) with five rows `x` (5, N, lanes), summed in registers.

    Entries of a matrix are ``down`` apart in a column and ``across`` in a row: `N` and 1, or, of
    its transpose, 1 and `N`.
    """
    n = x.shape[1]
    row = n * VECTORS
    for v in range(busy[0], busy[1]):
        for i in range(n):
            a = b = c = d = e = spread(0.0)
            for j in range(n):
                entry = load(matrix, (i * down + j * across) * VECTORS + v)
                at = j * VECTORS + v
                a += entry * load(x, at)
                b += entry * load(x, at + row)
                c += entry * load(x, at + 2 * row)
                d += entry * load(x, at + 3 * row)
                e += entry * load(x, at + 4 * row)
            at = i * VECTORS + v
            store(found, at, a)
            store(found, at + row, b)
            store(found, at + 2 * row, c)
            store(found, at + 3 * row, d)
            store(found, at + 4 * row, e)


@lean
def fields(near, program, s, u, moved, out, busy):
    """Slopes `out` (5, N, lanes) of increments `u` (5, N, lanes); `moved` is room like these."""
    n, r, results = u.shape[1], near.registers, program.results
    for k in range(STAGES):
        for i in range(n):
            for v in range(busy[0], busy[1]):
                at = (k * n + i) * VECTORS + v
                store(moved, at, load(near.size, i * VECTORS + v) * load(u, at))
    products(near.axes, n, 1, moved, out, busy)
    for k in range(STAGES):
        for i in range(n):
            for v in range(busy[0], busy[1]):
                store(r, (i * PARTS + 1) * VECTORS + v, load(out, (k * n + i) * VECTORS + v))
        change(program, r, busy)
        for i in range(n):
            for v in range(busy[0], busy[1]):
                rest = load(r, (results[i] * PARTS + 2) * VECTORS + v)
                store(out, (k * n + i) * VECTORS + v, rest)
    products(near.axes, 1, n, out, moved, busy)
    products(near.matrix, n, 1, u, out, busy)
    for k in range(STAGES):
        for i in range(n):
            for v in range(busy[0], busy[1]):
                at, axis = (k * n + i) * VECTORS + v, i * VECTORS + v
                total = load(near.slope, axis) + load(out, at)
                total += load(near.unit, axis) * load(moved, at)
                store(out, at, -load(s, v) * total)
