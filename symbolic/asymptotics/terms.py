"""A homogeneous polynomial by its terms: value, gradient and Hessian in any arithmetic.

An expanded form of a dozen variables has more than a thousand terms, for which programs of SymPy's
derivatives take a minute to make.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.utilities.iterables import multiset_permutations

from symbolic.asymptotics.numbers import DOUBLES, Kind

__all__ = ["Seconds", "Terms", "collected", "placed", "seconds"]

#: Exponents of a monomial that are not zero, as pairs of place and power.
Factors: TypeAlias = tuple[tuple[int, int], ...]
#: Entries of the largest matrix of coefficients.
LARGEST = 2_000_000


@dataclass(frozen=True)
class Terms:
    """Coefficients with the exponents that are not zero, as pairs of place and power."""

    size: int
    coefficients: tuple[sp.Expr, ...]
    powers: tuple[Factors, ...]

    @classmethod
    def of(cls, form: sp.Expr, z: Sequence[sp.Symbol]) -> Terms | None:
        """Terms of a polynomial; None of anything else."""
        return _terms(form, tuple(z))

    def numbers(self, kind: Kind) -> Callable[[], list[Any]]:
        """Coefficients in one kind of numbers, in the precision of the moment."""
        distinct = tuple(dict.fromkeys(self.coefficients))
        values = kind.compiled(distinct, ())

        def found() -> list[Any]:
            known = dict(zip(distinct, values(), strict=True))
            return [known[c] for c in self.coefficients]

        return found

    def functions(self, kind: Kind) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Value with gradient, and Hessian."""
        numbers = self.numbers(kind)
        return (lambda z: self._gradient(z, numbers()), lambda z: self._hessian(z, numbers()))

    def seconds(
        self, numbers: Sequence[Any], zeros: Container[int] = ()
    ) -> Iterator[tuple[int, int, Factors, Any]]:
        """Terms of the upper triangle of the Hessian: row, column, powers, and coefficient.

        Those that vanish where some entries are exactly zero are left out.
        """
        for c, powers in self._felt(numbers, zeros, 2):
            for i, e in powers:
                for j, f in powers:
                    times = e * (e - 1) if i == j else e * f
                    if j < i or not times:
                        continue
                    left = ((k, g - (k == i) - (k == j)) for k, g in powers)
                    yield i, j, tuple((k, g) for k, g in left if g), c * times

    def _gradient(self, z: Sequence[Any], numbers: Sequence[Any]) -> tuple[Any, list[Any]]:
        table, value, slope = self._table(z), z[0] * 0, [z[0] * 0] * self.size
        for c, powers in self._felt(numbers, _zeros(z), 1):
            whole = c
            for k, e in powers:
                whole = whole * table[k][e]
            value = value + whole
            for k, e in powers:
                part = c * e
                for other, f in powers:
                    part = part * table[other][f - (other == k)] if f > (other == k) else part
                slope[k] = slope[k] + part
        return value, slope

    def _hessian(self, z: Sequence[Any], numbers: Sequence[Any]) -> list[list[Any]]:
        table = self._table(z)
        found = [[z[0] * 0] * self.size for _ in range(self.size)]
        for i, j, powers, c in self.seconds(numbers, _zeros(z)):
            for k, e in powers:
                c = c * table[k][e]
            found[i][j] = found[i][j] + c
        for i in range(self.size):
            for j in range(i):
                found[i][j] = found[j][i]
        return found

    def _felt(self, numbers: Sequence[Any], zeros: Container[int], order: int) -> Iterator[Any]:
        """Terms of which a derivative of an order does not vanish: entries may be exactly zero."""
        for c, powers in zip(numbers, self.powers, strict=True):
            if not zeros or sum(e for k, e in powers if k in zeros) <= order:
                yield c, powers

    def _table(self, z: Sequence[Any]) -> list[list[Any]]:
        """Powers of each entry."""
        most = max((e for powers in self.powers for _, e in powers), default=0)
        table = [[None, v] for v in z]
        for row in table:
            for _ in range(most - 1):
                row.append(row[-1] * row[1])
        return table


def _zeros(z: Sequence[Any]) -> set[int]:
    return {k for k, v in enumerate(z) if v == 0}


@functools.lru_cache(maxsize=16)
def _terms(form: sp.Expr, z: tuple[sp.Symbol, ...]) -> Terms | None:
    table = collected(form, z)
    if table is None:
        if not form.is_polynomial(*z):
            return None
        table = dict(sp.Poly(form, *z).terms())
    powers = tuple(tuple((k, e) for k, e in enumerate(m) if e) for m in table)
    return Terms(len(z), tuple(table.values()), powers)


def collected(form: sp.Expr, z: Sequence[sp.Symbol]) -> dict[tuple[int, ...], sp.Expr] | None:
    """Coefficients of a polynomial by exponents, largest first; None if it is not expanded.

    A common number may stand in front of the sum. SymPy's polynomials take a hundred times as long.
    """
    number, inner = form.as_coeff_Mul() if form.is_Mul else (sp.S.One, form)
    places = {v: k for k, v in enumerate(z)}
    table: dict[tuple[int, ...], sp.Expr] = {}
    for term in sp.Add.make_args(inner):
        c, powers = number, [0] * len(places)
        for factor in sp.Mul.make_args(term):
            base, e = (factor.base, factor.exp) if factor.is_Pow else (factor, sp.S.One)
            if base in places and e.is_Integer and e > 0:
                powers[places[base]] += int(e)
            elif factor.free_symbols.isdisjoint(places):
                c = c * factor
            else:
                return None
        key = tuple(powers)
        table[key] = table[key] + c if key in table else c
    return {key: table[key] for key in sorted(table, reverse=True) if table[key] != 0}


@dataclass(frozen=True)
class Seconds:
    """Second derivatives in doubles: linear in the monomials of a degree lower by two.

    Parameters
    ----------
    size : int
        Number of variables.
    places : ndarray, shape (monomials, degree - 2)
        Variables of each monomial.
    matrix : ndarray, shape (size * (size + 1) / 2, monomials)
        Coefficients, of the upper triangle.
    """

    size: int
    places: NDArray[np.int64]
    matrix: NDArray[np.float64]

    def second(self, z: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Hessian."""
        return (self.matrix @ np.asarray(z)[self.places].prod(axis=1))[self._rows]

    def first(self, z: Sequence[float] | NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Value and gradient."""
        degree = 2 + self.places.shape[1]
        slope = self.second(z) @ z / (degree - 1)
        return float(slope @ z) / degree, slope

    @functools.cached_property
    def _rows(self) -> NDArray[np.int64]:
        """Row of the matrix for each entry of the Hessian."""
        found = np.zeros((self.size, self.size), dtype=np.int64)
        upper = np.triu_indices(self.size)
        found[upper] = found.T[upper] = np.arange(len(upper[0]))
        return found


def seconds(terms: Terms) -> Seconds | None:
    """Second derivatives of a homogeneous polynomial; None where they are too large."""
    n, degree = terms.size, sum(e for _, e in terms.powers[0])
    row = {place: k for k, place in enumerate(itertools.combinations_with_replacement(range(n), 2))}
    column: dict[Factors, int] = {}
    entries = [
        (row[i, j], column.setdefault(powers, len(column)), c)
        for i, j, powers, c in terms.seconds(terms.numbers(DOUBLES)())
    ]
    if degree < 2 or len(row) * len(column) > LARGEST:
        return None
    matrix = np.zeros((len(row), len(column)))
    for i, k, value in entries:
        matrix[i, k] += value
    places = [[k for k, e in powers for _ in range(e)] for powers in column]
    whole = np.array(places, dtype=np.int64).reshape(len(column), degree - 2)
    return Seconds(n, whole, matrix)


def placed(terms: Terms, numbers: Sequence[Any], found: NDArray[Any]) -> None:
    """Put each coefficient in all its places of a tensor, in equal parts."""
    for c, powers in zip(numbers, terms.powers, strict=True):
        orders = list(multiset_permutations([k for k, e in powers for _ in range(e)]))
        for order in orders:
            found[tuple(order)] += c / len(orders)
