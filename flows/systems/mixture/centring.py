"""Compiled: the weighted mean of points to two doubles, and their differences from it."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import numpy as np

from flows.arithmetic.kept import loop
from flows.arithmetic.pairs import add, divided, product
from flows.core.arrays import Array
from flows.systems.mixture.means import UNSEEN


@loop
def _centre(points, weight, origin, scale, deviation, centre):
    """Set scaled deviations from the weighted mean, and that mean less the origin."""
    total, total_low = 0.0, 0.0
    for i in range(len(points)):
        total, total_low = add(total, total_low, weight[i], 0.0)
    for a in range(points.shape[1]):
        high, low = 0.0, 0.0
        for i in range(len(points)):
            p, e = product(points[i, a], weight[i])
            high, low = add(high, low, p, e)
        high, low = divided(high, low, total, total_low)
        centre[a] = scale * ((high - origin[a]) + low)
        for i in range(len(points)):
            offset = scale * ((points[i, a] - high) - low)
            deviation[i, a] = 0.0 if abs(offset) < UNSEEN else offset


def centred(points: Array, weight: Array, origin: Array, scale: float) -> tuple[Array, Array]:
    """Scaled deviations from the weighted mean, and that mean less an origin, scaled.

    Parameters
    ----------
    points : ndarray, shape (k, d)
        Points.
    weight : ndarray, shape (k,)
        Their weights.
    origin : ndarray, shape (d,)
        What is subtracted from the mean.
    scale : float
        What both are multiplied by.

    Returns
    -------
    deviation : ndarray, shape (k, d)
        Right to the last bits: the mean has those of two doubles.
    centre : ndarray, shape (d,)
        Likewise.
    """
    points = np.ascontiguousarray(points)
    found = np.empty_like(points), np.empty(points.shape[1])
    _centre(points, weight, origin, float(scale), *found)
    return found
