"""Compiled formulas of DOP853 for problems side by side, whatever their fields and tolerances are.

Slopes ``k`` (16, N, lanes), states (N, lanes) and steps (lanes,): the last axis is that of lanes.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.core.compiled import lean
from flows.solvers.explicit_tableau import ALL, STAGES, tableau
from flows.solvers.side_by_side import GROW, SAFETY, SHRINK

__all__ = ["at_stage", "change_after", "error_of", "errors_of", "interpolate"]

_, WEIGHTS, ERRORS, UPPER = tableau()


@lean
def at_stage(y, k, s, step, out):
    """State at which a stage is evaluated."""
    width = y.shape[1]
    for i in range(y.shape[0]):
        for e in range(width):
            out[i, e] = 0.0
        for r in range(s):
            weight = WEIGHTS[s, r]
            if weight != 0.0:
                for e in range(width):
                    out[i, e] += weight * k[r, i, e]
        for e in range(width):
            out[i, e] = y[i, e] + step[e] * out[i, e]


@lean
def errors_of(k, i, parts):
    """Errors of an unknown over the step, from formulas of orders 5 and 3, in rows of `parts`."""
    width = k.shape[2]
    for q in range(2):
        for e in range(width):
            parts[q, e] = 0.0
        for r in range(STAGES + 1):
            for e in range(width):
                parts[q, e] += ERRORS[q, r] * k[r, i, e]


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
def interpolate(y, y1, k, step, dense, parts):
    """Dense output of all lanes, in powers of the fraction of the step."""
    width = y.shape[1]
    for i in range(y.shape[0]):
        for q in range(4):
            for e in range(width):
                parts[q, e] = 0.0
            for r in range(ALL):
                for e in range(width):
                    parts[q, e] += UPPER[q, r] * k[r, i, e]
        for e in range(width):
            h, moved = step[e], y1[i, e] - y[i, e]
            f3, f4, f5, f6 = h * parts[0, e], h * parts[1, e], h * parts[2, e], h * parts[3, e]
            dense[0, i, e] = h * k[0, i, e] - moved
            dense[1, i, e] = 2.0 * moved - h * (k[STAGES, i, e] + k[0, i, e]) + f3
            dense[2, i, e] = -f3 + f4 + f5
            dense[3, i, e] = -f4 - 2.0 * f5 + f6
            dense[4, i, e] = f5 - 2.0 * f6
            dense[5, i, e] = f6
