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

__all__ = ["LANES", "Near", "field", "jacobian"]

#: Members side by side: enough for vectors of any processor, as the innermost loops over lanes are.
LANES = 32


class Near(NamedTuple):
    """Charts of all lanes, in units of their increments; the last axis is that of the lanes.

    ``registers`` (R, 5, lanes): of each, what it is at the centre, `linear`, `rest`, and
    derivatives of these two along an axis, all together in one array, so that compilers see what
    they may do at once; ``slope`` (N, lanes) and ``matrix`` (N, N, lanes): gradient and Hessian
    along the axes; ``inward`` (N, N, lanes): from increments to entries, ``outward`` (N, N,
    lanes): from the gradient to its parts along the axes; ``since`` (lanes,): `s_0`.
    """

    registers: Any
    slope: Any
    matrix: Any
    inward: Any
    outward: Any
    since: Any


@lean
def field(near, program, s, u, out):
    """Slopes `out` (N, lanes) of increments `u`, whose registers stay there."""
    n, r, results = len(u), near.registers, program.results
    operations, operands = program.operation, program.operands
    first = len(r) - len(operations)
    lanes = r.shape[2]  # a number that compilers know lets them unfold short loops, one by one
    for i in range(n):
        for e in range(lanes):
            r[i, 1, e] = near.inward[i, 0, e] * u[0, e]
        for j in range(1, n):
            for e in range(lanes):
                r[i, 1, e] += near.inward[i, j, e] * u[j, e]
    for step in range(len(operations)):
        a, b, k, operation = operands[step, 0], operands[step, 1], first + step, operations[step]
        if operation == 0:
            for e in range(lanes):
                r[k, 1, e] = r[a, 1, e] + r[b, 1, e]
                r[k, 2, e] = r[a, 2, e] + r[b, 2, e]
        elif operation == 1:
            for e in range(lanes):
                x, p, v = r[a, 0, e], r[a, 1, e], r[a, 2, e]
                y, q, w = r[b, 0, e], r[b, 1, e], r[b, 2, e]
                r[k, 1, e] = x * q + y * p
                r[k, 2, e] = x * w + y * v + (p + v) * (q + w)
        elif operation == 2:
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
    for i in range(n):
        for e in range(lanes):
            out[i, e] = near.slope[i, e]
        for j in range(n):
            of_entry = results[j]
            for e in range(lanes):
                linear = out[i, e] + near.matrix[i, j, e] * u[j, e]
                out[i, e] = linear + near.outward[i, j, e] * r[of_entry, 2, e]
        for e in range(lanes):
            out[i, e] *= -s[e]


@lean
def jacobian(near, program, s, found):
    """Derivatives `found` (N, N, lanes) of the slopes where `field` has left its registers."""
    n, r, results = len(found), near.registers, program.results
    operations, operands = program.operation, program.operands
    first, lanes = len(r) - len(operations), r.shape[2]
    for axis in range(n):
        for i in range(n):
            for e in range(lanes):
                r[i, 3, e] = near.inward[i, axis, e]
        for step in range(len(operations)):
            a, b, k, operation = (
                operands[step, 0],
                operands[step, 1],
                first + step,
                operations[step],
            )
            if operation == 0:
                for e in range(lanes):
                    r[k, 3, e] = r[a, 3, e] + r[b, 3, e]
                    r[k, 4, e] = r[a, 4, e] + r[b, 4, e]
            elif operation == 1:
                for e in range(lanes):
                    x, p, v = r[a, 0, e], r[a, 3, e], r[a, 4, e]
                    y, q, w = r[b, 0, e], r[b, 3, e], r[b, 4, e]
                    both = (p + v) * (r[b, 1, e] + r[b, 2, e]) + (q + w) * (r[a, 1, e] + r[a, 2, e])
                    r[k, 3, e] = x * q + y * p
                    r[k, 4, e] = x * w + y * v + both
            elif operation == 2:
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
        for i in range(n):
            for e in range(lanes):
                found[i, axis, e] = near.matrix[i, axis, e]
            for j in range(n):
                of_entry = results[j]
                for e in range(lanes):
                    found[i, axis, e] += near.outward[i, j, e] * r[of_entry, 4, e]
            for e in range(lanes):
                found[i, axis, e] *= -s[e]
