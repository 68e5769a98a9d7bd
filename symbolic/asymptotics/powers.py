r"""A sum of powers of quadratic forms, ``sum c_k (z'A_k z)^q_k``, with its derivatives.

.. math:: \nabla = \sum 2 c q b^{q-1} A z, \qquad
          \nabla^2 = \sum 2 c q b^{q-1} A + 4 c q (q-1) b^{q-2} A z z^T A, \qquad b = z^T A z

The leading form of ReLU neurons is one. Programs of SymPy's derivatives take seconds to make.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symbolic.asymptotics.numbers import Kind

__all__ = ["Powers", "lengths"]

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
        value, slope, second = lengths(*self.doubles, np.asarray(z)[None])
        return float(value[0]), slope[0], second[0]

    @functools.cached_property
    def doubles(self) -> tuple[Array, Array, Array]:
        """Factors `F` with ``A = F'F``, so that a small base keeps its digits; `c`; `2 q`."""
        factors = np.stack([_factor(_dense(rows, self.size)) for rows in self.matrices])
        c = np.array([float(e.evalf(20)) for e in self.coefficients])
        return factors, c, 2 * np.array(self.exponents, dtype=float)

    def functions(self, kind: Kind) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Value with gradient, and Hessian, in one kind of numbers."""
        shares = [
            c * share
            for c, q in zip(self.coefficients, self.exponents, strict=True)
            for share in (1, 2 * q, 4 * q * (q - 1))
        ]
        constants, zero = kind.compiled(shares, ()), kind.number(sp.S.Zero)

        def parts(z: Sequence[Any]) -> Iterator[Any]:
            """Constants, exponent and matrix of each power, ``A z`` where it is not zero, base."""
            numbers = iter(constants())
            for rows, q in zip(self.matrices, self.exponents, strict=True):
                pull = {
                    i: kind.normal(sum(kind.number(a) * z[j] for j, a in row))
                    for i, row in enumerate(rows)
                    if row
                }
                base = kind.normal(sum(p * z[i] for i, p in pull.items()))
                yield tuple(next(numbers) for _ in range(3)), q, rows, pull, base

        def first(z: Sequence[Any]) -> tuple[Any, list[Any]]:
            value, slope = zero, [zero] * self.size
            for (c, once, _), q, _, pull, base in parts(z):
                value = value + c * kind.power(base, q)
                scale = once * kind.power(base, q - 1)
                for i, p in pull.items():
                    slope[i] = slope[i] + scale * p
            return value, slope

        def second(z: Sequence[Any]) -> list[list[Any]]:
            found = [[zero] * self.size for _ in range(self.size)]
            for (_, once, twice), q, rows, pull, base in parts(z):
                scale, bend = once * kind.power(base, q - 1), twice * kind.power(base, q - 2)
                for i, p in pull.items():
                    for j, a in rows[i]:
                        found[i][j] = found[i][j] + scale * kind.number(a)
                    for j, r in pull.items():
                        found[i][j] = found[i][j] + bend * p * r
            return found

        return first, second


def lengths(
    factors: Array, coefficients: Array, powers: Array, w: Array
) -> tuple[Array, Array, Array]:
    """Values, gradients and Hessians of ``sum c |F w|^s``, s > 2, of points in rows."""
    u = np.einsum("kri,bi->kbr", factors, w)
    pull = np.einsum("kri,kbr->kbi", factors, u)
    c, s, length = coefficients[:, None], powers[:, None], np.linalg.norm(u, axis=2)
    safe = np.where(length == 0, 1.0, length)
    once = c * s * length ** (s - 2)
    twice = c * s * (s - 2) * length ** (s - 1) / safe**3
    second = np.einsum("kb,kij->bij", once, np.einsum("kri,krj->kij", factors, factors))
    second += np.einsum("kb,kbi,kbj->bij", twice, pull, pull)
    return coefficients @ length**s, np.einsum("kb,kbi->bi", once, pull), second


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
