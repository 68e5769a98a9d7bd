r"""Gaussian densities of data, `x = m + C u`."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from symbolic.language.averages.density import Density, Reduced, matrix, parameter
from symbolic.language.errors import InputError

__all__ = ["Gaussian"]

# Larger denominators are those of doubles: their factor has so many digits, and what is left of a
# variance is zero where it is this part of it.
DENOMINATOR, DIGITS, NOTHING = 10**6, 50, 1e-13


class Gaussian(Density):
    r"""Gaussian density of a mean and a covariance.

    .. math:: x = m + C u, \qquad C C^T = \Sigma, \quad u \sim N(0, I)

    Parameters
    ----------
    mean : number, or sequence of d numbers
        `m`.
    covariance : number, or d x d numbers
        Symmetric and positive semidefinite; the identity if it is left out.
    factor : number, or d x k numbers with k at most d, optional
        `C`, in place of the covariance.

    Raises
    ------
    InputError
        For other shapes, and a matrix that is no covariance.

    Notes
    -----
    Accuracy: exact for fractions with denominators to a million; otherwise `C` is rounded to
    doubles. A mean and a factor may be trained: they may hold symbols of blocks, or be blocks. A
    covariance may not, as it may cease to be one along a flow; no factor does.

    Examples
    --------
    >>> x, s = sp.symbols("x s", real=True)
    >>> Gaussian(1, 4).reduced(x**2, (x,))
    Reduced(closed=0, integrand=(2*x + 1)**2)
    >>> Gaussian(1, factor=s).reduced(x**2, (x,)).integrand
    (s*x + 1)**2
    """

    def __new__(cls, mean: Any = 0, covariance: Any = None, factor: Any = None) -> Gaussian:
        """Check the shapes, and that there is such a density."""
        m = matrix("the mean", mean, parameter)
        m = m.T if m.rows == 1 else m
        if m.cols != 1:
            raise InputError(f"the mean must be a number or a column, got shape {m.shape}")
        covariance = None if isinstance(covariance, sp.Tuple) else covariance
        if factor is None:
            given = sp.eye(m.rows) if covariance is None else _covariance(covariance)
            if given.shape != (m.rows, m.rows):
                raise InputError(
                    f"the covariance must have shape {(m.rows, m.rows)} like the mean, got"
                    f" {given.shape}"
                )
            _factor(sp.ImmutableMatrix(given))
            return sp.Basic.__new__(cls, m, sp.ImmutableMatrix(given))
        if covariance is not None:
            raise InputError("expected a covariance or a factor of it, got both")
        c = matrix("the factor", factor, parameter)
        if c.rows != m.rows or c.cols > c.rows:
            raise InputError(
                f"the factor must have {m.rows} rows like the mean and no more columns, got shape"
                f" {c.shape}"
            )
        whole = sp.ImmutableMatrix(c.row_join(sp.zeros(c.rows, c.rows - c.cols)))
        return sp.Basic.__new__(cls, m, sp.Tuple(), whole)

    @property
    def size(self) -> int:
        """How many numbers it is of."""
        return int(self.args[0].rows)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        moved = self.args[0] + self.factor * sp.Matrix(x)
        return Reduced(sp.S.Zero, f.xreplace(dict(zip(x, moved, strict=True))))

    @property
    def factor(self) -> sp.ImmutableMatrix:
        """`C`."""
        return self.args[2] if len(self.args) > 2 else _factor(self.args[1])

    def trained(self, f: Any, x: Any) -> list[tuple[sp.Expr, Any]]:
        """See :meth:`Density.trained`."""
        if self.args[0].has(*x.free_symbols) or self.factor.has(*x.free_symbols):
            raise InputError(f"expected parameters of {self} that are not {x} itself")
        if isinstance(x, sp.Symbol):
            return [(sp.S.One, f.xreplace({x: self.args[0][0] + self.factor[0] * x}))]
        if isinstance(x, sp.Tuple):
            moved = self.args[0] + self.factor * sp.Matrix(x)
            return [(sp.S.One, f.xreplace(dict(zip(x, moved, strict=True))))]
        return [(sp.S.One, f.xreplace({x: self.args[0] + self.factor * x}))]

    def _sympystr(self, printer: Any) -> str:
        if self.args[1]:
            return str(super()._sympystr(printer))
        return f"Gaussian({self.args[0].tolist()}, factor={self.factor.tolist()})"

    def _latex(self, printer: Any) -> str:
        of = (self.args[0], self.args[1] or self.factor * self.factor.T)
        mean, covariance = (m[0] if self.size == 1 else m for m in of)
        return rf"\mathcal{{N}}\left({printer._print(mean)}, {printer._print(covariance)}\right)"


def _covariance(given: Any) -> sp.ImmutableMatrix:
    """A covariance of numbers."""
    if getattr(given, "free_symbols", ()) or any(
        getattr(e, "free_symbols", ()) for e in np.ravel(np.array(given, dtype=object))
    ):
        raise InputError(
            f"expected numbers in the covariance, got {given}; to train one, give its factor C,"
            " as in Gaussian(m, factor=C): every C gives a covariance"
        )
    return matrix("the covariance", given)


@functools.lru_cache(maxsize=64)
def _factor(covariance: sp.ImmutableMatrix) -> sp.ImmutableMatrix:
    """Lower triangular matrix whose square is a covariance; columns may be zero."""
    if covariance != covariance.T:
        raise InputError(f"the covariance must be symmetric, got {covariance.tolist()}")
    exact = all(e.is_Rational and e.q <= DENOMINATOR for e in covariance)
    left = covariance.as_mutable() if exact else covariance.evalf(DIGITS).as_mutable()
    size = covariance.rows
    found = sp.zeros(size, size)
    for k in range(size):
        pivot, whole = left[k, k], abs(covariance[k, k])
        vanishes = pivot == 0 if exact else abs(pivot) <= NOTHING * whole
        beside = [left[i, k] for i in range(k + 1, size)]
        small = 0 if exact else math.sqrt(NOTHING) * float(max(map(abs, covariance)))
        if (not vanishes and pivot < 0) or (vanishes and any(abs(e) > small for e in beside)):
            raise InputError(
                f"the covariance must be positive semidefinite, got {covariance.tolist()}"
            )
        if vanishes:
            continue
        for i in range(k, size):
            found[i, k] = left[i, k] / sp.sqrt(pivot)
        for i, j in itertools.product(range(k + 1, size), repeat=2):
            left[i, j] -= left[i, k] * left[j, k] / pivot
    return sp.ImmutableMatrix(found if exact else found.applyfunc(lambda e: sp.Rational(float(e))))
