r"""Polynomials in Chebyshev form with exact integer coefficients, and their tables in balls.

A segment of a trajectory is ``p_j(s) = 2^{-b} \sum_k a_{jk} T_k(s)``, ``-1 <= s <= 1``, with
integers ``a_{jk}``; the derivative, the values at the ends and bounds of the sizes are then exact
too.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from flint import arb, arb_mat, arb_poly, fmpq

from flows.core.balls import Ball, precision

Row = list[int]


class Table(NamedTuple):
    """Chebyshev points ``cos(pi j/N)`` in increasing order, and ``T_k`` there (a row a point).

    ``transform`` turns values at the points into coefficients; ``derivative`` into the values of
    the derivative.
    """

    nodes: list[Ball]
    values: Any
    transform: Any
    derivative: Any


def _values(points: Sequence[tuple[int, int]], count: int) -> Any:
    """``T_k(cos(pi num/den))`` for ``k < count``, one row a point."""
    return arb_mat(
        [
            [arb.cos_pi_fmpq(fmpq(k * num % (2 * den), den)) for k in range(count)]
            for num, den in points
        ]
    )


@functools.cache
def table(degree: int, bits: int) -> Table:
    """Tables of this degree, as balls of this precision."""
    with precision(bits):
        points = [(degree - j, degree) for j in range(degree + 1)]
        nodes = [arb.cos_pi_fmpq(fmpq(num, den)) for num, den in points]
        values = _values(points, degree + 1)
        ends = (0, degree)
        transform = arb_mat(
            [
                [
                    values[j, k] * (1 if j in ends else 2) / (degree * (2 if k in ends else 1))
                    for j in range(degree + 1)
                ]
                for k in range(degree + 1)
            ]
        )
        slopes = arb_mat(degree + 1, degree + 1)
        for k in range(degree + 1):
            unit = [int(m == k) for m in range(degree + 1)]
            for m, c in enumerate(differentiated(unit)):
                slopes[m, k] = arb(c)
        return Table(nodes, values, transform, values * slopes * transform)


def at(s: Ball, degree: int) -> list[Ball]:
    """``T_0(s), ..., T_degree(s)``."""
    values = [arb(1), arb(s)]
    for _ in range(degree - 1):
        values.append(2 * s * values[-1] - values[-2])
    return values[: degree + 1]


def differentiated(row: Sequence[int]) -> Row:
    """Coefficients of the derivative, as many as those of the polynomial; exact."""
    slopes = [0] * (len(row) + 1)
    for k in range(len(row) - 1, 0, -1):
        slopes[k - 1] = slopes[k + 1] + 2 * k * row[k] if k < len(row) - 1 else 2 * k * row[k]
    slopes[0] //= 2  # even, as a sum of even numbers
    return slopes[: len(row)]


class Series:
    """``sum_k c_k T_k`` with balls ``c_k``: what can be multiplied."""

    def __init__(self, coefficients: Sequence[Ball]) -> None:
        self.coefficients = [*coefficients]

    def __sub__(self, other: Series) -> Series:
        """Difference, of the larger degree."""
        pairs = zip_longest(self.coefficients, other.coefficients, fillvalue=arb(0))
        return Series([a - b for a, b in pairs])

    def __mul__(self, other: Series | Ball) -> Series:
        """Product with a polynomial or a ball."""
        if not isinstance(other, Series):
            return Series([c * other for c in self.coefficients])
        # With T_k = (w^k + w^-k)/2 it is a polynomial in w, but for a power of w.
        product, middle = self._of_w() * other._of_w(), len(self) + len(other)
        return Series([product[middle], *(2 * product[middle + k + 1] for k in range(middle))])

    __rmul__ = __mul__

    def __len__(self) -> int:
        """Degree."""
        return len(self.coefficients) - 1

    def _of_w(self) -> Any:
        half = [c / 2 for c in self.coefficients[1:]]
        return arb_poly([*half[::-1], self.coefficients[0], *half])


def column(rows: Sequence[Row], bits: int) -> Any:
    """Coefficients as balls, one column a component."""
    return arb_mat([[arb((c, -bits)) for c in row] for row in rows]).transpose()


def rounded(x: Ball, bits: int) -> int:
    """Nearest integer to the midpoint of ``2^bits x``."""
    floor = (x.mid() * arb((1, bits)) + arb(0.5)).mid().floor().unique_fmpz()
    assert floor is not None  # a midpoint is exact
    return int(floor)


def evaluated(rows: Sequence[Row], s: Ball, bits: int) -> list[Ball]:
    """Values of all components at the ball ``s`` inside [-1, 1], by the mean value theorem."""
    middle = s.mid().max(arb(-1)).min(arb(1)).mid()
    spread = abs(s - middle).upper()
    values = at(middle, len(rows[0]) - 1)
    result = []
    for row in rows:
        value = sum((arb((c, -bits)) * t for c, t in zip(row, values, strict=True)), arb(0))
        slope = arb((sum(abs(c) for c in differentiated(row)), -bits))
        result.append(value + arb(0, slope * spread))
    return result
