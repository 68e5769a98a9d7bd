"""The smooth pieces of a ReLU neuron's run: which chart, and what follows.

A neuron that reaches zero in finite time ends a piece. The flow goes on as the curve of maximal
slope: the neuron leaves along the steepest descent, or stays
(:mod:`flows.systems.relu_neuron.zero`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array, lengths
from flows.core.chart import Chart, Clock, wrapped_once
from flows.core.piece import Event, Piece, Restart
from flows.core.problem import Stop, Watch
from flows.systems.relu_neuron import geometry
from flows.systems.relu_neuron.collapse import terms_size
from flows.systems.relu_neuron.definition import (
    BESIDE,
    DIRECT,
    LANES,
    LONE,
    PARALLEL,
    RESIDUAL,
    make_raw,
)
from flows.systems.relu_neuron.lone_charts import beside_chart, lone_chart
from flows.systems.relu_neuron.pairs import signed
from flows.systems.relu_neuron.sizes import Sizes, beside_state, faint_state, sizes, slender
from flows.systems.relu_neuron.state import Frame, SoundState
from flows.systems.relu_neuron.watch import DUST, LAST_STRETCH, RESIDUAL_CHART, watch
from flows.systems.relu_neuron.zero import SPROUT, dying, names, wake, without

# Neurons count as equal if they are nearer to their mean than this part of their transverse length.
ALIKE = 0.1
# Size of the residual in units of the squared spread: errors of steps are small parts of it.
GRADIENT = 60.0
# Where a neuron is short its angle is larger than its transverse part, and so is the gradient.
SHORTER = 0.1
# A residual above so many spreads falls for a long time before it is a part of the gradient.
FAR = 200.0
# The direction of a neuron so much shorter than others, as of one that has just left zero, settles
# far faster than they move: a method that begins with explicit steps crawls there, and not all
# others damp its errors. In a step in which it grows by more than the factor their Jacobian would
# be that of a far shorter neuron, and its direction stay what it was.
YOUNG, GROWS, NEARLY = 1e-2, 10.0, 10.0
DAMPED = (("Rodas5P", 1.0), ("LSODA", 0.1), ("BDF", 1.0))


@dataclass(frozen=True)
class NeuronPiece(Piece):
    """Piece of a run of neurons.

    Parameters
    ----------
    d : int
        Dimension of the user's space.
    frame : Frame
        What translates back.
    state : SoundState
        The first state.
    chart : Chart
        What the solver follows.
    kind : int
        ``DIRECT``, ``RESIDUAL``, ``PARALLEL``, ``LONE`` or ``BESIDE``: what the raw state
        holds.
    alive : ndarray
        Neurons that are not at zero, in the order of the raw state.
    lasts : float
        Solver time in which a young neuron grows by a factor, if one does.
    """

    d: int
    frame: Frame
    state: SoundState
    chart: Chart
    kind: int
    alive: NDArray[np.intp]
    lasts: float = math.inf

    def decode(self, raw: Array) -> SoundState:
        """Sound state(s) of raw chart coordinates, shape (..., N)."""
        lead, q = raw.shape[:-1], len(self.state.r)
        mu = self.frame.multiplicity[self.alive]
        neurons = np.zeros((*lead, len(self.state.h), q))
        if self.kind == PARALLEL:
            r = np.zeros((*lead, q))
            r[..., 0] = np.sum(raw, axis=-1)
            neurons[..., self.alive, 0] = self._parallel(raw)
            return SoundState(neurons[..., 0], neurons[..., 1:], r)
        blocks = raw.reshape(*lead, len(mu), q)
        if self.kind == RESIDUAL:
            r = blocks[..., 0, :]
            blocks = _neurons(mu, blocks)
        elif self.kind in (LONE, BESIDE):
            if self.kind == LONE:
                r = np.sum(np.append(1.0, mu[1:])[:, None] * blocks, axis=-2)
                blocks = blocks.copy()
            else:
                r = blocks[..., 0, :]
                blocks = blocks + r[..., None, :] / np.sum(mu)
                blocks[..., 0, :] = r - np.sum(mu[1:, None] * blocks[..., 1:, :], axis=-2)
            blocks[..., 0, 0] += 1.0
            blocks[..., 0, :] /= mu[0]
        else:
            r = np.sum(mu[:, None] * blocks, axis=-2)
            r[..., 0] -= 1.0
        neurons[..., self.alive, :] = blocks
        return SoundState(neurons[..., 0], neurons[..., 1:], r)

    def _parallel(self, raw: Array) -> Array:
        """Parallel parts of the neurons alive, where all lie along the teacher."""
        first, mass = self.state.h[self.alive], self.chart.weights
        opposed = first < 0
        moved = raw - self.chart.x0
        shift = np.where(opposed, moved[..., 1:], moved[..., :1])
        h: Array = first + shift / np.where(opposed, mass[1], mass[0])
        if np.sum(opposed) == 1:
            h[..., opposed] = raw[..., 1:] / mass[1]
        return h

    def watch(self, rtol: float) -> Watch | None:
        """End the piece where the residual gets short, a neuron collapses, or one can leave."""
        if self.kind == LONE and not self.chart.clock.decay.any():
            return None  # its loss is below all doubles, and stays there
        return watch(
            self.d, self.frame, self.state, self.chart, self.kind, self.alive, self.at, rtol
        )

    def restart(self, stop: Stop) -> Restart:
        """Go on after a stop: collapsed neurons are put to zero, or leave it at once."""
        frame, time = self.frame, self.time(stop.tau)
        now, collapse = self.at(stop.tau, stop.y), stop.cause
        norms = np.hypot(now.h, np.linalg.norm(now.z, axis=1))
        if collapse is None:
            start = np.minimum(1.0, np.hypot(self.state.h, np.linalg.norm(self.state.z, axis=1)))
            small = norms <= np.maximum(1e-2 * start, DUST)
            near = self.alive[small[self.alive]]
            ending = near[dying(frame, now, near, LAST_STRETCH)]
        else:
            ending = collapse.which
        if not len(ending):
            return wake(self.d, frame, now, time, None)
        slope = -geometry.gradient(frame.multiplicity, now)
        away = np.sum(slope * now.neurons, axis=1)
        left = norms[ending] ** 2 / -away[ending]
        # Those that arrive together, as neurons that left zero together do, are one event.
        which = ending[left <= 10 * np.min(left)]
        step = float(np.min(left))
        mu = frame.multiplicity

        def before(times: Array) -> SoundState:
            """The last stretch, a straight line up to O(step^2)."""
            since = (times - time)[:, None]
            h, r = now.h + since * slope[:, 0], now.r + since * (mu @ slope)
            return SoundState(h, now.z + since[..., None] * slope[:, 1:], r)

        there = before(np.array([time + step])).at(0)
        later = without(frame, there, which)
        users = [int(i) for i in np.flatnonzero(np.isin(frame.member, which))]
        event = Event(time + step, "collapse", f"neuron {names(users)} reached zero")
        unsure = 0.0 if collapse is None else collapse.unsure
        return wake(self.d, frame, later, time + step, event, unsure)._replace(before=before)


def begin(d: int, frame: Frame, state: SoundState) -> Restart:
    """Let neurons that start at zero leave along the steepest descent, where there is one."""
    return wake(d, frame, state, 0.0, None)


def piece(d: int, frame: Frame, state: SoundState, time: float) -> NeuronPiece:
    """Choose coordinates and clock for the piece that begins with ``state``."""
    each = sizes(state)
    chosen, lengths = _chosen(d, frame, state, time, each), each.norms
    others = min(1.0, max(lengths))
    shortest = min((x for x in lengths if x > 0), default=math.inf)
    if chosen.kind == PARALLEL or shortest >= YOUNG * others:
        return chosen
    norms, unit = np.array(lengths), min(1.0, terms_size(frame.multiplicity, state))
    young = (norms > 0) & (norms < YOUNG * min(others, unit))
    grown = _grown(frame, state, young) if chosen.kind in (DIRECT, RESIDUAL) else math.inf
    # One that leaves where it hardly may does not grow yet.
    sprouts = (norms > SPROUT / NEARLY * unit) & (norms < SPROUT * NEARLY * unit)
    if grown == math.inf and not sprouts.any():
        return chosen
    chart = replace(chosen.chart, auto=DAMPED)
    return replace(chosen, chart=chart, lasts=float(chart.clock.after(grown)))


def _grown(frame: Frame, state: SoundState, young: NDArray[np.bool_]) -> float:
    """Time in which the first of young neurons that grows has grown by a factor."""
    neurons = state.neurons[young]
    short, slope = lengths(neurons), -geometry.gradient(frame.multiplicity, state)[young]
    speed = np.sum(slope * neurons / short[:, None], axis=1)
    grows = speed > 0
    return float(np.min((GROWS - 1.0) * short[grows] / speed[grows], initial=math.inf))


def _chosen(d: int, frame: Frame, state: SoundState, time: float, each: Sizes) -> NeuronPiece:
    mu = frame.multiplicity
    # The largest neuron comes first: the residual chart derives it from the others.
    living, order = _living(each, mu.tolist())
    alive = np.array(order, dtype=np.intp)
    reach = max(living.across, default=0.0)
    if reach == 0.0:
        parallel = _parallel_chart(frame, state, time, alive)
        return NeuronPiece(d, frame, state, parallel, PARALLEL, alive)
    short = living.rest
    # The margin covers the rounding of the place where a direct chart has just ended.
    residual = bool(short < RESIDUAL_CHART + 1e-3 and state.h[alive[0]] > 0)
    if residual and faint_state(living):
        return NeuronPiece(d, frame, state, lone_chart(frame, state, time, alive), LONE, alive)
    if residual and len(alive) > 1 and beside_state(living):
        chart = beside_chart(frame, state, time, alive)
        return NeuronPiece(d, frame, state, chart, BESIDE, alive)
    blocks = state.neurons[alive]
    size = np.empty_like(blocks)
    size[:] = np.minimum(1.0, living.norms)[:, None]
    size[:, 1:] = np.minimum(size[:, 1:], reach)
    decay = np.zeros_like(blocks)
    decay[:, 1:] = 1.0
    # One distinct neuron: the residual decays like exp(-m t/2).
    linear = residual and len(alive) == 1
    if residual:
        mean = state.r.copy()
        mean[0] += 1.0
        mean /= mu[alive].sum()
        blocks -= mean
        spread = float(np.linalg.norm(blocks[:, 1:], axis=1).max())
        spread = reach if spread > ALIKE * reach else max(spread, geometry.COINCIDENT * reach)
        blocks[0] = state.r
        slaved = short <= FAR * spread
        decay[0] = mu[alive[0]] / 2 if linear else 2.0 if slaved else 1.0
        # Slaved, |r| is a part of the gradient, about spread^2. Before that, and for neurons that
        # hardly differ, it matters to the loss, about spread^3, down to spread^(3/2).
        part = GRADIENT * max(spread**2, _steep(living)) if slaved else min(1.0, spread**1.5)
        size[0] = short if linear else part
        size[1:, 1:] = np.minimum(size[1:, 1:], spread)
        if slender(living):
            decay[:] = 0.0
    kind = RESIDUAL if residual else DIRECT
    chart = Chart(
        clock=Clock(time, decay.ravel(), max(1.0, 1.0 / reach), linear),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=wrapped_once(make_raw),
        weights=signed(mu[alive]),
        shape=np.array([len(alive), state.z.shape[1], kind]),
        lanes=LANES,
    )
    return NeuronPiece(d, frame, state, chart, kind, alive)


def _living(each: Sizes, mu: Sequence[float]) -> tuple[Sizes, list[int]]:
    """Sizes of the neurons that are not at zero, the largest along the teacher first, and who."""
    weighted = [-m * h for m, h in zip(mu, each.h, strict=True)]
    order = sorted((i for i, x in enumerate(each.norms) if x > 0), key=weighted.__getitem__)
    h, across, norms = ([part[i] for i in order] for part in each[:3])
    return Sizes(h, across, norms, each.rest), order


def _steep(living: Sizes) -> float:
    """Gradient of short neurons, by their transverse parts and angles."""
    pairs = zip(living.across[1:], living.norms[1:], strict=True)
    return max((SHORTER * a * (a / norm) for a, norm in pairs), default=0.0)


def _parallel_chart(frame: Frame, state: SoundState, time: float, alive: NDArray[np.intp]) -> Chart:
    """Chart of neurons that all lie along the teacher; relative accuracy for ever."""
    mu, h = frame.multiplicity[alive], state.h[alive]
    opposed = h < 0
    mass = np.array([np.sum(mu[~opposed]), np.sum(mu[opposed])])
    against = float(np.sum((mu * h)[opposed]))
    x0 = np.array([state.r[0] - against, against])
    # Below all doubles nothing moves: what is rounded there would be noise for ever.
    x0[np.abs(x0) < geometry.SMALLEST] = 0.0
    return Chart(
        clock=Clock(time, mass / 2, 1.0, True),
        x0=x0,
        size=np.maximum(np.abs(x0), np.finfo(float).tiny),
        field=wrapped_once(make_raw),
        weights=mass,
        shape=np.array([2, 0, PARALLEL]),
        lanes=LANES,
    )


def _neurons(mu: Array, blocks: Array) -> Array:
    """Neurons (..., k, q) of the blocks of a residual chart."""
    mean = blocks[..., 0, :].copy()
    mean[..., 0] += 1.0
    neurons = blocks.copy()
    neurons[..., 0, :] = -(mu[1:, None] * blocks[..., 1:, :]).sum(axis=-2) / mu[0]
    neurons += (mean / mu.sum())[..., None, :]
    return neurons
