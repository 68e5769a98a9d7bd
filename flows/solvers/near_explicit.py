r"""Compiled steps of DOP853 in charts, for several members side by side.

Stages are in the coordinates of states, as in :mod:`flows.solvers.near_plain`; what a step has
changed, its slope and its errors are measured along the axes. The formulas are those of
:mod:`flows.solvers.gentle_formulas`. A step costs fields alone, and its dense output, of order 7,
tells the states at all output times inside it. This is for charts in which `s |h|` is not large:
steps are no longer than stability allows, `h_\tau s |h| \le 6.1`.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import lean
from flows.arithmetic.records import lined
from flows.arithmetic.vectors import larger, load, magnitude, root, spread, store
from flows.solvers.gentle_formulas import ALL, DENSE, STAGES, formulas, tableau
from flows.solvers.near_flow import LANES
from flows.solvers.near_plain import plain_field
from flows.solvers.near_radau import set_steps
from flows.solvers.near_stages import TOGETHER, products
from flows.solvers.near_state import CHANGED, FAILED, MOST_FIELDS, STOPPED
from flows.solvers.steps import SMALLEST

__all__ = ["Stages", "attempt", "between", "dense_at", "finish", "stages_of"]

NODES = tableau()[0]
at_stage, errors_of, error_of, interpolate, change_after = formulas(LANES)
# What is turned along the axes after a step, in rows.
PLACE, SLOPE, FIFTH, THIRD = range(4)


class Stages(NamedTuple):
    """Room for steps of N axes; the last axis is that of the lanes.

    In the coordinates of states are ``k`` (16, N, lanes): slopes at the stages; ``begin``, ``end``
    (N, lanes): places; ``dense`` (6, N, lanes): coefficients of the polynomial between. Along the
    axes are ``ahead`` (5, N, lanes): changes and slopes after the step, and its errors; ``rows``
    are the same before they are turned. ``good``: which steps serve; ``left``: root of the part of
    the energy that is left after them.
    """

    k: Any
    begin: Any
    end: Any
    dense: Any
    ahead: Any
    rows: Any
    parts: Any
    good: Any
    left: Any


def stages_of(n):
    """Room for steps."""
    return Stages(
        lined((ALL, n, LANES)),
        lined((n, LANES)),
        lined((n, LANES)),
        lined((DENSE, n, LANES)),
        lined((TOGETHER, n, LANES)),
        lined((TOGETHER, n, LANES)),
        lined((2, LANES)),
        lined(LANES, False),
        lined(LANES),
    )


@lean
def slopes_at(s, lane, near, program, work, stages):
    """Slopes at a stage, whose increments stay in `inside`."""
    at_stage(stages.begin, stages.k, s, work.length, work.inside)
    for e in range(LANES):
        work.clock[e] = near.since[e] * math.exp(lane.tau[e] + NODES[s] * work.length[e])
    plain_field(near, program, work.clock, work.inside, stages.k[s])


@lean
def depart(lane, near, stages):
    """Put down places and slopes at the begins of steps."""
    n, rows, size = len(lane.u), stages.rows, near.size
    for i in range(n):
        for e in range(LANES):
            rows[PLACE, i, e], rows[SLOPE, i, e] = (
                size[i, e] * lane.u[i, e],
                size[i, e] * lane.slope[i, e],
            )
    products(near.axes, n, 1, rows, stages.ahead)
    for i in range(n):
        for e in range(LANES):
            stages.begin[i, e], stages.k[0, i, e] = (
                stages.ahead[PLACE, i, e],
                stages.ahead[SLOPE, i, e],
            )


@lean
def arrive(near, work, stages):
    """Put down what is along the axes at the ends of steps."""
    n, rows = len(stages.end), stages.rows
    for i in range(n):
        fifth, third = errors_of(stages.k, i, n)
        store(rows, FIFTH * n + i, fifth)
        store(rows, THIRD * n + i, third)
        for e in range(LANES):
            stages.end[i, e] = work.inside[i, e]
            rows[PLACE, i, e] = stages.end[i, e] - stages.begin[i, e]
            rows[SLOPE, i, e] = stages.k[STAGES, i, e]
    products(near.axes, 1, n, rows, stages.ahead)
    for q in range(THIRD + 1):
        for i in range(n):
            for e in range(LANES):
                stages.ahead[q, i, e] *= near.unit[i, e]


@lean
def measure(lane, work, stages):
    """Errors of the steps over the tolerance, from formulas of orders 5 and 3."""
    n, parts, ahead = len(lane.u), stages.parts, stages.ahead
    fifths, thirds = spread(0.0), spread(0.0)
    for i in range(n):
        before = load(lane.u, i)
        size = larger(magnitude(before), magnitude(before + load(ahead, PLACE * n + i)))
        inverse = 1.0 / (load(lane.rtol, 0) * (1.0 + size))
        fifth, third = load(ahead, FIFTH * n + i) * inverse, load(ahead, THIRD * n + i) * inverse
        fifths += fifth * fifth
        thirds += third * third
    store(parts, 0, fifths)
    store(parts, 1, thirds)
    for e in range(LANES):
        wrong = error_of(work.length[e], parts[0, e], parts[1, e], n)
        work.wrong[e] = wrong / min(1.0, lane.left[e])


@lean
def attempt(lane, near, program, work, stages):
    """Try a step in every lane, and say in `good` which serve; the registers are at their ends."""
    n = len(lane.u)
    set_steps(lane, work)
    depart(lane, near, stages)
    for s in range(1, STAGES + 1):
        slopes_at(s, lane, near, program, work, stages)
    arrive(near, work, stages)
    measure(lane, work, stages)
    energy, inverse = spread(0.0), 1.0 / load(work.clock, 0)
    for i in range(n):
        slope = load(stages.ahead, SLOPE * n + i) * inverse
        energy += load(lane.weight, i) * slope * slope
    store(stages.left, 0, root(energy))
    for e in range(LANES):
        # A NaN is refused like an error that is too large.
        finite = stages.left[e] < np.inf
        stages.good[e] = lane.live[e] and work.wrong[e] <= 1.0 and finite


@lean
def dense_at(lane, near, program, work, stages):
    """Coefficients of the polynomials between the steps' ends."""
    for s in range(STAGES + 1, ALL):
        slopes_at(s, lane, near, program, work, stages)
    interpolate(stages.begin, stages.end, stages.k, work.length, stages.dense)


@lean
def between(stages, part, e, found):
    """Place `found` of a lane at a part of its step."""
    for i in range(len(found)):
        value = 0.0
        for q in range(DENSE - 1, -1, -1):
            value = stages.dense[q, i, e] + part * value
        moved = stages.end[i, e] - stages.begin[i, e]
        found[i] = stages.begin[i, e] + part * (moved + (1.0 - part) * value)


@lean
def finish(lane, work, stages):
    """Go on from the ends of steps that serve, and choose the lengths of the next ones."""
    for e in range(LANES):
        if not lane.live[e]:
            continue
        length, wanted, change = work.length[e], lane.step[e], change_after(work.wrong[e])
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
                lane.u[i, e] += stages.ahead[PLACE, i, e]
                lane.slope[i, e] = stages.ahead[SLOPE, i, e]
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
