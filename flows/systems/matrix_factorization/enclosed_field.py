r"""Matrix factorisation in ball arithmetic: field, Hessian and loss of a chain of layers.

The state are the real numbers of the layers, ``W_1`` first, row by row; of complex entries real
and imaginary part in turn. Complex matrices are computed with as real ones of twice the size,
``X + iY -> [[X, -Y], [Y, X]]``, for which adjoints are transposes. The field is then a polynomial
in real numbers, analytic everywhere, also for complex layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, Self

import numpy as np
from flint import acb, acb_mat, arb, arb_mat

from flows.core.arrays import Array
from flows.core.balls import Ball, BallFlow

Matrix = Any  # flint.arb_mat or flint.acb_mat
ZERO = arb(0)


@dataclass(frozen=True)
class ChainFlow(BallFlow):
    """The flow of `N` layers in the user's basis.

    Parameters
    ----------
    system : MatrixFactorization
        Its doubles, those of the target and of the strength too, are taken as exact numbers.
    start : list of balls
        Numbers of the start, exact.
    target : arb_mat
        The target, as a real matrix.
    """

    system: Any
    start: list[Ball]
    target: Matrix
    form = "layers"

    @classmethod
    def of(cls, system: Any, start: Any) -> Self:
        """Flow from the user's start."""
        whole = cls(system, [], arb_mat(0, 0))
        (target,) = whole.matrices(_numbers(np.array(system.target)))
        return cls(system, _numbers(start), target)

    @property
    def unit(self) -> float:  # type: ignore[override]
        """Size of a layer of the optimum."""
        return float(self.system.parameters["sigma_max"] ** (1 / self.system.depth)) or 1.0

    @property
    def is_complex(self) -> bool:
        """Whether the layers are complex."""
        return bool(self.system.field == "complex")

    def matrices(self, x: Sequence[Ball]) -> list[Matrix]:
        """Layers, or other matrices of such numbers, as real ones."""
        kind = arb_mat if isinstance(x[0], arb) else acb_mat
        return [kind(rows) for rows in self.rows(x)]

    def rows(self, x: Sequence[Any]) -> list[list[list[Any]]]:
        """Rows of these real matrices, of any numbers."""
        d, parts = self.system.d, 2 if self.is_complex else 1
        made = []
        for k in range(0, len(x), parts * d * d):
            rows = [x[k + parts * d * i : k + parts * d * (i + 1)] for i in range(d)]
            if parts == 2:
                rows = [
                    *([*row[::2], *(-y for y in row[1::2])] for row in rows),
                    *([*row[1::2], *row[::2]] for row in rows),
                ]
            made.append([list(row) for row in rows])
        return made

    def numbers(self, matrices: Sequence[Matrix]) -> list[Ball]:
        """Inverse of :meth:`matrices`, from the left half of each."""
        d = self.system.d
        found = []
        for matrix in matrices:
            rows = matrix.tolist()
            for i in range(d):
                if len(rows) == d:
                    found += rows[i]
                else:
                    found += [
                        c for a, b in zip(rows[i][:d], rows[i + d][:d], strict=True) for c in (a, b)
                    ]
        return found

    def residual(self, layers: Sequence[Matrix]) -> Matrix:
        """``Sigma - W``."""
        return self.target - product(layers)

    def fit_descent(self, layers: Sequence[Matrix], residual: Matrix = None) -> list[Matrix]:
        """``-grad_j L_ori = (W_N ... W_{j+1})^T (Sigma - W) (W_{j-1} ... W_1)^T``."""
        left = [self.residual(layers) if residual is None else residual]
        for w in reversed(layers[1:]):
            left.append(w.transpose() * left[-1])
        found, below = [left[-1]], layers[0]
        for j, w in enumerate(layers[1:], 1):
            found.append(left[-1 - j] * below.transpose())
            below = w * below
        return found

    def balance_ascent(
        self, layers: Sequence[Matrix], deltas: Sequence[Matrix] | None = None
    ) -> list[Matrix]:
        """``grad_j L_reg = a (Delta_{j,j+1} W_j - W_j Delta_{j-1,j})``."""
        strength = arb(self.system.regularization)
        ups = [w * ZERO for w in layers]
        for j, delta in enumerate(defects(layers) if deltas is None else deltas):
            ups[j] = ups[j] + delta * layers[j]
            ups[j + 1] = ups[j + 1] - layers[j + 1] * delta
        return [up * strength for up in ups]

    def velocity(self, layers: Sequence[Matrix]) -> list[Matrix]:
        """Minus the gradient as matrices."""
        parts = self.fit_descent(layers), self.balance_ascent(layers)
        return [down - up for down, up in zip(*parts, strict=True)]

    def field(self, x: Sequence[Ball], signs: Sequence[int] = ()) -> list[Ball]:
        """Minus the gradient; there is one branch."""
        return self.numbers(self.velocity(self.matrices(x)))

    def hessian(self, x: Sequence[Ball]) -> Matrix:
        """Hessian of the loss, column by column: the derivative of the field along each number."""
        layers = self.matrices(x)
        columns = []
        for k in range(self.size):
            steps = self.matrices([arb(int(k == j)) for j in range(self.size)])
            moved = [Jet(w, s) for w, s in zip(layers, steps, strict=True)]
            columns.append([-c for c in self.numbers([v.rate for v in self.velocity(moved)])])
        return arb_mat(columns)

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles, for Newton's method."""
        numbers = np.array([[float(c) for c in x] for x in states])
        return np.array([self.system.hessian(self._shaped(row)) for row in numbers])

    def loss(self, x: Sequence[Ball]) -> Ball:
        """Population loss."""
        return self.fit_loss(x) + self.balance_loss(x)

    def fit_loss(self, x: Sequence[Ball]) -> Ball:
        """``L_ori``."""
        return self.square([self.residual(self.matrices(x))]) / 2

    def balance_loss(self, x: Sequence[Ball]) -> Ball:
        """``L_reg``."""
        strength = arb(self.system.regularization)
        return strength / 4 * self.square(defects(self.matrices(x)))

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
        d, whole = self.system.d, list(x)
        if self.is_complex:
            whole = [acb(a, b) for a, b in zip(x[::2], x[1::2], strict=True)]
        rows = [whole[k : k + d] for k in range(0, len(whole), d)]
        return [rows[k : k + d] for k in range(0, len(rows), d)]

    def _shaped(self, numbers: Array) -> Any:
        kind = complex if self.is_complex else float
        return numbers.view(kind).reshape(-1, self.system.d, self.system.d)


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

    def __rsub__(self, fixed: Matrix) -> Jet:
        """Difference of a constant and this."""
        return Jet(fixed - self.value, -self.rate)

    def __mul__(self, other: Jet | Ball) -> Jet:
        """Product with another one, or with a constant number."""
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.rate * other)
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


def _numbers(matrices: Any) -> list[Ball]:
    return [arb(c) for c in np.ascontiguousarray(matrices).view(float).ravel().tolist()]
