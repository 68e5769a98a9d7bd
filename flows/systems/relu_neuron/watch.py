"""When a piece of a ReLU neuron's run ends: the residual gets short, a neuron collapses or leaves.

The questions are asked after every step of a solver, so the first one, the alarm, is cheap.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array, lengths
from flows.core.chart import Chart
from flows.core.problem import ATOL_PER_RTOL, Interpolant, Stop, Watch, first_time, outliving
from flows.systems.relu_neuron.collapse import terms_size
from flows.systems.relu_neuron.definition import BESIDE, DIRECT, LONE, PARALLEL, RESIDUAL
from flows.systems.relu_neuron.departure import ASK_LATER, Departure
from flows.systems.relu_neuron.sizes import (
    FAINT,
    LONGER,
    SLENDER,
    THICKER,
    Sizes,
    beside_state,
    faint_state,
    lone_state,
    sizes,
    slender,
)
from flows.systems.relu_neuron.state import Frame, SoundState
from flows.systems.relu_neuron.zero import descent, dying, without

# The residual becomes a state variable once the residual is this short (in units of |v|).
RESIDUAL_CHART = 0.5
# A shrinking neuron is at zero once it is this fraction of what it was when its chart began.
COLLAPSED = 1e-10
# A neuron this short that shrinks beside others of order one is at zero: steps cannot aim closer,
# and would miss one that returns after it has left zero again.
DUST = 1e-10
# Below this fraction of the tolerance a neuron that shrinks beside others is at zero, too; one that
# was below the second one has just left zero.
AIM, LEFT = 1.0, 0.05
# Time that a collapsing neuron may have left when its last stretch is taken as a straight line; at
# loose tolerances more, up to the second number.
LAST_STRETCH, LONGEST_STRETCH = 1e-3, 0.03
# Cosine between the teacher and a far neuron at which it is far no longer.
TURNED = -0.2
# So many times what it was, a scaled transverse part of a far neuron needs another scale: where it
# is far larger than the others, factors of steps lose these.
DRIFTED = 1e4
# The loss of lone neurons whose rest is this short is below all doubles.
LONE_SQUARED = 1e-154


class Collapse(NamedTuple):
    """Which neurons a stop puts to zero, and the error of ``D`` there."""

    which: NDArray[np.intp]
    unsure: float


@dataclass(frozen=True)
class Watched:
    """What the questions of one piece are asked of.

    Parameters
    ----------
    d : int
        Dimension of the user's space.
    frame : Frame
        Frame of the piece.
    chart : Chart
        Its chart.
    kind : int
        ``DIRECT``, ``RESIDUAL``, ``PARALLEL``, ``LONE`` or ``BESIDE``.
    alive : ndarray
        Neurons that are not at zero, in the order of the raw state.
    at : callable
        State of the solver's state at a solver time.
    rtol : float
        Relative tolerance of a step.
    start : ndarray
        Lengths of the neurons alive when the piece began.
    limit : ndarray
        Lengths below which they are at zero.
    shake : float
        Length by which steps may shake a neuron.
    beyond : ndarray of bool
        Which of the neurons alive lie on the far side of the teacher.
    departure : Departure
        When to look for a way out of zero.
    """

    d: int
    frame: Frame
    chart: Chart
    kind: int
    alive: NDArray[np.intp]
    at: Callable[[Array | float, Array], SoundState]
    rtol: float
    start: Array
    limit: Array
    shake: float
    beyond: NDArray[np.bool_]
    departure: Departure

    @functools.cached_property
    def unscaled(self) -> bool:
        """Whether a neuron is too slender to be scaled in parts (:func:`slender`)."""
        return self.kind in (RESIDUAL, BESIDE) and not self.chart.clock.decay.any()

    @functools.cached_property
    def fades(self) -> float:
        """Solver time at which the loss of a lone chart is below all doubles."""
        longest = float(np.max(lengths(self.chart.x0.reshape(len(self.alive), -1))))
        left = math.log(longest / LONE_SQUARED) / float(self.chart.clock.decay[0])
        return left if left > 0 else math.inf

    @property
    def asleep(self) -> bool:
        """Whether a neuron sits at zero that may leave.

        Along the teacher, ``D`` has the sign of the residual of the near side, which never changes.
        """
        return len(self.alive) < len(self.frame.multiplicity) and self.kind != PARALLEL

    def lengths(self, now: SoundState) -> Array:
        """Lengths of the neurons alive, of one or many states."""
        return np.hypot(now.h, np.linalg.norm(now.z, axis=-1))[..., self.alive]

    def remaining(self, now: SoundState) -> Array:
        """How far the nearest mortal neuron along the teacher is from zero."""
        left = np.where(self.beyond, -1.0, 1.0) * now.h[..., self.alive] - self.limit
        # Along the teacher, the last one on the far side decays exponentially, for ever.
        left = left[..., ~self.beyond] if np.sum(self.beyond) == 1 else left
        nearest: Array = np.min(left, axis=-1, initial=1.0)
        return nearest

    def unsure(self, tau: float, now: SoundState) -> float:
        """Relative error of ``D`` that the residual's tolerance allows, where ``D`` is tiny."""
        if self.kind == LONE:
            return self.rtol
        if self.kind not in (RESIDUAL, BESIDE):
            return 0.0
        clock = self.chart.clock
        first = float(clock.decay[0])
        fading = clock.factor(tau, first) / clock.factor(0.0, first)
        error = ATOL_PER_RTOL * self.rtol * float(self.chart.size[0]) * fading
        return error / min(1.0, terms_size(self.frame.multiplicity, now))

    def alarms(self, taus: Array | float, states: Array) -> Array:
        """Alarm of one or many states."""
        awake = self._alarms(taus, states)
        return np.minimum(self.departure.alarms(taus, states), awake) if self.asleep else awake

    def _alarms(self, taus: Array | float, states: Array) -> Array:
        """Alarm of one or many states of the neurons alive."""
        if self.kind == LONE:
            return np.minimum(self.opposed(taus, states), self.fades - np.asarray(taus))
        if self.kind == PARALLEL:
            return self.remaining(self.at(taus, states))
        mu = self.frame.multiplicity[self.alive]
        blocks = self.chart.raw(taus, states).reshape(*states.shape[:-1], len(mu), -1)
        if self.kind == DIRECT:
            r = np.sum(mu[:, None] * blocks, axis=-2) - np.eye(1, blocks.shape[-1])[0]
            small = np.min(np.linalg.norm(blocks, axis=-1) - self.limit, axis=-1)
            return np.minimum(small, np.sum(r * r, axis=-1) - RESIDUAL_CHART**2)
        parts = blocks[..., 1:, 0] + (blocks[..., :1, 0] + (self.kind == RESIDUAL)) / np.sum(mu)
        least, others = (
            self.chart.clock.outlived() - np.asarray(taus),
            np.abs(parts) - self.limit[1:],
        )
        if self.kind == BESIDE or self.unscaled:
            now = self.at(taus, states)
            if self.kind == BESIDE:
                others = self.lengths(now)[..., 1:] / self.limit[1:] - 1
            if self.unscaled:
                least = np.minimum(least, self.thin(now))
        least = np.minimum(np.min(others, axis=-1, initial=1.0), least)
        far = ((parts < 0) & (parts > -FAINT)).all(axis=-1) & (len(mu) > 1)
        return np.where(far, -1.0, least)

    def thin(self, now: SoundState) -> Array:
        """How far the shortest neuron is from being slender no longer, of one or many states."""
        shortest = np.min(self.lengths(now), axis=-1)
        least: Array = 1.0 - shortest / (THICKER * SLENDER * np.linalg.norm(now.r, axis=-1))
        return least

    @functools.cached_property
    def relative(self) -> Array:
        """Decay exponents of a lone chart beside that of lengths, of the far neurons."""
        decay = self.chart.clock.decay
        return (decay - decay[0]).reshape(len(self.alive), -1)[1:]

    def opposed(self, taus: Array | float, states: Array) -> Array:
        """How far the nearest far neuron of a lone chart is from zero, turning round, and drift."""
        far = states.reshape(*states.shape[:-1], len(self.alive), -1)[..., 1:, :]
        far = far * np.exp(-self.relative * np.asarray(taus)[..., None, None])
        length = np.linalg.norm(far, axis=-1)
        safe = np.where(length > 0, length, 1.0)
        least = np.minimum(TURNED - far[..., 0] / safe, length / self.limit[1:] - 1)
        nearest: Array = np.min(np.minimum(least, 1 - self.drift(states)), axis=-1)
        return nearest

    @functools.cached_property
    def drifted(self) -> Array:
        """Scaled transverse parts of far neurons that need another scale."""
        first = lengths(self.chart.x0.reshape(len(self.alive), -1)[1:, 1:])
        return DRIFTED * np.maximum(first, self.start[1:] * np.finfo(float).eps)

    def drift(self, states: Array) -> Array:
        """Transverse parts of the far neurons of a lone chart in units of those, (..., k - 1)."""
        far = states.reshape(*states.shape[:-1], len(self.alive), -1)[..., 1:, 1:]
        drift: Array = np.linalg.norm(far, axis=-1) / self.drifted
        return drift

    def alarm(self) -> Callable[[float, Array], float]:
        """Return the alarm of one state; plain numbers, since it is asked after every step."""
        awake = self._alarm()
        if not self.asleep:
            return awake
        alarms = self.departure.alarms
        return lambda tau, y: min(float(alarms(tau, y)), awake(tau, y))

    def _alarm(self) -> Callable[[float, Array], float]:
        """Alarm of one state of the neurons alive."""
        if self.kind != RESIDUAL or self.unscaled:
            return lambda tau, y: float(self._alarms(tau, y))
        clock, first, limits = self.chart.clock, float(self.chart.clock.decay[0]), self.limit[1:]
        mass, bounds = float(np.sum(self.frame.multiplicity[self.alive])), limits.tolist()
        q, end = len(self.chart.x0) // len(self.alive), clock.outlived()

        def alarm(tau: float, y: Array) -> float:
            # Parallel parts are not scaled, and every neuron but the largest can vanish.
            mean = (1.0 + float(y[0]) * clock.factor(tau, first)) / mass
            room, far = min(1.0, end - tau), bool(bounds)
            for part, bound in zip(y[q::q].tolist(), bounds, strict=True):
                left = abs(part + mean) - bound
                far = far and -FAINT < part + mean < 0
                if left < room:
                    room = left
            return -1.0 if far else room

        return alarm

    def check(self, before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
        """Look closely after an alarm, first whether a neuron leaves zero."""
        if self.asleep and self.departure.due(tau):
            leaving = self.departure.leaving(before, tau, y, interpolant, self.least)
            if leaving is not None:
                return leaving
        stop = self._ends(before, tau, y, interpolant)
        return (stop and self.settle(stop.tau, stop.y)) or stop

    def _ends(self, before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
        """Where the neurons alive end the piece."""
        if self.kind == PARALLEL:
            # The solver's state is constant, so that a step may jump over a collapse.
            when = first_time(
                lambda t: bool(self.remaining(self.at(t, interpolant(t))) <= 0), before, tau
            )
            return Stop(when, interpolant(when))
        now = self.at(tau, y)
        collapsing = self.collapsing(tau, now)
        if len(collapsing):
            return Stop(tau, y, Collapse(collapsing, self.unsure(tau, now)))
        short = now.r @ now.r <= RESIDUAL_CHART**2 + 1e-6
        if self.kind == DIRECT and short and now.h[self.alive[0]] > 0:
            return Stop(tau, y)
        living = self.living(now)
        near = self.kind == RESIDUAL and beside_state(living)
        if (
            self.kind in (RESIDUAL, BESIDE)
            and len(self.alive) > 1
            and (near or faint_state(living))
        ):
            return Stop(tau, y)
        if self.kind in (RESIDUAL, BESIDE):
            # One that passes by zero needs a chart that is not scaled, until it is past.
            there = self.thin(now) <= 0 if self.unscaled else slender(living)
            if there:
                return Stop(tau, y)
        if self.kind == LONE and not lone_state(living, TURNED, LONGER):
            return Stop(tau, y)
        if self.kind == LONE and self.drift(y).max() >= 1:
            return Stop(tau, y)
        if self.kind == LONE and tau >= self.fades:
            return outliving(self.fades, tau, y, interpolant)
        end = self.chart.clock.outlived()
        if self.kind in (RESIDUAL, BESIDE) and tau >= end:
            return outliving(end, tau, y, interpolant)
        return None

    def living(self, now: SoundState) -> Sizes:
        """Sizes of the neurons alive of a state."""
        return sizes(SoundState(now.h[self.alive], now.z[self.alive], now.r))

    def collapsing(self, tau: float, now: SoundState) -> NDArray[np.intp]:
        """Which neurons are about to reach zero."""
        # In a lone chart everything decays, and lengths count relative to that.
        clock, lone = self.chart.clock, self.kind == LONE
        unit = clock.factor(tau, float(clock.decay[0])) if lone else 1.0
        small = self.lengths(now) <= 2 * self.limit * unit
        which = self.alive[small]
        if not len(which):
            return which
        # The straight line is right up to the square of the time it takes.
        stretch = max(LAST_STRETCH, min(math.sqrt(self.rtol), LONGEST_STRETCH))
        ending = which[dying(self.frame, now, which, stretch)]
        young = self.start[small][np.isin(which, ending)] < LEFT * self.shake
        if len(ending) and young.all():
            # Steps shake one that has just left zero; it is not to leave again and again.
            value, _ = descent(self.d, self.frame, without(self.frame, now, ending))
            ending = ending[:0] if value < -self.unsure(tau, now) else ending
        return ending

    def least(self, tau: float, y: Array) -> tuple[float, Array]:
        """Least slope of a neuron at zero, above what errors leave of it, and where it is."""
        there = self.at(tau, y)
        value, where = descent(self.d, self.frame, there, self.departure.where)
        return value + self.unsure(tau, there), where

    def settle(self, tau: float, y: Array) -> Stop | None:
        """Look where a piece ends whether a neuron should have left."""
        return self.departure.kept(tau, y, self.least) if self.asleep else None


def watch(
    d: int,
    frame: Frame,
    state: SoundState,
    chart: Chart,
    kind: int,
    alive: NDArray[np.intp],
    at: Callable[[Array | float, Array], SoundState],
    rtol: float,
) -> Watch:
    """End the piece where the residual gets short, a neuron collapses, or one can leave."""
    start = np.linalg.norm(state.neurons, axis=1)[alive]
    rest = kind in (LONE, BESIDE)  # lengths count beside the other short ones
    lengths = start.tolist()
    unit = min(1.0, max(lengths[1:] if rest else lengths, default=0.0))
    # Steps shake a neuron by their tolerance, also one that was much shorter when the chart began.
    shake, part = rtol * unit, max(COLLAPSED, 10 * rtol)
    least = max(DUST * unit if rest else DUST, AIM * shake)
    limit = np.array([max(part * min(1.0, x), least) for x in lengths])
    departure = Departure(later=ASK_LATER * chart.clock.exponential, steps=[(0.0, chart.y0)])
    watched = Watched(
        d, frame, chart, kind, alive, at, rtol, start, limit, shake, state.h[alive] < 0, departure
    )
    return Watch(watched.alarm(), watched.check, watched.alarms, watched.settle)
