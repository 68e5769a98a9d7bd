"""Steps of a chart, and the curvature along its axes there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from flows.core.arrays import Array
from flows.core.symmetric import eigen

__all__ = ["Trail"]

# Number of looks at the curvature on the way.
LOOKS = 24


@dataclass(frozen=True)
class Trail:
    """Where the steps of a chart have led.

    Parameters
    ----------
    since : float
        Time at which the chart begins, as of :class:`flows.systems.own.carried_errors.Errors`.
    axes : ndarray, shape (N, N)
        Its axes, columns.
    hessian : callable
        `hessian(u, s)` in the user's coordinates.
    """

    since: float
    axes: Array
    hessian: Callable[[Array, float], Array]
    _steps: list[tuple[float, Array]] = field(default_factory=list)
    _seen: dict[float, Array] = field(default_factory=dict)

    def note(self, tau: float, u: Array) -> None:
        """Record a step; the steps of a solver that has failed later are dropped."""
        while self._steps and self._steps[-1][0] >= tau:
            self._seen.pop(self._steps.pop()[0], None)
        self._steps.append((tau, u.copy()))

    def between(self, since: float) -> tuple[Array, Array]:
        """Times of some of the steps before a time, and curvatures along the axes there."""
        before = [step for step in self._steps if self._time(step[0]) < since]
        # Powers of two, so that what is looked at for an earlier time serves again.
        some = before[:: 2 ** max(0, math.ceil(math.log2(max(1, len(before)) / LOOKS)))]
        for tau, u in some:
            if tau not in self._seen:
                self._seen[tau] = self._curved(self.hessian(u, self._time(tau)))
        times = np.array([self._time(tau) for tau, _ in some])
        curved = np.array([self._seen[tau] for tau, _ in some]).reshape(-1, len(self.axes))
        known = np.isfinite(curved).all(axis=1)
        return times[known], curved[known]

    def _curved(self, matrix: Array) -> Array:
        """Curvature along each axis, or along what it has turned to if that is less."""
        along = np.sum(self.axes * (matrix @ self.axes), axis=0)
        if not np.isfinite(along).all():
            return along
        h, axes = eigen(matrix)
        found: Array = np.minimum(along, h[np.argmax(np.abs(axes.T @ self.axes), axis=0)])
        return found

    def _time(self, tau: float) -> float:
        return self.since * math.exp(tau)
