r"""Errors of neurons that directions decide: where steps leave little, and the flow makes it more.

Steps leave errors relative to transverse parts `zeta`. Those of neurons beside the teacher fall
together down to what tells the neurons apart, and their distances `d` are known to

.. math:: x = c\,T\, \frac{\zeta}{d} \min(1, |w_i - w|/|w|)

of themselves, `T` being the tolerance: errors of neurons that hardly differ are the same. While
neurons come together `x` stays what it was, while they part `x d` does. A neuron on the far side of
the teacher falls at a rate `a` until it turns round. Its angle `phi` to the axis is known to
`c T max_{s' <= s} phi(s')/phi(s)` of itself, so that it turns earlier or later, and its length is
off by

.. math:: \delta \log|w|(t) = c\,T \max_{s \le t} \max_{s' \le s} \frac{\varphi(s')}{\varphi(s)}
          \, \frac{\varphi}{|\dot\varphi|}(s) \, |a(t) - a(s)|.

A neuron that passes by zero is known to `c T` of the length that it had. Beside the teacher the loss
is about `sum |w_i| theta_i^3`, of which the neuron has its share.

Estimates from states at the output times, whose constants are measured: of 1500 random members of
two and three neurons (``tests/flows/systems/relu_neuron/test_doubt.py`` has those that need them).
"""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array

__all__ = ["of_directions", "of_distances", "of_lengths"]

# The constants `c`.
SHARED, TURNING, PASSING = 0.25, 0.01, 0.05
# A neuron is short that is shorter than it was by this.
SHORTER = 10.0
# Nearer to the axis than this part of what it was a neuron is followed relative to its angle.
NEAREST = 1e-3
MOST = 1e30
# Angle to the teacher from which on a neuron is on its far side.
FAR = 0.5 * np.pi
TINY = float(np.finfo(float).tiny)


def of_distances(features: dict[str, Array], tolerance: Array) -> Array:
    """Relative error of the distances of neurons, shape (..., T)."""
    wide = features["zeta"].max(axis=-1, initial=0.0)
    apart = features["distance"].max(axis=-1, initial=0.0)
    length = np.nan_to_num(features["norm"]).max(axis=-1, initial=0.0)
    alike = np.minimum(1.0, features["apart"] / np.maximum(length, TINY))
    near = (apart > 0) & (features["fading"] == 0)  # far ones are followed each by itself
    now = np.where(near, wide * alike / np.maximum(apart, TINY), 0.0)
    # Where neurons part, errors stay what they are; where they come together, errors do, too.
    for k in range(1, now.shape[-1]):
        kept = apart[..., k - 1] / np.maximum(apart[..., k], TINY)
        kept = np.where(near[..., k], np.minimum(1.0, kept), 0.0)
        now[..., k] = np.maximum(now[..., k], now[..., k - 1] * kept)
    found: Array = SHARED * tolerance * now
    return found


def of_lengths(features: dict[str, Array], tolerance: Array) -> Array:
    """Relative error of neurons that are shorter than they were, times their shares, (..., T)."""
    norm = np.nan_to_num(features["norm"])
    longest = np.maximum.accumulate(norm, axis=-2)
    short = (norm > 0) & (longest > SHORTER * norm) & (features["fading"][..., None] == 0)
    part = norm * np.nan_to_num(features["theta"]) ** 3
    share = part / np.maximum(part.sum(axis=-1, keepdims=True), TINY)
    each = np.where(short, longest / np.where(short, norm, 1.0), 0.0) * share
    found: Array = PASSING * tolerance * np.minimum(each, MOST).max(axis=-1, initial=0.0)
    return found


@np.errstate(all="ignore")
def of_directions(features: dict[str, Array], t: Array, tolerance: Array) -> Array:
    """Relative error of the lengths of neurons that fall on the far side, shape (..., T)."""
    theta, norm = np.nan_to_num(features["theta"]), np.nan_to_num(features["norm"])
    far = (theta > FAR) & (features["zeta"] > 0) & (norm > 0)
    if not far.any():
        return np.zeros(tolerance.shape)
    # The angle itself would lose its digits near the axis.
    angle = np.where(far, np.arctan2(features["zeta"], -features["h"]), 0.0)
    widest = np.maximum.accumulate(angle, axis=-2)
    known = widest / np.maximum(np.where(far, angle, 1.0), NEAREST * widest)
    turning = np.abs(np.nan_to_num(features["theta_dot"])) / np.where(far, angle, 1.0)
    turning = 1.0 / np.hypot(turning, 1.0 / (1.0 + t[..., None]))
    moved = np.where(far, known * turning, 0.0)
    rate = np.nan_to_num(features["norm_dot"]) / np.where(norm > 0, norm, 1.0)
    rate = np.where(norm > 0, rate, 0.0)
    off = np.zeros(rate.shape)
    for s in range(rate.shape[-2]):
        if far[..., s, :].any():
            change = np.abs(rate[..., s:, :] - rate[..., s : s + 1, :])
            off[..., s:, :] = np.maximum(off[..., s:, :], moved[..., s : s + 1, :] * change)
    found: Array = TURNING * tolerance * off.max(axis=-1, initial=0.0)
    return found
