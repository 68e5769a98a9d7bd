"""A homogeneous polynomial by its terms: value, gradient and Hessian in any arithmetic.

An expanded form of a dozen variables has more than a thousand terms, for which programs of SymPy's
derivatives take a minute to make.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symbolic.language.lower import lower

__all__ = ["Terms", "placed", "tensor"]

#: Entries of the largest tensor of coefficients.
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
        return list(lower(self.coefficients, [], backend)())

    def gradient(self, z: Sequence[Any], numbers: Sequence[Any], zero: Any) -> list[Any]:
        """Value and gradient."""
        table, found = self._table(z), [zero] * (self.size + 1)
        for c, powers in zip(numbers, self.powers, strict=True):
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
        for c, powers in zip(numbers, self.powers, strict=True):
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
    if not form.is_polynomial(*z):
        return None
    terms = sp.Poly(form, *z).terms()
    powers = tuple(tuple((k, e) for k, e in enumerate(m) if e) for m, _ in terms)
    return Terms(len(z), tuple(c for _, c in terms), powers)


@functools.lru_cache(maxsize=16)
def tensor(terms: Terms, degree: int) -> NDArray[np.float64] | None:
    """Symmetric tensor `T` with ``T z ... z`` the form; None where it is too large."""
    if float(terms.size) ** degree > LARGEST:
        return None
    found = np.zeros((terms.size,) * degree)
    placed(terms, [float(c) for c in terms.numbers("numpy")], found)
    return found


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
