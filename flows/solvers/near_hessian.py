"""Hessians along the axes of charts in lanes, where a field has left its registers.

Unlike the Jacobian of :mod:`flows.solvers.near_flow` they are derivatives of whole registers, not
of parts that are small: right to the rounding of their largest eigenvalue, at a third of the cost.
Where that is not enough Jacobians serve.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from typing import Any

from flows.arithmetic.kept import lean
from flows.arithmetic.numbers import numbers_of
from flows.core.rests import derivative
from flows.solvers.near_flow import LANES, flow_of
from flows.solvers.near_plan import FUSED, PARTS, decoded

__all__ = ["any_stiff", "curvatures", "curvatures_of", "forget", "hessian", "sharpen"]

# Places of registers: the first two are those at which a Jacobian has the rates of their parts.
RATE, WHOLE, OTHER = 3, 4, 5


@lean
def forget(near, program):
    """Leave the registers of variables and constants as a Jacobian expects them."""
    r = near.registers
    for k in range(program.first):
        for e in range(r.shape[2]):
            r[k, RATE, e] = r[k, WHOLE, e] = 0.0


@functools.cache
def curvatures_of(lanes: int) -> Any:
    """Hessians of charts in so many lanes."""
    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero
    _, _, jacobian = flow_of(lanes)

    @lean
    def hessian(near, program, found):
        """Upper triangles `found` (N, N, lanes), along the axes of charts."""
        n, r, results, axes = len(found), near.registers, program.results, near.axes
        for k in program.read:
            at = k * PARTS
            moved = get(r, at + 1) + get(r, at + 2)
            put(r, at + WHOLE, get(r, at) + moved)
        for axis in range(0, n, 2):
            other = min(axis + 1, n - 1)  # two at a time, as registers are read once for both
            for i in range(n):
                put(r, i * PARTS + RATE, get(axes, i * n + axis))
                put(r, i * PARTS + OTHER, get(axes, i * n + other))
            rates(program, r)
            for i in range(other + 1):
                total = beside = zero()
                for j in range(n):
                    of_entry, along = results[j] * PARTS, get(axes, j * n + i)
                    total += along * get(r, of_entry + RATE)
                    beside += along * get(r, of_entry + OTHER)
                put(found, i * n + other, beside)
                if i <= axis:
                    put(found, i * n + axis, total)

    @lean
    def curvatures(near, program, since, stiff, found, careful):
        """Hessians as of `hessian`, by Jacobians where steep axes hide others.

        That is where the largest curvature is `stiff` times `1/since`, or more; `careful`
        (N, N, lanes) is room.
        """
        hessian(near, program, found)
        if any_stiff(found, since, stiff):
            sharpen(near, program, since, stiff, found, careful)

    @lean
    def any_stiff(found, since, stiff):
        """Whether steep axes hide others in any lane."""
        found_one = False
        for e in range(lanes):
            found_one = found_one or is_stiff(found, since, stiff, e)
        return found_one

    @lean
    def sharpen(near, program, since, stiff, found, careful):
        """Put down what Jacobians tell where steep axes hide others."""
        n, size = len(found), near.size
        forget(near, program)
        jacobian(near, program, near.since, careful)
        for e in range(lanes):
            if not is_stiff(found, since, stiff, e):
                continue
            for i in range(n):
                for j in range(i, n):
                    one = careful[i, j, e] * size[i, e] / size[j, e]
                    other = careful[j, i, e] * size[j, e] / size[i, e]
                    found[i, j, e] = -(one + other) / 2 / near.since[e]

    @lean
    def is_stiff(matrix, since, stiff, e):
        """Whether rounding of the largest curvature of a lane is as much as others are."""
        most = 0.0
        for i in range(len(matrix)):
            most = max(most, abs(matrix[i, i, e]))
        return not since[e] * most < stiff

    @lean
    def rates(program, r):
        """Record derivatives of registers along two axes; the state's own are given."""
        for step in range(len(program.operation)):
            operation, (a, b, k), (at_a, at_b, at_c, at) = decoded(program, step)
            if operation == FUSED:
                x, y = get(r, at_a + WHOLE), get(r, at_b + WHOLE)
                one = get(r, at_c + RATE) + x * get(r, at_b + RATE)
                put(r, at + RATE, one + y * get(r, at_a + RATE))
                one = get(r, at_c + OTHER) + x * get(r, at_b + OTHER)
                put(r, at + OTHER, one + y * get(r, at_a + OTHER))
            elif operation == 0:
                put(r, at + RATE, get(r, at_a + RATE) + get(r, at_b + RATE))
                put(r, at + OTHER, get(r, at_a + OTHER) + get(r, at_b + OTHER))
            elif operation == 1:
                x, y = get(r, at_a + WHOLE), get(r, at_b + WHOLE)
                put(r, at + RATE, x * get(r, at_b + RATE) + y * get(r, at_a + RATE))
                put(r, at + OTHER, x * get(r, at_b + OTHER) + y * get(r, at_a + OTHER))
            else:
                rates_one_by_one(operation, a, b, k, r, RATE)
                rates_one_by_one(operation, a, b, k, r, OTHER)

    @lean
    def rates_one_by_one(operation, a, b, k, r, part):
        """Put down the derivative of a quotient, an angle or a root."""
        if operation == 2:
            for e in range(lanes):
                change = r[a, part, e] - r[k, WHOLE, e] * r[b, part, e]
                r[k, part, e] = change / r[b, WHOLE, e]
        elif operation == 4:
            for e in range(lanes):
                y, x = r[a, WHOLE, e], r[b, WHOLE, e]
                turned = x * r[a, part, e] - y * r[b, part, e]
                r[k, part, e] = turned / (x * x + y * y)
        elif operation > 4:
            for e in range(lanes):
                r[k, part, e] = (
                    derivative(operation, r[a, WHOLE, e], r[k, WHOLE, e]) * r[a, part, e]
                )
        else:
            for e in range(lanes):
                r[k, part, e] = r[a, part, e] / (2.0 * r[k, WHOLE, e])

    return hessian, curvatures, any_stiff, sharpen


hessian, curvatures, any_stiff, sharpen = curvatures_of(LANES)
