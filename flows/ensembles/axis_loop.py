"""Compiled: members of an own system from chart to chart, several side by side.

The lanes take their steps together; each sets up its charts, and is looked at, by itself. Nothing
in a member depends on the others.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner, loop
from flows.solvers.axis_slopes import Near as Around
from flows.solvers.axis_slopes import centred
from flows.solvers.near_lanes import LANES, Near
from flows.solvers.near_radau import CHANGED, FAILED, GOES_ON, advance, lanes_of, room
from flows.systems.own.carried_errors import ANEW
from flows.systems.own.chart_loop import (
    begin,
    charts_of,
    field_of,
    first_unit,
    look,
    place,
    run,
    seen_of,
)

__all__ = ["Found", "follow"]


# Plain doubles may differ from two by so many times what is allowed, a part of the tolerance.
NOISE = 100.0
# A chart that they do not know to its end is begun anew, and ends sooner by the first factor,
# unless it would be shorter than the second; the next one may be longer again by the third.
NEARER, NEAREST, FARTHER = 10.0, 3.0, 3.0


class Found(NamedTuple):
    """What became of members, the first axis.

    ``digits`` (M, T, N, 2), ``error`` (M, T, N), ``since`` (M, T), ``numbers`` (M, T, 6): states at
    the output times, the start first; ``counts`` (M, 3): steps, fields, charts; ``reached`` (M,):
    output times that are there.
    """

    digits: Any
    error: Any
    since: Any
    numbers: Any
    counts: Any
    reached: Any


class Place(NamedTuple):
    """Room for one place: registers of the gradient, and of the loss."""

    registers: Any
    whole: Any
    found: Any
    around: Any
    there: Any


@inner
def again(lane, e):
    """Begin the chart of a lane, with steps as long as they were."""
    for i in range(len(lane.u)):
        lane.u[i, e] = 0.0
    lane.tau[e], lane.left[e] = 0.0, 1.0
    lane.before[e], lane.error[e], lane.refused[e] = 0.0, 0.0, False


@inner
def load(lane, near, charts, e, codes, here):
    """Put the chart of a lane where its steps read it."""
    gradient, _, rates = codes
    field = field_of(charts, e, gradient, rates)
    centred(field, here.around, here)
    n, size = len(charts.size[e]), charts.size[e]
    near.since[e] = charts.since[e]
    for k in range(len(near.registers)):
        near.registers[k, 0, e] = here.around.value[k]
    for i in range(n):
        near.slope[i, e] = here.around.slope[i] / size[i]
        lane.weight[i, e] = size[i] * (size[i] / charts.floored[e, i] / charts.energy[e]) / 2
        for j in range(n):
            near.matrix[i, j, e] = here.around.matrix[i, j] * size[j] / size[i]
            near.inward[i, j, e] = charts.axes[e, i, j, 0] * size[j]
            near.outward[i, j, e] = charts.axes[e, j, i, 0] / size[i]
    again(lane, e)
    return here.around.known[0]


@inner
def known(lane, charts, e, since, here):
    """Whether plain doubles have known the field of a lane, as two doubles do."""
    for i in range(len(lane.u)):
        near = -lane.slope[i, e] * charts.size[e, i] / since
        allowed = charts.allowed[e, i]
        if not here.found[i, 2] <= allowed:
            return False
        if not abs(near - here.found[i, 0]) <= NOISE * min(1.0, lane.left[e]) * allowed:
            return False
    return True


@inner
def record(found, k, row, here, since, seen):
    """Put a state down."""
    for i in range(len(here.there)):
        found.digits[k, row, i, 0], found.digits[k, row, i, 1] = here.there[i, 0], here.there[i, 1]
        found.error[k, row, i] = seen.error[i]
    found.since[k, row] = since
    for i in range(6):
        found.numbers[k, row, i] = seen.numbers[i]
    found.reached[k] = row + 1


@inner
def aim(lane, charts, e, time, unit, reach):
    """Let the steps of a lane end at the next output, or where its chart does."""
    output, ends = math.log((time + unit) / charts.since[e]), math.log(reach)
    lane.least[e], lane.most[e] = math.sqrt(1.0 / reach), math.sqrt(reach)
    lane.stop[e] = min(output, ends)
    lane.outcome[e] = GOES_ON
    return output <= ends


@inner
def fresh(lane, near, charts, e, codes, seen, terms, here):
    """Begin a chart in a lane at a place that has been seen; whether that is possible."""
    for i in range(len(here.there)):
        for digit in range(3):
            charts.centre[e, i, digit] = here.there[i, digit]
    return begin(charts, e, codes[0], seen, terms, here.registers) and load(
        lane, near, charts, e, codes, here
    )


def _follow(starts, times, codes, tableau, terms, found, halt):
    """Follow members to the last time, or as far as two doubles tell the way.

    Parameters
    ----------
    starts : ndarray, shape (M, N)
        Starts.
    times : ndarray, shape (T,)
        Output times after 0.
    codes : tuple of Code
        Of the gradient, of the loss with its gradient, and of the gradient's rates.
    tableau : Tableau
        Coefficients of the steps.
    terms : AxisTerms
        How they are followed.
    found : Found
        To be filled.
    halt : ndarray of bool, shape (1,)
        Where another thread says that all shall end.

    Each pass of the main loop takes fields of every member that has a lane, at most `MOST_FIELDS`
    of each; so there is a last one, whatever the numbers are.
    """
    gradient, loss, rates = codes
    rough, reach = terms.rough, terms.reach
    n = starts.shape[1]
    count = n + len(gradient.constants) + len(gradient.operation)
    work, charts, seen = room(n), charts_of(LANES, n), seen_of(n)
    here = Place(
        np.zeros((count, 3)),
        np.zeros((n + len(loss.constants) + len(loss.operation), 3)),
        np.zeros((n, 3)),
        Around(np.zeros(1, np.bool_), np.zeros(count), np.zeros(n), np.zeros((n, n))),
        np.zeros((n, 3)),
    )
    near = Near(
        np.zeros((count, 5, LANES)),
        np.zeros((n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        np.ones(LANES),
    )
    lane = lanes_of(n, terms.rtol, reach, terms.short)
    owner, unit, is_output = np.full(LANES, -1), np.zeros(LANES), np.zeros(LANES, np.bool_)
    reaches = np.full(LANES, reach)
    u, waiting = np.zeros(n), 0
    while not halt[0]:
        for e in range(len(owner)):
            while owner[e] < 0 and waiting < len(starts):
                for i in range(n):
                    here.there[i, 0] = starts[waiting, i]
                    here.there[i, 1] = here.there[i, 2] = 0.0
                run(loss, here.there, here.whole)
                unit[e] = first_unit(here.there, here.whole, loss, rates, seen)
                if unit[e] > 0.0:
                    charts.since[e] = unit[e]
                    look(charts, e, here.there, unit[e], ANEW, here.whole, loss, rates, rough, seen)
                    record(found, waiting, 0, here, unit[e], seen)
                    if fresh(lane, near, charts, e, codes, seen, terms, here):
                        owner[e], lane.live[e] = waiting, True
                        lane.steps[e] = lane.fields[e] = 0
                        lane.step[e] = 0.0
                        found.counts[waiting, 2] = 1
                        reaches[e] = reach
                        is_output[e] = aim(lane, charts, e, times[0], unit[e], reach)
                waiting += 1
        alive = False
        for e in range(len(owner)):
            alive = alive or lane.live[e]
        if not alive:
            return
        advance(lane, near, gradient, tableau, work, halt)
        for e in range(len(owner)):
            if owner[e] < 0 or lane.outcome[e] == GOES_ON:
                continue
            k, outcome = owner[e], lane.outcome[e]
            found.counts[k, 0], found.counts[k, 1] = lane.steps[e], lane.fields[e]
            owner[e], lane.live[e] = -1, False  # unless it goes on
            row = found.reached[k]
            output = is_output[e] and outcome != CHANGED
            since = charts.since[e] * math.exp(lane.tau[e])
            if output:
                since = times[row - 1] + unit[e]
            if outcome == FAILED or lane.steps[e] > MOST_STEPS:
                continue
            for i in range(n):
                u[i] = lane.u[i, e]
            place(charts, e, u, loss, here.whole, here.found, here.there)
            if not known(lane, charts, e, since, here):
                reaches[e] /= NEARER
                if reaches[e] > NEAREST:  # a chart that ends sooner
                    again(lane, e)
                    owner[e], lane.live[e] = k, True
                    is_output[e] = aim(lane, charts, e, times[row - 1], unit[e], reaches[e])
                continue
            left = lane.left[e]
            if output:
                look(charts, e, here.there, since, ANEW, here.whole, loss, rates, rough, seen)
                record(found, k, row, here, since, seen)
                row += 1
                if row > len(times):
                    continue
            ends = math.log(reaches[e])
            if not output or not lane.least[e] < left < lane.most[e] or lane.tau[e] >= ends:
                anew = min(ANEW, left)
                look(charts, e, here.there, since, anew, here.whole, loss, rates, rough, seen)
                charts.since[e] = since
                if not fresh(lane, near, charts, e, codes, seen, terms, here):
                    continue
                found.counts[k, 2] += 1
                reaches[e] = min(reach, FARTHER * reaches[e])
            owner[e], lane.live[e] = k, True
            is_output[e] = aim(lane, charts, e, times[row - 1], unit[e], reaches[e])


# No member takes more steps, but as a run alone, which says so.
MOST_STEPS = 20_000

follow: Any = loop(_follow, nogil=True)
