r"""Exact products of matrices of Chebyshev polynomials.

What is small by cancellation, such as a residual, is small in every coefficient of its own
polynomial; enclosed from the factors on a box it would be as wide as these are.
With ``T_k = (z^k + z^-k)/2`` a product is one of polynomials in ``z``, of integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb, arb_mat, fmpz_poly

from flows.certificates import chebyshev
from flows.certificates.chebyshev import Row
from flows.core.balls import dot

Ball = Any  # flint.arb
Matrix = Any  # flint.arb_mat


Polynomials = list[list[Any]]  # a matrix of flint.fmpz_poly


def doubled(row: Row) -> Any:
    """``2 z^N sum_k a_k T_k`` as a polynomial in ``z``."""
    return fmpz_poly([*row[:0:-1], 2 * row[0], *row[1:]])


def times(a: Polynomials, b: Polynomials) -> Polynomials:
    """Matrix product."""
    columns = list(zip(*b, strict=True))
    return [[dot(row, column) for column in columns] for row in a]


def minus(a: Polynomials, b: Polynomials) -> Polynomials:
    """Difference, of products of equally many factors."""
    return [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def transposed(a: Polynomials) -> Polynomials:
    """Transpose."""
    return [list(column) for column in zip(*a, strict=True)]


@dataclass(frozen=True)
class MatrixSeries:
    """A matrix of Chebyshev polynomials, evaluated on stretches of [-1, 1].

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    coefficients : arb_mat
        A row an entry.
    slopes : arb_mat
        The same of the derivatives.
    bends : list of balls
        Bound of the second derivative of each entry.
    """

    shape: tuple[int, int]
    coefficients: Matrix
    slopes: Matrix
    bends: list[Ball]

    @classmethod
    def of(
        cls,
        matrix: Polynomials,
        factors: int,
        degree: int,
        bits: int,
        constant: Matrix | None = None,
    ) -> MatrixSeries:
        """From products of so many :func:`doubled` rows of this degree; a constant is added."""
        entries, centre = [p for line in matrix for p in line], factors * degree
        rows = [[int(p[centre + k]) << (k > 0) for k in range(centre + 1)] for p in entries]
        shift = -factors * (bits + 1)
        slopes = [chebyshev.differentiated(row) for row in rows]
        bends = [arb((sum(map(abs, chebyshev.differentiated(row))), shift)) for row in slopes]
        balls = [[arb((c, shift)) for c in row] for row in rows]
        if constant is not None:
            for row, c in zip(balls, [c for line in constant.tolist() for c in line], strict=True):
                row[0] += c
        return cls(
            (len(matrix), len(matrix[0])),
            arb_mat(balls),
            arb_mat([[arb((c, shift)) for c in row] for row in slopes]),
            bends,
        )

    def on(self, middle: Ball, radius: Ball, off: Ball) -> Matrix:
        """All values on a stretch, and so far around them."""
        at = arb_mat([[t] for t in chebyshev.at(middle, self.coefficients.ncols() - 1)])
        moves = (self.slopes * at).tolist()
        values = [
            value + arb(0, 1) * (radius * abs(slope) + radius * radius / 2 * bend + off)
            for (value,), (slope,), bend in zip(
                (self.coefficients * at).tolist(), moves, self.bends, strict=True
            )
        ]
        columns = self.shape[1]
        return arb_mat([values[k : k + columns] for k in range(0, len(values), columns)])
