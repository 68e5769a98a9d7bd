"""When to ask again whether a neuron at zero can leave: where the least slope is negative.

Steps since the last answer are kept. If a neuron could have left before the last step, the piece
ends at the last one at which it could not, and later steps are taken anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from flows.core.arrays import Array
from flows.core.problem import Interpolant, Stop, first_time

# Solver time after which the question whether a neuron at zero can leave is asked again.
ASK_AGAIN = 0.25
ASK_SOON = 0.01
# D, the least slope, is asked halfway to where two answers point, and nearer where it is straight:
# it is not to be negative for more than the last number when a neuron leaves.
HALFWAY, NEARLY, STRAIGHT, ASK_AT_ONCE = 0.5, 0.9, 0.05, 1e-5
# On an exponential clock directions change ever more slowly, by powers of it: this part of it.
ASK_LATER = 0.05


#: From a solver time and state to the least slope of a neuron at zero, and where it is.
Least = Callable[[float, Array], tuple[float, Array]]


@dataclass
class Departure:
    """When to look again for a way out of zero: sooner the nearer the last two answers point."""

    value: float = np.inf
    tau: float = -np.inf
    next: float = -np.inf
    where: Array | None = None
    later: float = 0.0
    steps: list[tuple[float, Array]] = field(default_factory=list)

    def alarms(self, taus: Array | float, states: Array) -> Array:
        """Go on by one or many steps; below zero where it is time to look."""
        first = float(np.ravel(taus)[0])  # some solvers try later times first
        self.steps = [step for step in self.steps if step[0] < first]
        each = zip(np.atleast_1d(taus), np.atleast_2d(states), strict=True)
        self.steps += [(float(tau), np.array(y)) for tau, y in each]
        return self.next - np.asarray(taus)

    def leaving(
        self, before: float, tau: float, y: Array, interpolant: Interpolant, least: Least
    ) -> Stop | None:
        """Stop where a neuron can first leave, or at a step before; None if none can."""
        kept = self.kept(tau, y, least)
        if kept is None or kept.tau < before:
            return kept
        when = first_time(lambda t: least(t, interpolant(t))[0] < 0, before, tau)
        return Stop(when, interpolant(when))

    def kept(self, tau: float, y: Array, least: Least) -> Stop | None:
        """Last step before a state at which no neuron could leave; None if none can there.

        Parameters
        ----------
        tau, y : float, ndarray
            Solver time and state.
        least : callable
            Least slope at a solver time and state, and where it is; at the first of the steps it is
            not negative.
        """
        if self.tau >= tau:  # asked already
            return None
        value, where = least(tau, y)
        here = [step for step in self.steps if step[0] < tau] or self.steps[:1]
        self.note(tau, value, where)
        if value >= 0:
            return None
        good, bad = 0, len(here) - 1
        if least(*here[-1])[0] >= 0:
            good = bad
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if least(*here[middle])[0] >= 0 else (good, middle)
        return Stop(*here[good])

    def due(self, tau: float) -> bool:
        """Whether it is time to look."""
        return tau >= self.next

    def note(self, tau: float, value: float, where: Array) -> None:
        """Remember an answer."""
        # One answer does not show where D goes.
        wait = max(ASK_AGAIN, self.later * tau) if np.isfinite(self.value) else ASK_SOON
        if value < self.value and np.isfinite(self.value):
            ahead = value * (tau - self.tau) / (self.value - value)
            soon = HALFWAY * ahead if ahead > STRAIGHT else NEARLY * ahead
            wait = min(wait, max(soon, ASK_AT_ONCE) if value > 0 else ASK_SOON)
        self.value, self.tau, self.next, self.where = value, tau, tau + wait, where
        self.steps = [step for step in self.steps if step[0] >= tau] or self.steps[-1:]
