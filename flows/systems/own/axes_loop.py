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
def rotate(matrix, axes, p, q):
    """One rotation that makes an entry zero, of a matrix and of rows of axes."""
    theta = (matrix[q, q] - matrix[p, p]) / (2.0 * matrix[p, q])
    t = math.copysign(1.0, theta) / (abs(theta) + math.sqrt(theta * theta + 1.0))
    c = 1.0 / math.sqrt(t * t + 1.0)
    s = t * c
    moved, n = t * matrix[p, q], len(matrix)
    one, other = matrix[p, p] - moved, matrix[q, q] + moved
    for k in range(n):
        x, y = matrix[p, k], matrix[q, k]
        matrix[p, k] = c * x - s * y
        matrix[q, k] = s * x + c * y
    matrix[p, p], matrix[q, q] = one, other
    matrix[p, q] = matrix[q, p] = 0.0
    for k in range(n):
        matrix[k, p], matrix[k, q] = matrix[p, k], matrix[q, k]
    for k in range(n):
        x, y = axes[p, k], axes[q, k]
        axes[p, k] = c * x - s * y
        axes[q, k] = s * x + c * y


@lean
def eigen(matrix, h, axes, part):
    """Eigenvalues, increasing, and axes of a symmetric matrix, which is overwritten.

    Jacobi's rotations, which never give up; entries that are this part of those beside them stay.
    """
    n, size = len(matrix), LEAST
    for i in range(n):
        for j in range(n):
            axes[i, j] = 1.0 if i == j else 0.0
            size = max(size, abs(matrix[i, j]))
    for i in range(n):  # so that squares of entries are numbers
        for j in range(n):
            matrix[i, j] /= size
    for _ in range(SWEEPS):
        rotated = False
        for p in range(n - 1):
            for q in range(p + 1, n):
                square = matrix[p, q] * matrix[p, q]
                beside = part * part * abs(matrix[p, p] * matrix[q, q])
                if square > beside and square > ROUNDED * ROUNDED:
                    rotate(matrix, axes, p, q)
                    rotated = True
        if not rotated:
            break
    for i in range(n):
        h[i] = matrix[i, i] * size
    for i in range(n - 1):
        least = i
        for k in range(i + 1, n):
            if h[k] < h[least]:
                least = k
        if least != i:
            h[i], h[least] = h[least], h[i]
            for k in range(n):
                axes[i, k], axes[least, k] = axes[least, k], axes[i, k]
    for i in range(n):
        for k in range(i):
            axes[i, k], axes[k, i] = axes[k, i], axes[i, k]


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
