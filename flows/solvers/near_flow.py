r"""The flow along the axes of charts around exact states, for several members side by side.

.. math:: \frac{du}{d\tau} = -s \left(g + M u + Q^T r(u)\right), \qquad s = s_0 e^\tau

Each register of a program is `x_0 + linear + rest`, with `x_0` at the centre of the chart. `g` and
`M` are gradient and Hessian there, from two doubles; `r`, the rest of the gradient, is of second
order. So nothing that is small is a difference of large numbers, and plain doubles are enough.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.numbers import numbers_of
from flows.arithmetic.vectors import WIDTH
from flows.core.angle_rest import angle_rest, angle_rest_rate
from flows.core.rests import changed, derivative, rate_changed
from flows.solvers.near_plan import FUSED, PARTS, decoded

__all__ = ["LANES", "Near", "change", "field", "flow_of", "jacobian", "near_of"]

#: Members side by side: one vector of them. What two would read does not stay in the cache.
LANES = WIDTH


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


@inner
def near_of(n, count, lanes):
    """Work space of charts in lanes, for programs with this number of registers."""
    return Near(
        np.zeros((count, PARTS, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, n, lanes)),
        np.zeros((n, n, lanes)),
        np.ones((n, lanes)),
        np.ones((n, lanes)),
        np.ones(lanes),
    )


@functools.cache
def flow_of(lanes: int) -> Any:
    """Fields and Jacobians of charts in so many lanes."""
    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero

    @lean
    def field(near, program, s, u, out):
        """Slopes `out` (N, lanes) of increments `u`, whose registers stay there."""
        n, r, results = len(u), near.registers, program.results
        for i in range(n):
            total = zero()
            for j in range(n):
                far = get(near.size, j) * get(u, j)
                total += get(near.axes, i * n + j) * far
            put(r, i * PARTS + 1, total)
        change(program, r)
        for i in range(n):
            total = get(near.slope, i)
            for j in range(n):
                total += get(near.matrix, i * n + j) * get(u, j)
            put(out, i, total * get(near.size, i))
        add_along(near, results, 2, out)
        for i in range(n):
            total = get(near.unit, i) * get(out, i)
            put(out, i, -get(s, 0) * total)

    @lean
    def add_along(near, results, part, out):
        """Add what a part of the gradient is along the axes, whose rows are read as they lie."""
        n, r = len(out), near.registers
        for j in range(0, n - 1, 2):
            one = get(r, results[j] * PARTS + part)
            other = get(r, results[j + 1] * PARTS + part)
            for i in range(n):
                total = get(out, i) + get(near.axes, j * n + i) * one
                total += get(near.axes, (j + 1) * n + i) * other
                put(out, i, total)
        if n % 2 == 1:
            one = get(r, results[n - 1] * PARTS + part)
            for i in range(n):
                total = get(out, i)
                total += get(near.axes, (n - 1) * n + i) * one
                put(out, i, total)

    @lean
    def change(program, r):
        """Put down by how much registers differ from those at the centres."""
        for step in range(len(program.operation)):
            operation, (a, b, k), (at_a, at_b, at_c, at) = decoded(program, step)
            if operation == FUSED:
                x, y = get(r, at_a), get(r, at_b)
                p, q = get(r, at_a + 1), get(r, at_b + 1)
                rest, other = get(r, at_a + 2), get(r, at_b + 2)
                put(r, at + 1, get(r, at_c + 1) + x * q + y * p)
                both = get(r, at_c + 2) + (p + rest) * (q + other)
                put(r, at + 2, both + x * other + y * rest)
            elif operation == 0:
                for part in range(1, 3):
                    put(r, at + part, get(r, at_a + part) + get(r, at_b + part))
            elif operation == 1:
                x, y = get(r, at_a), get(r, at_b)
                p, q = get(r, at_a + 1), get(r, at_b + 1)
                rest, other = get(r, at_a + 2), get(r, at_b + 2)
                put(r, at + 1, x * q + y * p)
                both = (p + rest) * (q + other)
                put(r, at + 2, x * other + y * rest + both)
            else:
                change_one_by_one(operation, a, b, k, r)

    @lean
    def change_one_by_one(operation, a, b, k, r):
        """Put down by how much a quotient, an angle or a root differs from that at the centres."""
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
                far = get(near.axes, i * n + axis)
                put(r, i * PARTS + 3, get(near.size, axis) * far)
            rates(program, r)
            for i in range(n):
                total, rest = get(near.matrix, i * n + axis), zero()
                for j in range(n):
                    of_entry = get(r, results[j] * PARTS + 4)
                    rest += get(near.axes, j * n + i) * of_entry
                total += get(near.unit, i) * rest
                put(found, i * n + axis, -get(s, 0) * total)

    @lean
    def rates(program, r):
        """Put down derivatives of registers along an axis, whose own are there."""
        for step in range(len(program.operation)):
            operation, (a, b, k), (at_a, at_b, at_c, at) = decoded(program, step)
            if operation == 0:
                for part in range(3, 5):
                    put(r, at + part, get(r, at_a + part) + get(r, at_b + part))
            elif operation == 1 or operation == FUSED:
                x, y = get(r, at_a), get(r, at_b)
                moved = get(r, at_a + 1) + get(r, at_a + 2)
                other = get(r, at_b + 1) + get(r, at_b + 2)
                p, q = get(r, at_a + 3), get(r, at_b + 3)
                rest, beside = get(r, at_a + 4), get(r, at_b + 4)
                rate = x * q + y * p
                both = (p + rest) * other + (q + beside) * moved
                both = x * beside + y * rest + both
                if operation == FUSED:
                    rate += get(r, at_c + 3)
                    both += get(r, at_c + 4)
                put(r, at + 3, rate)
                put(r, at + 4, both)
            else:
                rates_one_by_one(operation, a, b, k, r)

    @lean
    def rates_one_by_one(operation, a, b, k, r):
        """Put down the derivatives of a quotient, an angle or a root."""
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

    return field, change, jacobian


field, change, jacobian = flow_of(LANES)
