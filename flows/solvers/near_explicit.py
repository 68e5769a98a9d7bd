r"""Compiled steps of DOP853 along the axes of charts, for several members side by side.

The formulas are those of :mod:`flows.solvers.explicit_steps`. A step costs fields alone, and its
dense output, of order 7, tells the states at all output times inside it. This is for charts in
which `s |h|` is not large: steps are no longer than stability allows, `h_\sigma s_0 |h| \le 6.1`.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner
from flows.solvers.explicit_steps import ALL, DENSE, GROW, SAFETY, SHRINK, SMALLEST, STAGES, tableau
from flows.solvers.near_lanes import LANES, field
from flows.solvers.near_radau import CHANGED, FAILED, MOST_FIELDS, STOPPED, set_steps

__all__ = ["Stages", "attempt", "between", "dense_at", "finish", "stages_of"]

_, WEIGHTS, ERRORS, UPPER = tableau()


class Stages(NamedTuple):
    """Room for steps of N axes; the last axis is that of the lanes.

    ``k`` (16, N, lanes): slopes at the stages; ``end`` (N, lanes): increments after the step;
    ``dense`` (6, N, lanes): coefficients of the polynomial between; ``good``: which steps serve;
    ``left``: root of the part of the energy that is left after them.
    """

    k: Any
    end: Any
    dense: Any
    parts: Any
    good: Any
    left: Any


@inner
def stages_of(n):
    """Room for steps."""
    return Stages(
        np.zeros((ALL, n, LANES)),
        np.zeros((n, LANES)),
        np.zeros((DENSE, n, LANES)),
        np.zeros((4, LANES)),
        np.zeros(LANES, np.bool_),
        np.zeros(LANES),
    )


@inner
def at_stage(s, lane, near, program, work, stages):
    """Slopes at a stage, whose increments stay in `inside`."""
    inside, k = work.inside, stages.k
    for i in range(len(inside)):
        for e in range(LANES):
            inside[i, e] = 0.0
        for r in range(s):
            weight = WEIGHTS[s, r]
            if weight != 0.0:
                for e in range(LANES):
                    inside[i, e] += weight * k[r, i, e]
        for e in range(LANES):
            inside[i, e] = lane.u[i, e] + work.length[e] * inside[i, e]
    field(near, program, near.since, inside, k[s])


@inner
def measure(lane, work, stages):
    """Errors of the steps over the tolerance, from formulas of orders 5 and 3."""
    n, parts = len(lane.u), stages.parts
    for e in range(LANES):
        parts[2, e] = parts[3, e] = 0.0
    for i in range(n):
        for q in range(2):
            for e in range(LANES):
                parts[q, e] = 0.0
            for r in range(STAGES + 1):
                for e in range(LANES):
                    parts[q, e] += ERRORS[q, r] * stages.k[r, i, e]
        for e in range(LANES):
            larger = max(abs(lane.u[i, e]), abs(stages.end[i, e]))
            weight = lane.rtol[e] * (1.0 + larger)
            parts[2, e] += (parts[0, e] / weight) ** 2
            parts[3, e] += (parts[1, e] / weight) ** 2
    for e in range(LANES):
        both = math.sqrt((parts[2, e] + 0.01 * parts[3, e]) * n) * min(1.0, lane.left[e])
        work.wrong[e] = work.length[e] * parts[2, e] / both if parts[2, e] != 0.0 else 0.0


@inner
def attempt(lane, near, program, work, stages):
    """Try a step in every lane, and say in `good` which serve; the registers are at their ends."""
    n = len(lane.u)
    set_steps(lane, work)
    for i in range(n):
        for e in range(LANES):
            stages.k[0, i, e] = lane.slope[i, e]
    for s in range(1, STAGES + 1):
        at_stage(s, lane, near, program, work, stages)
    for i in range(n):
        for e in range(LANES):
            stages.end[i, e] = work.inside[i, e]
    measure(lane, work, stages)
    for e in range(LANES):
        energy = 0.0
        for i in range(n):
            energy += lane.weight[i, e] * (stages.k[STAGES, i, e] / near.since[e]) ** 2
        stages.left[e] = math.sqrt(energy)
        # A NaN is refused like an error that is too large.
        stages.good[e] = lane.live[e] and work.wrong[e] <= 1.0 and energy < np.inf


@inner
def dense_at(lane, near, program, work, stages):
    """Coefficients of the polynomials between the steps' ends."""
    for s in range(STAGES + 1, ALL):
        at_stage(s, lane, near, program, work, stages)
    k, dense, parts, length = stages.k, stages.dense, stages.parts, work.length
    for i in range(len(lane.u)):
        for q in range(4):
            for e in range(LANES):
                parts[q, e] = 0.0
            for r in range(ALL):
                for e in range(LANES):
                    parts[q, e] += UPPER[q, r] * k[r, i, e]
        for e in range(LANES):
            h, moved = length[e], stages.end[i, e] - lane.u[i, e]
            f3, f4, f5, f6 = h * parts[0, e], h * parts[1, e], h * parts[2, e], h * parts[3, e]
            dense[0, i, e] = h * k[0, i, e] - moved
            dense[1, i, e] = 2.0 * moved - h * (k[STAGES, i, e] + k[0, i, e]) + f3
            dense[2, i, e] = -f3 + f4 + f5
            dense[3, i, e] = -f4 - 2.0 * f5 + f6
            dense[4, i, e] = f5 - 2.0 * f6
            dense[5, i, e] = f6


@inner
def between(lane, stages, part, e, found):
    """Increment `found` of a lane at a part of its step."""
    for i in range(len(found)):
        value = 0.0
        for q in range(DENSE - 1, -1, -1):
            value = stages.dense[q, i, e] + part * value
        moved = stages.end[i, e] - lane.u[i, e]
        found[i] = lane.u[i, e] + part * (moved + (1.0 - part) * value)


@inner
def finish(lane, work, stages):
    """Go on from the ends of steps that serve, and choose the lengths of the next ones."""
    for e in range(LANES):
        if not lane.live[e]:
            continue
        length, wrong, wanted = work.length[e], work.wrong[e], lane.step[e]
        change = GROW if wrong == 0.0 else SAFETY * wrong**-0.125
        change = min(GROW, max(SHRINK, change)) if wrong < np.inf else SHRINK
        lane.fields[e] += STAGES
        lane.step[e] = length * change
        if stages.good[e]:
            if lane.refused[e]:
                lane.step[e] = min(lane.step[e], length)
            lane.refused[e] = False
            lane.steps[e] += 1
            lane.tau[e] = lane.stop[e] if work.last[e] else lane.tau[e] + length
            lane.left[e] = stages.left[e]
            for i in range(len(lane.u)):
                lane.u[i, e], lane.slope[i, e] = stages.end[i, e], stages.k[STAGES, i, e]
            if not lane.least[e] < lane.left[e] < lane.most[e]:
                lane.outcome[e] = CHANGED
            elif work.last[e]:
                lane.outcome[e] = STOPPED
            if work.last[e] and change >= 1.0:
                # A step that was cut says little of how long the next one may be.
                lane.step[e] = max(lane.step[e], wanted)
        else:
            lane.refused[e] = True
            lane.step[e] = min(lane.step[e], length)
        least = SMALLEST * max(1e-3, abs(lane.tau[e]))
        if not lane.step[e] >= least or lane.fields[e] > MOST_FIELDS:
            lane.outcome[e] = FAILED
