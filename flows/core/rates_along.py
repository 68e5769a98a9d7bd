"""Compiled: a program of rates along many directions at once, in doubles and in two of them.

The innermost loops run over directions, in blocks of a length that compilers know, so that they
become vectors. Each direction is followed by itself: its numbers do not depend on the others.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import numpy as np

from flows.core.compiled import loop
from flows.core.twofold_loop import moves, plain, step
from flows.core.twofold_pairs import add, multiply

__all__ = ["BLOCK", "plain_rates", "spread", "twofold_rates"]

# Directions are filled up to a multiple of this, the length of vectors.
BLOCK = 16


@loop
def spread(count):
    """Directions with those that fill the last vector."""
    return (count + BLOCK - 1) // BLOCK * BLOCK


@loop
def plain_rates(y, directions, operation, operands, constants):
    """Registers (R, width) of a program at `y` (N,), along the columns of `directions`.

    The program is as of :class:`flows.core.axis_field.Code`, of variables that are the entries and
    then those of a direction.
    """
    n, many = directions.shape
    first, width = 2 * n + len(constants), spread(many)
    r = np.empty((first + len(operation), width))
    for i in range(n):
        for e in range(width):
            r[i, e] = y[i]
            r[n + i, e] = directions[i, e] if e < many else 0.0
    for i in range(len(constants)):
        for e in range(width):
            r[2 * n + i, e] = constants[i, 0]
    moving = moves(n, first, operation, operands)
    for s in range(len(operation)):
        k, x, z, what = first + s, operands[s, 0], operands[s, 1], operation[s]
        if not moving[s] or what > 1:
            # The same along all of them, or not worth a vector.
            for e in range(width):
                if moving[s] or e == 0:
                    r[k, e] = plain(what, r[x, e], r[z, e])
                else:
                    r[k, e] = r[k, 0]
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
    first, width = 2 * n + len(constants), spread(many)
    r = np.empty((first + len(operation), 2, width))
    for part in range(2):
        for i in range(n):
            for e in range(width):
                r[i, part, e] = y[i, part]
                r[n + i, part, e] = directions[i, e, part] if e < many else 0.0
        for i in range(len(constants)):
            for e in range(width):
                r[2 * n + i, part, e] = constants[i, part]
    moving = moves(n, first, operation, operands)
    for s in range(len(operation)):
        k, x, z, what = first + s, operands[s, 0], operands[s, 1], operation[s]
        if not moving[s] or what > 1:
            for e in range(width):
                if moving[s] or e == 0:
                    high, low, _ = step(
                        what,
                        r[x, 0, e],
                        r[x, 1, e],
                        0.0,
                        r[z, 0, e],
                        r[z, 1, e],
                        0.0,
                    )
                    r[k, 0, e], r[k, 1, e] = high, low
                else:
                    r[k, 0, e], r[k, 1, e] = r[k, 0, 0], r[k, 1, 0]
        elif what == 0:
            for e in range(width):
                r[k, 0, e], r[k, 1, e] = add(r[x, 0, e], r[x, 1, e], r[z, 0, e], r[z, 1, e])
        else:
            for e in range(width):
                r[k, 0, e], r[k, 1, e] = multiply(r[x, 0, e], r[x, 1, e], r[z, 0, e], r[z, 1, e])
    return r
