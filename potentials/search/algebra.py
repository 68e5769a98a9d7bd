"""Linear algebra over the rationals on polynomials: relations, and expressions in others."""

from __future__ import annotations

import operator
import random
from collections.abc import Iterator, Sequence
from typing import Any

from flint import fmpq, fmpq_mat

from potentials.search.polynomials import Exponents, Polynomial

__all__ = ["combination", "determinant", "independent", "quotient", "relations"]

# Rows beyond the number of unknowns; and of the random signs.
SPARE, SEED = 20, 1


def relations(polynomials: Sequence[Polynomial]) -> Iterator[list[fmpq]]:
    """A basis of all `c` with `sum_j c_j p_j = 0`.

    Sums of equations with random signs, a few more than there are unknowns, have all solutions, and
    hardly ever another one, which would be seen.
    """
    few = _columns(polynomials, len(polynomials) + SPARE)
    found = _null_space(few)
    zero = 0 * polynomials[0] if polynomials else 0
    if any(sum(map(operator.mul, c, polynomials), start=zero) != 0 for c in found):
        found = _null_space(_columns(polynomials))
    return iter(found)


def _null_space(matrix: Any) -> list[list[fmpq]]:
    """Columns that depend on those before, each with 1 in its own place."""
    reduced, rank = matrix.rref()
    size, pivots, found = matrix.ncols(), _pivots(reduced, rank), []
    for free in sorted({*range(size)} - {*pivots}):
        one = [fmpq(0)] * size
        one[free] = fmpq(1)
        for row, pivot in enumerate(pivots):
            one[pivot] = -reduced[row, free]
        found.append(one)
    return found


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


def _columns(polynomials: Sequence[Polynomial], most: int | None = None) -> Any:
    """Coefficients, one column each; at most so many rows, which are then sums with any signs."""
    terms = [p.to_dict() for p in polynomials]
    rows: dict[Exponents, int] = {}
    for each in terms:
        for e in each:
            rows.setdefault(e, len(rows))
    number = len(rows) if most is None else min(most, len(rows))
    places = [(k, 1) for k in range(len(rows))]
    if number < len(rows):
        draw = random.Random(SEED)
        places = [(draw.randrange(number), draw.choice((-1, 1))) for _ in rows]
    matrix = fmpq_mat(number, len(polynomials))
    for j, each in enumerate(terms):
        for e, c in each.items():
            row, sign = places[rows[e]]
            matrix[row, j] += sign * c
    return matrix


def _pivots(reduced: Any, rank: int) -> list[int]:
    """Columns of the first entries of rows in echelon form."""
    found: list[int] = []
    for row in range(rank):
        begin = found[-1] + 1 if found else 0
        found.append(next(j for j in range(begin, reduced.ncols()) if reduced[row, j] != 0))
    return found
