"""Where the flows of many starts end: critical points in families, each with its share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flows.certificates.stationary.point import StationaryPoint, stationary
from flows.core.errors import InputError
from flows.core.proportion import interval
from flows.core.system import System, checked_system
from flows.runs.integrate import integrate

__all__ = ["Family", "stationary_ensemble"]

#: Losses of one family agree to this, and eigenvalues to this part of the largest one.
SAME_LOSS, SAME_EIGENVALUES = 1e-9, 1e-6
#: Tolerance of the flow: it has to reach the neighbourhood of its end only.
RTOL = 1e-8
#: How far Newton's method may go from the end of a flow, in units of one more than its length.
REACH = 0.1


@dataclass(frozen=True)
class Family:
    """Ends with one loss, kind and spectrum: one critical point up to symmetries of the loss.

    Parameters
    ----------
    point : StationaryPoint
        The first of them.
    members : tuple of int
        Which starts end there.
    trials : int
        How many starts there were.
    """

    point: StationaryPoint
    members: tuple[int, ...]
    trials: int

    @property
    def share(self) -> float:
        """Fraction of the starts."""
        return len(self.members) / self.trials

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval of the probability to end there."""
        return interval(len(self.members), self.trials, level)

    def holds(self, point: StationaryPoint) -> bool:
        """Whether a point belongs to it."""
        mine = self.point
        if point.kind != mine.kind or point.index != mine.index:
            return False
        if not point.found:
            return True
        if abs(point.loss - mine.loss) > SAME_LOSS * (1 + abs(mine.loss)):
            return False
        if point.kind == "degenerate":  # of a surface of points, spectra differ
            return True
        width = SAME_EIGENVALUES * float(np.abs(mine.eigenvalues).max())
        return bool(np.abs(point.eigenvalues - mine.eigenvalues).max() <= width)


def stationary_ensemble(
    system: System,
    starts: ArrayLike,
    t_end: float = 1e3,
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[Family, ...]:
    """Follow the flow of many starts, find the critical point at each end, and gather them.

    Parameters
    ----------
    system : System
        The flow.
    starts : array_like, shape (members, ...)
        One start along the first axis each.
    t_end : float
        When Newton's method takes over. A flow that is still near a saddle then counts there.
    progress : callable, optional
        Called with the number of searches that are done.

    Returns
    -------
    tuple of Family
        The most frequent one first; ends without a critical point nearby are families of the kind
        ``not found``.

    Raises
    ------
    InputError
        For starts of another shape, or none.

    Notes
    -----
    Sampled, not proved: ``family.interval()`` is a statement about the law of the starts, which
    must be independent. States are doubles.

    Examples
    --------
    >>> import flows
    >>> system = flows.ReLUNeuron(n=1, d=2)
    >>> starts = [system.initial(1.0, seed) for seed in range(3)]
    >>> [(f.point.kind, len(f.members)) for f in stationary_ensemble(system, starts)]
    [('minimum', 3)]
    """
    checked_system(system)
    members = np.asarray(starts)
    if members.ndim < 2 or not len(members):
        raise InputError(
            f"starts: expected an array with one start along the first axis, got {members.shape}"
        )
    families: list[Family] = []
    for k, start in enumerate(members):
        point = _end(system, start, t_end)
        for i, family in enumerate(families):
            if family.holds(point):
                families[i] = Family(family.point, (*family.members, k), len(members))
                break
        else:
            families.append(Family(point, (k,), len(members)))
        if progress is not None:
            progress(k + 1)
    return tuple(sorted(families, key=lambda family: -len(family.members)))


def _end(system: System, start: Any, t_end: float) -> StationaryPoint:
    """Critical point at the end of the flow of a start."""
    last = integrate(system.in_doubles(), start, t_end=t_end, rtol=RTOL).state[-1]
    reach = REACH * (1.0 + float(np.linalg.norm(last)))
    return stationary(system, last, reach=reach)
