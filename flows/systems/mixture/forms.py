"""Means in the form in which they are summed without cancellation, from sound coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.problem import ATOL_PER_RTOL
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, Means
from flows.systems.mixture.sound import Frame, SoundState
from flows.systems.mixture.travel import exponent, fineness, magnification

# Means shorter than this take the near form, and those within this distance of their mean the
# cluster form; at this length all forms keep their digits.
SHORT = 0.5
# A weighted sum of offsets below this part of the largest one is rounding.
SUMMED = 8 * float(np.finfo(float).eps)


def components(frame: Frame, state: SoundState) -> Means:
    """Return the components in the form in which they are summed without cancellation."""
    mu = state.mu
    deviation, mean = about_mean(frame, state)
    return Means(mu, deviation, mean, frame.weight, int(forms(mu, deviation)))


def components_by_form(
    frame: Frame, states: SoundState
) -> Iterator[tuple[NDArray[np.intp], Means]]:
    """Return the components at several times: for each form, at which times, and these."""
    mu = states.mu
    deviation, mean = about_mean(frame, states)
    found = forms(mu, deviation)
    for form in np.unique(found).tolist():
        some = np.flatnonzero(found == form)
        yield some, Means(mu[some], deviation[some], mean[some], frame.weight, form)


def forms(mu: Array, deviation: Array) -> Array:
    """Form in which means, shape (..., k, r), with these deviations are summed."""
    together = np.where(longest(deviation) <= SHORT, CLUSTER, FAR)
    return np.where(longest(mu) <= SHORT, NEAR, together)


def about_mean(frame: Frame, state: SoundState) -> tuple[Array, Array]:
    """Deviations from the weighted mean, and that mean."""
    offset, shift = state.offset, np.zeros_like(state.centre)
    for i, weight in enumerate(frame.weight.tolist()):  # alike for one state and for many
        shift += weight * offset[..., i, :]
    # Offsets from the weighted mean sum to their rounding, which late in a run is above the mean.
    noise = SUMMED * np.abs(offset).max(axis=(-2, -1), keepdims=True)[..., 0]
    shift[np.abs(shift) <= noise] = 0.0
    return offset - shift[..., None, :], state.centre + shift


def longest(rows: Array) -> Any:
    """Length of the longest row, of arrays of shape (..., k, r)."""
    return np.sqrt((rows * rows).sum(axis=-1).max(axis=-1))


def power_above(mean: Array) -> float:
    """Power of two above all entries, so that dividing by it costs no digits; one for zeros."""
    return math.ldexp(1.0, math.frexp(float(np.abs(mean).max()))[1])


def magnified(frame: Frame, states: SoundState, tolerance: float, stretch: float) -> Array:
    """By how much errors of steps grow on the way: see `travel.magnification`."""
    deviation, mean = about_mean(frame, states)
    left = exponent(frame.weight, frame.rate, mean, stretch)
    spread, mu = longest(deviation), states.mu
    apart = forms(mu, deviation) == FAR
    local = np.where(apart, longest(mu), ATOL_PER_RTOL * fineness(left, tolerance) * spread)
    return magnification(left, mean, deviation, local)
