"""The minimiser of a mixture, all means at the target, and how runs reach it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.minimiser import NEAR, Approach, Minimiser, flattened, fraction
from flows.systems.mixture.sound import Frame, SoundState
from symbolic.asymptotics.refusal import NoLaw
from symbolic.systems.late_time import means

__all__ = ["approach", "minimiser"]

# A weight this near to a fraction with a small denominator is that fraction.
# A run whose means are farther out is not in the regime of the law.
FARTHEST = 0.5
ROUNDING, DENOMINATOR = 4e-16, 10**6


def minimiser(
    at: Array, origin: Array, weights: Sequence[float], *, noise_time: float | None
) -> Minimiser:
    """Minimiser of a mixture; of score matching where there is a noise time.

    Raises
    ------
    NoLaw
        If the means do not stand at the target.
    """
    far = np.abs(at - origin).max(axis=1)
    if far.max() > NEAR * max(1.0, float(np.abs(origin).max())):
        i = int(far.argmax())
        raise NoLaw(f"the point is no minimiser: mean {i + 1} is {far[i]:.3g} off the target")
    exact = [_weight(w) for w in weights]
    total = sp.Add(*exact)
    n, d = at.shape
    score = noise_time is not None
    point = means([w / total for w in exact], dimension(n, d), score=score)
    # With mu = exp(-s) (nu - nu*), the flow of nu is that of mu slowed down by exp(-2 s).
    slower = sp.exp(-2 * fraction(noise_time or 0.0))
    return Minimiser(at, point, time_unit=slower)


def _weight(w: float) -> sp.Rational:
    near = sp.Rational(w).limit_denominator(DENOMINATOR)
    return near if abs(float(near) - w) <= ROUNDING * w else fraction(w)


def dimension(n: int, d: int) -> int:
    """Dimensions in which all shapes of means, whose weighted sum vanishes, lie."""
    return max(1, min(d, n - 1))


def approach(frame: Frame, state: SoundState, origin: Array) -> Approach:
    """Limit and deviation of a state in sound coordinates.

    Raises
    ------
    NoLaw
        Where the means are not near the target.
    """
    mu = state.mu[frame.member]
    if (farthest := float(np.linalg.norm(mu, axis=1).max())) > FARTHEST:
        raise NoLaw(f"the run is not near the target: a mean is {farthest:.3g} away from it")
    n, d = len(mu), len(origin)
    weight = frame.weight[frame.member] / frame.multiplicity[frame.member]
    across = flattened(mu - (weight / weight.sum()) @ mu, dimension(n, d))
    return Approach(np.tile(origin, (n, 1)), across.ravel())
