"""Score matching with components far out: one stays at the target, the others escape."""

from __future__ import annotations

import numpy as np
import sympy as sp

from flows.core.minimiser import Escape, fraction
from flows.systems.mixture.sound import Frame, SoundState
from symbolic.systems.score_matching.tail import FAR, NEAR, R, far_loss

__all__ = ["escape"]

# A component is out where the far form of the loss holds to a few percent, and home where its
# posterior at the target is all there is.
OUT, HOME = 5.0, 0.5


def escape(frame: Frame, state: SoundState, noise_time: float) -> Escape | None:
    """Loss of the far components as a function of their distance; None where there are none."""
    length = np.linalg.norm(state.mu[frame.member], axis=1)
    far, near = int((length > OUT).sum()), int((length < HOME).sum())
    if not far or not near or far + near < len(length):
        return None
    return Escape(
        far_loss().subs({FAR: far, NEAR: near}),
        R,
        sp.Integer(far),
        sp.exp(-2 * fraction(noise_time)),
        (f"{near} components at the target, {far} escape",),
    )
