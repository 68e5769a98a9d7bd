"""Compiled: what lanes of steps share of members of an ensemble, from chart to chart."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner
from flows.solvers.axis_slopes import Near as Around
from flows.solvers.axis_slopes import centred
from flows.solvers.near_lanes import LANES, Near
from flows.solvers.near_radau import GOES_ON
from flows.systems.own.carried_errors import ANEW
from flows.systems.own.chart_loop import (
    begin,
    charts_of,
    curvature_at,
    field_of,
    first_unit,
    look,
    place,
    run,
    seen_of,
    vanishes,
)

__all__ = [
    "FARTHER",
    "MOST_STEPS",
    "NEARER",
    "NEAREST",
    "Found",
    "Members",
    "again",
    "aim",
    "arrived",
    "begun",
    "fresh",
    "load",
    "members_of",
    "near_of",
    "onward",
    "output_in",
    "record",
    "reload",
    "steepest",
]

# Plain doubles may differ from two by so many times what is allowed, a part of the tolerance.
NOISE = 100.0
# A chart that they do not know to its end is begun anew, and ends sooner by the first factor,
# unless it would be shorter than the second; the next one may be longer again by the third.
NEARER, NEAREST, FARTHER = 10.0, 3.0, 3.0
# No member takes more steps, but as a run alone, which says so.
MOST_STEPS = 20_000
# Where curvature times time is below this, the Hessian of plain doubles serves as that of two.
PLAIN = 1e4


class Found(NamedTuple):
    """What became of members, the first axis.

    ``digits`` (M, T, N, 2), ``error`` (M, T, N), ``since`` (M, T), ``numbers`` (M, T, 6): states at
    the output times, the start first; ``counts`` (M, 4): steps, fields,
    charts, Jacobians; ``reached`` (M,): output times that are there.
    """

    digits: Any
    error: Any
    since: Any
    numbers: Any
    counts: Any
    reached: Any


class Members(NamedTuple):
    """Members with their charts, and room for one place.

    ``unit``, ``reach``, ``step`` (M,): `T_0`, the factor by which energy and time may change in a
    chart, and the length of the next step or 0; ``row`` (M,): outputs before the chart; ``sharp``
    (M,): whether outputs are seen in two doubles; ``passed`` (M, T, N): increments at outputs of
    the chart; ``registers``, ``whole``: of the gradient, and of the loss, at the last place;
    ``found`` (N, 3), ``there`` (N, 3): the gradient along the axes, and the state.
    """

    charts: Any
    unit: Any
    reach: Any
    step: Any
    row: Any
    sharp: Any
    passed: Any
    seen: Any
    registers: Any
    whole: Any
    found: Any
    around: Any
    there: Any


@inner
def members_of(count, times, n, gradient, loss, reach):
    """Room for members."""
    registers = n + len(gradient.constants) + len(gradient.operation)
    return Members(
        charts_of(count, n),
        np.zeros(count),
        np.full(count, reach),
        np.zeros(count),
        np.zeros(count, np.int64),
        np.zeros(count, np.bool_),
        np.zeros((count, 1 + times, n)),
        seen_of(n),
        np.zeros((registers, 3)),
        np.zeros((n + len(loss.constants) + len(loss.operation), 3)),
        np.zeros((n, 3)),
        Around(np.zeros(1, np.bool_), np.zeros(registers), np.zeros(n), np.zeros((n, n))),
        np.zeros((n, 3)),
    )


@inner
def near_of(n, program):
    """Room for charts in lanes."""
    count = n + len(program.constants) + len(program.operation)
    return Near(
        np.zeros((count, 5, LANES)),
        np.zeros((n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        np.ones(LANES),
    )


@inner
def again(lane, e):
    """Begin the chart of a lane, with steps as long as they were."""
    for i in range(len(lane.u)):
        lane.u[i, e] = 0.0
    lane.tau[e], lane.left[e] = 0.0, 1.0
    lane.before[e], lane.error[e], lane.refused[e] = 0.0, 0.0, False


@inner
def load(lane, near, here, k, e, codes):
    """Put the chart of a member where the steps of a lane read it.

    Registers, and the Hessian, are those at its centre.
    """
    gradient, _, rates = codes
    charts, around, hessian = here.charts, here.around, here.seen.hessian
    n, size = len(charts.size[k]), charts.size[k]
    if charts.since[k] * steepest(charts, k) < PLAIN:
        for i in range(len(around.value)):
            around.value[i] = here.registers[i, 0]
        for i in range(n):
            around.slope[i] = charts.slope[k, i]
        for j in range(n):
            for i in range(n):
                total = 0.0
                for m in range(n):
                    total += hessian[i, m] * charts.axes[k, m, j, 0]
                here.found[i, 0] = total
            for i in range(n):
                total = 0.0
                for m in range(n):
                    total += charts.axes[k, m, i, 0] * here.found[m, 0]
                around.matrix[i, j] = total
        around.known[0] = True
    else:
        centred(field_of(charts, k, gradient, rates), around, here)
    near.since[e] = charts.since[k]
    for i in range(len(near.registers)):
        near.registers[i, 0, e] = around.value[i]
    for i in range(n):
        near.slope[i, e] = around.slope[i] / size[i]
        lane.slope[i, e] = -near.since[e] * near.slope[i, e]
        lane.weight[i, e] = size[i] * (size[i] / charts.floored[k, i] / charts.energy[k]) / 2
        for j in range(n):
            near.matrix[i, j, e] = around.matrix[i, j] * size[j] / size[i]
            near.inward[i, j, e] = charts.axes[k, i, j, 0] * size[j]
            near.outward[i, j, e] = charts.axes[k, j, i, 0] / size[i]
    again(lane, e)
    return around.known[0]


@inner
def steepest(charts, k):
    """Largest curvature at the centre of a chart, of either sign."""
    return max(abs(charts.curvature[k, 0]), abs(charts.curvature[k, -1]))


@inner
def reload(lane, near, here, k, e, codes):
    """Put a chart that was begun before in a lane."""
    gradient, loss, rates = codes
    centre = here.charts.centre[k]
    run(gradient, centre, here.registers)
    run(loss, centre, here.whole)
    curvature_at(centre, rates, here.charts.since[k], here.seen.hessian)
    return load(lane, near, here, k, e, codes)


@inner
def known(lane, here, k, e):
    """Whether plain doubles have known the field of a lane, as two doubles do."""
    charts = here.charts
    for i in range(len(lane.u)):
        near = -lane.slope[i, e] * charts.size[k, i] / charts.since[k]
        allowed = charts.allowed[k, i]
        if not here.found[i, 2] <= allowed:
            return False
        if not abs(near - here.found[i, 0]) <= NOISE * min(1.0, lane.left[e]) * allowed:
            return False
    return True


@inner
def record(found, k, row, there, since, seen):
    """Put a state down."""
    for i in range(len(there)):
        found.digits[k, row, i, 0], found.digits[k, row, i, 1] = there[i, 0], there[i, 1]
        found.error[k, row, i] = seen.error[i]
    found.since[k, row] = since
    for i in range(6):
        found.numbers[k, row, i] = seen.numbers[i]


@inner
def solver_time(here, k, time):
    """Time since a member's chart began, in units of its `s_0`."""
    return (time + here.unit[k] - here.charts.since[k]) / here.charts.since[k]


@inner
def aim(lane, here, k, e, times, before):
    """Let the steps of a lane end at the last output, where its chart does, or before."""
    last, reach = solver_time(here, k, times[-1]), here.reach[k]
    lane.least[e], lane.most[e] = math.sqrt(1.0 / reach), math.sqrt(reach)
    lane.stop[e] = min(min(last, reach - 1.0), before)
    lane.outcome[e], lane.live[e] = GOES_ON, True


@inner
def output_in(here, k, times, found, begins, ends):
    """Part of a step, which begins and ends then, at which the next output is; else -1."""
    row = found.reached[k]
    if row > len(times):
        return -1.0
    tau = solver_time(here, k, times[row - 1])
    if not tau <= ends:
        return -1.0
    return min(1.0, max(0.0, (tau - begins) / (ends - begins)))


@inner
def fresh(here, k, codes, terms):
    """Begin the chart of a member at a place that has been seen; whether that is possible."""
    gradient, loss, _ = codes
    if vanishes(loss, here.whole, len(here.there), terms.short):
        return False
    for i in range(len(here.there)):
        for digit in range(3):
            here.charts.centre[k, i, digit] = here.there[i, digit]
    return begin(here.charts, k, gradient, here.seen, terms, here.registers)


@inner
def begun(starts, k, codes, terms, here, found):
    """Begin the first chart of a member, whose start is recorded; whether that is possible."""
    _, loss, rates = codes
    for i in range(starts.shape[1]):
        here.there[i, 0] = starts[k, i]
        here.there[i, 1] = here.there[i, 2] = 0.0
    run(loss, here.there, here.whole)
    here.unit[k] = first_unit(here.there, here.whole, loss, rates, here.seen)
    if not here.unit[k] > 0.0:
        return False
    here.charts.since[k] = here.unit[k]
    look(
        here.charts,
        k,
        here.there,
        here.unit[k],
        ANEW,
        here.whole,
        loss,
        rates,
        terms.rough,
        here.seen,
    )
    record(found, k, 0, here.there, here.unit[k], here.seen)
    if not fresh(here, k, codes, terms):
        return False
    found.counts[k, 2] += 1
    here.row[k] = found.reached[k] = 1
    return True


@inner
def arrived(lane, here, k, e, codes):
    """State of a lane in `there`, in two doubles; whether plain ones have known the way."""
    n = len(lane.u)
    u = np.empty(n)
    for i in range(n):
        u[i] = lane.u[i, e]
    place(here.charts, k, u, codes[1], here.whole, here.found, here.there)
    return known(lane, here, k, e)


@inner
def onward(lane, near, here, k, e, since, codes, terms, found):
    """Begin the next chart of a lane, where it stands; whether that is possible."""
    _, loss, rates = codes
    charts, anew = here.charts, min(ANEW, lane.left[e])
    look(charts, k, here.there, since, anew, here.whole, loss, rates, terms.rough, here.seen)
    charts.since[k] = since
    if not (fresh(here, k, codes, terms) and load(lane, near, here, k, e, codes)):
        return False
    found.counts[k, 2] += 1
    here.row[k] = found.reached[k]
    here.reach[k] = min(terms.reach, FARTHER * here.reach[k])
    return True
