r"""Compiled steps of Radau IIA along the axes of charts, for several members side by side.

The formulas are those of :mod:`flows.solvers.axis_steps`, which explains them, with stages by
:mod:`flows.solvers.near_newton`; the innermost loop of everything runs over lanes.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import larger, load, magnitude, spread, store, where_less
from flows.solvers.axis_radau import STAGES
from flows.solvers.axis_steps import GROW, ITERATIONS, SAFETY, SHRINK, SMALLEST, STRETCH
from flows.solvers.near_factors import substitute
from flows.solvers.near_flow import LANES, field
from flows.solvers.near_newton import choose_modes, linearise, predict, solve_stages
from flows.solvers.near_state import (
    CHANGED,
    FAILED,
    GOES_ON,
    MOST_FIELDS,
    SHORT,
    STOPPED,
    evaluate,
    is_short,
)
from flows.solvers.timed_radau import LONGEST

__all__ = ["set_steps", "step_on", "within"]


@lean
def set_steps(lane, work):
    """Lengths of this attempt; that of a lane without a member is 1."""
    for e in range(len(lane.live)):
        if not lane.live[e]:
            work.length[e] = 1.0
            continue
        if lane.step[e] == 0.0:
            # A hundredth of the time in which the state changes by its own size.
            length, speed = 0.0, 0.0
            for i in range(len(lane.u)):
                weight = 1.0 + abs(lane.u[i, e])
                length += (lane.u[i, e] / weight) ** 2
                speed += (lane.slope[i, e] / weight) ** 2
            lane.step[e] = 1e-2 * math.sqrt(length / speed) if 0.0 < length < speed else 1e-2
        lane.step[e] = min(lane.step[e], LONGEST)
        work.last[e] = lane.tau[e] + STRETCH * lane.step[e] >= lane.stop[e]
        work.length[e] = lane.stop[e] - lane.tau[e] if work.last[e] else lane.step[e]


@lean
def compare(slope, lane, near, tableau, work, found):
    """Errors of steps against a formula of the order of stages that begins with these slopes."""
    n, off, last = len(lane.u), work.off, (STAGES - 1) * len(lane.u)
    for i in range(n):
        wrong = spread(0.0)
        for k in range(STAGES):
            wrong += tableau.error[k] * load(work.z, k * n + i)
        wrong = load(slope, i) + wrong / load(work.length, 0)
        store(off, i, load(near.size, i) * wrong)
    substitute(work.real, off)
    total = spread(0.0)
    for i in range(n):
        u, wrong = load(lane.u, i), load(near.unit, i) * load(off, i)
        most = larger(magnitude(u), magnitude(u + load(work.z, last + i)))
        total += (wrong / (load(lane.rtol, 0) * (1.0 + most))) ** 2
        store(off, i, wrong)
    store(found, 0, total)
    for e in range(LANES):
        # The formula has the eigenvalue of steps in which the field does not grow.
        usual = work.eigen[0, e] / tableau.real[0]
        found[e] = usual * math.sqrt(found[e] / n) / min(1.0, lane.left[e])


@lean
def judge(lane, near, program, tableau, work):
    """Errors of steps in `wrong`; after a refused one they are damped where the flow is stiff."""
    compare(lane.slope, lane, near, tableau, work, work.wrong)
    again = False
    for e in range(LANES):
        again = again or (lane.live[e] and lane.refused[e] and work.wrong[e] > 1.0)
    if not again:
        return
    for i in range(len(lane.u)):
        for e in range(LANES):
            work.inside[i, e] = lane.u[i, e] + work.off[i, e]
    field(near, program, work.clock, work.inside, work.f[0])
    compare(work.f[0], lane, near, tableau, work, work.moved)
    for e in range(LANES):
        if lane.refused[e] and work.wrong[e] > 1.0:
            work.wrong[e] = work.moved[e]


@lean
def conclude(lane, tableau, work):
    """Accept or refuse the attempts, and choose the lengths of the next ones."""
    work.taken[:] = 0.0
    for e in range(len(lane.live)):
        if not lane.live[e]:
            continue
        length, wrong, wanted = work.length[e], work.wrong[e], lane.step[e]
        lane.attempts[e] += 1
        if not work.converged[e]:
            lane.step[e], lane.refused[e] = length / 2, True
        else:
            safety = SAFETY * (2 * ITERATIONS + 1) / (2 * ITERATIONS + work.iterations[e])
            change, power = GROW, 1.0 / (1 + STAGES)
            if wrong > 0.0:
                change = wrong**-power
                if lane.error[e] > 0.0 and lane.before[e] > 0.0:
                    slower = length / lane.before[e] * (lane.error[e] / wrong) ** power
                    change *= min(1.0, slower)
            change *= safety
            if not wrong <= 1.0:
                lane.step[e] = length * max(SHRINK, change) if wrong < np.inf else SHRINK * length
                lane.refused[e] = True
            else:
                lane.refused[e] = False
                lane.steps[e] += 1
                lane.tau[e] = lane.stop[e] if work.last[e] else lane.tau[e] + length
                lane.before[e], lane.error[e], work.taken[e] = length, wrong, 1.0
                change = min(GROW, change)
                lane.step[e] = length * change
                if work.last[e]:
                    lane.outcome[e] = STOPPED
                    # A step that was cut says little of how long the next one may be.
                    if change >= 1.0:
                        lane.step[e] = max(lane.step[e], wanted)
        least = SMALLEST * max(1e-3, abs(lane.tau[e]))
        if not lane.step[e] >= least or lane.fields[e] > MOST_FIELDS:
            lane.outcome[e] = FAILED
    go_ahead(lane, tableau, work)


@lean
def go_ahead(lane, tableau, work):
    """Go on where steps have been accepted, and put down their polynomials."""
    n, none, taken = len(lane.u), spread(0.0), load(work.taken, 0)
    for i in range(n):
        u = load(lane.u, i)
        ended = u + load(work.z, (STAGES - 1) * n + i)
        store(lane.u, i, where_less(none, taken, ended, u))
        for k in range(STAGES):
            total, at = spread(0.0), k * n + i
            for j in range(STAGES):
                total += tableau.dense[k, j] * load(work.z, j * n + i)
            store(lane.ahead, at, where_less(none, taken, total, load(lane.ahead, at)))


@lean
def step_on(lane, near, program, tableau, work):
    """Try a step in every lane; slopes are known at the states, before and after the step.

    Each attempt takes fields, of which `MOST_FIELDS` are the last.
    """
    set_steps(lane, work)
    choose_modes(tableau, work)
    predict(lane, near, tableau, work)
    linearise(lane, near, program, work)
    solve_stages(lane, near, program, tableau, work)
    judge(lane, near, program, tableau, work)
    conclude(lane, tableau, work)
    evaluate(lane, near, program, work)
    for e in range(len(lane.live)):
        if not lane.live[e]:
            continue
        lane.fields[e] += 1
        changed = not lane.least[e] < lane.left[e] < lane.most[e]
        if changed and lane.outcome[e] in (GOES_ON, STOPPED):
            lane.outcome[e] = CHANGED
        if lane.outcome[e] == GOES_ON and is_short(near, program, len(lane.u), lane.short[0], e):
            lane.outcome[e] = SHORT


@lean
def within(lane, part, e, found):
    """Increment `found` (N,) at a part of the last step, by the polynomial of its stages."""
    for i in range(len(found)):
        value, whole = 0.0, 0.0
        for j in range(STAGES - 1, -1, -1):
            value = part * (lane.ahead[j, i, e] + value)
            whole += lane.ahead[j, i, e]
        found[i] = lane.u[i, e] + (value - whole)
