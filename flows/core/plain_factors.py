"""Triangular factors of small matrices in compiled loops."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.arithmetic.kept import lean

__all__ = ["factor", "substitute"]


@lean
def factor(matrix, pivots):
    """Triangular factors in the place of a matrix, with partial pivoting."""
    size = len(matrix)
    for k in range(size):
        p = k
        for i in range(k + 1, size):
            if abs(matrix[i, k]) > abs(matrix[p, k]):
                p = i
        pivots[k] = p
        for j in range(size):
            matrix[k, j], matrix[p, j] = matrix[p, j], matrix[k, j]
        for i in range(k + 1, size):
            matrix[i, k] /= matrix[k, k]
            for j in range(k + 1, size):
                matrix[i, j] -= matrix[i, k] * matrix[k, j]


@lean
def substitute(matrix, pivots, x):
    """Solve with the factors, in the place of the right-hand side."""
    size = len(matrix)
    for k in range(size):
        p = pivots[k]
        x[k], x[p] = x[p], x[k]
    for i in range(size):
        for j in range(i):
            x[i] -= matrix[i, j] * x[j]
    for i in range(size - 1, -1, -1):
        for j in range(i + 1, size):
            x[i] -= matrix[i, j] * x[j]
        x[i] /= matrix[i, i]
