"""The smooth pieces of a mixture's run: when to choose anew, and how the run goes on.

A piece keeps its quadrature rules, so that its field is one smooth function with an exact Jacobian.
Wherever the field is evaluated, the means are such as the rule in use was made for, or the field is
not a number. Where the means leave the widths of the usual rule, or need far fewer nodes, the piece
ends, and the next one chooses rules anew (:mod:`flows.systems.mixture.choice`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import Chart
from flows.core.piece import Event, Events, Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch, outliving
from flows.systems.mixture import velocities
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.changes import Change, Trail, changes
from flows.systems.mixture.constants import LINEAR, Limits
from flows.systems.mixture.derivatives import gradient
from flows.systems.mixture.expectation import expect
from flows.systems.mixture.forms import components, longest, power_above
from flows.systems.mixture.means import FAR, NEAR, Means
from flows.systems.mixture.sound import Frame, SoundState

# A field below this is about to underflow.
UNDERFLOW = 1e-290
# An error above this is not one of rounding or of a tight tolerance: there are too few nodes.
COARSE = 1e-4
# Solver time after which the regime is looked at again.
COMPARE_AFTER = 0.25


class Regimes(NamedTuple):
    """Regimes of a run, a change of which ends a piece, so that an event can say so.

    ``at(times, weight, mu, velocity, fisher)`` are the regimes of several states and their marks,
    two rows of numbers each, from means, velocities and ``E|v|^2``;
    ``events(frame, time, before, after)`` are those of a change of regimes.
    """

    at: Callable[[Array, Array, Array, Array, Array], tuple[Array, Array]]
    events: Callable[[Frame, float, Array, Array], tuple[Event, ...]]


@dataclass(frozen=True)
class MixturePiece(Piece):
    """Piece of a run of means.

    Parameters
    ----------
    calculus : Calculus
        The derived integrands of the loss whose flow it is.
    tolerance : float
        Relative error of the field that steps can bear.
    regimes : Regimes or None
        What regimes there are; None where a run has but one.
    frame : Frame
        What translates back.
    state : SoundState
        The first state.
    chart : Chart
        What the solver follows.
    kind : int
        ``NEAR``, ``CLUSTER``, ``FAR`` or ``LINEAR``: the form of the raw state.
    order : ndarray
        Components in the order of the raw state.
    limits : Limits
        Within which form, clock and rule serve; the means in the order of the components.
    """

    calculus: Calculus
    tolerance: float
    regimes: Regimes | None
    frame: Frame
    state: SoundState
    chart: Chart
    kind: int
    order: NDArray[np.intp]
    limits: Limits

    counted = 0.0  # each piece takes a step, and many of them are no sign of trouble

    def decode(self, raw: Array) -> SoundState:
        """Sound state(s) of raw chart coordinates, shape (..., N)."""
        blocks = raw.reshape(*raw.shape[:-1], *self.state.offset.shape)
        if self.kind == LINEAR:
            unit = power_above(self.state.centre)
            return SoundState(np.zeros_like(blocks), unit * blocks[..., 0, :])
        if self.kind == FAR:
            centre, moved = np.zeros_like(blocks[..., 0, :]), blocks
        else:
            k = len(self.order)
            around = self.chart.weights[2 * k : 2 * k + k * k].reshape(k, k)
            centre = blocks[..., 0, :]
            moved = (around[:, :, None] * blocks[..., None, :, :]).sum(axis=-2)
        offset = np.empty_like(blocks)
        offset[..., self.order, :] = moved
        return SoundState(offset, centre)

    def watch(self, rtol: float) -> Watch | None:
        """End the piece where its rule is not good enough, too good, or another form is better.

        It also ends where the regime has changed, and where its tolerances are outlived.
        """
        if self.kind == LINEAR:
            return None
        # The error `rtol t^(-1/2)` of the slaved mean enters the loss, `t^-2`, by its square.
        end = self.chart.clock.outlived(1.0 / rtol) if self.kind == NEAR else math.inf
        trail = Trail(0.0, self.chart.y0) if self.regimes else None
        seen = 0.0

        def alarm(tau: float, y: Array) -> float:
            if trail is not None:
                trail.add(np.array([tau]), np.array(y)[None])
            if tau >= end or self.outgrown(self.chart.raw(tau, y)[None])[0]:
                return -1.0
            return 1.0 if trail is None else seen + COMPARE_AFTER - tau

        def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
            nonlocal seen
            outlived = tau >= end
            if outlived and tau > end:
                stop = outliving(end, tau, y, interpolant)
                tau, y = stop.tau, stop.y
            same = trail is None or self.same(np.array([tau]), np.array(y)[None])[0]
            if outlived or not same or self.outgrown(self.chart.raw(tau, y)[None])[0]:
                return Stop(tau, y, trail)
            seen = tau
            if trail is not None:
                trail.seen(tau)
            return None

        def alarms(taus: Array, states: Array) -> Array:
            """Of many steps, below zero only where `check` ends the piece, or may."""
            nonlocal seen
            # What is not finite is outgrown, too.
            ends = (taus >= end) | self.outgrown(self.chart.raw(taus, states))
            if trail is not None:
                trail.add(taus, states)
                last = int(np.argmax(ends)) if ends.any() else len(taus)
                due, looked = [], seen
                for i, tau in enumerate(taus[:last].tolist()):
                    if tau >= looked + COMPARE_AFTER:
                        due.append(i)
                        looked = tau
                if due:
                    same = self.same(taus[due], states[due])
                    ends[due] = ~same
                    known = due[: int(np.argmin(same))] if not same.all() else due
                    if known:
                        seen = float(taus[known[-1]])
                        trail.seen(seen)
            return np.where(ends, -1.0, 1.0)

        return Watch(alarm, check, alarms)

    def outgrown(self, raw: Array) -> NDArray[np.bool_]:
        """Whether another form, clock or rule serves raw states better, shape (S, N) to (S,)."""
        found = np.empty(len(raw), np.bool_)
        velocities.look_over()(
            np.ascontiguousarray(raw), self.chart.weights, self.chart.shape, self._room, found
        )
        return found

    def same(self, taus: Array, states: Array) -> NDArray[np.bool_]:
        """Whether regimes of a solver's states are the first one."""
        found, _ = self._regimes(taus, states)
        return np.asarray((found == self.first_regime).all(axis=-1))

    def changes(self, trail: Trail, tau: float) -> tuple[Change, ...]:
        """Changes of the regime up to a step."""
        return changes(trail, tau, self.chart.rhs, self._regimes)

    def _regimes(self, taus: Array, states: Array) -> tuple[Array, Array]:
        """Regimes and marks of a solver's states."""
        assert self.regimes is not None
        looks = self.looks(self.chart.raw(taus, states))
        return self.regimes.at(self.chart.clock.time(taus), self.frame.weight, *looks)

    def looks(self, raw: Array) -> tuple[Array, Array, Array]:
        """Means, velocities and ``E|v|^2`` at raw states, by the rules of the piece."""
        chart, now, (k, r) = self.chart, self.decode(raw), self.state.offset.shape
        terms, pull = np.empty((len(raw), 2, 2 + k * r)), np.empty((len(raw), k, r))
        states = np.ascontiguousarray(raw)
        velocities.see()(states, chart.weights, chart.shape, self._room, terms)
        pull[:, self.order] = terms[:, 0, 2:].reshape(pull.shape)
        means = Means(now.mu, now.offset, now.centre, self.frame.weight, self.kind)
        velocity = -gradient(self.frame, means, pull)
        return now.mu, velocity, means.constant[1] + terms[:, 0, 1]

    @functools.cached_property
    def _room(self) -> Array:
        """Where compiled code works."""
        return np.empty(velocities.room_for(*self.state.offset.shape))

    @functools.cached_property
    def first_regime(self) -> Array:
        """Regime in which the piece begins."""
        return self.regime_of(self.state, self.time(0.0))

    def regime_of(self, state: SoundState, time: float) -> Array:
        """Regime of a state at a time, in numbers, in the form and by the rule of its own piece."""
        if self.regimes is None:
            return np.zeros(0)
        means = components(self.frame, state)
        found = expect(self.calculus, means, self.tolerance)
        velocity = -gradient(self.frame, means, found.pull)
        numbers = np.array([time]), self.frame.weight, means.mu[None], velocity[None]
        return self.regimes.at(*numbers, np.array([found.fisher]))[0][0]

    def restart(self, stop: Stop) -> Restart:
        """Go on after a stop with a new choice of rule and coordinates."""
        now = self.at(stop.tau, stop.y)
        means = components(self.frame, now)
        if means.form == FAR:
            now = SoundState(now.mu, np.zeros_like(now.centre))
        elif self.kind == FAR:
            now = SoundState(means.deviation, means.mean)
        time = self.time(stop.tau)
        failing = failure(self.calculus, self.frame, now, self.tolerance)
        if failing or self.regimes is None:
            return Restart(self.frame, now, time, (), failing)
        return Restart(
            self.frame, now, time, Events(functools.partial(self.happened, stop, now, time))
        )

    def happened(self, stop: Stop, now: SoundState, time: float) -> Iterator[Event]:
        """Changes of the regime up to a stop, where the next piece begins with a state ``now``."""
        assert self.regimes is not None
        old, last = self.first_regime, Change(stop.tau, self.regime_of(now, time))
        seen = () if stop.cause is None else self.changes(stop.cause, stop.tau)
        for tau, new in (*seen, last):
            yield from self.regimes.events(self.frame, self.time(tau), old, new)
            old = new


def failure(calculus: Calculus, frame: Frame, state: SoundState, tolerance: float) -> str:
    """Why a run cannot go on from ``state``, or nothing."""
    if len(frame.weight) == 1:
        return ""
    means = components(frame, state)
    found = expect(calculus, means, tolerance)
    # Equal values of all rules may still be noise where nothing is left to compare.
    if means.form == FAR and np.abs(gradient(frame, means, found.pull)).max() < UNDERFLOW:
        return (
            f"the field underflows: with means of length {longest(means.mu):.4g} it is below"
            f" {UNDERFLOW:g}; start nearer to the target"
        )
    if found.error > tolerance:
        advice = "allow a larger rtol" if found.error < COARSE else "start nearer to the target"
        return (
            f"quadrature error {found.error:.2g} with {found.nodes} nodes in"
            f" {len(means.mean)} dimensions, above the tolerance {tolerance:.2g};"
            f" {advice}"
        )
    return ""
