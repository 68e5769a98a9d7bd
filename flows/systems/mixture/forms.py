"""Means in the form in which they are summed without cancellation, from sound coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.problem import ATOL_PER_RTOL
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, SHORT, Means
from flows.systems.mixture.sound import Frame, SoundState
from flows.systems.mixture.travel import exponent, fineness, grows, magnification

# A weighted sum of offsets below this part of the largest one is rounding.
SUMMED = 8 * float(np.finfo(float).eps)


def components(frame: Frame, state: SoundState) -> Means:
    """Return the components in the form in which they are summed without cancellation."""
    mu, deviation, mean, form = parts(
        frame.weight, SoundState(state.offset[None], state.centre[None])
    )
    return Means(mu[0], deviation[0], mean[0], frame.weight, int(form[0]))


def components_by_form(
    frame: Frame, states: SoundState
) -> Iterator[tuple[NDArray[np.intp], Means]]:
    """Return the components at several times: for each form, at which times, and these."""
    mu, deviation, mean, found = parts(frame.weight, states)
    for form in np.unique(found).tolist():
        some = np.flatnonzero(found == form)
        yield some, Means(mu[some], deviation[some], mean[some], frame.weight, form)


def parts(weights: Array, states: SoundState) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Means, deviations from the weighted mean, that mean and the form, at several times."""
    offset, centre = states.offset, states.centre
    shift = np.zeros_like(centre)
    for i, weight in enumerate(weights.tolist()):  # one after the other: bits of each state
        shift += weight * offset[:, i]
    # Offsets from the weighted mean sum to their rounding, late in a run above the mean.
    largest = np.abs(offset).max(axis=(-2, -1))[:, None]
    shift = np.where(np.abs(shift) <= SUMMED * largest, 0.0, shift)
    mu, deviation = offset + centre[:, None], offset - shift[:, None]
    # What is not a number is far.
    together = np.where(longest(deviation) <= SHORT, CLUSTER, FAR)
    return mu, deviation, centre + shift, np.where(longest(mu) <= SHORT, NEAR, together)


def longest(rows: Array) -> Any:
    """Length of the longest row, of arrays of shape (..., k, r)."""
    return np.sqrt((rows * rows).sum(axis=-1).max(axis=-1))


def power_above(mean: Array) -> float:
    """Power of two above all entries, so that dividing by it costs no digits; one for zeros."""
    return math.ldexp(1.0, math.frexp(float(np.abs(mean).max()))[1])


def magnified(frame: Frame, states: SoundState, tolerance: float, stretch: float) -> Array:
    """By how much errors of steps grow on the way: see `travel.magnification`."""
    mu, deviation, mean, form = parts(frame.weight, states)
    left = exponent(frame.weight, frame.rate, mean, stretch)
    distant, spread = form == FAR, longest(deviation)
    local = ATOL_PER_RTOL * fineness(left, tolerance) * spread
    local = np.where(distant, longest(mu), local)
    worst = np.zeros(len(left))
    if grows(left):
        worst = magnification(left, mean, deviation, local)
    # Each mean with those near it is a cluster, too, while others are far from it.
    furthest = stretch * frame.rate.max() / frame.rate.min() / 2 * (mu * mu).sum(axis=-1)
    if distant.any() and grows(furthest[distant].max(axis=-1)):
        for i in range(len(frame.weight)):
            own = _cluster(frame, mu, i, stretch)
            if own is not None:
                worst = np.maximum(worst, magnification(*own, local, spread))
    return worst


def _cluster(
    frame: Frame, mu: Array, one: int, stretch: float
) -> tuple[Array, Array, Array] | None:
    """Growth left to the means near one, their mean and their deviations; None if there is none."""
    step = mu - mu[:, one : one + 1]
    reach = np.minimum(SHORT**2, (mu[:, one] ** 2).sum(axis=-1) / 4)
    near = ((step * step).sum(axis=-1) <= reach[:, None]).astype(float)
    share = near * frame.weight
    total = share.sum(axis=-1)
    mean = (share[..., None] * mu).sum(axis=-2) / total[:, None]
    average, fastest = (share * frame.rate).sum(axis=-1) / total, (near * frame.rate).max(axis=-1)
    several = near.sum(axis=-1) > 1
    left = several * stretch * fastest / average * (mean * mean).sum(axis=-1) / 2
    return (left, mean, near[..., None] * (mu - mean[:, None])) if grows(left) else None
