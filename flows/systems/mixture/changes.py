"""When the regime of a run changes, between the steps of its solver.

A watch looks at some of the steps, and a piece ends where it sees another regime. That is a step or
more after the change, and how much depends on the steps. So the states between are interpolated by
the polynomial that has the states and slopes of four of them, and a change is where a mark passes
through zero on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.interpolate import KroghInterpolator

from flows.core.arrays import Array

__all__ = ["Change", "Trail", "changes"]

# Steps before the last one with a known regime that are kept, for the polynomial.
BEFORE = 2
# A change is known to this part of the step in which it is.
LOCATED = 1e-8
# Attempts until then; of each few the last one halves the bracket.
MOST, FEW = 60, 3

#: From solver times and states to regimes and marks, a row each.
Looking = Callable[[Array, Array], tuple[Array, Array]]


class Change(NamedTuple):
    """A change of the regime: when, in solver time, and to which."""

    tau: float
    regime: Array


class Trail:
    """Steps of a piece since its regime was last seen, and a few before.

    Parameters
    ----------
    tau, y : float, ndarray
        Where the piece begins.
    """

    def __init__(self, tau: float, y: Array) -> None:
        self.taus, self.states, self.known = np.array([tau]), y[None], 0

    def add(self, taus: Array, states: Array) -> None:
        """Go on by steps, of which some may be known."""
        new = taus > self.taus[-1]
        self.taus = np.concatenate([self.taus, taus[new]])
        self.states = np.concatenate([self.states, states[new]])

    def seen(self, tau: float) -> None:
        """Forget what is well before a step at which the regime was still the same."""
        self.known = int(np.searchsorted(self.taus, tau))
        first = max(0, self.known - BEFORE)
        self.taus, self.states = self.taus[first:], self.states[first:]
        self.known -= first

    def until(self, tau: float) -> tuple[Array, Array, int]:
        """Steps up to one of them, and the place of the last one at which the regime is known."""
        last = int(np.searchsorted(self.taus, tau, side="right"))
        return self.taus[:last], self.states[:last], min(self.known, last - 1)


def changes(
    trail: Trail, tau: float, slope: Callable[[float, Array], Array], look: Looking
) -> tuple[Change, ...]:
    """Changes of the regime since it was last seen, up to a step.

    Parameters
    ----------
    trail : Trail
        Steps.
    tau : float
        The last step.
    slope : callable
        Derivative of the solver's state.
    look : callable
        Regimes and marks at solver times and states.

    Returns
    -------
    tuple of Change
        In the order of time; two within one step are found where the marks differ at its ends.
    """
    taus, states, known = trail.until(tau)
    regimes, _ = look(taus[known:], states[known:])
    found: list[Change] = []
    for q in np.flatnonzero((regimes[1:] != regimes[:-1]).any(axis=1)) + known:
        some = slice(max(0, q - 1), q + 3)
        inside = _interpolated(taus[some], states[some], slope)
        begin, end = float(taus[q]), float(taus[q + 1])
        while begin < end:
            one = _first(begin, end, look, inside)
            if one is None:
                break
            found.append(one)
            begin = one.tau
    return tuple(found)


def _interpolated(
    taus: Array, states: Array, slope: Callable[[float, Array], Array]
) -> Callable[[Array], Array]:
    """Polynomial with these states and their slopes; from times to states."""
    slopes = [slope(t, y) for t, y in zip(taus.tolist(), states, strict=True)]
    both = np.stack([states, slopes], axis=1).reshape(-1, states.shape[-1])
    found: Callable[[Array], Array] = KroghInterpolator(np.repeat(taus, 2), both)
    return found


def _first(
    begin: float, end: float, look: Looking, inside: Callable[[Array], Array]
) -> Change | None:
    """A change between two times, the earliest that their marks show; None if there is none."""
    width = LOCATED * (end - begin)
    at = np.array([begin, end])
    regimes, marks = look(at, inside(at))
    first, then, (low, high) = regimes[0], regimes[1], marks
    if (first == then).all():
        return None
    for attempt in range(MOST):
        if end - begin <= 2 * width:
            break
        flips = (low >= 0) != (high >= 0)
        middle = (begin + end) / 2
        if flips.any() and attempt % FEW != FEW - 1:
            part = low[flips] / (low[flips] - high[flips])
            middle = begin + (end - begin) * float(np.clip(np.min(part), 0.0, 1.0))
        at = np.array([max(begin, middle - width), min(end, middle + width)])
        regimes, marks = look(at, inside(at))
        if (regimes[0] != first).any():
            end, then, high = float(at[0]), regimes[0], marks[0]
            continue
        begin, low = float(at[0]), marks[0]
        if (regimes[1] != first).any():
            end, then, high = float(at[1]), regimes[1], marks[1]
        else:
            begin, low = float(at[1]), marks[1]
    return Change(end, then)
