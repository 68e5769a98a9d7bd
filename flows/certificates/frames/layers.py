r"""A chain of layers in balls, as matrices.

The state are the real numbers of the layers, ``W_1`` first, row by row; of complex entries real
and imaginary part in turn. Complex matrices are computed with as real ones of twice the size,
``X + iY -> [[X, -Y], [Y, X]]``, for which adjoints are transposes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from flint import acb, acb_mat, arb, arb_mat

from flows.certificates.frames.flow import Flow
from flows.core.arrays import Array
from flows.core.balls import Ball

Matrix = Any  # flint.arb_mat
ZERO = arb(0)


class LayerFlow(Flow):
    """The flow of `N` layers in the user's basis."""

    def __init__(self, system: Any, equations: Any) -> None:
        super().__init__(system, equations)
        self.is_complex, self.target = equations.parts == 2, arb_mat(equations.target.tolist())
        self.unit = float(system.parameters["sigma_max"] ** (1 / system.depth)) or 1.0

    def matrices(self, x: Sequence[Any]) -> list[Matrix]:
        """Layers, or other matrices of such numbers, as real ones."""
        return [arb_mat(rows) for rows in self.rows(x)]

    def rows(self, x: Sequence[Any]) -> list[list[list[Any]]]:
        """Rows of these real matrices, of any numbers."""
        whole = np.empty(len(x), dtype=object)
        for k, c in enumerate(x):  # one by one: NumPy would take polynomials apart
            whole[k] = c
        found: list[list[list[Any]]] = self.equations.matrices(whole).tolist()
        return found

    def numbers(self, matrices: Sequence[Matrix]) -> list[Ball]:
        """Inverse of :meth:`matrices`, from the left half of each."""
        return [*self.equations.numbers(np.array([m.tolist() for m in matrices]))]

    def fit_descent(self, layers: Sequence[Matrix], residual: Matrix) -> list[Matrix]:
        """``-grad_j L_ori = (W_N ... W_{j+1})^T (Sigma - W) (W_{j-1} ... W_1)^T``."""
        left = [residual]
        for w in reversed(layers[1:]):
            left.append(w.transpose() * left[-1])
        found, below = [left[-1]], layers[0]
        for j, w in enumerate(layers[1:], 1):
            found.append(left[-1 - j] * below.transpose())
            below = w * below
        return found

    def balance_ascent(self, layers: Sequence[Matrix], deltas: Sequence[Matrix]) -> list[Matrix]:
        """``grad_j L_reg = a (Delta_{j,j+1} W_j - W_j Delta_{j-1,j})``."""
        ups = [w * ZERO for w in layers]
        for j, delta in enumerate(deltas):
            ups[j] = ups[j] + delta * layers[j]
            ups[j + 1] = ups[j + 1] - layers[j + 1] * delta
        return [up * arb(self.system.regularization) for up in ups]

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles, for Newton's method."""
        numbers = np.array([[float(c) for c in x] for x in states])
        kind, shape = complex if self.is_complex else float, (-1, self.system.d, self.system.d)
        return np.array([self.system.hessian(row.view(kind).reshape(shape)) for row in numbers])

    def square(self, matrices: Sequence[Matrix]) -> Ball:
        """Sum of squared Frobenius norms, of complex matrices those that they stand for."""
        return sum((c * c for c in self.numbers(matrices)), ZERO).nonnegative_part()

    def determinant(self, matrix: Matrix) -> Ball:
        """Determinant of a layer, complex if it is."""
        if not self.is_complex:
            return matrix.det()
        (rows,) = self.restore(self.numbers([matrix]))
        return acb_mat(rows).det()

    def restore(self, x: Sequence[Ball]) -> list[Any]:
        """Layers, nested lists of shape (depth, d, d)."""
        whole = list(x)
        if self.is_complex:
            whole = [acb(a, b) for a, b in zip(x[::2], x[1::2], strict=True)]
        found: list[Any] = np.array(whole).reshape(-1, self.system.d, self.system.d).tolist()
        return found


@dataclass(frozen=True)
class Jet:
    """A matrix and its derivative along a direction; sums and products by their rules."""

    value: Matrix
    rate: Matrix

    def __add__(self, other: Jet) -> Jet:
        """Sum."""
        return Jet(self.value + other.value, self.rate + other.rate)

    def __sub__(self, other: Jet) -> Jet:
        """Difference."""
        return Jet(self.value - other.value, self.rate - other.rate)

    def __mul__(self, other: Jet) -> Jet:
        """Product."""
        return Jet(self.value * other.value, self.rate * other.value + self.value * other.rate)

    def transpose(self) -> Jet:
        """Transpose."""
        return Jet(self.value.transpose(), self.rate.transpose())

    def inverse(self) -> Jet:
        """Inverse, and its rate; an error of python-flint where the matrix may be singular."""
        inverse = self.value.inv()
        return Jet(inverse, -(inverse * self.rate * inverse))


def product(layers: Sequence[Matrix]) -> Matrix:
    """``W_N ... W_1``."""
    return reduce(lambda below, w: w * below, layers)


def defects(layers: Sequence[Matrix]) -> list[Matrix]:
    """``Delta_{j,j+1} = W_j W_j^T - W_{j+1}^T W_{j+1}``."""
    return [w * w.transpose() - v.transpose() * v for w, v in pairwise(layers)]
