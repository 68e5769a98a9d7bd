r"""Eigenvectors of a Hessian with as many digits as it takes, from those in doubles.

On an exponential tail the gradient falls below the rounding of the axes along which errors are
kept: in doubles each axis holds 1e-16 of every other one. The iteration

.. math:: R = I - X^T X, \qquad S = X^T A X, \qquad \lambda_i = \frac{S_{ii}}{1 - R_{ii}}, \qquad
   X \to X + X E, \qquad E_{ik} = \frac{S_{ik} + \lambda_k R_{ik}}{\lambda_k - \lambda_i}

with `E = R/2` within one eigenvalue, squares what is wrong.

Source: Ogita & Aishima, *Iterative refinement for symmetric eigenvalue decomposition* (2018),
Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat

from flows.core.arrays import Array
from flows.core.balls import precision

__all__ = ["SharpAxes", "sharp_axes"]

# Each step squares what is wrong, or takes the digits of a double off it within one eigenvalue.
MOST = 60
# Eigenvalues that differ by less than this part of the largest one are one.
EQUAL = 1e-6


class SharpAxes(NamedTuple):
    """A Hessian with its axes.

    Parameters
    ----------
    matrix, axes : arb_mat
        The Hessian, and orthonormal columns.
    """

    matrix: Any
    axes: Any

    def overlaps(self, earlier: SharpAxes) -> Array:
        """Products of these axes with earlier ones, rounded."""
        return _rounded(self.axes.transpose() * earlier.axes)

    def bends(self, earlier: SharpAxes) -> Array:
        """Curvature here along the axes of before."""
        return np.diag(_rounded(earlier.axes.transpose() * self.matrix * earlier.axes))

    @property
    def curvature(self) -> Array:
        """Eigenvalues."""
        return self.bends(self)

    def along(self, slope: Sequence[Any]) -> Array:
        """Gradient along the axes."""
        return _rounded(self.axes.transpose() * arb_mat(len(slope), 1, list(slope)))[:, 0]


def sharp_axes(rows: Sequence[Sequence[Any]], axes: Array, bits: int) -> SharpAxes:
    """Axes of a Hessian that are right to half of this many bits.

    Parameters
    ----------
    rows : sequence of rows of arb
        The Hessian.
    axes : ndarray, shape (N, N)
        Its eigenvectors in doubles.
    bits : int
        Of the arithmetic.
    """
    size = len(axes)
    with precision(bits):
        matrix = arb_mat(size, size, [x.mid() for row in rows for x in row])
        x = arb_mat(size, size, [arb(v) for v in axes.ravel().tolist()])
        for _ in range(MOST):
            x, moved = _sharper(matrix, x, size)
            if moved < 2.0 ** -(bits // 2):
                break
        return SharpAxes(matrix, x)


def _sharper(matrix: Any, x: Any, size: int) -> tuple[Any, float]:
    """Columns after a step, and its largest entry."""
    turned = x.transpose()
    square, inside = turned * x, turned * matrix * x
    value = [inside[i, i] / square[i, i] for i in range(size)]
    near = EQUAL * max((abs(float(v)) for v in value), default=0.0)
    change = []
    for i in range(size):
        for k in range(size):
            rest = arb(int(i == k)) - square[i, k]
            gap = value[k] - value[i]
            if abs(float(gap)) > near:
                change.append((inside[i, k] + value[k] * rest) / gap)
            else:
                change.append(rest / 2)
    moved = max(abs(float(c)) for c in change)
    return (x + x * arb_mat(size, size, [c.mid() for c in change])).mid(), moved


def _rounded(matrix: Any) -> Array:
    entries = [float(x) for x in matrix.entries()]
    return np.array(entries).reshape(matrix.nrows(), matrix.ncols())
