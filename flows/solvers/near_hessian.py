"""Hessians along the axes of charts in lanes, where a field has left its registers.

Unlike the Jacobian of :mod:`flows.solvers.near_flow` they are derivatives of whole registers, not
of parts that are small: right to the rounding of their largest eigenvalue, at a third of the cost.
Where that is not enough Jacobians serve.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import load, spread, store
from flows.core.rests import derivative
from flows.solvers.near_flow import LANES, PARTS, decoded, jacobian
from flows.solvers.near_plan import FUSED

__all__ = ["any_stiff", "curvatures", "forget", "hessian", "sharpen"]

# Places of registers: the first two are those at which a Jacobian has the rates of their parts.
RATE, WHOLE, OTHER = 3, 4, 5


@lean
def hessian(near, program, found):
    """Upper triangles `found` (N, N, lanes), along the axes of charts."""
    n, r, results, axes = len(found), near.registers, program.results, near.axes
    for k in program.read:
        at = k * PARTS
        moved = load(r, at + 1) + load(r, at + 2)
        store(r, at + WHOLE, load(r, at) + moved)
    for axis in range(0, n, 2):
        other = min(axis + 1, n - 1)  # two at a time, as registers are read once for both
        for i in range(n):
            store(r, i * PARTS + RATE, load(axes, i * n + axis))
            store(r, i * PARTS + OTHER, load(axes, i * n + other))
        rates(program, r)
        for i in range(other + 1):
            total = beside = spread(0.0)
            for j in range(n):
                of_entry, along = results[j] * PARTS, load(axes, j * n + i)
                total += along * load(r, of_entry + RATE)
                beside += along * load(r, of_entry + OTHER)
            store(found, i * n + other, beside)
            if i <= axis:
                store(found, i * n + axis, total)


@lean
def curvatures(near, program, since, stiff, found, careful):
    """Hessians as of :func:`hessian`, by Jacobians where steep axes hide others.

    That is where the largest curvature is `stiff` times `1/since`, or more; `careful` (N, N, lanes)
    is room.
    """
    hessian(near, program, found)
    if any_stiff(found, since, stiff):
        sharpen(near, program, since, stiff, found, careful)


@lean
def any_stiff(found, since, stiff):
    """Whether steep axes hide others in any lane."""
    found_one = False
    for e in range(LANES):
        found_one = found_one or is_stiff(found, since, stiff, e)
    return found_one


@lean
def sharpen(near, program, since, stiff, found, careful):
    """Put down what Jacobians tell where steep axes hide others."""
    n, size = len(found), near.size
    forget(near, program)
    jacobian(near, program, near.since, careful)
    for e in range(LANES):
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
            x, y = load(r, at_a + WHOLE), load(r, at_b + WHOLE)
            one = load(r, at_c + RATE) + x * load(r, at_b + RATE)
            store(r, at + RATE, one + y * load(r, at_a + RATE))
            one = load(r, at_c + OTHER) + x * load(r, at_b + OTHER)
            store(r, at + OTHER, one + y * load(r, at_a + OTHER))
        elif operation == 0:
            store(r, at + RATE, load(r, at_a + RATE) + load(r, at_b + RATE))
            store(r, at + OTHER, load(r, at_a + OTHER) + load(r, at_b + OTHER))
        elif operation == 1:
            x, y = load(r, at_a + WHOLE), load(r, at_b + WHOLE)
            store(r, at + RATE, x * load(r, at_b + RATE) + y * load(r, at_a + RATE))
            store(r, at + OTHER, x * load(r, at_b + OTHER) + y * load(r, at_a + OTHER))
        else:
            rates_one_by_one(operation, a, b, k, r, RATE)
            rates_one_by_one(operation, a, b, k, r, OTHER)


@lean
def rates_one_by_one(operation, a, b, k, r, part):
    """Put down the derivative of a quotient, an angle or a root."""
    lanes = r.shape[2]
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
            r[k, part, e] = derivative(operation, r[a, WHOLE, e], r[k, WHOLE, e]) * r[a, part, e]
    else:
        for e in range(lanes):
            r[k, part, e] = r[a, part, e] / (2.0 * r[k, WHOLE, e])


@lean
def forget(near, program):
    """Leave the registers of variables and constants as a Jacobian expects them."""
    r = near.registers
    for k in range(program.first):
        for e in range(r.shape[2]):
            r[k, RATE, e] = r[k, WHOLE, e] = 0.0
