"""Minima over the unit sphere of functions that are homogeneous of degree one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["make_least"]

# In units of the terms of D: a slope that is zero, and what a last step gains.
FLAT, GAIN = 1e-10, 1e-15
STEPS, SHORTER = 200, 40
# Part of the gain that the slope promises; length of the first step.
ARMIJO, FIRST = 1e-4, 0.3


def make_least(at: Callable[..., Any]) -> Callable[..., Any]:
    """Make a search for the minimum of ``D`` over the unit sphere, by quasi-Newton steps (BFGS).

    Parameters
    ----------
    at : callable
        ``at(data, x, gradient)`` returns ``D(x)`` and writes its gradient. Compiled, if the search
        is to be compiled.

    Returns
    -------
    callable
        ``least(data, starts, count, size)`` returns the minimum that it finds from the best
        ``count`` rows of ``starts``, and where. ``data`` is handed to ``at``; ``size`` is that of
        the terms of ``D``, in whose units it is accurate.
    """
    steps, shorter, armijo, first = STEPS, SHORTER, ARMIJO, FIRST
    flat, gain = FLAT, GAIN

    def least(data, starts, count, size):  # type: ignore[no-untyped-def]
        number, q = starts.shape
        slope, fresh, way, turned = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
        there, move, turn, where = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
        inverse, values = np.zeros((q, q)), np.empty(number)
        for row in range(number):
            values[row] = at(data, starts[row], slope)
        best, unit = np.inf, 1.0 / max(size, 1e-300)
        for row in np.argsort(values)[:count]:
            x = starts[row].copy()
            value, known = unit * at(data, x, slope), False
            slope *= unit
            slope -= value * x
            for _ in range(steps):
                steep = np.sqrt(np.sum(slope * slope))
                if steep <= flat:
                    break
                promised = 0.0
                if known:
                    for i in range(q):
                        way[i] = -np.sum(inverse[i] * slope)
                    promised = np.sum(way * slope)
                    if -gain <= promised < 0:
                        break
                if promised >= 0:
                    known, promised = False, -first * steep
                    way[:] = slope * (-first / steep)
                part, lower = 1.0, np.inf
                for _ in range(shorter):
                    there[:] = x + part * way
                    there /= np.sqrt(np.sum(there * there))
                    lower = unit * at(data, there, fresh)
                    if lower <= value + armijo * part * promised:
                        break
                    # The minimum of the parabola through both values with the slope at the first.
                    bend = lower - value - part * promised
                    part *= min(max(-0.5 * part * promised / bend, 0.1), 0.5)
                if not lower < value:
                    break
                fresh *= unit
                fresh -= lower * there
                move[:] = there - x
                turn[:] = fresh - slope
                curved, both = np.sum(move * turn), np.sum(turn * turn)
                if curved > 1e-12 * np.sqrt(np.sum(move * move) * both):
                    if not known:
                        inverse[:] = 0.0
                        for i in range(q):
                            inverse[i, i] = curved / both
                    for i in range(q):
                        turned[i] = np.sum(inverse[i] * turn)
                    stretch = (1 + np.sum(turn * turned) / curved) / curved
                    for i in range(q):
                        for j in range(q):
                            mixed = turned[i] * move[j] + move[i] * turned[j]
                            inverse[i, j] += stretch * move[i] * move[j] - mixed / curved
                    known = True
                value = lower
                x[:] = there
                slope[:] = fresh
            if value < best:
                best = value
                where[:] = x
        return best / unit, where

    return least
