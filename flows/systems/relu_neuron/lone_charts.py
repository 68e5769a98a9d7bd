"""Charts of one neuron beside the teacher, all others far or short: what scales them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import Chart, Clock, wrapped_once
from flows.systems.relu_neuron import geometry, lone_definition
from flows.systems.relu_neuron.definition import BESIDE, LONE
from flows.systems.relu_neuron.pairs import signed
from flows.systems.relu_neuron.sizes import sizes, slender
from flows.systems.relu_neuron.state import Frame, SoundState
from flows.systems.relu_neuron.watch import LONE_SQUARED

# A lone neuron's distance from the teacher matters down to this part of the longest far one.
NEARER = 1e-3
# A far neuron next to the axis comes nearer to it for ever, or leaves it: that depends on its side,
# which its transverse part tells down to this fraction of what it was, as long as the loss is not
# below all doubles.
SIDE = 1e-120
# So near to the axis a neuron comes nearer still; one whose transverse part falls so many times as
# fast as its length stays a double until the loss is below all of them.
SETTLED, FASTEST = 0.3, 1.95
# That rate is the one of later, when distance and lengths have shrunk to the first part, in units
# of which they keep their ratio, and the angle to the second one, which outlasts the distance.
SHRUNK, NARROWED = 1e-9, 1e-3


def lone_chart(frame: Frame, state: SoundState, time: float, alive: NDArray[np.intp]) -> Chart:
    """Chart of one neuron beside the teacher and others on the far side, which decay for ever."""
    mu, far = frame.multiplicity[alive], state.neurons[alive[1:]]
    blocks = np.vstack([state.r - mu[1:] @ far, far])
    norms = np.linalg.norm(blocks, axis=1)
    # A distance from the teacher that is far shorter hardly matters to the loss.
    norms[0] = max(norms[0], NEARER * np.max(norms))
    size = np.repeat(norms[:, None], blocks.shape[1], axis=1)
    size[:, 1:] = np.minimum(size[:, 1:], np.max(np.linalg.norm(blocks[:, 1:], axis=1)))
    across = np.linalg.norm(far[:, 1:], axis=1, keepdims=True)
    size[1:, 1:] = np.where(across > 0, SIDE * across, size[1:, 1:])
    decay = np.full(blocks.shape, np.min(mu) / 2)
    # Next to the axis a transverse part has a rate of its own: scaled by it, it hardly changes.
    rates = np.clip(_late_rates(mu, blocks, across), decay[0, 0], FASTEST * decay[0, 0])
    settled = (across < SETTLED * -far[:, :1]) & (across > 0)
    decay[1:, 1:] = np.where(settled, rates, decay[0, 0])
    if np.max(norms) <= 2 * LONE_SQUARED:  # followed no closer: scaled, it would fall below doubles
        size[:], decay[:] = LONE_SQUARED, 0.0
    return Chart(
        clock=Clock(time, decay.ravel(), 1.0, True),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=wrapped_once(lone_definition.make_raw),
        weights=signed(mu),
        shape=np.array([len(alive), blocks.shape[1] - 1, LONE]),
        lanes=lone_definition.LANES,
    )


def _late_rates(mu: Array, blocks: Array, across: Array) -> Array:
    """Rates at which transverse parts of far neurons will fall."""
    neurons = SHRUNK * blocks
    neurons[1:, 1:] *= NARROWED
    rest = neurons[0] + mu[1:] @ neurons[1:]
    neurons[0, 0] += 1.0
    neurons[0] /= mu[0]
    pull = geometry.gradient(mu, SoundState(neurons[:, 0], neurons[:, 1:], rest))[1:, 1:]
    reach = np.where(across > 0, across, 1.0)
    unit = blocks[1:, 1:] / reach
    rates: Array = np.sum(pull / (SHRUNK * NARROWED * reach) * unit, axis=1, keepdims=True)
    return rates


def beside_chart(frame: Frame, state: SoundState, time: float, alive: NDArray[np.intp]) -> Chart:
    """Chart of one neuron beside the teacher and short ones, which it is scaled by."""
    mu, short = frame.multiplicity[alive], state.neurons[alive[1:]]
    blocks = np.vstack([state.r, short - state.r / np.sum(mu)])
    longest = float(np.max(np.linalg.norm(short, axis=1)))
    reach = float(np.max(np.linalg.norm(blocks[1:, 1:], axis=1))) or longest
    size = np.full(blocks.shape, longest)
    size[1:, 1:] = min(longest, reach)
    # The pulls whose sum moves the residual shrink like the angles, and their rounding with them.
    decay = np.zeros_like(blocks)
    if not slender(sizes(SoundState(state.h[alive], state.z[alive], state.r))):
        decay[0], decay[1:, 1:] = 1.0, 1.0
    return Chart(
        clock=Clock(time, decay.ravel(), max(1.0, longest / reach)),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=wrapped_once(lone_definition.make_raw),
        weights=signed(mu),
        shape=np.array([len(alive), blocks.shape[1] - 1, BESIDE]),
        lanes=lone_definition.LANES,
    )
