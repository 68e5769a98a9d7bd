"""Triangular factors of small dense matrices, of numbers of any kind.

Matrices lie column by column, and what is added to a vector comes one vector at a time: of doubles
these loops become vectors.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

from flows.arithmetic.numbers import Arithmetic

__all__ = ["Triangular", "triangular"]


class Triangular(NamedTuple):
    """Compiled functions of matrices and vectors.

    ``add(factor, x, start, out, first, count)`` adds a multiple of rows of ``x`` to rows of
    ``out``. ``factorize(matrix, size)`` puts factors in the place of a matrix, inverse pivots on
    the diagonal, and returns the smallest pivot. ``substitute(matrix, size, x, at)`` solves with
    the factors for the right-hand side that begins at row ``at`` of ``x``.
    """

    add: Any
    factorize: Any
    substitute: Any


def triangular(m: Arithmetic) -> Triangular:
    """Compile factors without exchanges of rows, for matrices that are as good as definite.

    Pivots of a symmetric positive definite matrix, and of what scales of its unknowns make of it,
    are positive. A negative one says that a matrix is not.
    """
    get, put, pick = m.get, m.put, m.pick

    @m.function
    def add(factor, x, start, out, first, count):
        for i in range(count):
            put(out, first + i, get(out, first + i) + factor * get(x, start + i))

    @m.function
    def factorize(matrix, size):
        least = get(matrix, 0)
        for k in range(size):
            here, below = k * size + k, size - k - 1
            pivot = get(matrix, here)
            least = pick(pivot, least, pivot, least)
            inverse = 1.0 / pivot
            put(matrix, here, inverse)
            for i in range(1, below + 1):
                put(matrix, here + i, get(matrix, here + i) * inverse)
            for j in range(k + 1, size):
                row = j * size + k
                add(-get(matrix, row), matrix, here + 1, matrix, row + 1, below)
        return least

    @m.function
    def substitute(matrix, size, x, at):
        for i in range(size):
            add(-get(x, at + i), matrix, i * size + i + 1, x, at + i + 1, size - i - 1)
        for i in range(size - 1, -1, -1):
            put(x, at + i, get(x, at + i) * get(matrix, i * size + i))
            add(-get(x, at + i), matrix, i * size, x, at, i)

    return Triangular(add, factorize, substitute)
