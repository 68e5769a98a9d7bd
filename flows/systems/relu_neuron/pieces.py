"""The smooth pieces of a ReLU neuron's run: which chart, when it ends, and what follows.

A neuron that reaches zero in finite time ends a piece. The flow goes on as the curve of maximal
slope: the neuron leaves along the steepest descent, or stays
(`flows.systems.relu_neuron.collapse`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.chart import Array, Chart, Clock, wrapped_once
from flows.core.problem import ATOL_PER_RTOL, Interpolant, Stop, Watch
from flows.core.system import Event, Restart
from flows.systems.relu_neuron import collapse, geometry
from flows.systems.relu_neuron.field import DIRECT, PARALLEL, RESIDUAL, make_raw
from flows.systems.relu_neuron.field_lanes import LANES
from flows.systems.relu_neuron.geometry import Frame, Sound

# The residual becomes a state variable once the residual is this short (in units of |v|).
RESIDUAL_CHART = 0.5
# Neurons are alike if they are nearer to their mean than this part of their transverse length.
ALIKE = 0.1
# A shrinking neuron is at zero once it is this fraction of what it was when its chart began.
COLLAPSED = 1e-10
# A neuron this short that shrinks beside others of order one is at zero: steps cannot aim closer,
# and would miss one that returns after it has left zero with SPROUT.
DUST = 1e-10
# Length with which a neuron leaves zero; its effect on the others is of this relative order.
SPROUT = 1e-12
# Below this fraction of the tolerance a neuron that shrinks beside others is at zero, too ...
AIM = 1.0
# ... and below this one steps shake it across zero, so that its direction tells nothing; without
# this a solver crawls there.
SHAKEN = 0.05
# Time that a collapsing neuron may have left when its last stretch is taken as a straight line; at
# loose tolerances more, up to the second number.
LAST_STRETCH, LONGEST_STRETCH = 1e-3, 0.03
# Solver time after which the question whether a neuron at zero can leave is asked again.
ASK_AGAIN = 0.25
ASK_SOON = 0.01
BISECTIONS = 40


class Collapse(NamedTuple):
    """Which neurons a stop puts to zero, and the error of ``D`` there."""

    which: NDArray[np.intp]
    unsure: float


class Layout(NamedTuple):
    """How a chart's raw state reads: which neurons, in which order, which coordinates."""

    alive: NDArray[np.intp]
    p: int
    kind: int


def begin(d: int, frame: Frame, state: Sound) -> Restart:
    """Let neurons that start at zero leave along the steepest descent, where there is one."""
    return _wake(d, frame, state, 0.0, None)


def chart(frame: Frame, state: Sound, time: float) -> Chart:
    """Choose coordinates and clock for the piece that begins with ``state``."""
    norms = np.linalg.norm(np.column_stack([state.h, state.z]), axis=1)
    mu = frame.multiplicity
    alive = np.flatnonzero(norms > 0)
    # The largest neuron comes first: the residual chart derives it from the others.
    alive = alive[np.argsort(-(mu * state.h)[alive], kind="stable")]
    h, z = state.h[alive], state.z[alive]
    reach = float(np.max(np.linalg.norm(z, axis=1), initial=0.0))
    if reach == 0.0:
        return _parallel_chart(frame, state, time, alive)
    short = float(np.linalg.norm(state.r))
    # The margin covers the rounding of the place where a direct chart has just ended.
    residual = bool(short < RESIDUAL_CHART + 1e-3 and h[0] > 0)
    blocks = np.column_stack([h, z])
    size = np.repeat(np.minimum(1.0, norms[alive])[:, None], blocks.shape[1], axis=1)
    size[:, 1:] = np.minimum(size[:, 1:], reach)
    decay = np.zeros_like(blocks)
    decay[:, 1:] = 1.0
    # One distinct neuron: the residual decays like exp(-m t/2).
    linear = residual and len(alive) == 1
    if residual:
        mean = (np.eye(1, blocks.shape[1])[0] + state.r) / np.sum(mu[alive])
        spread = float(np.max(np.linalg.norm((blocks - mean)[:, 1:], axis=1)))
        spread = reach if spread > ALIKE * reach else max(spread, geometry.COINCIDENT * reach)
        blocks = np.vstack([state.r, (blocks - mean)[1:]])
        decay[0] = mu[alive[0]] / 2 if linear else 1.0
        # What is left once the neurons agree with their mean: the loss is about spread^3, so |r|
        # matters down to spread^(3/2).
        size[0] = short if linear else min(1.0, spread) ** 1.5
        size[1:, 1:] = np.minimum(size[1:, 1:], spread)
    kind = RESIDUAL if residual else DIRECT
    return Chart(
        clock=Clock(time, decay.ravel(), max(1.0, 1.0 / reach), linear),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=wrapped_once(make_raw),
        weights=geometry.signed(mu[alive]),
        shape=np.array([len(alive), z.shape[1], kind]),
        layout=Layout(alive, z.shape[1], kind),
        lanes=LANES,
    )


def _parallel_chart(frame: Frame, state: Sound, time: float, alive: NDArray[np.intp]) -> Chart:
    """Chart of neurons that all lie along the teacher; relative accuracy for ever."""
    mu, h = frame.multiplicity[alive], state.h[alive]
    opposed = h < 0
    mass = np.array([np.sum(mu[~opposed]), np.sum(mu[opposed])])
    against = float(np.sum((mu * h)[opposed]))
    x0 = np.array([state.r[0] - against, against])
    return Chart(
        clock=Clock(time, mass / 2, 1.0, True),
        x0=x0,
        size=np.maximum(np.abs(x0), np.finfo(float).tiny),
        field=wrapped_once(make_raw),
        weights=mass,
        shape=np.array([2, 0, PARALLEL]),
        layout=Layout(alive, 0, PARALLEL),
        lanes=LANES,
    )


def decode(frame: Frame, state: Sound, chart: Chart, raw: Array) -> Sound:
    """Sound state(s) of raw chart coordinates, shape (..., N)."""
    layout: Layout = chart.layout
    lead = raw.shape[:-1]
    mu = frame.multiplicity[layout.alive]
    r = np.zeros((*lead, state.r.shape[0]))
    h = np.zeros((*lead, state.h.shape[0]))
    z = np.zeros((*lead, *state.z.shape))
    if layout.kind == PARALLEL:
        r[..., 0] = np.sum(raw, axis=-1)
        opposed = state.h[layout.alive] < 0
        moved = raw - chart.x0
        shift = np.where(opposed, moved[..., 1:], moved[..., :1])
        mass = np.where(opposed, chart.weights[1], chart.weights[0])
        h[..., layout.alive] = state.h[layout.alive] + shift / mass
        if np.sum(opposed) == 1:
            h[..., layout.alive[opposed]] = raw[..., 1:] / chart.weights[1]
        return Sound(h, z, r)
    blocks = raw.reshape(*lead, len(mu), 1 + layout.p)
    if layout.kind == RESIDUAL:
        r[...] = blocks[..., 0, :]
        blocks = _neurons(mu, blocks)
    else:
        r[...] = np.sum(mu[:, None] * blocks, axis=-2)
        r[..., 0] -= 1.0
    h[..., layout.alive] = blocks[..., 0]
    z[..., layout.alive, :] = blocks[..., 1:]
    return Sound(h, z, r)


def watch(d: int, frame: Frame, state: Sound, chart: Chart, rtol: float) -> Watch:
    """End the chart where the residual gets short, a neuron collapses, or one can leave."""
    layout: Layout = chart.layout
    kind, q = layout.kind, 1 + layout.p
    mu = frame.multiplicity[layout.alive]
    start = np.linalg.norm(np.column_stack([state.h, state.z]), axis=1)[layout.alive]
    limit = np.maximum(max(COLLAPSED, 10 * rtol) * np.minimum(1.0, start), DUST)
    # Steps shake a neuron by their tolerance, also one that was much shorter when the chart began.
    shake = rtol * min(1.0, float(np.max(start, initial=0.0)))
    limit, shaken = np.maximum(limit, AIM * shake), SHAKEN * shake
    # The straight line is right up to the square of the time it takes.
    stretch = max(LAST_STRETCH, min(math.sqrt(rtol), LONGEST_STRETCH))
    # Along the teacher, D has the sign of the residual of the near side, which never changes.
    asleep = len(layout.alive) < len(frame.multiplicity) and kind != PARALLEL
    descent = _Descent()
    opposed = state.h[layout.alive] < 0
    side = np.where(opposed, -1.0, 1.0)
    # Along the teacher, the last one on the far side decays exponentially, for ever.
    mortal = ~opposed if np.sum(opposed) == 1 else np.full(len(opposed), True)

    def lengths(now: Sound) -> Array:
        return np.hypot(now.h, np.linalg.norm(now.z, axis=-1))[..., layout.alive]

    def remaining(now: Sound) -> Array:
        left = (side * now.h[..., layout.alive] - limit)[..., mortal]
        nearest: Array = np.min(left, axis=-1, initial=1.0)
        return nearest

    def unsure(tau: float) -> float:
        """Error of ``D`` that the residual's tolerance allows, where ``D`` is tiny."""
        if kind != RESIDUAL:
            return 0.0
        fading = clock.factor(tau, first) / clock.factor(0.0, first)
        return ATOL_PER_RTOL * rtol * float(chart.size[0]) * fading

    # Plain numbers: it is asked after every step.
    clock, first, mass, limits = (
        chart.clock,
        float(chart.clock.decay[0]),
        float(np.sum(mu)),
        limit[1:].tolist(),
    )

    def alarm(tau: float, y: Array) -> float:
        if asleep:
            return -1.0
        if kind == RESIDUAL:
            # Parallel parts are not scaled, and every neuron but the largest can vanish.
            mean = (1.0 + float(y[0]) * clock.factor(tau, first)) / mass
            parts = y[q::q].tolist()
            return min(1.0, *(abs(p + mean) - b for p, b in zip(parts, limits, strict=True)), 1.0)
        return float(alarms(tau, y))

    def alarms(taus: Array | float, states: Array) -> Array:
        """Alarm of one or many states."""
        if asleep:
            return np.full(np.shape(taus), -1.0)
        now = decode(frame, state, chart, chart.raw(taus, states))
        if kind == PARALLEL:
            return remaining(now)
        if kind == RESIDUAL:
            others = np.abs(now.h[..., layout.alive[1:]]) - limit[1:]
            return np.asarray(np.min(others, axis=-1, initial=1.0))
        small = np.min(lengths(now) - limit, axis=-1)
        return np.minimum(small, np.sum(now.r * now.r, axis=-1) - RESIDUAL_CHART**2)

    def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
        def at(when: float) -> Sound:
            return decode(frame, state, chart, chart.raw(when, interpolant(when)))

        if kind == PARALLEL:
            # The solver's state is constant, so that a step may jump over a collapse.
            when = _first(lambda t: bool(remaining(at(t)) <= 0), before, tau)
            return Stop(when, interpolant(when))
        now = decode(frame, state, chart, chart.raw(tau, y))
        small = lengths(now) <= 2 * limit
        if small.any():
            which = layout.alive[small]
            dying = which[_dying(frame, now, which, stretch, shaken)]
            young = start[small][np.isin(which, dying)] < shaken
            if len(dying) and young.all():
                # Steps shake one that has just left zero; it is not to leave again and again.
                value, _ = _descent(d, frame, _without(frame, now, dying))
                dying = dying[:0] if value < -unsure(tau) else dying
            if len(dying):
                return Stop(tau, y, Collapse(dying, unsure(tau)))
        short = now.r @ now.r <= RESIDUAL_CHART**2 + 1e-6
        if kind == DIRECT and short and now.h[layout.alive[0]] > 0:
            return Stop(tau, y)
        if asleep and descent.due(tau):
            value, where = _descent(d, frame, now, descent.where)
            descent.note(tau, value, where)
            if value < -unsure(tau):
                when = _first(
                    lambda t: _descent(d, frame, at(t), where)[0] < -unsure(t), before, tau
                )
                return Stop(when, interpolant(when))
        return None

    return Watch(alarm, check, alarms)


def restart(d: int, frame: Frame, state: Sound, chart: Chart, stop: Stop) -> Restart:
    """Go on after a stop: collapsed neurons are put to zero, or leave it at once."""
    time = float(chart.clock.time(stop.tau))
    now = decode(frame, state, chart, chart.raw(stop.tau, stop.y))
    alive = chart.layout.alive
    start = np.minimum(1.0, np.hypot(state.h, np.linalg.norm(state.z, axis=1)))
    norms = np.hypot(now.h, np.linalg.norm(now.z, axis=1))
    collapsed = stop.cause
    if collapsed is None:
        near = alive[norms[alive] <= np.maximum(1e-2 * start[alive], DUST)]
        dying = near[_dying(frame, now, near, LAST_STRETCH)]
    else:
        dying = collapsed.which
    if not len(dying):
        return _wake(d, frame, now, time, None)
    slope = -geometry.gradient(frame.multiplicity, now)
    away = np.sum(slope * np.column_stack([now.h, now.z])[..., :], axis=1)
    left = norms[dying] ** 2 / -away[dying]
    # Those that arrive together, as neurons that left zero together do, are one event.
    which = dying[left <= 10 * np.min(left)]
    step = float(np.min(left))
    # The last stretch is a straight line up to O(step^2).
    h, z = now.h + step * slope[:, 0], now.z + step * slope[:, 1:]
    mu = frame.multiplicity
    later = _without(frame, Sound(h, z, now.r + step * (mu @ slope)), which)
    users = [int(i) for i in np.flatnonzero(np.isin(frame.member, which))]
    event = Event(time + step, "collapse", f"neuron {_names(users)} reached zero")
    unsure = 0.0 if collapsed is None else collapsed.unsure
    return _wake(d, frame, later, time + step, event, unsure)


def _without(frame: Frame, state: Sound, which: NDArray[np.intp]) -> Sound:
    """State in which neurons are at zero."""
    h, z = state.h.copy(), state.z.copy()
    gone = frame.multiplicity[which] @ np.column_stack([h, z])[which]
    h[which], z[which] = 0.0, 0.0
    return Sound(h, z, state.r - gone)


def _neurons(mu: Array, blocks: Array) -> Array:
    """Neurons (..., k, q) of the blocks of a residual chart."""
    mean = blocks[..., :1, :].copy()
    mean[..., 0] += 1.0
    deviations = blocks[..., 1:, :]
    first = -np.sum(mu[1:, None] * deviations, axis=-2, keepdims=True) / mu[0]
    return mean / np.sum(mu) + np.concatenate([first, deviations], axis=-2)


def _dying(
    frame: Frame, now: Sound, which: NDArray[np.intp], stretch: float, shaken: float = 0.0
) -> NDArray[np.bool_]:
    """Which of the small neurons ``which`` shrink to zero on a nearly straight line."""
    slope = geometry.gradient(frame.multiplicity, now)[which]
    neurons = np.column_stack([now.h, now.z])[which]
    units = neurons / np.linalg.norm(neurons, axis=1, keepdims=True)
    inward = np.sum(slope * units, axis=1)
    across = np.linalg.norm(slope - inward[:, None] * units, axis=1)
    length = np.linalg.norm(neurons, axis=1)
    left = length / np.where(inward > 0, inward, np.nan)
    # Far from zero in time: a neuron that decays exponentially never gets there.
    return ((across < inward) | (length < shaken)) & (left < stretch)


def _descent(d: int, frame: Frame, now: Sound, guess: Array | None = None) -> tuple[float, Array]:
    """Minimum of ``D`` relative to its terms, noise counted as zero, and where it is."""
    value, where = collapse.steepest(frame.multiplicity, now, d > now.r.shape[0], guess)
    relative = value / collapse.terms_size(frame.multiplicity, now)
    return (relative if relative < -collapse.NOISE else max(relative, 0.0)), where


def _wake(
    d: int, frame: Frame, state: Sound, time: float, event: Event | None, unsure: float = 0.0
) -> Restart:
    """Let the neurons at zero leave along the minimiser of ``D``, if ``D`` is negative there.

    The neurons of one run that sit at zero together all leave along the same minimiser.
    """
    zero = np.flatnonzero(np.hypot(state.h, np.linalg.norm(state.z, axis=1)) == 0)
    if not len(zero):
        return Restart(frame, state, time, () if event is None else (event,))
    users = [int(i) for i in np.flatnonzero(np.isin(frame.member, zero))]
    mu = frame.multiplicity
    value, u = _descent(d, frame, state)
    leaves = value < -unsure
    if leaves:
        if abs(u[-1]) > 1e-6 and len(u) > state.r.shape[0]:
            frame, state = _extend(frame, state)
        u = SPROUT * u[: state.r.shape[0]]
        h, z = state.h.copy(), state.z.copy()
        h[zero], z[zero] = u[0], u[1:]
        state = Sound(h, z, state.r + np.sum(mu[zero]) * u)
    fate = "leaves along the steepest descent" if leaves else "stays there"
    if event is not None:
        event = event._replace(detail=f"{event.detail} and {fate}")
    elif leaves or time == 0:
        event = Event(
            time, "departure" if leaves else "rest", f"neuron {_names(users)} at zero {fate}"
        )
    return Restart(frame, state, time, () if event is None else (event,))


@dataclass
class _Descent:
    """When to look again for a way out of zero: sooner the nearer the last two answers point."""

    value: float = np.inf
    tau: float = -np.inf
    next: float = -np.inf
    where: Array | None = None

    def due(self, tau: float) -> bool:
        return tau >= self.next

    def note(self, tau: float, value: float, where: Array) -> None:
        wait = ASK_AGAIN
        if value < self.value and np.isfinite(self.value):
            ahead = value * (tau - self.tau) / (self.value - value)
            wait = min(wait, max(0.5 * ahead, ASK_SOON))
        self.value, self.tau, self.next, self.where = value, tau, tau + wait, where


def _first(holds: Callable[[float], bool], low: float, high: float) -> float:
    """First time in ``(low, high]`` at which ``holds``, by bisection; it holds at ``high``."""
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _extend(frame: Frame, state: Sound) -> tuple[Frame, Sound]:
    """Add one dimension, orthogonal to teacher and basis."""
    known = np.column_stack([frame.teacher / frame.unit, frame.basis])
    # The coordinate axis that is farthest from the span has the largest remainder.
    rest = np.eye(len(frame.teacher)) - known @ known.T
    axis = rest[:, int(np.argmax(np.linalg.norm(rest, axis=0)))]
    basis = np.column_stack([frame.basis, axis / np.linalg.norm(axis)])
    wider = Sound(state.h, np.pad(state.z, [(0, 0), (0, 1)]), np.append(state.r, 0.0))
    return replace(frame, basis=basis), wider


def _names(users: Sequence[int]) -> str:
    """Neurons as a person counts them, from 1."""
    return ", ".join(str(i + 1) for i in users)
