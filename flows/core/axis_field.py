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

__all__ = ["AxisField", "AxisTerms", "Code"]


class Code(NamedTuple):
    """A program of sums, products, quotients and elementary functions, whose registers are data.

    Registers are variables, constants, steps. Operations are those of
    :mod:`flows.systems.own.code`; the angle is that of the point (second, first).

    Parameters
    ----------
    operation : ndarray of int, shape (K,)
        What each step does.
    operands : ndarray of int, shape (K, 2)
        Registers that it takes.
    constants : ndarray, shape (C, 3)
        High and low doubles, and radii.
    results : ndarray of int, shape (R,)
        Registers of what is computed. Beyond loss and gradient, squares of what no compiled steps
        let vanish: by a part of the largest one a run is looked at, see :class:`AxisTerms`. With a
        loss two more numbers follow for each, behind all squares: how fast others change the
        slope of what is short, and its length times that slope, as it falls.
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


class AxisTerms(NamedTuple):
    """How members are followed along axes, from chart to chart.

    Parameters
    ----------
    known : float
        Part of the energy to which a field is known.
    left : float
        What steps leave, in units of energy.
    short : float
        Where a square that programs watch is this part of the largest one, and falls to zero, a
        member is followed as a run alone.
    rough : float
        Where the error of a loss is this part of the energy, it is looked at with more digits.
    reach : float
        Energy and time change by this factor in a chart.
    rtol : float
        Tolerance of a step.
    halts : bool
        Whether steps end at output times, where they are more accurate than between their ends.
    ends : bool
        Whether a closed form leads to the end from where the flow is linear.
    squares, constant : int, float
        Of how many independent squares the loss is a sum, beside a constant; -1 where it is none.
    looks : bool
        Whether the curvature is looked at between charts: a member whose errors outgrow the flow is
        followed as a run alone then, which sees them.
    """

    known: float
    left: float
    short: float
    rough: float
    reach: float
    rtol: float
    halts: bool
    ends: bool
    squares: int
    constant: float
    looks: bool = True
