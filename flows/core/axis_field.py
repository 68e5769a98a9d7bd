r"""The flow of a loss in log-time along the axes of a chart, as data for compiled loops.

.. math:: \frac{du_i}{d\tau} = -s \frac{(Q^T \nabla L)_i}{\text{size}_i}, \qquad s = s_0 e^\tau,
   \qquad y = c + Q (\text{size}\, u)

Programs of the gradient and of its rates are data, so that nothing is compiled for a loss.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array

__all__ = ["AxisField", "Code"]


class Code(NamedTuple):
    """A program of sums, products, quotients and roots: registers are variables, constants, steps.

    Parameters
    ----------
    operation : ndarray of int, shape (K,)
        What each step does.
    operands : ndarray of int, shape (K, 2)
        Registers that it takes.
    constants : ndarray, shape (C, 3)
        High and low doubles, and radii.
    results : ndarray of int, shape (R,)
        Registers of what is computed.
    """

    operation: NDArray[np.int64]
    operands: NDArray[np.int64]
    constants: Array
    results: NDArray[np.int64]


class AxisField(NamedTuple):
    """A flow along axes, in balls of two doubles.

    Parameters
    ----------
    gradient : Code
        Of the entries.
    rates : Code
        Of the gradient along a direction, whose entries are the second half of the variables.
    centre : ndarray, shape (N, 3)
        Of the chart: high and low doubles, and radii.
    axes : ndarray, shape (N, N, 2)
        Columns, high and low doubles.
    size, floored, allowed : ndarray, shape (N,)
        Units of the increment; curvatures by which slopes are measured as energies; the radius up
        to which the gradient is known well enough.
    since : float
        `s_0`.
    least, most : float
        Energies between which the flow is followed.
    ends : float
        Solver time up to which it is.
    """

    gradient: Code
    rates: Code
    centre: Array
    axes: Array
    size: Array
    floored: Array
    allowed: Array
    since: float
    least: float
    most: float
    ends: float
