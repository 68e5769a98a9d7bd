"""Compiled: axes of a symmetric matrix, and units of increments along them.

The formulas of units are those of :mod:`flows.systems.own.energy_units`, which explains them.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.core.compiled import lean, loop
from flows.systems.own.energy_units import ABOVE, FALLS

__all__ = ["LAST_BIT", "LEAST", "ROUNDED", "SWEEPS", "eigen", "units", "units_once"]

# Sweeps of rotations, of which a few are enough; entries that are this part of the largest are 0.
SWEEPS, ROUNDED = 12, 1e-18
# Sizes below it are not divided by.
LEAST = 1e-290
# What is below the last bit of both entries beside it changes neither.
LAST_BIT = 1e-17


@lean
def angle(off, apart):
    """Cosine, sine and tangent of the rotation that makes an entry zero."""
    t = off / apart
    if t * t < LAST_BIT:
        return 1.0, t, t
    twice, apart = 2.0 * off if apart >= 0.0 else -2.0 * off, abs(apart)
    length = math.sqrt(apart * apart + twice * twice)
    along = apart + length
    part = 1.0 / math.sqrt(2.0 * length * along)  # not by the tangent, which is not waited for
    return along * part, twice * part, twice / along


@lean
def rotate(rows, p, q):
    """One rotation that makes an entry zero, of rows of a matrix and of axes behind them.

    Columns are rows again but the one at `p`, which rotations with it do not read.
    """
    off = rows[p, q]
    c, s, t = angle(off, rows[q, q] - rows[p, p])
    one, other = rows[p, p] - t * off, rows[q, q] + t * off
    for k in range(rows.shape[1]):
        x, y = rows[p, k], rows[q, k]
        rows[p, k] = c * x - s * y
        rows[q, k] = s * x + c * y
    rows[p, p], rows[q, q] = one, other
    rows[p, q] = rows[q, p] = 0.0
    for k in range(len(rows)):
        rows[k, q] = rows[q, k]


@lean
def eigen(rows, h, axes, part):
    """Eigenvalues, increasing, and axes of a symmetric matrix.

    The matrix is in the first columns of `rows` (N, 2 N), which are overwritten.
    Jacobi's rotations, which never give up; entries that are this part of those beside them stay.
    """
    n, size = len(rows), LEAST
    for i in range(n):
        for j in range(n):
            size = max(size, abs(rows[i, j]))
    for i in range(n):
        for j in range(n):
            rows[i, j] /= size  # so that squares of entries are numbers
            rows[i, n + j] = 1.0 if i == j else 0.0
    for _ in range(SWEEPS):
        rotated = False
        for p in range(n - 1):
            turned = False
            for q in range(p + 1, n):
                square = rows[p, q] * rows[p, q]
                beside = part * part * abs(rows[p, p] * rows[q, q])
                if square > beside and square > ROUNDED * ROUNDED:
                    rotate(rows, p, q)
                    turned = True
            if turned:
                for k in range(n):
                    rows[k, p] = rows[p, k]
            rotated = rotated or turned
        if not rotated:
            break
    for i in range(n):
        h[i] = rows[i, i] * size
    for i in range(n - 1):
        least = i
        for k in range(i + 1, n):
            if h[k] < h[least]:
                least = k
        if least != i:
            h[i], h[least] = h[least], h[i]
            for k in range(n, 2 * n):
                rows[i, k], rows[least, k] = rows[least, k], rows[i, k]
    for i in range(n):
        for k in range(n):
            axes[k, i] = rows[i, n + k]


@lean
def units(slopes, doubt, h, since, found):
    """Units of the increment along each axis."""
    n, most = len(h), 0.0
    for i in range(n):
        most = max(most, abs(slopes[i]) / math.sqrt(max(abs(h[i]), 1.0 / since)))
    most = most if most > 0.0 else 1.0
    total = 0.0
    for i in range(n):
        total += (abs(slopes[i]) / math.sqrt(max(abs(h[i]), 1.0 / since)) / most) ** 2
    for i in range(n):
        floored = max(abs(h[i]), 1.0 / since)
        largest = most * math.sqrt(total) / math.sqrt(floored)
        own = abs(slopes[i]) / floored
        beside = max(own, ABOVE * doubt[i] / floored)
        if h[i] * since < FALLS and beside > 0.0:
            found[i] = beside
        else:
            found[i] = max(own, largest / math.sqrt(1.0 + since * max(h[i], 0.0)))


@loop
def units_once(slopes, doubt, h, since):
    """Units along each axis."""
    found = np.empty(len(h))
    units(slopes, doubt, h, since, found)
    return found
