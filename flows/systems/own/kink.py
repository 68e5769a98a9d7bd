"""Kinks and jumps of a loss, beyond which no gradient leads: seen where steps lead nowhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from flows.core.arrays import Array

__all__ = ["KINK", "jump_beside"]

KINK = (
    "at t = {:.6g} the gradient jumps within {:.1g} of the state: the loss has a kink there, or a"
    " jump, beyond which no gradient leads; end the run before, or take a smooth activation"
)
# A jump is looked for at distances that double, from `NEAREST` times the length of the state on: up
# to `NEAR` times that length, or as far as the flow gets in `SOON` of its time, beyond the origin,
# too. There the gradient changes by `JUMPS` times what curvature explains: that of both sides, and
# that behind the state, so many times as far away as `BEHIND` says (the second number as long as
# the jump is near); or, at the tip of a cone, whose sides curve the more the nearer, by `CONES`
# times what the curvature at the start of the piece explains.
NEAREST, NEAR, SOON, JUMPS, CONES, BEHIND = 2.0**-50, 2.0**-8, 1e-6, 100.0, 1e6, (1e3, 1e5)
# A change of the gradient by less than this part of it may be rounding.
SEEN = 1e-6


def jump_beside(
    gradient: Callable[[Array], Array],
    curvature: Callable[[Array], float],
    entries: int,
    size: float,
    before: float,
    time: float,
) -> float:
    """Return how near the gradient jumps downhill of a state; NaN where it does not.

    A smooth gradient changes by the curvature times the distance.

    Parameters
    ----------
    gradient, curvature : callable
        At a displacement, shape (N,), and the largest entry of the Hessian there.
    entries : int
        `N`.
    size : float
        Length of the state.
    before : float
        Largest curvature where the run came from.
    time : float
        Of the run.
    """
    still = np.zeros(entries)
    slope = gradient(still)
    length = math.hypot(*slope.tolist())
    if not (0 < length < math.inf and NEAREST * size > 0):
        return math.nan
    farthest = max(NEAR * size, SOON * length * time)
    for far in 2.0 ** np.arange(math.log2(NEAREST * size), math.log2(farthest)):
        beside = -far * slope / length
        change = gradient(beside) - slope
        jump = math.hypot(*change.tolist())
        # Across the kink both gradients lead to it, however fast the flow is along the kink.
        against = slope @ change < 0 < (slope + change) @ change
        if jump > length / 2 or (against and jump > SEEN * length):
            behind = max(BEHIND[0] * far, min(BEHIND[1] * far, farthest)) * slope / length
            here, there, past = map(curvature, (still, beside, behind))
            smooth = min(JUMPS * max(here, there), CONES * before, JUMPS * past) * far
            if jump > smooth:
                return float(far)
            if jump > length / 2:
                return math.nan
    return math.nan
