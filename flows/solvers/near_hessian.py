"""Hessians along the axes of charts in lanes, where a field has left its registers.

Unlike the Jacobian of :mod:`flows.solvers.near_lanes` they are derivatives of whole registers, not
of parts that are small: right to the rounding of their largest eigenvalue, at a third of the cost.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.core.compiled import lean

__all__ = ["forget", "hessian"]

# Places of registers, at which a Jacobian has the rates of their parts.
RATE, WHOLE = 3, 4


@lean
def hessian(near, program, axes, found):
    """Upper triangles `found` (N, N, lanes), along axes whose first digits are (N, N, 2, lanes)."""
    n, r, results = len(found), near.registers, program.results
    operations, operands = program.operation, program.operands
    first, lanes = len(r) - len(operations), r.shape[2]
    for k in range(len(r)):
        for e in range(lanes):
            r[k, WHOLE, e] = r[k, 0, e] + (r[k, 1, e] + r[k, 2, e])
    for axis in range(n):
        for i in range(n):
            for e in range(lanes):
                r[i, RATE, e] = axes[i, axis, 0, e]
        for step in range(len(operations)):
            a, b, k, operation = (
                operands[step, 0],
                operands[step, 1],
                first + step,
                operations[step],
            )
            if operation == 0:
                for e in range(lanes):
                    r[k, RATE, e] = r[a, RATE, e] + r[b, RATE, e]
            elif operation == 1:
                for e in range(lanes):
                    one, other = r[a, WHOLE, e] * r[b, RATE, e], r[b, WHOLE, e] * r[a, RATE, e]
                    r[k, RATE, e] = one + other
            elif operation == 2:
                for e in range(lanes):
                    change = r[a, RATE, e] - r[k, WHOLE, e] * r[b, RATE, e]
                    r[k, RATE, e] = change / r[b, WHOLE, e]
            elif operation == 4:
                for e in range(lanes):
                    y, x = r[a, WHOLE, e], r[b, WHOLE, e]
                    turned = x * r[a, RATE, e] - y * r[b, RATE, e]
                    r[k, RATE, e] = turned / (x * x + y * y)
            else:
                for e in range(lanes):
                    r[k, RATE, e] = r[a, RATE, e] / (2.0 * r[k, WHOLE, e])
        for i in range(axis + 1):
            of_entry = results[0]
            for e in range(lanes):
                found[i, axis, e] = axes[0, i, 0, e] * r[of_entry, RATE, e]
            for j in range(1, n):
                of_entry = results[j]
                for e in range(lanes):
                    found[i, axis, e] += axes[j, i, 0, e] * r[of_entry, RATE, e]


@lean
def forget(near, program):
    """Leave the registers of variables and constants as a Jacobian expects them."""
    r = near.registers
    for k in range(len(r) - len(program.operation)):
        for e in range(r.shape[2]):
            r[k, RATE, e] = r[k, WHOLE, e] = 0.0
