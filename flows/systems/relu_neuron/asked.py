r"""What steps are asked for: the errors that they may leave, in the coordinates of their chart.

A step is to be right to `|x_c| + size_c / 100` in units of its tolerance, in each coordinate `x_c`
of a chart (:mod:`flows.systems.relu_neuron.pieces`), whichever of its ends is larger. In a residual
chart these are the residual and how far neurons are from their mean: where a neuron, or its part
across the teacher, passes by zero, it is known no better than that mean. But a step is off by a
part of what varies at most,

.. math:: \sigma_c = \min(|x_c| + \mathrm{size}_c / 100 + \min((1 + t) / 10, t)\,|\dot x_c|,
                       (1 + t)\,|\dot x_c|)

In a plane, the force on a neuron has the part `|w_j| \phi |\phi| / 2 \pi` of each neuron and of the
teacher, `\phi` being the angle between them: where they pass each other, or each other's opposite,
its second derivative jumps. What a step is off then is no longer what it estimates. Wherever the
jump is in the step, a step of Rodas5P and its dense output are off by 5.9 times as much at most,
where rates times the step are between -1 and 0 (of longer steps the flow damps what is left).
Such a step is wrong before the jump, too; and its stages, which are straight
lines to first order, may pass where the flow itself comes near and turns away. So vectors count as
passing each other where straight lines do within the length of a step, and where they are seen to
do so within that of the longest steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.problem import ATOL_PER_RTOL
from flows.systems.relu_neuron.lone import SHORT
from flows.systems.relu_neuron.lone_charts import NEARER
from flows.systems.relu_neuron.pieces import FAR, GRADIENT, SHORTER
from flows.systems.relu_neuron.sizes import SLIGHT
from flows.systems.relu_neuron.state import SoundState
from flows.systems.relu_neuron.watch import RESIDUAL_CHART

__all__ = ["asked"]

# Part of log(1 + t), in which steps are taken, that leaves one error.
EACH = math.log(10.0) / 10.0
# Part of log(1 + t), or of the time where a neuron is alone, that a long step covers at this
# tolerance, the formula being of order five.
STEP, AT, ORDER = 0.1, 1e-8, 5
# How much more is left where vectors pass each other in a plane, at most.
PASSING_BY = 6.0
# How many times as long as usual the longest steps are.
AHEAD = 3.0


def asked(
    multiplicity: Array,
    states: SoundState,
    velocity: Array,
    left: Array,
    alone: NDArray[np.bool_],
    t: Array,
    rtol: float,
) -> Array:
    """Errors that steps leave before each output, in units of their tolerance.

    Parameters
    ----------
    multiplicity, states, t : ndarray, SoundState, ndarray
        Of the run, at ``T`` times; of several runs, one a leading axis.
    velocity : ndarray, shape (..., T, k, q)
        Of the neurons.
    left, alone : ndarray, shape (..., T, k, q) and (..., T)
        What is left where one neuron is beside the teacher and all others are short, and where.
    rtol : float
        Tolerance of a step.

    Returns
    -------
    ndarray, shape (..., T, k, q, k, q)
        For each coordinate of the chart, what its error is of all neurons.
    """
    neurons = states.neurons
    count, q = neurons.shape[-2:]
    norms, rest = np.linalg.norm(neurons, axis=-1), np.linalg.norm(states.r, axis=-1)
    alive = np.asarray(neurons.any(axis=-1))
    mu = np.where(alive, multiplicity, 0.0)
    largest = np.argmax(mu * states.h, axis=-1)
    others = np.arange(count) != largest[..., None]
    lone = alone & (~others | (states.h <= 0)).all(axis=-1)
    ahead = np.take_along_axis(states.h, largest[..., None], axis=-1)[..., 0]
    joint = (rest < RESIDUAL_CHART) & (ahead > 0) & ~lone
    # Coordinates and their rates: neurons, or the residual and how far neurons are from the mean.
    shared, first = joint[..., None, None], (joint[..., None] & ~others)[..., None]
    whole = np.maximum(mu.sum(axis=-1), 1.0)[..., None, None]
    pull = np.einsum("...k,...kq->...q", mu, velocity)[..., None, :]
    x = np.where(lone[..., None, None], left, neurons)
    longest = np.where(others, norms, 0.0).max(axis=-1)
    beside = joint & alone & (np.maximum(longest, rest) < SHORT / 10) & (rest < SLIGHT * longest)
    teacher = np.where(beside[..., None, None], 0.0, np.eye(1, q))
    mean = (states.r[..., None, :] + teacher) / whole
    x = np.where(first, states.r[..., None, :], x - np.where(shared, mean, 0.0))
    rates = np.where(first, pull, velocity - np.where(shared, pull / whole, 0.0))
    # Sizes of the coordinates.
    reach = np.linalg.norm(states.z, axis=-1).max(axis=-1)
    size = np.minimum(1.0, np.where(lone[..., None], norms, np.maximum.accumulate(norms, axis=-2)))
    size = np.where(lone[..., None] & ~others, NEARER * longest[..., None], size)
    spread = np.linalg.norm(np.where(others[..., None], x[..., 1:], 0.0), axis=-1).max(axis=-1)
    across = np.linalg.norm(np.where(others[..., None], states.z, 0.0), axis=-1)
    steep = np.max(SHORTER * across * (across / np.where(norms > 0, norms, 1.0)), axis=-1)
    slaved = GRADIENT * np.maximum(spread**2, steep)
    part = np.where(rest <= FAR * spread, slaved, np.minimum(1.0, spread**1.5))
    size = np.where(first[..., 0], part[..., None], size)
    size = np.where(beside[..., None], longest[..., None], size)[..., None] * np.ones(q)
    narrow = np.where(lone, 0.0, reach)[..., None, None]
    size[..., 1:] = np.where(first, size[..., 1:], np.minimum(size[..., 1:], narrow))
    # The first steps cover no more than the time before them.
    step = STEP * (rtol / AT) ** (1 / ORDER)
    covered = np.where(lone, step, np.minimum(step * (1.0 + t), t))[..., None, None]
    most = _parts(x) + ATOL_PER_RTOL * size + covered * _parts(rates)
    fastest = (1.0 + t)[..., None, None] * _parts(rates)
    later, before = fastest[..., 1:, :, :], fastest[..., :-1, :, :]
    later[...] = np.maximum(later, before)
    varied = np.minimum(most, fastest) * alive[..., None]
    share = np.sqrt(np.diff(np.log1p(t), prepend=0.0) / EACH)[..., None, None]
    if q == 2:
        span = Span(t[..., None], AHEAD * covered[..., 0])
        share = np.where(_passing(neurons, velocity * covered, first, span), PASSING_BY, share)
    # What an error of a coordinate is of neurons: that of the residual moves all, others keep it.
    there = np.eye(count) * np.ones((*t.shape, 1, 1))
    there[joint, :, largest[joint]] = -(mu / multiplicity[largest][..., None])[joint]
    there[joint, largest[joint]] = (alive / whole[..., 0])[joint]
    return there[..., None, :, None] * np.eye(q)[:, None] * (share * varied)[..., None, None]


def _parts(vectors: Array) -> Array:
    """Lengths of the parts along the teacher and across it, for each component (..., k, q)."""
    sizes = np.abs(vectors)
    if vectors.shape[-1] > 2:
        sizes[..., 1:] = np.linalg.norm(vectors[..., 1:], axis=-1, keepdims=True)
    return sizes


class Span(NamedTuple):
    """Times of outputs, and how far a step beside them may reach, of shape (..., T, 1)."""

    t: Array
    reach: Array


def _passing(
    neurons: Array, moved: Array, first: NDArray[np.bool_], span: Span
) -> NDArray[np.bool_]:
    """Coordinates of neurons that pass each other or the teacher within a step of an output."""
    count = neurons.shape[-2]
    found = np.zeros(neurons.shape, dtype=bool)
    one, other = np.triu_indices(count, 1)
    a, b, by, to = (x[..., k, :] for x in (neurons, moved) for k in (one, other))
    pairs = _changes(_turn(a, b), _turn(by, b) + _turn(a, to), span)
    teacher = _changes(neurons[..., 1], moved[..., 1], span)
    for k, (i, j) in enumerate(zip(one, other, strict=True)):
        found[..., [i, j], :] |= pairs[..., k, None, None]
    # The teacher's force is across it.
    found[..., 1] |= teacher
    found |= first & found.any(axis=-2, keepdims=True)
    return found


def _turn(a: Array, b: Array) -> Array:
    """Area between vectors of a plane."""
    area: Array = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return area


def _changes(values: Array, moved: Array, span: Span) -> NDArray[np.bool_]:
    """Whether signs change within what is moved in a step, or in one as long as the longest."""
    sign = np.sign(values)
    changes = sign[..., 1:, :] * sign[..., :-1, :] < 0
    before, after = np.full((2, *values.shape), np.inf)
    before[..., :-1, :] = np.where(changes, span.t[..., :-1, :], np.inf)
    after[..., 1:, :] = np.where(changes, -span.t[..., 1:, :], np.inf)
    nearest = np.minimum.accumulate(before[..., ::-1, :], axis=-2)[..., ::-1, :] - span.t
    nearest = np.minimum(nearest, np.minimum.accumulate(after, axis=-2) + span.t)
    found: NDArray[np.bool_] = (sign * np.sign(values + moved) < 0) | (nearest <= span.reach)
    return found
