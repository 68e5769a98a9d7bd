"""The pieces of a run of an own system: charts in log-time, their tolerances, rules and ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart, Clock
from flows.core.piece import Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch
from flows.systems.own.features import Frame, SoundState
from flows.systems.own.loss import Loss, estimate, field_of, pack_rule, unpack_rule

__all__ = ["RESERVE", "OwnPiece", "chart", "failure"]

# Entries that have grown by this factor want another absolute tolerance.
GROWN = 10.0
# After this time a chart lasts a decade, so that its tolerances follow what decays.
LONG = 1e3
# The error of a rule is measured anew when the state has moved by this part of its size.
MOVED = 0.05
#: A rule is chosen this much better than it has to be, and used until it is worse.
RESERVE = 0.1
# What the steps of a solver leave in the entries, relative to its tolerances: for LSODA and Radau
# it was 10 at the most, for BDF and CVODE less than this.
LEFT = 100.0
# The finest absolute tolerance that a solver is asked for, relative to rtol and size.
FINEST = 1e-3
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class OwnPiece(Piece):
    """Piece of a run of an own system.

    Parameters
    ----------
    loss : Loss
        The loss.
    observed : callable
        State of entries, shape (..., N), with what is observed there; also of their errors and
        times.
    tolerance : float
        Relative error asked of expectations.
    steps : tuple
        Relative and absolute tolerance of the solver's steps, whether stiff ones damp, and whether
        they are those of a multistep method.
    frame, state : Frame, SoundState
        Where it began.
    chart : Chart
        What the solver follows.
    blocks : list of int
        Sizes of the blocks.
    """

    loss: Loss
    observed: Callable[..., SoundState]
    tolerance: float
    steps: tuple[float, float, bool, bool]
    frame: Frame
    state: SoundState
    chart: Chart
    blocks: list[int]

    def decode(self, raw: Array) -> SoundState:
        """State(s) of raw chart coordinates, shape (..., N)."""
        return self.observed(raw)

    def at(self, tau: Array | float, y: Array) -> SoundState:
        """State(s) of the solver's state(s), with the error that its steps leave there.

        Where a block decays below what a step can resolve, its relative error stays: the error of
        the state from which the piece began decays with the block, and no faster.
        """
        raw, begun = self.chart.raw(tau, y), self.state
        (rtol, atol, damped, _), clock = self.steps, self.chart.clock
        least = self.chart.size * clock.scale(tau) / clock.scale(0.0)
        fresh = LEFT * (rtol * np.abs(raw) + atol * least)
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
        error, time = np.where(old, kept, fresh), np.where(old, ago, now)
        return self.observed(raw, error, time)

    def _sizes(self, x: Array) -> Array:
        """Largest entry of each block, at each of its entries."""
        parts = np.split(np.abs(x), np.cumsum(self.blocks)[:-1], axis=-1)
        sizes = [np.broadcast_to(p.max(axis=-1, keepdims=True), p.shape) for p in parts]
        return np.concatenate(sizes, axis=-1)

    def watch(self, rtol: float) -> Watch:
        """End the piece where entries have grown, after a decade, or where its rule is bad."""
        return watch(self.loss, self.state.x, self.chart, self.tolerance)

    def restart(self, stop: Stop) -> Restart:
        """Go on with tolerances, and a rule, that fit the new state."""
        now = self.chart.raw(stop.tau, stop.y)
        failing = failure(self.loss, now, self.tolerance)
        return Restart(self.frame, self.at(stop.tau, stop.y), self.time(stop.tau), (), failing)


def chart(
    loss: Loss, y: Array, blocks: list[int], decay: list[float], time: float, tolerance: float
) -> Chart:
    """Chart in log-time with the slow blocks scaled, and a rule for the expectation.

    Parameters
    ----------
    loss : Loss
        The loss.
    y : ndarray, shape (N,)
        The state with which it begins.
    blocks : list of int
        Sizes of the blocks.
    decay : list of float
        Their decay exponents.
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
    powers = np.repeat(np.array(decay, dtype=float), blocks)
    found = estimate(loss, y, RESERVE * tolerance, careful=False) if loss.averaged else None
    rule = None if found is None else found.rule
    curvature = np.abs(loss.hessian(y, rule))
    # The last bits of all entries move a slow block by this much in a unit of log-time.
    drift = np.where(powers > 0, EPSILON * (1 + time) * curvature @ np.abs(y), 0.0)
    if found is not None:
        # What quadrature does not know of the gradient does this, where curvature contracts it.
        blur = found.gradient_error * (1 + time) / (1 + (1 + time) * np.diag(curvature))
        drift = np.maximum(drift, blur)
    noise = drift * RESERVE / (FINEST * tolerance)
    weights, shape = pack_rule(len(y), rule)
    return Chart(
        clock=Clock(time, powers, offset=1.0 + time),
        x0=y,
        size=np.maximum(sizes, noise),
        field=field_of(loss),
        weights=weights,
        shape=shape,
    )


def watch(loss: Loss, y: Array, chart: Chart, tolerance: float) -> Watch:
    """End the chart where entries have grown, after a decade, or where its rule is bad."""
    end = float(chart.clock.tau(max(LONG, 10 * chart.clock.t_start)))
    seen = [y]

    def alarm(tau: float, state: Array) -> float:
        now = chart.raw(tau, state)
        room = min(1 - float(np.max(np.abs(now) / chart.size)) / GROWN, end - tau)
        if loss.averaged:
            far = float(np.max(np.abs(now - seen[0]))) / float(np.abs(seen[0]).max() or 1.0)
            room = min(room, 1 - far / MOVED)
        return room

    def check(before: float, tau: float, state: Array, interpolant: Interpolant) -> Stop | None:
        now = chart.raw(tau, state)
        if tau >= end or (np.abs(now) >= GROWN * chart.size).any():
            return Stop(tau, state)
        seen[0] = now
        found = estimate(loss, now, RESERVE * tolerance, careful=False)
        total, _ = loss.summed(now, unpack_rule(chart.weights, chart.shape))
        wrong = float(np.max(np.abs(total[1:] - found.gradient)))
        allowed = max(tolerance, found.floor) * float(np.abs(found.gradient).max())
        return Stop(tau, state) if wrong > allowed else None

    return Watch(alarm, check)


def failure(loss: Loss, y: Array, tolerance: float) -> str:
    """Why the field cannot be computed here, or nothing."""
    if not loss.averaged:
        return ""
    found = estimate(loss, y, RESERVE * tolerance, careful=False)
    if found.error <= max(tolerance, found.floor):
        return ""
    return (
        f"the expectation is known to {found.error:.2g} only, {tolerance:.2g} was asked for:"
        " take a larger rtol, fewer dimensions, or a closed form"
    )
