r"""A sum of powers of quadratic forms, ``sum c_k (z'A_k z)^q_k``, with its derivatives.

.. math:: \nabla = \sum 2 c q b^{q-1} A z, \qquad
          \nabla^2 = \sum 2 c q b^{q-1} A + 4 c q (q-1) b^{q-2} A z z^T A, \qquad b = z^T A z

The leading form of ReLU neurons is one. Programs of SymPy's derivatives take seconds to make.
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

__all__ = ["Powers"]

Array = NDArray[np.float64]
#: Entries of a symmetric matrix that are not zero, by rows: place and number.
Rows = tuple[tuple[tuple[int, sp.Rational], ...], ...]

# Rounding of eigenvalues, relative to the largest one.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Powers:
    """The coefficients, matrices and exponents.

    Parameters
    ----------
    size : int
        Number of variables.
    coefficients : tuple of Expr
        Numbers.
    matrices : tuple of Rows
        Positive semidefinite.
    exponents : tuple of Rational
        Above one.
    """

    size: int
    coefficients: tuple[sp.Expr, ...]
    matrices: tuple[Rows, ...]
    exponents: tuple[sp.Rational, ...]

    @classmethod
    def of(cls, form: sp.Expr, z: Sequence[sp.Symbol]) -> Powers | None:
        """Parts of a form; None of one that is no such sum."""
        return _powers(form, tuple(z))

    def evaluated(self, z: Array) -> tuple[float, Array, Array]:
        """Value, gradient and Hessian in doubles; a base that is zero adds nothing."""
        factors, coefficients, q = self.doubles
        u = factors @ z
        b = np.einsum("ki,ki->k", u, u)
        pull = np.einsum("kij,ki->kj", factors, u)
        zero = b == 0
        safe = np.where(zero, 1.0, b)
        first = np.where(zero, 0.0, 2 * coefficients * q * safe ** (q - 1))
        second = np.where(zero, 0.0, 4 * coefficients * q * (q - 1) * safe ** (q - 2))
        curved = np.einsum("k,kij->ij", first, self._squares)
        curved += np.einsum("k,ki,kj->ij", second, pull, pull)
        return float(coefficients @ b**q), first @ pull, curved

    @functools.cached_property
    def doubles(self) -> tuple[Array, Array, Array]:
        """Factors `B` with ``A = B'B``, so that a small base keeps its digits; `c`; exponents."""
        factors = np.stack([_factor(_dense(rows, self.size)) for rows in self.matrices])
        c = np.array([float(e.evalf(20)) for e in self.coefficients])
        return factors, c, np.array(self.exponents, dtype=float)

    @functools.cached_property
    def _squares(self) -> Array:
        return np.stack([_dense(rows, self.size) for rows in self.matrices])

    def exact_gradient(self, z: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Value and gradient at an exact point."""
        value: sp.Expr = sp.S.Zero
        slope: list[sp.Expr] = [sp.S.Zero for _ in z]
        for c, rows, q in zip(self.coefficients, self.matrices, self.exponents, strict=True):
            pull = [sp.expand(sp.Add(*(a * z[j] for j, a in row))) for row in rows]
            b = sp.expand(sp.Add(*(p * v for p, v in zip(pull, z, strict=True))))
            value += c * b**q
            scale = 2 * c * q * b ** (q - 1)
            slope = [s + scale * p for s, p in zip(slope, pull, strict=True)]
        return [value, *slope]

    def gradient(self, z: Sequence[Any]) -> list[Any]:
        """Value and gradient in balls."""
        value, slope = z[0] * 0, [z[0] * 0 for _ in z]
        for c, q, pull, b in self._parts(z):
            value = value + c * _power(b, q)
            scale = 2 * c * _number(q) * _power(b, q - 1)
            slope = [s if p is None else s + scale * p for s, p in zip(slope, pull, strict=True)]
        return [value, *slope]

    def hessian(self, z: Sequence[Any]) -> list[list[Any]]:
        """Second derivatives in balls."""
        zero = z[0] * 0
        found = [[zero] * self.size for _ in range(self.size)]
        for k, (c, q, pull, b) in enumerate(self._parts(z)):
            first = 2 * c * _number(q) * _power(b, q - 1)
            second = 4 * c * _number(q * (q - 1)) * _power(b, q - 2)
            for i, row in enumerate(self.matrices[k]):
                for j, a in row:
                    found[i][j] = found[i][j] + first * _number(a)
                if (p := pull[i]) is not None:
                    for j, r in enumerate(pull):
                        if r is not None:
                            found[i][j] = found[i][j] + second * p * r
        return found

    def _parts(self, z: Sequence[Any]) -> list[tuple[Any, sp.Rational, list[Any], Any]]:
        """Coefficient, exponent, ``A z`` and base of each power."""
        found = []
        for c, rows, q in zip(self._balls(), self.matrices, self.exponents, strict=True):
            pull = [_sum([_number(a) * z[j] for j, a in row]) if row else None for row in rows]
            b = _sum([p * v for p, v in zip(pull, z, strict=True) if p is not None])
            found.append((c, q, pull, b))
        return found

    def _balls(self) -> list[Any]:
        return list(self._in_balls())

    @functools.cached_property
    def _in_balls(self) -> Any:
        """Coefficients in the precision of the moment; compiled once, which takes longest."""
        return lower(self.coefficients, [], "ball")


@functools.lru_cache(maxsize=64)
def _powers(form: sp.Expr, z: tuple[sp.Symbol, ...]) -> Powers | None:
    coefficients, matrices, exponents = [], [], []
    for term in sp.Add.make_args(form):
        c, rest = term.as_independent(*z, as_Add=False)
        if not (rest.is_Pow and rest.exp.is_Rational and rest.exp > 1 and c.is_number):
            return None
        rows = _rows(rest.base, z)
        if rows is None:
            return None
        coefficients.append(c)
        matrices.append(rows)
        exponents.append(rest.exp)
    return Powers(len(z), tuple(coefficients), tuple(matrices), tuple(exponents))


@functools.lru_cache(maxsize=512)
def _rows(base: sp.Expr, z: tuple[sp.Symbol, ...]) -> Rows | None:
    """Matrix of a quadratic form that is not negative, with fractions as entries."""
    if not base.is_polynomial(*z):
        return None
    entries: list[dict[int, sp.Rational]] = [{} for _ in z]
    for monomial, c in sp.Poly(base, *z).terms():
        if sum(monomial) != 2 or not c.is_Rational:
            return None
        i, j = (k for k, e in enumerate(monomial) for _ in range(e))
        entries[i][j] = entries[i].get(j, sp.S.Zero) + c / 2
        entries[j][i] = entries[j].get(i, sp.S.Zero) + c / 2
    rows = tuple(tuple(sorted(row.items())) for row in entries)
    values = np.linalg.eigvalsh(_dense(rows, len(z)))
    return rows if values[0] >= -ROUNDING * values[-1] else None


def _dense(rows: Rows, size: int) -> Array:
    found = np.zeros((size, size))
    for i, row in enumerate(rows):
        for j, a in row:
            found[i, j] = float(a)
    return found


def _factor(matrix: Array) -> Array:
    values, axes = np.linalg.eigh(matrix)
    values[values < ROUNDING * values[-1]] = 0.0
    return np.asarray(np.sqrt(values)[:, None] * axes.T)


def _number(a: sp.Rational) -> Any:
    from flint import arb

    return arb(int(a.p)) / int(a.q)


def _power(b: Any, q: sp.Rational) -> Any:
    """Power of a positive ball; of one that may not be, nothing is decided."""
    if not b > 0:
        raise ArithmeticError("a kink of the form lies on the direction")
    return b.sqrt() ** int(2 * q) if q.q == 2 else b ** _number(q)


def _sum(values: Sequence[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
