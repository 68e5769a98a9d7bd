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

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import WIDTH, load, spread, store
from flows.core.angle_rest import angle_rest, angle_rest_rate
from flows.core.rests import changed, derivative, rate_changed
from flows.solvers.near_plan import FUSED

__all__ = ["LANES", "PARTS", "Near", "change", "decoded", "field", "jacobian"]

#: Members side by side: one vector of them. What two would read does not stay in the cache.
LANES = WIDTH
#: Numbers of each register.
PARTS = 6


class Near(NamedTuple):
    """Charts of all lanes, in units of their increments; the last axis is that of the lanes.

    ``registers`` (R, 6, lanes): of each, what it is at the centre, `linear`, `rest`, derivatives
    of these two along an axis, and one more for Hessians, all together in one array, so that
    compilers see what they may do at once; ``slope`` (N, lanes) and ``matrix`` (N, N, lanes):
    gradient and Hessian along the axes; ``axes`` (N, N, lanes): their columns; ``size``, ``unit``
    (N, lanes): of a unit along each axis, and its reciprocal; ``since`` (lanes,): `s_0`.
    """

    registers: Any
    slope: Any
    matrix: Any
    axes: Any
    size: Any
    unit: Any
    since: Any


@lean
def field(near, program, s, u, out):
    """Slopes `out` (N, lanes) of increments `u`, whose registers stay there."""
    n, r, results = len(u), near.registers, program.results
    for i in range(n):
        total = spread(0.0)
        for j in range(n):
            far = load(near.size, j) * load(u, j)
            total += load(near.axes, i * n + j) * far
        store(r, i * PARTS + 1, total)
    change(program, r)
    for i in range(n):
        total = load(near.slope, i)
        for j in range(n):
            total += load(near.matrix, i * n + j) * load(u, j)
        store(out, i, total * load(near.size, i))
    add_along(near, results, 2, out)
    for i in range(n):
        total = load(near.unit, i) * load(out, i)
        store(out, i, -load(s, 0) * total)


@lean
def add_along(near, results, part, out):
    """Add what a part of the gradient is along the axes, whose rows are read as they lie."""
    n, r = len(out), near.registers
    for j in range(0, n - 1, 2):
        one = load(r, results[j] * PARTS + part)
        other = load(r, results[j + 1] * PARTS + part)
        for i in range(n):
            total = load(out, i) + load(near.axes, j * n + i) * one
            total += load(near.axes, (j + 1) * n + i) * other
            store(out, i, total)
    if n % 2 == 1:
        one = load(r, results[n - 1] * PARTS + part)
        for i in range(n):
            total = load(out, i)
            total += load(near.axes, (n - 1) * n + i) * one
            store(out, i, total)


@lean
def decoded(program, step):
    """Operation of a step; its registers `a`, `b` and `k`; where parts of `a, b, c, k` begin."""
    operands = program.operands
    a, b, c, k = operands[step, 0], operands[step, 1], operands[step, 2], operands[step, 3]
    places = a * PARTS, b * PARTS, c * PARTS, k * PARTS
    return program.operation[step], (a, b, k), places


@lean
def change(program, r):
    """Put down by how much registers differ from those at the centres."""
    for step in range(len(program.operation)):
        operation, (a, b, k), (at_a, at_b, at_c, at) = decoded(program, step)
        if operation == FUSED:
            x, y = load(r, at_a), load(r, at_b)
            p, q = load(r, at_a + 1), load(r, at_b + 1)
            rest, other = load(r, at_a + 2), load(r, at_b + 2)
            store(r, at + 1, load(r, at_c + 1) + x * q + y * p)
            both = load(r, at_c + 2) + (p + rest) * (q + other)
            store(r, at + 2, both + x * other + y * rest)
        elif operation == 0:
            for part in range(1, 3):
                store(r, at + part, load(r, at_a + part) + load(r, at_b + part))
        elif operation == 1:
            x, y = load(r, at_a), load(r, at_b)
            p, q = load(r, at_a + 1), load(r, at_b + 1)
            rest, other = load(r, at_a + 2), load(r, at_b + 2)
            store(r, at + 1, x * q + y * p)
            both = (p + rest) * (q + other)
            store(r, at + 2, x * other + y * rest + both)
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
    elif operation > 4:
        for e in range(lanes):
            x, p, v, whole = r[a, 0, e], r[a, 1, e], r[a, 2, e], r[k, 0, e]
            r[k, 1, e] = derivative(operation, x, whole) * p
            r[k, 2, e] = changed(operation, x, whole, p, v)
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
            far = load(near.axes, i * n + axis)
            store(r, i * PARTS + 3, load(near.size, axis) * far)
        rates(program, r)
        for i in range(n):
            total, rest = load(near.matrix, i * n + axis), spread(0.0)
            for j in range(n):
                of_entry = load(r, results[j] * PARTS + 4)
                rest += load(near.axes, j * n + i) * of_entry
            total += load(near.unit, i) * rest
            store(found, i * n + axis, -load(s, 0) * total)


@lean
def rates(program, r):
    """Put down derivatives of registers along an axis, whose own are there."""
    for step in range(len(program.operation)):
        operation, (a, b, k), (at_a, at_b, at_c, at) = decoded(program, step)
        if operation == 0:
            for part in range(3, 5):
                store(r, at + part, load(r, at_a + part) + load(r, at_b + part))
        elif operation == 1 or operation == FUSED:
            x, y = load(r, at_a), load(r, at_b)
            moved = load(r, at_a + 1) + load(r, at_a + 2)
            other = load(r, at_b + 1) + load(r, at_b + 2)
            p, q = load(r, at_a + 3), load(r, at_b + 3)
            rest, beside = load(r, at_a + 4), load(r, at_b + 4)
            rate = x * q + y * p
            both = (p + rest) * other + (q + beside) * moved
            both = x * beside + y * rest + both
            if operation == FUSED:
                rate += load(r, at_c + 3)
                both += load(r, at_c + 4)
            store(r, at + 3, rate)
            store(r, at + 4, both)
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
                r[b, 0, e], r[a, 0, e], p, q, r[b, 3, e], r[a, 3, e], r[b, 4, e], r[a, 4, e]
            )
    elif operation > 4:
        for e in range(lanes):
            x, moved, p, v = r[a, 0, e], r[a, 1, e] + r[a, 2, e], r[a, 3, e], r[a, 4, e]
            r[k, 3, e] = derivative(operation, x, r[k, 0, e]) * p
            r[k, 4, e] = rate_changed(operation, x, r[k, 0, e], moved, p, v)
    else:
        for e in range(lanes):
            moved, root = r[a, 1, e] + r[a, 2, e], r[k, 0, e]
            p, v, there = r[a, 3, e], r[a, 4, e], math.sqrt(r[a, 0, e] + moved)
            change, changes = moved / (root + there), (p + v) / (2.0 * there)
            r[k, 3, e] = p / (2.0 * root)
            r[k, 4, e] = (v - 2.0 * change * changes) / (2.0 * root)
