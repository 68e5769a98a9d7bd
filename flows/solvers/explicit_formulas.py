"""Compiled formulas of DOP853 for problems side by side, whatever their fields and tolerances are.

Slopes ``k`` (16, N, lanes), states (N, lanes) and steps (lanes,): the last axis is that of lanes,
as many as numbers of a vector. Sums stay in registers.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import load, spread, store
from flows.solvers.explicit_tableau import ALL, STAGES, tableau
from flows.solvers.side_by_side import GROW, SAFETY, SHRINK

__all__ = ["at_stage", "change_after", "error_of", "errors_of", "interpolate"]

_, WEIGHTS, ERRORS, UPPER = tableau()


@lean
def at_stage(y, k, s, step, out):
    """State at which a stage is evaluated."""
    n = y.shape[0]
    for i in range(n):
        moved = spread(0.0)
        for r in range(s):
            weight = WEIGHTS[s, r]
            if weight != 0.0:
                moved += weight * load(k, r * n + i)
        store(out, i, load(y, i) + load(step, 0) * moved)


@lean
def errors_of(k, i):
    """Errors of an unknown over the step, from formulas of orders 5 and 3."""
    n, fifth, third = k.shape[1], spread(0.0), spread(0.0)
    for r in range(STAGES + 1):
        slope = load(k, r * n + i)
        fifth += ERRORS[0, r] * slope
        third += ERRORS[1, r] * slope
    return fifth, third


@lean
def error_of(step, fifth, third, size):
    """Error of a step from sums of squares of both errors over the tolerance, of all unknowns."""
    both = math.sqrt((fifth + 0.01 * third) * size)
    return 0.0 if fifth == 0.0 else step * fifth / both


@lean
def change_after(wrong):
    """Factor of the next step's length, after one with this error over the tolerance."""
    change = GROW if wrong == 0.0 else SAFETY * wrong**-0.125
    return min(GROW, max(SHRINK, change)) if wrong < np.inf else SHRINK


@lean
def interpolate(y, y1, k, step, dense):
    """Dense output of all lanes, in powers of the fraction of the step."""
    n, h = y.shape[0], load(step, 0)
    for i in range(n):
        f3 = f4 = f5 = f6 = spread(0.0)
        for r in range(ALL):
            slope = load(k, r * n + i)
            f3 += UPPER[0, r] * slope
            f4 += UPPER[1, r] * slope
            f5 += UPPER[2, r] * slope
            f6 += UPPER[3, r] * slope
        f3, f4, f5, f6 = h * f3, h * f4, h * f5, h * f6
        moved, first, last = load(y1, i) - load(y, i), load(k, i), load(k, STAGES * n + i)
        store(dense, i, h * first - moved)
        store(dense, n + i, 2.0 * moved - h * (last + first) + f3)
        store(dense, 2 * n + i, f4 + f5 - f3)
        store(dense, 3 * n + i, f6 - f4 - 2.0 * f5)
        store(dense, 4 * n + i, f5 - 2.0 * f6)
        store(dense, 5 * n + i, f6)
