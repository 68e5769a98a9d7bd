"""Fields and Jacobians of states, each in a chart in which they have all their digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import plainly
from flows.systems.relu_neuron import lone, lone_definition
from flows.systems.relu_neuron.definition import BESIDE, DIRECT, LONE, RESIDUAL, make_raw
from flows.systems.relu_neuron.pairs import signed
from flows.systems.relu_neuron.state import SoundState
from flows.systems.relu_neuron.watch import RESIDUAL_CHART

__all__ = ["Charted", "charted", "rest_of"]

# Where less is left than this, in units of the teacher, what is left scales.
LEFT = 1e-2


class Charted(NamedTuple):
    """States in one chart that have the same neurons at zero, and the others in one order.

    ``which``: their indices among all states; ``alive``: neurons that are not at zero, in the order
    of the chart; ``there`` (k, k): from neurons to the blocks of the chart; ``slopes`` (S, k, q)
    and ``jacobians`` (S, k q, k q): of the raw state.
    """

    which: NDArray[np.intp]
    alive: NDArray[np.intp]
    there: Array
    slopes: Array
    jacobians: Array


def charted(
    multiplicity: Array, states: SoundState, rest: Array, beside: NDArray[np.bool_]
) -> Iterator[Charted]:
    """Field and Jacobian of states, shape (S,), by the definition; see :func:`rest_of`."""
    neurons, r = states.neurons, states.r
    count, q = neurons.shape[1:]
    order = np.argsort(-multiplicity * neurons[..., 0], axis=-1, kind="stable")
    far = (neurons[..., 0] <= 0).sum(axis=-1) == count - 1
    largest = np.take_along_axis(neurons[..., 0], order[:, :1], axis=-1)[:, 0]
    near = (np.linalg.norm(r, axis=-1) < RESIDUAL_CHART) & (largest > 0)
    kinds = np.where(near, RESIDUAL, DIRECT)
    kinds = np.where(beside, np.where(far, LONE, BESIDE), kinds)
    # Those that have neurons in the same order and the same ones at zero are one group.
    groups: dict[bytes, list[int]] = {}
    dead = np.take_along_axis(~neurons.any(axis=-1), order, axis=-1)
    for k, key in enumerate(np.column_stack([order, dead, kinds])):
        groups.setdefault(key.tobytes(), []).append(k)
    for some in groups.values():
        kind, alive = int(kinds[some[0]]), order[some[0]][~dead[some[0]]]
        mu, x = multiplicity[alive], neurons[np.ix_(some, alive)]
        there = np.eye(len(mu))
        if kind == LONE:
            there[0, 0], x[:, 0] = mu[0], mu[0] * rest[some, alive[0]]
        elif kind in (RESIDUAL, BESIDE):
            there -= mu / mu.sum()
            there[0] = mu
            teacher = np.eye(1, q) if kind == RESIDUAL else 0.0
            x -= (r[some] + teacher)[:, None, :] / mu.sum()
            x[:, 0] = r[some]
        text = lone_definition.make_raw if kind in (LONE, BESIDE) else make_raw
        shape = len(alive), q - 1, kind
        slopes, matrices = plainly(text, x.reshape(len(some), -1), signed(mu), shape)
        yield Charted(np.array(some), alive, there, slopes.reshape(x.shape), matrices)


def rest_of(multiplicity: Array, states: SoundState) -> tuple[Array, NDArray[np.bool_]]:
    """What is left where one neuron is beside the teacher and all others are short, and where."""
    rest = np.zeros((*states.h.shape, 1 + states.z.shape[-1]))
    alone = np.asarray(lone.lonely(states))
    if alone.any():
        some = states.at(alone)
        parts = lone.lone(multiplicity, some)
        neurons = some.neurons
        first = np.arange(some.h.shape[-1]) == parts.first[..., None]
        left = np.where(first[..., None], parts.d[..., None, :] / multiplicity[:, None], neurons)
        short = (np.abs(left) < LEFT).all(axis=(-2, -1))
        alone[alone] = short
        rest[alone] = left[short]
    return rest, alone
