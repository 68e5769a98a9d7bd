"""How much errors of states may grow, and what it does to them that a run is early or late."""

from __future__ import annotations

import math

import numpy as np

from flows.core.arrays import Array

__all__ = ["ANEW", "LARGEST", "MOST_GROWTH", "RISING", "shifted"]

#: What each step leaves at the end of a chart, in which the energy falls by the square of this.
ANEW = 0.1
#: Errors grow by no more than the exponential of the one, and to no more than the other.
MOST_GROWTH, LARGEST = 300.0, 1e100
#: Where curvature times time passed is below this, a gradient tells better how errors grow.
RISING = -1.0
# A state that leaves is known where it is early or late by less than this part of the time in which
# the gradient changes.
LEAVES = 0.3


def shifted(error: Array, late: float, curvature: Array, slope: Array) -> Array:
    r"""Errors of a state that may be early or late besides, along the axes of the Hessian.

    .. math:: e^{2x} (\delta_i + \ell |g_i|), \qquad x = \ell |H \nabla L| / |\nabla L|

    as the gradient may have been larger by that at another time; and infinite where it grows, if
    that is not soon: when the state leaves is not known then.
    """
    length = math.hypot(*slope.tolist())
    if late == 0.0 or length == 0.0:
        return error
    part = late * math.hypot(*(curvature * (slope / length)).tolist())
    if part > LEAVES and curvature @ (slope / length) ** 2 < 0:
        return np.full_like(error, np.inf)
    found: Array = math.exp(min(2 * part, MOST_GROWTH)) * (error + late * np.abs(slope))
    return found
