"""Rows of data as a density."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from symbolic.language.averages.density import Array, Density, Reduced, matrix, shares, summed

__all__ = ["Rows"]


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
    InputError
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
