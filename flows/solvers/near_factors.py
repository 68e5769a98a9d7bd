"""Linear algebra of small matrices in lanes: plain loops, the innermost of which is over lanes.

Matrices are factored without pivots: along any axes, whatever their units, the pivots of a Hessian
are those of a symmetric matrix, definite but where the loss curves downward, which the length of
steps follows. Complex numbers are pairs of arrays.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.core.compiled import lean
from flows.solvers.near_lanes import LANES

__all__ = ["combined", "factor", "factor_both", "substitute", "substitute_both"]


@lean
def factor(matrix):
    """Factors of the matrices, in their place; no rows are exchanged."""
    for k in range(len(matrix)):
        for i in range(k + 1, len(matrix)):
            for e in range(LANES):
                matrix[i, k, e] /= matrix[k, k, e]
            for j in range(k + 1, len(matrix)):
                for e in range(LANES):
                    matrix[i, j, e] -= matrix[i, k, e] * matrix[k, j, e]


@lean
def substitute(matrix, x):
    """Solve with the factors of the matrices, in place."""
    n = len(matrix)
    for i in range(n):
        for j in range(i):
            for e in range(LANES):
                x[i, e] -= matrix[i, j, e] * x[j, e]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            for e in range(LANES):
                x[i, e] -= matrix[i, j, e] * x[j, e]
        for e in range(LANES):
            x[i, e] /= matrix[i, i, e]


@lean
def divided(a, b, c, d):
    """Quotient of the complex numbers `a + ib` and `c + id`."""
    square = c * c + d * d
    return (a * c + b * d) / square, (b * c - a * d) / square


@lean
def factor_both(matrix):
    """Factors of complex matrices (2, N, N, lanes), in their place."""
    real, other = matrix[0], matrix[1]
    n = len(real)
    for k in range(n):
        for i in range(k + 1, n):
            for e in range(LANES):
                real[i, k, e], other[i, k, e] = divided(
                    real[i, k, e], other[i, k, e], real[k, k, e], other[k, k, e]
                )
            for j in range(k + 1, n):
                for e in range(LANES):
                    a, b, c, d = real[i, k, e], other[i, k, e], real[k, j, e], other[k, j, e]
                    real[i, j, e] -= a * c - b * d
                    other[i, j, e] -= a * d + b * c


@lean
def take(matrix, i, j, x, y):
    """Take the product of an entry and the unknown `j` from the unknown `i`."""
    for e in range(LANES):
        a, b, c, d = matrix[0, i, j, e], matrix[1, i, j, e], x[j, e], y[j, e]
        x[i, e] -= a * c - b * d
        y[i, e] -= a * d + b * c


@lean
def substitute_both(matrix, x, y):
    """Solve with the factors of complex matrices for `x + iy`, in place."""
    n = len(x)
    for i in range(n):
        for j in range(i):
            take(matrix, i, j, x, y)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            take(matrix, i, j, x, y)
        for e in range(LANES):
            x[i, e], y[i, e] = divided(x[i, e], y[i, e], matrix[0, i, i, e], matrix[1, i, i, e])


@lean
def combined(weights, rows, found):
    """Products of matrices (S, S, lanes) with rows (S, N, lanes), one after the other."""
    for k in range(len(weights)):
        for i in range(rows.shape[1]):
            for e in range(LANES):
                found[k, i, e] = weights[k, 0, e] * rows[0, i, e]
            for j in range(1, len(rows)):
                for e in range(LANES):
                    found[k, i, e] += weights[k, j, e] * rows[j, i, e]
