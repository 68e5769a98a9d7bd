"""Linear algebra of small symmetric matrices in lanes, whose sums stay in registers.

Hessians along axes are symmetric, so half of a matrix is read and half of its factors are made: `L`
and the diagonal `D` of `L D L^T`. They are lower triangles with the reciprocals of `D` on their
diagonals. No rows are exchanged: the pivots are those of a symmetric matrix, definite but where the
loss curves downward, which the length of steps follows. Units of axes would not change how these
matrices are rounded, but quotients of units, which differ by many decades, might overflow; so
slopes and unknowns have no units here.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import load, spread, store

__all__ = ["combined", "factor", "factor_both", "substitute", "substitute_both"]


@lean
def factor(of, times, shift, matrix):
    """Factors (N, N, lanes) of `shift + times of`; upper triangles are read.

    ``shift``, ``times`` (lanes,): of the diagonals, and of matrices ``of`` (N, N, lanes).
    """
    n = len(matrix)
    for j in range(n):
        here = j * n
        pivot = load(shift, 0) + load(times, 0) * load(of, here + j)
        # The row so far is `L D`; it becomes `L`.
        for k in range(j):
            whole = load(matrix, here + k)
            part = whole * load(matrix, k * n + k)
            pivot -= part * whole
            store(matrix, here + k, part)
        store(matrix, here + j, 1.0 / pivot)
        for i in range(j + 1, n):
            left = load(times, 0) * load(of, here + i)
            for k in range(j):
                left -= load(matrix, i * n + k) * load(matrix, here + k)
            store(matrix, i * n + j, left)


@lean
def substitute(matrix, x):
    """Solve with the factors of the matrices of all lanes, in place."""
    n = len(matrix)
    for i in range(n):
        left = load(x, i)
        for k in range(i):
            left -= load(matrix, i * n + k) * load(x, k)
        store(x, i, left)
    for i in range(n - 1, -1, -1):
        left = load(matrix, i * n + i) * load(x, i)
        # What was found last is waited for last.
        for k in range(n - 1, i, -1):
            left -= load(matrix, k * n + i) * load(x, k)
        store(x, i, left)


@lean
def factor_both(of, times, shift, matrix):
    """Factors (N, N, 2, lanes) of matrices as :func:`factor` has, but of complex shifts (2, lanes).

    Real and imaginary parts of an entry lie beside each other.
    """
    n = len(matrix)
    for j in range(n):
        here = j * n
        pivot, beside = load(shift, 0) + load(times, 0) * load(of, here + j), load(shift, 1)
        for k in range(j):
            at, diagonal = 2 * (here + k), 2 * (k * n + k)
            a, b = load(matrix, at), load(matrix, at + 1)
            c, d = load(matrix, diagonal), load(matrix, diagonal + 1)
            p, q = a * c - b * d, a * d + b * c
            pivot, beside = less(pivot, beside, a, b, p, q)
            store(matrix, at, p)
            store(matrix, at + 1, q)
        square = pivot * pivot + beside * beside
        store(matrix, 2 * (here + j), pivot / square)
        store(matrix, 2 * (here + j) + 1, -beside / square)
        for i in range(j + 1, n):
            left, beside = load(times, 0) * load(of, here + i), spread(0.0)
            for k in range(j):
                at, other = 2 * (i * n + k), 2 * (here + k)
                c, d = load(matrix, other), load(matrix, other + 1)
                left, beside = less(left, beside, load(matrix, at), load(matrix, at + 1), c, d)
            store(matrix, 2 * (i * n + j), left)
            store(matrix, 2 * (i * n + j) + 1, beside)


@lean
def substitute_both(matrix, x, y):
    """Solve with the factors of complex matrices of all lanes for `x + iy`, in place."""
    n = len(matrix)
    for here in range(n):
        left, beside = load(x, here), load(y, here)
        for k in range(here):
            at = 2 * (here * n + k)
            c, d = load(x, k), load(y, k)
            left, beside = less(left, beside, load(matrix, at), load(matrix, at + 1), c, d)
        store(x, here, left)
        store(y, here, beside)
    for here in range(n - 1, -1, -1):
        at = 2 * (here * n + here)
        a, b = load(matrix, at), load(matrix, at + 1)
        c, d = load(x, here), load(y, here)
        left, beside = a * c - b * d, a * d + b * c
        for k in range(n - 1, here, -1):
            at = 2 * (k * n + here)
            c, d = load(x, k), load(y, k)
            left, beside = less(left, beside, load(matrix, at), load(matrix, at + 1), c, d)
        store(x, here, left)
        store(y, here, beside)


@lean
def less(left, beside, a, b, c, d):
    """`left + i beside`, less the product of `a + ib` and `c + id`."""
    return left - a * c + b * d, beside - a * d - b * c


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
