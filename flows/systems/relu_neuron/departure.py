"""When to ask again whether a neuron at zero can leave: where the least slope is negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array

# Solver time after which the question whether a neuron at zero can leave is asked again.
ASK_AGAIN = 0.25
ASK_SOON = 0.01
# D, the least slope, is asked halfway to where two answers point, and nearer where it is straight:
# it is not to be negative for more than the last number when a neuron leaves.
HALFWAY, NEARLY, STRAIGHT, ASK_AT_ONCE = 0.5, 0.9, 0.05, 1e-5
# On an exponential clock directions change ever more slowly, by powers of it: this part of it.
ASK_LATER = 0.05


@dataclass
class Departure:
    """When to look again for a way out of zero: sooner the nearer the last two answers point."""

    value: float = np.inf
    tau: float = -np.inf
    next: float = -np.inf
    where: Array | None = None
    later: float = 0.0

    def due(self, tau: float) -> bool:
        """Whether it is time to look."""
        return tau >= self.next

    def note(self, tau: float, value: float, where: Array) -> None:
        """Remember an answer."""
        # One answer does not tell where D goes.
        wait = max(ASK_AGAIN, self.later * tau) if np.isfinite(self.value) else ASK_SOON
        if value < self.value and np.isfinite(self.value):
            ahead = value * (tau - self.tau) / (self.value - value)
            soon = HALFWAY * ahead if ahead > STRAIGHT else NEARLY * ahead
            wait = min(wait, max(soon, ASK_AT_ONCE) if value > 0 else ASK_SOON)
        self.value, self.tau, self.next, self.where = value, tau, tau + wait, where
