"""Compiled: axes of symmetric matrices side by side, by Jacobi's rotations, in one double and two.

All lanes take the rotations that any of them needs; one that needs none turns by nothing, and keeps
every bit.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

from flows.arithmetic.kept import lean
from flows.arithmetic.pairs import gather, joined
from flows.arithmetic.records import lined
from flows.arithmetic.vectors import WIDTH, load, spread, store

__all__ = ["Turn", "eigen_in_lanes", "sharpened", "turn_of"]

# The most sweeps of rotations, though a few suffice; entries below this part of the largest are 0.
SWEEPS, ROUNDED = 12, 1e-18
# Sizes below it are not divided by.
LEAST = 1e-290


class Turn(NamedTuple):
    """Room for rotations: ``floor``, ``off``, ``cosine``, ``sine``, ``size`` (lanes,)."""

    floor: Any
    off: Any
    cosine: Any
    sine: Any
    size: Any


def turn_of(lanes):
    """Room."""
    return Turn(lined(lanes), lined(lanes), lined(lanes), lined(lanes), lined(lanes))


@lean
def scaled(matrix, turn):
    """Divide each matrix by its largest entry, so that squares of entries are numbers."""
    n, lanes, size = len(matrix), matrix.shape[2], turn.size
    for e in range(lanes):
        size[e] = LEAST
    for i in range(n):
        for j in range(i, n):
            for e in range(lanes):
                entry = abs(matrix[i, j, e])
                size[e] = entry if entry > size[e] else size[e]
    for i in range(n):
        for j in range(i, n):
            for e in range(lanes):
                matrix[i, j, e] /= size[e]


@lean
def needed(matrix, turn, p, q, part):
    """How many lanes an entry matters to; put it down for these, 0 for others."""
    count, off = 0, turn.off
    for e in range(len(off)):
        entry = matrix[p, q, e]
        one, other = abs(matrix[p, p, e]), abs(matrix[q, q, e])
        beside = part[e] * part[e] * ((one + turn.floor[e]) * (other + turn.floor[e]))
        counts = entry * entry > beside and entry * entry > ROUNDED * ROUNDED
        off[e] = entry if counts else 0.0
        count += 1 if counts else 0
    return count


@lean
def exchanged(matrix, p, i, q, j, cosine, sine, v):
    """Rotate two entries of a vector of matrices."""
    n, vectors = matrix.shape[1], matrix.shape[2] // WIDTH
    one, other = (p * n + i) * vectors + v, (q * n + j) * vectors + v
    x, y = load(matrix, one), load(matrix, other)
    store(matrix, one, cosine * x - sine * y)
    store(matrix, other, sine * x + cosine * y)


@lean
def rotated(matrix, axes, turn, p, q):
    """Rotations that make an entry zero where it matters, of matrices and of rows of axes."""
    n = len(matrix)
    for e in range(matrix.shape[2]):
        off, gap = turn.off[e], matrix[q, q, e] - matrix[p, p, e]
        twice = 2.0 * off if gap >= 0.0 else -2.0 * off
        t = twice / (abs(gap) + math.sqrt(gap * gap + twice * twice))
        t = t if off != 0.0 else 0.0
        turn.cosine[e] = 1.0 / math.sqrt(t * t + 1.0)
        turn.sine[e] = t * turn.cosine[e]
        matrix[p, p, e] -= t * off
        matrix[q, q, e] += t * off
        matrix[p, q, e] -= off
    for v in range(matrix.shape[2] // WIDTH):
        cosine, sine = load(turn.cosine, v), load(turn.sine, v)
        for k in range(p):
            exchanged(matrix, k, p, k, q, cosine, sine, v)
        for k in range(p + 1, q):
            exchanged(matrix, p, k, k, q, cosine, sine, v)
        for k in range(q + 1, n):
            exchanged(matrix, p, k, q, k, cosine, sine, v)
        for k in range(n):
            exchanged(axes, p, k, q, k, cosine, sine, v)


@lean
def eigen_in_lanes(matrix, h, axes, turn, part, since):
    """Eigenvalues (N, lanes), increasing, and axes in rows (N, N, lanes), of symmetric matrices.

    Upper triangles are read, and become those along the axes. Entries stay that are this ``part``
    (lanes,) of those beside them, each with `1/s` (``since``) added: what is smaller has not had
    the time to matter.
    """
    n, lanes = len(matrix), matrix.shape[2]
    scaled(matrix, turn)
    for e in range(lanes):
        turn.floor[e] = 1.0 / (since[e] * turn.size[e])
    for i in range(n):
        for j in range(n):
            for e in range(lanes):
                axes[i, j, e] = 1.0 if i == j else 0.0
    for _ in range(SWEEPS):
        still = True
        for p in range(n - 1):
            for q in range(p + 1, n):
                if needed(matrix, turn, p, q, part) > 0:
                    rotated(matrix, axes, turn, p, q)
                    still = False
        if still:
            break
    for i in range(n):
        for j in range(i, n):
            for e in range(lanes):
                matrix[i, j, e] *= turn.size[e]
    for e in range(lanes):
        for i in range(1, n):
            k = i
            while k > 0 and matrix[k, k, e] < matrix[k - 1, k - 1, e]:
                exchange(matrix, axes, k, e)
                k -= 1
    for i in range(n):
        for e in range(lanes):
            h[i, e] = matrix[i, i, e]


@lean
def exchange(matrix, axes, k, e):
    """Exchange an axis of a lane with the one before."""
    m, n = k - 1, len(matrix)
    matrix[k, k, e], matrix[m, m, e] = matrix[m, m, e], matrix[k, k, e]
    for j in range(m):
        matrix[j, k, e], matrix[j, m, e] = matrix[j, m, e], matrix[j, k, e]
    for j in range(k + 1, n):
        matrix[k, j, e], matrix[m, j, e] = matrix[m, j, e], matrix[k, j, e]
    for j in range(n):
        axes[k, j, e], axes[m, j, e] = axes[m, j, e], axes[k, j, e]


@lean
def lacking(axes, found):
    """What columns lack of being orthonormal, `I - Q^T Q`, rounded from two doubles."""
    n = len(axes)
    for i in range(n):
        for k in range(i + 1):
            high, low = spread(-1.0 if i == k else 0.0), spread(0.0)
            for j in range(n):
                one, other = load(axes, j * n + i), load(axes, j * n + k)
                high, low = gather(high, low, one, 0.0, other, 0.0)
            high, low = joined(high, low)
            store(found, i * n + k, -high)
            store(found, k * n + i, -high)


@lean
def sharpened(axes, low, room):
    """Columns (N, N, lanes) that are orthonormal to rounding become so with second doubles `low`.

    `Q (I + (I - Q^T Q)/2)` is orthonormal up to the square of the defect of `Q`.
    """
    n = len(axes)
    lacking(axes, room)
    for i in range(n):
        for k in range(n):
            change = spread(0.0)
            for j in range(n):
                change += load(axes, i * n + j) * load(room, j * n + k)
            store(low, i * n + k, change)
    for i in range(n):
        for k in range(n):
            for e in range(axes.shape[2]):
                before, change = axes[i, k, e], low[i, k, e] / 2
                axes[i, k, e] = before + change
                low[i, k, e] = change - (axes[i, k, e] - before)
