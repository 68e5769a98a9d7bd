"""Units of increments: what each direction has of the energy that is left."""

from __future__ import annotations

import math

import numpy as np

from flows.core.arrays import Array

__all__ = ["ABOVE", "FALLS", "FLAT", "LINGERS", "STIFF", "UNDERFLOW"]
__all__ += ["first_time", "floor", "units"]

# An entry of a start below this is next to 0.
LEAST_SIZE = 1e-60
#: The displacement beside a saddle is followed from this many times the error of its gradient on.
ABOVE = 2.0**60
#: Curvature times `t` below which a direction can leave within a chart.
FALLS = -0.01
#: Below this curvature times `t` an axis is flat.
FLAT = 0.2
#: Curvature in doubles is exact enough for Newton's method and for axes as long as it times `t` is
#: below this.
STIFF = 1e13
#: Beyond this curvature times `t` two doubles might grow above the tolerance within a chart, unless
#: most of the energy, which ends the chart, is along that axis.
LINGERS = 1e3
#: Below this energy a chart would leave the doubles: the state stays.
UNDERFLOW = 1e-290


def first_time(state: Array, slope: Array, curvature: Array) -> float:
    """`T0`: time in which curvature, or a move by the size of the state, changes the gradient."""
    size = float(np.abs(state).max(initial=0.0))
    # A start next to 0 has no size of its own: in that time it would have no energy.
    size = size if size > LEAST_SIZE else 1.0
    rate = float(np.abs(curvature).max(initial=0.0) + np.abs(slope).max(initial=0.0) / size)
    return 1 / rate if 1e-200 < rate < math.inf else 1.0


def floor(h: Array, since: float) -> Array:
    """Curvature by which an axis is measured: slow and flat ones by the time that has passed."""
    found: Array = np.maximum(np.abs(h), 1 / since)
    return found


def units(slopes: Array, doubt: Array, h: Array, since: float) -> Array:
    r"""Units of the increment along each axis.

    .. math:: \sqrt{2 E/f_i} \max(\sqrt{E_i/E}, (1 + s h_i)^{-1/2}), \qquad E_i = g_i^2/(2 f_i)

    and :math:`|g_i|/f_i` where the loss curves downward.

    Parameters
    ----------
    slopes, doubt : ndarray, shape (N,)
        Gradient along the axes, and its error.
    h : ndarray, shape (N,)
        Curvatures.
    since : float
        `s`, the time that has passed.
    """
    floored = floor(h, since)
    shares = np.abs(slopes) / np.sqrt(floored)
    most = float(shares.max(initial=0.0)) or 1.0  # squares of small numbers are zero in doubles
    largest = most * np.linalg.norm(shares / most) / np.sqrt(floored)
    own = np.abs(slopes) / floored
    settled = np.maximum(own, largest / np.sqrt(1 + since * np.maximum(h, 0)))
    ascending = np.maximum(own, ABOVE * doubt / floored)
    return np.where((h * since < FALLS) & (ascending > 0), ascending, settled)
