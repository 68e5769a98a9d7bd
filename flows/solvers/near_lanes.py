r"""The flow along the axes of charts around exact states, for several members side by side.

.. math:: \frac{du}{d\tau} = -s \left(g + M u + Q^T r(u)\right), \qquad s = s_0 e^\tau

Each register of a program is `x_0 + linear + rest`, with `x_0` at the centre of the chart. `g` and
`M` are gradient and Hessian there, from two doubles; `r`, the rest of the gradient, is of second
order. So nothing that is small is a difference of large numbers, and plain doubles are enough.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

from flows.core.angle_rest import angle_rest, angle_rest_rate
from flows.core.compiled import lean
from flows.core.vectors import WIDTH, load, spread, store

__all__ = ["EVERY", "LANES", "PARTS", "VECTORS", "Near", "busy_in", "change", "field", "jacobian"]

#: Vectors of members side by side: enough for what a processor does at a time.
VECTORS = 2
LANES = VECTORS * WIDTH
#: The first vector of all, and what is behind the last one.
EVERY = (0, VECTORS)
#: Numbers of each register.
PARTS = 5


class Near(NamedTuple):
    """Charts of all lanes, in units of their increments; the last axis is that of the lanes.

    ``registers`` (R, 5, lanes): of each, what it is at the centre, `linear`, `rest`, and
    derivatives of these two along an axis, all together in one array, so that compilers see what
    they may do at once; ``slope`` (N, lanes) and ``matrix`` (N, N, lanes): gradient and Hessian
    along the axes; ``axes`` (N, N, lanes): their columns; ``size``, ``unit`` (N, lanes): of a unit
    along each axis, and its reciprocal; ``since`` (lanes,): `s_0`.
    """

    registers: Any
    slope: Any
    matrix: Any
    axes: Any
    size: Any
    unit: Any
    since: Any


@lean
def busy_in(flags):
    """First vector in which a lane has a flag, and what is behind the last one."""
    first, last = VECTORS, 0
    for e in range(LANES):
        if flags[e]:
            first, last = min(first, e // WIDTH), e // WIDTH + 1
    return first, last


@lean
def field(near, program, s, u, out, busy):
    """Slopes `out` (N, lanes) of increments `u` in busy vectors, whose registers stay there."""
    n, r, results = len(u), near.registers, program.results
    for v in range(busy[0], busy[1]):
        for i in range(n):
            total = spread(0.0)
            for j in range(n):
                far = load(near.size, j * VECTORS + v) * load(u, j * VECTORS + v)
                total += load(near.axes, (i * n + j) * VECTORS + v) * far
            store(r, (i * PARTS + 1) * VECTORS + v, total)
    change(program, r, busy)
    for v in range(busy[0], busy[1]):
        for i in range(n):
            total = load(near.slope, i * VECTORS + v)
            for j in range(n):
                total += load(near.matrix, (i * n + j) * VECTORS + v) * load(u, j * VECTORS + v)
            store(out, i * VECTORS + v, total * load(near.size, i * VECTORS + v))
        add_along(near, results, 2, v, out)
        for i in range(n):
            total = load(near.unit, i * VECTORS + v) * load(out, i * VECTORS + v)
            store(out, i * VECTORS + v, -load(s, v) * total)


@lean
def add_along(near, results, part, v, out):
    """Add what a part of the gradient is along the axes, whose rows are read as they lie."""
    n, r = len(out), near.registers
    for j in range(0, n - 1, 2):
        one = load(r, (results[j] * PARTS + part) * VECTORS + v)
        other = load(r, (results[j + 1] * PARTS + part) * VECTORS + v)
        for i in range(n):
            total = load(out, i * VECTORS + v) + load(near.axes, (j * n + i) * VECTORS + v) * one
            total += load(near.axes, ((j + 1) * n + i) * VECTORS + v) * other
            store(out, i * VECTORS + v, total)
    if n % 2 == 1:
        one = load(r, (results[n - 1] * PARTS + part) * VECTORS + v)
        for i in range(n):
            total = load(out, i * VECTORS + v)
            total += load(near.axes, ((n - 1) * n + i) * VECTORS + v) * one
            store(out, i * VECTORS + v, total)


@lean
def change(program, r, busy):
    """Put down by how much registers differ from those at the centres."""
    start, stop = busy
    operations, operands = program.operation, program.operands
    first = len(r) - len(operations)
    for step in range(len(operations)):
        a, b, k, operation = operands[step, 0], operands[step, 1], first + step, operations[step]
        at_a, at_b, at = a * PARTS * VECTORS, b * PARTS * VECTORS, k * PARTS * VECTORS
        if operation == 0:
            for part in range(VECTORS, 3 * VECTORS, VECTORS):
                for v in range(part + start, part + stop):
                    store(r, at + v, load(r, at_a + v) + load(r, at_b + v))
        elif operation == 1:
            for v in range(start, stop):
                x, y = load(r, at_a + v), load(r, at_b + v)
                p, q = load(r, at_a + VECTORS + v), load(r, at_b + VECTORS + v)
                rest, other = load(r, at_a + 2 * VECTORS + v), load(r, at_b + 2 * VECTORS + v)
                store(r, at + VECTORS + v, x * q + y * p)
                both = (p + rest) * (q + other)
                store(r, at + 2 * VECTORS + v, x * other + y * rest + both)
        else:
            change_one_by_one(operation, a, b, k, r)


@lean
def change_one_by_one(operation, a, b, k, r):
    """Put down by how much a quotient, an angle or a root differs from that at the centres."""
    lanes = r.shape[2]  # a number that compilers know lets them unfold short loops, one by one
    if operation == 2:
        for e in range(lanes):
            p, v, y, q, w = r[a, 1, e], r[a, 2, e], r[b, 0, e], r[b, 1, e], r[b, 2, e]
            ratio = r[k, 0, e]
            change = (p + v - ratio * (q + w)) / (y + q + w)
            r[k, 1, e] = (p - ratio * q) / y
            r[k, 2, e] = (v - ratio * w - change * (q + w)) / y
    elif operation == 4:
        for e in range(lanes):
            y, q, w, x, p, v = (
                r[a, 0, e],
                r[a, 1, e],
                r[a, 2, e],
                r[b, 0, e],
                r[b, 1, e],
                r[b, 2, e],
            )
            r[k, 1, e] = (x * q - y * p) / (x * x + y * y)
            r[k, 2, e] = angle_rest(x, y, p, v, q, w)
    else:
        for e in range(lanes):
            x, p, v, root = r[a, 0, e], r[a, 1, e], r[a, 2, e], r[k, 0, e]
            change = (p + v) / (root + math.sqrt(x + p + v))
            r[k, 1, e] = p / (2.0 * root)
            r[k, 2, e] = (v - change * change) / (2.0 * root)


@lean
def jacobian(near, program, s, found):
    """Derivatives `found` (N, N, lanes) of all slopes where `field` has left its registers."""
    n, r, results = len(found), near.registers, program.results
    for axis in range(n):
        for i in range(n):
            for v in range(VECTORS):
                far = load(near.axes, (i * n + axis) * VECTORS + v)
                store(r, (i * PARTS + 3) * VECTORS + v, load(near.size, axis * VECTORS + v) * far)
        rates(program, r)
        for v in range(VECTORS):
            for i in range(n):
                total, rest = load(near.matrix, (i * n + axis) * VECTORS + v), spread(0.0)
                for j in range(n):
                    of_entry = load(r, (results[j] * PARTS + 4) * VECTORS + v)
                    rest += load(near.axes, (j * n + i) * VECTORS + v) * of_entry
                total += load(near.unit, i * VECTORS + v) * rest
                store(found, (i * n + axis) * VECTORS + v, -load(s, v) * total)


@lean
def rates(program, r):
    """Put down derivatives of registers along an axis, whose own are there."""
    operations, operands = program.operation, program.operands
    first = len(r) - len(operations)
    for step in range(len(operations)):
        a, b, k, operation = operands[step, 0], operands[step, 1], first + step, operations[step]
        at_a, at_b, at = a * PARTS * VECTORS, b * PARTS * VECTORS, k * PARTS * VECTORS
        if operation == 0:
            for v in range(3 * VECTORS, 5 * VECTORS):
                store(r, at + v, load(r, at_a + v) + load(r, at_b + v))
        elif operation == 1:
            for v in range(VECTORS):
                x, y = load(r, at_a + v), load(r, at_b + v)
                moved = load(r, at_a + VECTORS + v) + load(r, at_a + 2 * VECTORS + v)
                other = load(r, at_b + VECTORS + v) + load(r, at_b + 2 * VECTORS + v)
                p, q = load(r, at_a + 3 * VECTORS + v), load(r, at_b + 3 * VECTORS + v)
                rest, beside = load(r, at_a + 4 * VECTORS + v), load(r, at_b + 4 * VECTORS + v)
                store(r, at + 3 * VECTORS + v, x * q + y * p)
                both = (p + rest) * other + (q + beside) * moved
                store(r, at + 4 * VECTORS + v, x * beside + y * rest + both)
        else:
            rates_one_by_one(operation, a, b, k, r)


@lean
def rates_one_by_one(operation, a, b, k, r):
    """Put down the derivatives of a quotient, an angle or a root."""
    lanes = r.shape[2]
    if operation == 2:
        for e in range(lanes):
            y, moved, ratio = r[b, 0, e], r[b, 1, e] + r[b, 2, e], r[k, 0, e]
            p, v, q, w = r[a, 3, e], r[a, 4, e], r[b, 3, e], r[b, 4, e]
            change = (r[a, 1, e] + r[a, 2, e] - ratio * moved) / (y + moved)
            changes = (p + v - (ratio + change) * (q + w)) / (y + moved)
            r[k, 3, e] = (p - ratio * q) / y
            r[k, 4, e] = (v - ratio * w - changes * moved - change * (q + w)) / y
    elif operation == 4:
        for e in range(lanes):
            p, q = r[b, 1, e] + r[b, 2, e], r[a, 1, e] + r[a, 2, e]
            r[k, 3, e], r[k, 4, e] = angle_rest_rate(
                r[b, 0, e],
                r[a, 0, e],
                p,
                q,
                r[b, 3, e],
                r[a, 3, e],
                r[b, 4, e],
                r[a, 4, e],
            )
    else:
        for e in range(lanes):
            moved, root = r[a, 1, e] + r[a, 2, e], r[k, 0, e]
            p, v, there = r[a, 3, e], r[a, 4, e], math.sqrt(r[a, 0, e] + moved)
            change, changes = moved / (root + there), (p + v) / (2.0 * there)
            r[k, 3, e] = p / (2.0 * root)
            r[k, 4, e] = (v - 2.0 * change * changes) / (2.0 * root)
