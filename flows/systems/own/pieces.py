"""The pieces of a run of an own system: charts in log-time, their tolerances, rules and ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart, Clock
from flows.core.piece import Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch
from flows.systems.own.features import Frame, Sound
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
        State of entries, shape (..., N), with what is observed there.
    tolerance : float
        Relative error asked of expectations.
    frame, state : Frame, Sound
        Where it began.
    chart : Chart
        What the solver follows.
    """

    loss: Loss
    observed: Callable[[Array], Sound]
    tolerance: float
    frame: Frame
    state: Sound
    chart: Chart

    def decode(self, raw: Array) -> Sound:
        """State(s) of raw chart coordinates, shape (..., N)."""
        return self.observed(raw)

    def watch(self, rtol: float) -> Watch:
        """End the piece where entries have grown, after a decade, or where its rule is bad."""
        return watch(self.loss, self.state.x, self.chart, self.tolerance)

    def restart(self, stop: Stop) -> Restart:
        """Go on with tolerances, and a rule, that fit the new state."""
        now = self.chart.raw(stop.tau, stop.y)
        failing = failure(self.loss, now, self.tolerance)
        return Restart(self.frame, self.observed(now), self.time(stop.tau), (), failing)


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
    rule = estimate(loss, y, RESERVE * tolerance).rule if loss.averaged else None
    # The last bits of all entries move a slow block by this much in a unit of log-time.
    drift = EPSILON * (1 + time) * np.abs(loss.hessian(y, rule)) @ np.abs(y)
    noise = np.where(powers > 0, drift * RESERVE / (FINEST * tolerance), 0.0)
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
        found = estimate(loss, now, RESERVE * tolerance)
        total, _ = loss.summed(now, unpack_rule(chart.weights, chart.shape))
        wrong = float(np.max(np.abs(total[1:] - found.gradient)))
        allowed = max(tolerance, found.floor) * float(np.abs(found.gradient).max())
        return Stop(tau, state) if wrong > allowed else None

    return Watch(alarm, check)


def failure(loss: Loss, y: Array, tolerance: float) -> str:
    """Why the field cannot be computed here, or nothing."""
    if not loss.averaged:
        return ""
    found = estimate(loss, y, RESERVE * tolerance)
    if found.error <= max(tolerance, found.floor):
        return ""
    return (
        f"the expectation is known to {found.error:.2g} only, {tolerance:.2g} was asked for:"
        " take a larger rtol, fewer dimensions, or a closed form"
    )
