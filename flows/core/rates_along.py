"""Compiled: a program of rates along many directions at once, in doubles and in two of them.

The innermost loops run over directions, in blocks of vectors. Each direction is followed by itself:
its numbers do not depend on the others.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import numpy as np

from flows.arithmetic.kept import loop
from flows.arithmetic.pairs import add, gather, joined, multiply
from flows.arithmetic.vectors import WIDTH, load, spread, store
from flows.core.enclosed_program import moves, plain, step

__all__ = ["plain_rates", "summed", "twofold_rates", "width_of"]


@loop
def width_of(count):
    """Directions with those that fill the last vector."""
    return (count + WIDTH - 1) // WIDTH * WIDTH


@loop
def plain_rates(y, directions, operation, operands, constants):
    """Registers (R, width) of a program at `y` (N,), along the columns of `directions`.

    The program is as of :class:`flows.core.axis_field.Code`, of variables that are the entries and
    then those of a direction.
    """
    n, many = directions.shape
    first, width = 2 * n + len(constants), width_of(many)
    r = np.empty((first + len(operation), width))
    for i in range(n):
        for e in range(width):
            r[i, e] = y[i]
            r[n + i, e] = directions[i, e] if e < many else 0.0
    for i in range(len(constants)):
        r[2 * n + i, :] = constants[i, 0]
    moving = moves(n, first, operation, operands)
    for s in range(len(operation)):
        k, x, z, what = first + s, operands[s, 0], operands[s, 1], operation[s]
        if not moving[s] or what > 1:
            # The same along all of them, or not worth a vector.
            for e in range(width):
                new = moving[s] or e == 0
                r[k, e] = plain(what, r[x, e], r[z, e]) if new else r[k, 0]
        elif what == 0:
            for e in range(width):
                r[k, e] = r[x, e] + r[z, e]
        else:
            for e in range(width):
                r[k, e] = r[x, e] * r[z, e]
    return r


@loop
def twofold_rates(y, directions, operation, operands, constants):
    """As `plain_rates` in two doubles, of `y` (N, 2) and `directions` (N, M, 2).

    Returns registers (R, 2, width).
    """
    n, many, _ = directions.shape
    first, width = 2 * n + len(constants), width_of(many)
    r, blocks = np.empty((first + len(operation), 2, width)), width // WIDTH
    for i in range(n):
        fill(r, i, y[i, 0], y[i, 1])
        for part in range(2):
            for e in range(width):
                r[n + i, part, e] = directions[i, e, part] if e < many else 0.0
    for i in range(len(constants)):
        fill(r, 2 * n + i, constants[i, 0], constants[i, 1])
    moving = moves(n, first, operation, operands)
    for s in range(len(operation)):
        k, x, z, what = first + s, operands[s, 0], operands[s, 1], operation[s]
        if not moving[s]:  # the same along all of them
            high, low, _ = step(what, r[x, 0, 0], r[x, 1, 0], 0.0, r[z, 0, 0], r[z, 1, 0], 0.0)
            fill(r, k, high, low)
        elif what > 1:  # not worth a vector
            for e in range(width):
                high, low, _ = step(what, r[x, 0, e], r[x, 1, e], 0.0, r[z, 0, e], r[z, 1, e], 0.0)
                r[k, 0, e], r[k, 1, e] = high, low
        else:
            for block in range(blocks):
                at, other = 2 * x * blocks + block, 2 * z * blocks + block
                a, b = load(r, at), load(r, at + blocks)
                c, d = load(r, other), load(r, other + blocks)
                high, low = add(a, b, c, d) if what == 0 else multiply(a, b, c, d)
                store(r, 2 * k * blocks + block, high)
                store(r, (2 * k + 1) * blocks + block, low)
    return r


@loop
def fill(r, k, high, low):
    """Put a pair down that is the same along all directions."""
    for e in range(r.shape[2]):
        r[k, 0, e], r[k, 1, e] = high, low


@loop
def summed(weights, column, r, results, found):
    """Sums `found` (2, width) of results in two doubles, by weights (N, M, 2) in a column."""
    blocks = r.shape[2] // WIDTH
    for block in range(blocks):
        high = low = spread(0.0)
        for j in range(len(results)):
            at = 2 * results[j] * blocks + block
            a, b = weights[j, column, 0], weights[j, column, 1]
            high, low = gather(high, low, a, b, load(r, at), load(r, at + blocks))
        high, low = joined(high, low)
        store(found, block, high)
        store(found, blocks + block, low)
