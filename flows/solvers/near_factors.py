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

import functools
from typing import Any

from flows.arithmetic.kept import lean
from flows.arithmetic.numbers import numbers_of

__all__ = ["factors_of"]


@functools.cache
def factors_of(lanes: int) -> Any:
    """Factors of matrices in so many lanes, and what solves with them."""
    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero

    @lean
    def factor(of, times, shift, matrix):
        """Factors (N, N, lanes) of `shift + times of`; upper triangles are read.

        ``shift``, ``times`` (lanes,): of the diagonals, and of matrices ``of`` (N, N, lanes).
        """
        n = len(matrix)
        for j in range(n):
            here = j * n
            pivot = get(shift, 0) + get(times, 0) * get(of, here + j)
            # The row so far is `L D`; it becomes `L`.
            for k in range(j):
                whole = get(matrix, here + k)
                part = whole * get(matrix, k * n + k)
                pivot -= part * whole
                put(matrix, here + k, part)
            put(matrix, here + j, 1.0 / pivot)
            for i in range(j + 1, n):
                left = get(times, 0) * get(of, here + i)
                for k in range(j):
                    left -= get(matrix, i * n + k) * get(matrix, here + k)
                put(matrix, i * n + j, left)

    @lean
    def substitute(matrix, x):
        """Solve with the factors of the matrices of all lanes, in place."""
        n = len(matrix)
        for i in range(n):
            left = get(x, i)
            for k in range(i):
                left -= get(matrix, i * n + k) * get(x, k)
            put(x, i, left)
        for i in range(n - 1, -1, -1):
            left = get(matrix, i * n + i) * get(x, i)
            # What was found last is waited for last.
            for k in range(n - 1, i, -1):
                left -= get(matrix, k * n + i) * get(x, k)
            put(x, i, left)

    @lean
    def factor_both(of, times, shift, matrix):
        """Factors (N, N, 2, lanes) of matrices as `factor` has, but of complex shifts (2, lanes).

        Real and imaginary parts of an entry lie beside each other.
        """
        n = len(matrix)
        for j in range(n):
            here = j * n
            pivot, beside = get(shift, 0) + get(times, 0) * get(of, here + j), get(shift, 1)
            for k in range(j):
                at, diagonal = 2 * (here + k), 2 * (k * n + k)
                a, b = get(matrix, at), get(matrix, at + 1)
                c, d = get(matrix, diagonal), get(matrix, diagonal + 1)
                p, q = a * c - b * d, a * d + b * c
                pivot, beside = less(pivot, beside, a, b, p, q)
                put(matrix, at, p)
                put(matrix, at + 1, q)
            square = pivot * pivot + beside * beside
            put(matrix, 2 * (here + j), pivot / square)
            put(matrix, 2 * (here + j) + 1, -beside / square)
            for i in range(j + 1, n):
                left, beside = get(times, 0) * get(of, here + i), zero()
                for k in range(j):
                    at, other = 2 * (i * n + k), 2 * (here + k)
                    c, d = get(matrix, other), get(matrix, other + 1)
                    left, beside = less(left, beside, get(matrix, at), get(matrix, at + 1), c, d)
                put(matrix, 2 * (i * n + j), left)
                put(matrix, 2 * (i * n + j) + 1, beside)

    @lean
    def substitute_both(matrix, x, y):
        """Solve with the factors of complex matrices of all lanes for `x + iy`, in place."""
        n = len(matrix)
        for here in range(n):
            left, beside = get(x, here), get(y, here)
            for k in range(here):
                at = 2 * (here * n + k)
                c, d = get(x, k), get(y, k)
                left, beside = less(left, beside, get(matrix, at), get(matrix, at + 1), c, d)
            put(x, here, left)
            put(y, here, beside)
        for here in range(n - 1, -1, -1):
            at = 2 * (here * n + here)
            a, b = get(matrix, at), get(matrix, at + 1)
            c, d = get(x, here), get(y, here)
            left, beside = a * c - b * d, a * d + b * c
            for k in range(n - 1, here, -1):
                at = 2 * (k * n + here)
                c, d = get(x, k), get(y, k)
                left, beside = less(left, beside, get(matrix, at), get(matrix, at + 1), c, d)
            put(x, here, left)
            put(y, here, beside)

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
                total = zero()
                for j in range(count):
                    weight = get(weights, k * count + j)
                    total += weight * get(rows, j * n + i)
                put(found, k * n + i, total)

    return factor, substitute, factor_both, substitute_both, combined
