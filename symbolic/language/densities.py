r"""Densities of data: Gaussians `x = m + C u`, rows of data, and mixtures."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from symbolic.language.density import Array, Density, Reduced, matrix, shares, summed

__all__ = ["Gaussian", "Mixture", "Rows"]

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

    Raises
    ------
    ValueError
        For other shapes, and a matrix that is no covariance.

    Notes
    -----
    Accuracy: exact for fractions with denominators to a million; otherwise `C` is rounded to
    doubles. To train a mean or a covariance, write `m + C*u` in the integrand.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> Gaussian(1, 4).reduced(x**2, (x,))
    Reduced(closed=0, integrand=(2*x + 1)**2)
    """

    def __new__(cls, mean: Any = 0, covariance: Any = None) -> Gaussian:
        """Check the shapes, and that there is such a density."""
        m = matrix("the mean", mean)
        m = m.T if m.rows == 1 else m
        if m.cols != 1:
            raise ValueError(f"the mean must be a number or a column, got shape {m.shape}")
        given = sp.eye(m.rows) if covariance is None else matrix("the covariance", covariance)
        if given.shape != (m.rows, m.rows):
            raise ValueError(
                f"the covariance must have shape {(m.rows, m.rows)} like the mean, got"
                f" {given.shape}"
            )
        found = sp.Basic.__new__(cls, m, sp.ImmutableMatrix(given))
        _factor(found.args[1])
        return found

    @property
    def size(self) -> int:
        """How many numbers it is of."""
        return int(self.args[0].rows)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        mean, covariance = self.args
        moved = mean + _factor(covariance) * sp.Matrix(x)
        return Reduced(sp.S.Zero, f.xreplace(dict(zip(x, moved, strict=True))))

    def _latex(self, printer: Any) -> str:
        mean, covariance = (m[0] if self.size == 1 else m for m in self.args)
        return rf"\mathcal{{N}}\left({printer._print(mean)}, {printer._print(covariance)}\right)"


class Rows(Density):
    r"""Rows of data: the average over them.

    .. math:: E f(x) = \sum_i p_i f(x_i) \Big/ \sum_i p_i

    Parameters
    ----------
    rows : array_like, shape (n, d) or (n,)
        Data; numbers are taken as what they are, also those of doubles.
    weights : sequence of n numbers, optional
        Not negative, and not all zero; equal if left out.

    Raises
    ------
    ValueError
        For other shapes, or numbers that are not real and finite.

    Notes
    -----
    Accuracy: a sum of some hundred rows is an expression like any other; a longer one is taken over
    arrays of doubles, and states are doubles.

    Examples
    --------
    >>> x, w = sp.symbols("x w", real=True)
    >>> Rows([1, 2]).reduced((w * x - 1) ** 2, (x,)).closed
    (w - 1)**2/2 + (2*w - 1)**2/2
    """

    def __new__(cls, rows: Any, weights: Any = None) -> Rows:
        """Check the shapes."""
        data = matrix("rows", rows)
        if not isinstance(rows, sp.MatrixBase) and np.ndim(np.array(rows, dtype=object)) == 1:
            data = data.T if data.rows == 1 else data
        return sp.Basic.__new__(cls, data, shares("rows", data.rows, weights))

    @property
    def size(self) -> int:
        """How many numbers it is of."""
        return int(self.args[0].cols)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        data, weights = self.args
        return summed(f, x, (data.row(k) for k in range(data.rows)), list(weights))

    def terms(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> int:
        """See :meth:`Density.terms`."""
        return int(self.args[0].rows)

    def places(self, size: int) -> tuple[Array, Array]:
        """See :meth:`Density.places`."""
        data, weights = (np.array(a.tolist(), dtype=float) for a in self.args)
        return data, weights[0]

    def _latex(self, printer: Any) -> str:
        return rf"{self.args[0].rows} \text{{ rows}}"

    def _sympystr(self, printer: Any) -> str:
        return f"{self.args[0].rows} rows"


class Mixture(Density):
    """Mixture of densities.

    Parameters
    ----------
    parts : sequence of densities
        Of equally many numbers.
    weights : sequence of numbers, optional
        Not negative, and not all zero; they are divided by their sum. Equal if left out.

    Raises
    ------
    ValueError
        For what is no density, and for other weights.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> Mixture([Gaussian(1), Rows([2])], [1, 3]).reduced(x**2, (x,))
    Reduced(closed=3, integrand=(x + 1)**2/4)
    """

    def __new__(cls, parts: Any, weights: Any = None) -> Mixture:
        """Check the parts."""
        found = sp.Tuple(*parts)
        if not found or not all(isinstance(part, Density) for part in found):
            raise ValueError(f"a mixture must be of densities, got {parts!r}")
        if len(sizes := {part.size for part in found} - {None}) > 1:
            raise ValueError(
                f"parts of a mixture must be of equally many numbers, got {sorted(sizes)}"
            )
        return sp.Basic.__new__(cls, found, shares("parts", len(found), weights))

    @property
    def size(self) -> int | None:
        """How many numbers it is of; None of any."""
        return next((part.size for part in self.args[0] if part.size is not None), None)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        parts, weights = self.args
        each = (p.reduced(f, x).times(w) for p, w in zip(parts, weights, strict=True) if w)
        return functools.reduce(Reduced.__add__, each)

    def _latex(self, printer: Any) -> str:
        parts = (
            f"{printer._print(w)} \\, {printer._print(p)}" for p, w in zip(*self.args, strict=True)
        )
        return " + ".join(parts)


@functools.lru_cache(maxsize=64)
def _factor(covariance: sp.ImmutableMatrix) -> sp.ImmutableMatrix:
    """Lower triangular matrix whose square is a covariance; columns may be zero."""
    if covariance != covariance.T:
        raise ValueError(f"the covariance must be symmetric, got {covariance.tolist()}")
    exact = all(e.is_Rational and e.q <= DENOMINATOR for e in covariance)
    left = covariance.as_mutable() if exact else covariance.evalf(DIGITS).as_mutable()
    size = covariance.rows
    found = sp.zeros(size, size)
    for k in range(size):
        pivot, whole = left[k, k], abs(covariance[k, k])
        gone = pivot == 0 if exact else abs(pivot) <= NOTHING * whole
        beside = [left[i, k] for i in range(k + 1, size)]
        small = 0 if exact else math.sqrt(NOTHING) * float(max(map(abs, covariance)))
        if (not gone and pivot < 0) or (gone and any(abs(e) > small for e in beside)):
            raise ValueError(
                f"the covariance must be positive semidefinite, got {covariance.tolist()}"
            )
        if gone:
            continue
        for i in range(k, size):
            found[i, k] = left[i, k] / sp.sqrt(pivot)
        for i, j in itertools.product(range(k + 1, size), repeat=2):
            left[i, j] -= left[i, k] * left[j, k] / pivot
    return sp.ImmutableMatrix(found if exact else found.applyfunc(lambda e: sp.Rational(float(e))))
