r"""The flow in the coordinates of states around the centres of charts, in lanes.

.. math:: \frac{dx}{d\tau} = -s \left(\nabla L(c) + \Delta(x)\right), \qquad s = s_0 e^\tau

Each register of a program is `x_0 + \Delta`, with `x_0` at the centre of the chart, so that little
is lost where the flow is gentle and the units along the axes are equal: a product with neither axes
nor Hessians costs several times less than :func:`flows.solvers.near_flow.field`.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import load, store
from flows.core.rests import changed, derivative
from flows.solvers.near_plan import FUSED, PARTS, decoded

__all__ = ["plain_field"]

# The part of a register that has the whole change; the one behind it stays 0.
MOVED = 1


@lean
def plain_field(near, program, s, x, out):
    """Slopes `out` (N, lanes) at `x` from the centres; registers stay there."""
    r, results = near.registers, program.results
    for i in range(len(x)):
        store(r, i * PARTS + MOVED, load(x, i))
    move(program, r)
    for i in range(len(x)):
        at = results[i] * PARTS
        whole = load(r, at) + load(r, at + MOVED)
        store(out, i, -load(s, 0) * whole)


@lean
def move(program, r):
    """Put down by how much registers differ from those at the centres."""
    for step in range(len(program.operation)):
        operation, (a, b, k), (at_a, at_b, at_c, at) = decoded(program, step)
        if operation == FUSED:
            p, q = load(r, at_a + MOVED), load(r, at_b + MOVED)
            moved = load(r, at_c + MOVED) + (load(r, at_b) + q) * p
            store(r, at + MOVED, moved + load(r, at_a) * q)
        elif operation == 0:
            store(r, at + MOVED, load(r, at_a + MOVED) + load(r, at_b + MOVED))
        elif operation == 1:
            p, q = load(r, at_a + MOVED), load(r, at_b + MOVED)
            moved = load(r, at_a) * q + (load(r, at_b) + q) * p
            store(r, at + MOVED, moved)
        else:
            move_one_by_one(operation, a, b, k, r)


@lean
def move_one_by_one(operation, a, b, k, r):
    """Put down by how much a quotient, an angle or a root differs from that at the centres."""
    lanes = r.shape[2]
    if operation == 2:
        for e in range(lanes):
            q = r[b, MOVED, e]
            r[k, MOVED, e] = (r[a, MOVED, e] - r[k, 0, e] * q) / (r[b, 0, e] + q)
    elif operation == 4:
        for e in range(lanes):
            y, q, x, p = r[a, 0, e], r[a, MOVED, e], r[b, 0, e], r[b, MOVED, e]
            r[k, MOVED, e] = math.atan2(x * q - y * p, x * (x + p) + y * (y + q))
    elif operation > 4:
        for e in range(lanes):
            x, d, whole = r[a, 0, e], r[a, MOVED, e], r[k, 0, e]
            r[k, MOVED, e] = derivative(operation, x, whole) * d + changed(
                operation, x, whole, d, 0.0
            )
    else:
        for e in range(lanes):
            p = r[a, MOVED, e]
            r[k, MOVED, e] = p / (r[k, 0, e] + math.sqrt(r[a, 0, e] + p))
