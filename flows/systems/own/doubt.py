"""What is not known of an exact state, along the axes of the Hessian, and what that does."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array

__all__ = ["Doubt"]


class Doubt(NamedTuple):
    """Errors of exact states along the axes of the Hessian.

    Parameters
    ----------
    axes : ndarray, shape (N, N)
        Columns.
    curvature, far, slopes : ndarray, shape (N,)
        Eigenvalues, and along each axis the error and the gradient.
    bent : ndarray of bool, shape (N,)
        Axes along which a straight move stays near the flow.
    across : ndarray, shape (N,)
        The error without what the run is early or late.
    late : float
        How early or late it may be.
    """

    axes: Array
    curvature: Array
    far: Array
    slopes: Array
    bent: NDArray[np.bool_]
    across: Array
    late: float = 0.0

    @property
    def of_loss(self) -> float:
        """Error of the loss, to second order."""
        if not np.isfinite(self.far).all():
            return math.inf
        with np.errstate(over="ignore"):  # an error whose square is no double says enough
            curved = np.abs(self.curvature) * self.far**2 / 2
        return float(np.abs(self.slopes) @ self.far + curved[self.bent].sum())

    @property
    def of_slope(self) -> float:
        """Error of the length of the gradient: that along it, and what is across to second order.

        An error of a state turns the gradient, too, which is no error of its length.
        """
        moved, length = np.abs(self.curvature) * self.far, math.hypot(*self.slopes.tolist())
        if not self.turned < length:
            return self.turned
        along = float(np.abs(self.slopes / length) @ moved)
        return min(self.turned, along + self.turned * (self.turned / length) / 2)

    @property
    def turned(self) -> float:
        """Error of the gradient, its length."""
        return math.hypot(*(self.curvature * self.far).tolist())
