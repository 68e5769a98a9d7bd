"""The flow along the axes of charts at all stages of a step, in lanes.

What :func:`flows.solvers.near_flow.field` gives one after the other: axes and Hessians, which are
most of what a field reads, are read once for all stages.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import load, spread, store
from flows.solvers.axis_radau import STAGES
from flows.solvers.near_flow import PARTS, change

__all__ = ["TOGETHER", "fields", "products"]

#: Rows whose sums are written out.
TOGETHER = 5
assert STAGES == TOGETHER


@lean
def products(matrix, down, across, x, found):
    """Products of matrices (N, N, lanes) with five rows `x` (5, N, lanes), summed in registers.

    Neighbouring entries of a column are ``down`` numbers apart, those of a row
    ``across``: `N` and 1, or 1 and `N` for the transpose.
    """
    n = x.shape[1]
    for i in range(n):
        a = b = c = d = e = spread(0.0)
        for j in range(n):
            entry = load(matrix, i * down + j * across)
            a += entry * load(x, j)
            b += entry * load(x, j + n)
            c += entry * load(x, j + 2 * n)
            d += entry * load(x, j + 3 * n)
            e += entry * load(x, j + 4 * n)
        store(found, i, a)
        store(found, i + n, b)
        store(found, i + 2 * n, c)
        store(found, i + 3 * n, d)
        store(found, i + 4 * n, e)


@lean
def fields(near, program, s, u, moved, out):
    """Slopes `out` (5, N, lanes) of increments `u` (5, N, lanes); `moved` is room like these."""
    n, r, results = u.shape[1], near.registers, program.results
    for k in range(STAGES):
        for i in range(n):
            at = k * n + i
            store(moved, at, load(near.size, i) * load(u, at))
    products(near.axes, n, 1, moved, out)
    for k in range(STAGES):
        for i in range(n):
            store(r, i * PARTS + 1, load(out, k * n + i))
        change(program, r)
        for i in range(n):
            store(out, k * n + i, load(r, results[i] * PARTS + 2))
    products(near.axes, 1, n, out, moved)
    products(near.matrix, n, 1, u, out)
    for k in range(STAGES):
        for i in range(n):
            at = k * n + i
            total = load(near.slope, i) + load(out, at)
            total += load(near.unit, i) * load(moved, at)
            store(out, at, -load(s, 0) * total)
