"""Linear algebra over the rationals on polynomials: relations, and expressions in others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flint import fmpq, fmpq_mat

from potentials.search.polynomials import Exponents, Polynomial

__all__ = ["combination", "determinant", "independent", "quotient", "relations"]


def relations(polynomials: Sequence[Polynomial]) -> Iterator[list[fmpq]]:
    """A basis of all `c` with `sum_j c_j p_j = 0`."""
    matrix = _columns(polynomials)
    reduced, rank = matrix.rref()
    pivots = _pivots(reduced, rank)
    for free in sorted({*range(len(polynomials))} - {*pivots}):
        found = [fmpq(0)] * len(polynomials)
        found[free] = fmpq(1)
        for row, pivot in enumerate(pivots):
            found[pivot] = -reduced[row, free]
        yield found


def combination(goal: Polynomial, basis: Sequence[Polynomial]) -> list[fmpq] | None:
    """`c` with `sum_j c_j b_j = goal`, or None without any."""
    reduced, rank = _columns([*basis, goal]).rref()
    pivots = _pivots(reduced, rank)
    if pivots and pivots[-1] == len(basis):
        return None
    found = [fmpq(0)] * len(basis)
    for row, pivot in enumerate(pivots):
        found[pivot] = reduced[row, len(basis)]
    return found


def independent(polynomials: Sequence[Polynomial]) -> list[Polynomial]:
    """The first ones that no earlier ones are made of."""
    reduced, rank = _columns(polynomials).rref()
    return [polynomials[j] for j in _pivots(reduced, rank)]


def quotient(p: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """`p / divisor`, or None where that is no polynomial."""
    whole, rest = divmod(p, divisor)
    return whole if rest == 0 else None


def determinant(rows: Sequence[Sequence[Polynomial]]) -> Polynomial:
    """Determinant of polynomials by Bareiss' exact divisions."""
    matrix, sign = [list(row) for row in rows], 1
    previous = None
    for k in range(len(matrix) - 1):
        place = next((i for i in range(k, len(matrix)) if matrix[i][k] != 0), None)
        if place is None:
            return 0 * matrix[k][k]
        if place != k:
            matrix[k], matrix[place], sign = matrix[place], matrix[k], -sign
        for i in range(k + 1, len(matrix)):
            for j in range(k + 1, len(matrix)):
                top = matrix[i][j] * matrix[k][k] - matrix[i][k] * matrix[k][j]
                matrix[i][j] = top if previous is None else quotient(top, previous)
        previous = matrix[k][k]
    return sign * matrix[-1][-1]


def _columns(polynomials: Sequence[Polynomial]) -> Any:
    """Coefficients, one column each."""
    terms = [p.to_dict() for p in polynomials]
    rows: dict[Exponents, int] = {}
    for each in terms:
        for e in each:
            rows.setdefault(e, len(rows))
    matrix = fmpq_mat(len(rows), len(polynomials))
    for j, each in enumerate(terms):
        for e, c in each.items():
            matrix[rows[e], j] = c
    return matrix


def _pivots(reduced: Any, rank: int) -> list[int]:
    """Columns of the first entries of rows in echelon form."""
    found: list[int] = []
    for row in range(rank):
        begin = found[-1] + 1 if found else 0
        found.append(next(j for j in range(begin, reduced.ncols()) if reduced[row, j] != 0))
    return found
