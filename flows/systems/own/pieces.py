"""The pieces of a run of an own system: charts in log-time, their tolerances, rules and ends."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq

from flows.core.arrays import EPSILON, Array
from flows.core.chart import Chart, Clock
from flows.core.piece import Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch
from flows.expectations.hermite import Rule
from flows.systems.own.growth import LARGEST
from flows.systems.own.kink import KINK, jump_beside
from flows.systems.own.loss import Loss, estimate
from flows.systems.own.pace import TINY, Pace
from flows.systems.own.plain_field import field_of, pack_rule, unpack_rule
from flows.systems.own.served import RESERVE, failure, rule_is_off
from flows.systems.own.sound_state import SoundState
from flows.systems.own.stretch import MOST

__all__ = ["OwnPiece", "Pace", "chart"]

# Entries that have grown by this factor want another absolute tolerance.
GROWN = 10.0
# After this time a chart lasts a decade, so that its tolerances follow what decays.
LONG = 1e3
# The error of a rule is measured anew when the state has moved by this part of its size.
MOVED = 0.05
# A step is not kept where the error of its rule is this many times the allowed one.
WORSE = 10.0
# How far beyond the place where kinks change places a piece ends, in parts of its last step.
BEYOND = 2.0**-36
# What the steps of a solver leave in the entries, relative to its tolerances: for LSODA and Radau
# it was 10 at the most, for BDF and CVODE less than this.
LEFT = 100.0
# The finest absolute tolerance that a solver is asked for, relative to rtol and size.
FINEST = 1e-3
# Pieces that last so long, in log-time, make headway, however many they are.
HEADWAY = 1e-2
# The axes of this many entries cost more than steps do.
MOST_AXES = 500


@dataclass(frozen=True)
class OwnPiece(Piece):
    """Piece of a run of an own system.

    Parameters
    ----------
    loss : Loss
        The loss.
    observed : callable
        State of entries, shape (..., N), with the observables there; also of their errors and
        times.
    tolerance : float
        Relative error asked of expectations.
    steps : tuple
        Relative and absolute tolerance of the solver's steps, whether stiff ones damp, and whether
        a multistep method has other ones.
    frame, state : Frame, SoundState
        Where it began.
    chart : Chart
        What the solver follows.
    blocks : list of int
        Sizes of the blocks.
    pace : Pace
        What its steps leave of the time.
    """

    loss: Loss
    observed: Callable[..., SoundState]
    tolerance: float
    steps: tuple[float, float, bool, bool]
    frame: Any
    state: SoundState
    chart: Chart
    blocks: list[int]
    pace: Pace

    counted = HEADWAY  # where kinks change places again and again at once, the run is stuck

    def decode(self, raw: Array) -> SoundState:
        """State(s) of raw chart coordinates, shape (..., N)."""
        return self.observed(raw)

    def at(self, tau: Array | float, y: Array) -> SoundState:
        """State(s) of the solver's state(s), with the error that its steps leave there.

        Where a block decays below what a step can resolve, its relative error stays: the error of
        the state from which the piece began decays with the block, and no faster.
        """
        raw, begun = self.chart.raw(tau, y), self.state
        (_, _, damped, _), clock = self.steps, self.chart.clock
        fresh = self._left(tau, raw)
        before, size = self._sizes(begun.x), self._sizes(raw)
        shrunk = np.divide(size, before, out=np.ones_like(size), where=size < before)
        kept = begun.error * shrunk
        # Where nothing has moved, as at a saddle, there is no error.
        still = (raw == begun.x).all(axis=-1, keepdims=True)
        old = still | (kept > fresh)
        since = clock.time(tau) if damped else np.zeros_like(tau)
        now = np.broadcast_to(np.asarray(since, dtype=float)[..., None], raw.shape)
        # What a block that stays has kept is damped like what is new.
        ago = np.maximum(begun.time, shrunk * now)
        late, grown, stretch = self.pace.at(tau)
        error = np.maximum(np.where(old, kept, fresh), grown)
        late = np.maximum(begun.late, late)
        found = self.observed(raw, error, np.where(old, ago, now), late)
        return replace(found, grown=np.minimum(begun.grown + stretch, MOST))

    def place(self, tau: float, y: Array) -> Array:
        """Entries of the solver's state."""
        return self.chart.raw(tau, y)

    def slopes(self, tau: float, y: Array) -> Array:
        """Gradient there, of a loss in closed form."""
        return np.asarray(self.loss.at(self.place(tau, y))[1])

    def _left(self, tau: Array | float, raw: Array) -> Array:
        """Errors of the entries that the last steps of the solver leave."""
        clock, (rtol, atol, *_) = self.chart.clock, self.steps
        least = self.chart.size * clock.scale(tau) / clock.scale(0.0)
        asked = rtol * np.abs(raw) + atol * least
        # Solvers divide by it: what overflows there, they do not control.
        left: Array = np.where((asked < TINY) & (raw != 0) & (rtol > 0), LARGEST, LEFT * asked)
        return left

    def _sizes(self, x: Array) -> Array:
        """Largest entry of each block, at each of its entries."""
        parts = np.split(np.abs(x), np.cumsum(self.blocks)[:-1], axis=-1)
        sizes = [np.broadcast_to(p.max(axis=-1, keepdims=True), p.shape) for p in parts]
        return np.concatenate(sizes, axis=-1)

    def watch(self, rtol: float) -> Watch:
        """End the piece where entries have grown, after a decade, or where its rule is bad."""
        return watch(self.loss, self.state.x, self.chart, self.tolerance, self._paced)

    def _paced(self, tau: float, raw: Array) -> None:
        """Note a step's end in the pace, where it is time to."""
        if len(raw) > MOST_AXES:
            return
        pace, first, t = self.pace, self.chart.clock.t_start, float(self.chart.clock.time(tau))
        if t < pace.t:
            # Another solver tries the piece.
            vars(pace).update(vars(Pace(first, self.state.x)))
        # What cancels in the gradient of a state that stays may be its last bits.
        last = self.state.error + EPSILON * np.abs(self.state.x)
        if pace.axes is None:
            pace.note(0.0, first, pace.raw, self._curved(pace.raw), last)
        if pace.due(t, raw):
            stays = (raw == self.state.x).all()
            pace.note(tau, t, raw, self._curved(raw), last if stays else self._left(tau, raw))

    def _curved(self, raw: Array) -> Array:
        """Hessian; none where it overflows."""
        rule = unpack_rule(self.loss, self.chart.weights, self.chart.shape)
        found: Array = self.loss.hessian(raw, rule)
        return found if np.isfinite(found).all() else np.zeros_like(found)

    def stuck(self, last: Stop) -> str:
        """Say so where the gradient jumps downhill of a state: steps go to and fro there."""
        raw = self.chart.raw(last.tau, last.y)
        rule = unpack_rule(self.loss, self.chart.weights, self.chart.shape)

        def gradient(far: Array) -> Array:
            y, loss = raw + far, self.loss
            # Beyond a kink nodes are others.
            if rule is not None and isinstance(loss, Loss) and loss.measured is not None:
                return estimate(loss, y, RESERVE * self.tolerance, careful=False).gradient
            return loss.at(y)[1] if rule is None else loss.summed(y, rule)[0][1:]

        def curvature(y: Array) -> float:
            return float(np.abs(self.loss.hessian(y, rule)).max())

        found = jump_beside(
            gradient,
            lambda far: curvature(raw + far),
            len(raw),
            float(np.linalg.norm(raw)),
            curvature(self.state.x),
            self.time(last.tau),
        )
        return "" if math.isnan(found) else KINK.format(self.time(last.tau), found)

    def restart(self, stop: Stop) -> Restart:
        """Go on with tolerances, and a rule, that fit the new state."""
        now = self.chart.raw(stop.tau, stop.y)
        failing = failure(self.loss, now, self.tolerance)
        return Restart(self.frame, self.at(stop.tau, stop.y), self.time(stop.tau), (), failing)


def chart(loss: Loss, y: Array, blocks: list[int], time: float, tolerance: float) -> Chart:
    """Chart in log-time, and a rule for the expectation.

    Parameters
    ----------
    loss : Loss
        The loss.
    y : ndarray, shape (N,)
        The state with which it begins.
    blocks : list of int
        Sizes of the blocks.
    time : float
        When it begins.
    tolerance : float
        Relative error asked of expectations, a tenth of that of a step.

    Returns
    -------
    Chart
        The rule is in its constant arguments.
    """
    parts = np.split(y, np.cumsum(blocks)[:-1])
    largest = float(np.abs(y).max()) or 1.0
    sizes = np.repeat([float(np.abs(part).max()) or largest for part in parts], blocks)
    found = estimate(loss, y, RESERVE * tolerance, careful=False) if loss.averaged else None
    rule = found.rule if found is not None and isinstance(found.rule, Rule) else None
    curvature = np.abs(loss.hessian(y, rule))
    drift = np.zeros(len(y))
    if found is not None:
        # What quadrature does not know of the gradient moves an entry by this much in a unit of
        # log-time, where curvature contracts it.
        drift = found.gradient_error * (1 + time) / (1 + (1 + time) * np.diag(curvature))
    noise = drift * RESERVE / (FINEST * tolerance)
    weights, shape = pack_rule(loss, y, rule)
    return Chart(
        clock=Clock(time, np.zeros(len(y)), offset=1.0 + time),
        x0=y,
        size=np.maximum(sizes, noise),
        field=field_of(loss),
        weights=weights,
        shape=shape,
    )


def watch(
    loss: Loss, y: Array, chart: Chart, tolerance: float, each: Callable[[float, Array], None]
) -> Watch:
    """End the chart where entries have grown, after a decade, or where its rule is bad.

    ``each`` is called after every step with its time and state.
    """
    end = float(chart.clock.tau(max(LONG, 10 * chart.clock.t_start)))
    seen = [y]

    @functools.cache
    def served() -> Callable[[Array], float]:
        rule = unpack_rule(loss, chart.weights, chart.shape)
        if not isinstance(loss, Loss) or loss.measured is None or not isinstance(rule, Rule):
            return lambda now: math.inf
        return loss.measured.measure.room(rule, y)

    @functools.lru_cache(maxsize=1)  # a state is asked for twice
    def room_of(state: bytes) -> float:
        return served()(np.frombuffer(state))

    def left(now: Array) -> float:
        """How far a state is from where the cells of the rule serve no more."""
        return room_of(now.tobytes())

    def alarm(tau: float, state: Array) -> float:
        now = chart.raw(tau, state)
        each(tau, now)
        room = min(1 - float(np.max(np.abs(now) / chart.size)) / GROWN, end - tau)
        if loss.averaged:
            far = float(np.max(np.abs(now - seen[0]))) / float(np.abs(seen[0]).max() or 1.0)
            room = min(room, 1 - far / MOVED, left(now))
        return room

    def check(before: float, tau: float, state: Array, interpolant: Interpolant) -> Stop | None:
        now = chart.raw(tau, state)
        if left(now) < 0:
            # Up to where kinks change places these nodes are right, and they are smooth beyond.
            tau = _crossing(lambda s: left(chart.raw(s, interpolant(s))), before, tau)
            return Stop(tau, interpolant(tau))
        ends = tau >= end or bool((np.abs(now) >= GROWN * chart.size).any())
        off = rule_is_off(loss, now, chart, tolerance) if loss.averaged else 0.0
        seen[0] = now
        if off > WORSE and before > 0:  # the step has led to where the rule fails
            return Stop(before, interpolant(before))
        return Stop(tau, state) if ends or off > 1 else None

    return Watch(alarm, check)


def _crossing(room: Callable[[float], float], low: float, high: float) -> float:
    """Return a time just beyond where a function becomes negative."""
    near = BEYOND * (high - low)
    return low + near if room(low) < 0 else min(high, brentq(room, low, high, xtol=near) + near)
