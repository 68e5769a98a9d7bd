"""A homogeneous polynomial by its terms: value, gradient and Hessian in any arithmetic.

An expanded form of a dozen variables has more than a thousand terms, for which programs of SymPy's
derivatives take a minute to make.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symbolic.language.lower import lower

__all__ = ["Seconds", "Terms", "collected", "placed", "seconds"]

#: Entries of the largest matrix of coefficients.
LARGEST = 2_000_000


@dataclass(frozen=True)
class Terms:
    """Coefficients with the exponents that are not zero, as pairs of place and power."""

    size: int
    coefficients: tuple[sp.Expr, ...]
    powers: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, form: sp.Expr, z: Sequence[sp.Symbol]) -> Terms | None:
        """Terms of a polynomial; None of anything else."""
        return _terms(form, tuple(z))

    def numbers(self, backend: Any) -> list[Any]:
        """Coefficients in the arithmetic of a backend of `lower`."""
        distinct = list(dict.fromkeys(self.coefficients))
        known = dict(zip(distinct, lower(distinct, [], backend)(), strict=True))
        return [known[c] for c in self.coefficients]

    def gradient(self, z: Sequence[Any], numbers: Sequence[Any], zero: Any) -> list[Any]:
        """Value and gradient."""
        table, found = self._table(z), [zero] * (self.size + 1)
        for c, powers in self._felt(z, numbers, 1):
            whole = c
            for k, e in powers:
                whole = whole * table[k][e]
            found[0] = found[0] + whole
            for k, e in powers:
                part = c * e
                for other, f in powers:
                    part = part * table[other][f - (other == k)] if f > (other == k) else part
                found[k + 1] = found[k + 1] + part
        return found

    def hessian(self, z: Sequence[Any], numbers: Sequence[Any], zero: Any) -> list[list[Any]]:
        """Second derivatives."""
        table = self._table(z)
        found = [[zero] * self.size for _ in range(self.size)]
        for c, powers in self._felt(z, numbers, 2):
            for i, e in powers:
                for j, f in powers:
                    factor = e * (e - 1) if i == j else e * f
                    if j < i or not factor:
                        continue
                    part = c * factor
                    for k, g in powers:
                        left = g - (k == i) - (k == j)
                        part = part * table[k][left] if left else part
                    found[i][j] = found[i][j] + part
        for i in range(self.size):
            for j in range(i):
                found[i][j] = found[j][i]
        return found

    def _felt(self, z: Sequence[Any], numbers: Sequence[Any], order: int) -> Iterator[Any]:
        """Terms of which a derivative of an order does not vanish: entries may be exactly zero."""
        zeros = {k for k, v in enumerate(z) if v == 0}
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

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hessian."""
        return (self.matrix @ z[self.places].prod(axis=1))[self._rows]

    @functools.cached_property
    def _rows(self) -> NDArray[np.int64]:
        """Row of the matrix for each entry of the Hessian."""
        found = np.zeros((self.size, self.size), dtype=np.int64)
        upper = np.triu_indices(self.size)
        found[upper] = found.T[upper] = np.arange(len(upper[0]))
        return found


@functools.lru_cache(maxsize=16)
def seconds(terms: Terms, degree: int) -> Seconds | None:
    """Second derivatives of a homogeneous polynomial; None where they are too large."""
    n = terms.size
    row: dict[tuple[int, int], int] = {}
    for i in range(n):
        for j in range(i, n):
            row[i, j] = len(row)
    column: dict[tuple[int, ...], int] = {}
    entries = []
    for c, powers in zip(terms.numbers("numpy"), terms.powers, strict=True):
        whole = [k for k, e in powers for _ in range(e)]
        for i, e in powers:
            for j, f in powers:
                times = e * (e - 1) if i == j else e * f
                if j < i or not times:
                    continue
                left = whole.copy()
                left.remove(i)
                left.remove(j)
                k = column.setdefault(tuple(left), len(column))
                entries.append((row[i, j], k, float(c) * times))
    if degree < 2 or len(row) * len(column) > LARGEST:
        return None
    matrix = np.zeros((len(row), len(column)))
    for i, k, value in entries:
        matrix[i, k] += value
    places = np.array(list(column), dtype=np.int64).reshape(len(column), degree - 2)
    return Seconds(n, places, matrix)


def placed(terms: Terms, numbers: Sequence[Any], found: NDArray[Any]) -> None:
    """Put each coefficient in all its places of a tensor, in equal parts."""
    for c, powers in zip(numbers, terms.powers, strict=True):
        places = [k for k, e in powers for _ in range(e)]
        orders = _permutations(tuple(places))
        for order in orders:
            found[order] += c / len(orders)


def _permutations(places: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Distinct orders of places."""
    if len(places) <= 1:
        return {places}
    found = set()
    for k in set(places):
        rest = list(places)
        rest.remove(k)
        found |= {(k, *order) for order in _permutations(tuple(rest))}
    return found
