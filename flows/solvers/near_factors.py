"""Linear algebra of small matrices in lanes, whose sums stay in registers.

Matrices are factored without pivots: along any axes, whatever their units, the pivots of a Hessian
are those of a symmetric matrix, definite but where the loss curves downward, which the length of
steps follows. Complex numbers are pairs of arrays.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.core.compiled import lean
from flows.core.vectors import load, spread, store

__all__ = ["combined", "factor", "factor_both", "substitute", "substitute_both"]


@lean
def factor(of, shift, matrix):
    """Factors of matrices `shift - of`, the shift (lanes,) of diagonals; no rows are exchanged."""
    n = len(matrix)
    for i in range(n):
        for j in range(n):
            at = i * n + j
            left = -load(of, at)
            if i == j:
                left += load(shift, 0)
            for k in range(min(i, j)):
                one = load(matrix, i * n + k)
                left -= one * load(matrix, k * n + j)
            if j < i:
                left /= load(matrix, j * n + j)
            store(matrix, at, left)


@lean
def substitute(matrix, x):
    """Solve with the factors of the matrices of all lanes, in place."""
    n = len(matrix)
    for i in range(n):
        left = load(x, i)
        for j in range(i):
            left -= load(matrix, i * n + j) * load(x, j)
        store(x, i, left)
    for i in range(n - 1, -1, -1):
        left = load(x, i)
        for j in range(i + 1, n):
            left -= load(matrix, i * n + j) * load(x, j)
        store(x, i, left / load(matrix, i * n + i))


@lean
def factor_both(of, shift, matrix):
    """Factors (2, N, N, lanes) of matrices whose shifts (2, lanes) are complex."""
    n = matrix.shape[1]
    for i in range(n):
        for j in range(n):
            at = i * n + j
            left, beside = -load(of, at), spread(0.0)
            if i == j:
                left, beside = left + load(shift, 0), load(shift, 1)
            for k in range(min(i, j)):
                one, other = i * n + k, k * n + j
                a, b = load(matrix[0], one), load(matrix[1], one)
                c, d = load(matrix[0], other), load(matrix[1], other)
                left -= a * c
                left += b * d
                beside -= a * d
                beside -= b * c
            if j < i:
                c, d = load(matrix[0], j * n + j), load(matrix[1], j * n + j)
                square = c * c + d * d
                a, b = left * c + beside * d, beside * c - left * d
                left, beside = a / square, b / square
            store(matrix[0], at, left)
            store(matrix[1], at, beside)


@lean
def substitute_both(matrix, x, y):
    """Solve with the factors of complex matrices of all lanes for `x + iy`, in place."""
    n = len(x)
    for i in range(n):
        take(matrix, x, y, i, 0, i)
    for i in range(n - 1, -1, -1):
        take(matrix, x, y, i, i + 1, n)
        at, here = i * n + i, i
        a, b = load(x, here), load(y, here)
        c, d = load(matrix[0], at), load(matrix[1], at)
        square = c * c + d * d
        store(x, here, (a * c + b * d) / square)
        store(y, here, (b * c - a * d) / square)


@lean
def take(matrix, x, y, i, first, last):
    """Take products of entries and unknowns from the unknown `i`."""
    n, here = len(x), i
    left, beside = load(x, here), load(y, here)
    for j in range(first, last):
        at, other = i * n + j, j
        a, b = load(matrix[0], at), load(matrix[1], at)
        c, d = load(x, other), load(y, other)
        left -= a * c
        left += b * d
        beside -= a * d
        beside -= b * c
    store(x, here, left)
    store(y, here, beside)


@lean
def combined(weights, rows, found):
    """Products of matrices (S, S, lanes) with rows (S, N, lanes), one after the other."""
    count, n = rows.shape[0], rows.shape[1]
    for k in range(count):
        for i in range(n):
            total = spread(0.0)
            for j in range(count):
                weight = load(weights, k * count + j)
                total += weight * load(rows, j * n + i)
            store(found, k * n + i, total)
