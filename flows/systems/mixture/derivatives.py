"""Gradient and Hessian of a loss at sound coordinates, and how accurate they are asked to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.expectation import curve_rule, expect
from flows.systems.mixture.forms import components, longest
from flows.systems.mixture.means import Means
from flows.systems.mixture.sound import Frame, SoundState

# Observables and the user's loss and gradient ask for this relative error.
EXACT = 1e-12
# ... and, where nodes would be too many for it, in three dimensions for means longer than LONG, and
# in more, for this one.
LONG, LESS_EXACT = 2.0, 1e-10
# Second derivatives ask for a little more than first ones.
SECOND = 0.1


def accuracy(means: Means) -> Any:
    """Relative error that observables ask for: nodes come in powers of the dimension."""
    r = means.mean.shape[-1]
    less = np.asarray((r > 3) | ((r == 3) & (longest(means.mu) > LONG)))
    return np.where(less, LESS_EXACT, EXACT)[()]


def gradient(frame: Frame, means: Means, pull: Array) -> Array:
    """Return minus the velocity of each distinct component, shape (k, r)."""
    return frame.rate[:, None] * (means.linear + pull)


def slopes(calculus: Calculus, frame: Frame, state: SoundState) -> Array:
    """Derivative of minus the velocities by the means of a state, shape (k, r, k, r)."""
    from flows.systems.mixture.sums import curve  # Numba loads where it is first needed

    means = components(frame, state)
    tolerance = SECOND * accuracy(means)
    rule = curve_rule(means, tolerance) or expect(calculus, means, tolerance).rule
    linear = np.einsum("ij,ac->iajc", means.linear_curve, np.eye(len(means.mean)))
    return frame.rate[:, None, None, None] * (curve(calculus, means, rule) + linear)


def hessian(calculus: Calculus, frame: Frame, state: SoundState) -> Array:
    """Derivative of minus the velocities by the user's means, shape (n d, n d).

    :func:`reduce` must not have merged any components.
    """
    basis = frame.basis
    d, r = basis.shape
    inside = d == r
    if not inside:  # the directions across the span are equivalent: one serves for all
        state = SoundState(np.pad(state.offset, ((0, 0), (0, 1))), np.pad(state.centre, (0, 1)))
    curve = slopes(calculus, frame, state)
    full = np.einsum("pa,iajc,qc->ipjq", basis, curve[:, :r, :, :r], basis)
    if not inside:
        full += np.einsum("ij,pq->ipjq", curve[:, r, :, r], np.eye(d) - basis @ basis.T)
    return full.reshape(len(frame.rate) * d, len(frame.rate) * d)
