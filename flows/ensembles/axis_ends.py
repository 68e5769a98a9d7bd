"""Compiled: where charts begin, seen side by side: starts, and ends of the charts before.

A chart is as long as its state, to plain doubles, is that of two. Then a member gives its lane to
another one, until the axes and errors at its end are evaluated together with others'.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.vectors import load, spread, store
from flows.ensembles.axis_charts import again, aim
from flows.ensembles.axis_chords import fill, part_of
from flows.ensembles.axis_line import NEARLY, line_of, see_errors, stand_in
from flows.ensembles.axis_members import (
    MOST_STEPS,
    NOISE,
    centre_chart,
    enter_start,
    fresh,
    measure,
    place_of_lane,
)
from flows.ensembles.axis_outputs import length_at, put_down
from flows.solvers.near_flow import LANES
from flows.solvers.near_state import GOES_ON, SHORT
from flows.systems.own.axes_of_members import eigen_in_lanes, sharpened
from flows.systems.own.charts_of_members import vanishes
from flows.systems.own.growth import ANEW
from flows.systems.own.seen_state import KNOWN, tell

__all__ = ["Ends", "ends_chart", "ends_of", "meet", "see_ends"]


class Ends(NamedTuple):
    """States around which charts are to begin, in ``line``.

    ``axes``, ``low`` (N, N, lanes): columns there, high and low doubles.
    """

    line: Any
    axes: Any
    low: Any


@inner
def ends_of(n, count):
    """Room for states around which charts are to begin."""
    return Ends(line_of(n, count), np.zeros((n, n, LANES)), np.zeros((n, n, LANES)))


@lean
def ends_chart(lane, near, out, ends, here, k, e, programs, terms, times, found):
    """See what a lane has come to, and whether its chart goes on in it.

    A chart that plain doubles have not known is begun anew in the same lane, and ends sooner. Else
    its outputs are put down, and the next one begins when its end has been seen. There is no next
    one behind the last output, and where something reaches zero, as a run alone then tells.
    """
    loss = programs.loss
    n, outcome = len(lane.u), lane.outcome[e]
    if lane.steps[e] > MOST_STEPS:
        found.reached[k] = here.row[k]
        return False
    since = here.charts.since[k] * math.exp(lane.tau[e])
    off = place_of_lane(lane, here, k, e, programs)
    if outcome == SHORT and not vanishes(loss, here.whole, n, terms.short):
        lane.outcome[e], lane.live[e] = GOES_ON, True
        return True
    before = here.reach[k]
    measure(lane, here, k, e, off, terms)
    if off > NOISE:
        found.reached[k] = here.row[k]
        if not here.reach[k] < before:
            return False
        again(lane, e)
        for i in range(n):
            lane.slope[i, e] = -near.since[e] * near.slope[i, e]
        aim(lane, here, k, e, times, lane.stop[e], terms.halts, found)
        return True
    put_down(lane, here, out, k, e, programs, terms, times, found)
    here.step[k], line = lane.step[e], ends.line
    centre_chart(here, k, loss, terms)
    count = stand_in(line, out, programs.gradient.read, here, k, e, since)
    line.carry.anew[count - 1] = min(ANEW, lane.left[e])
    if count == LANES:
        see_ends(ends, here, programs, terms, found)
    return False


@lean
def meet(starts, first, ends, here, programs, terms, found):
    """Begin the first charts of members from one on, as many as there are lanes."""
    line, n = ends.line, starts.shape[1]
    carry = line.carry
    for k in range(first, min(first + LANES, len(starts))):
        if not enter_start(starts, k, programs, terms, here, found):
            continue
        w = line.count[0]
        line.member[w], carry.since[w], line.count[0] = k, here.unit[k], w + 1
        line.part[w] = NEARLY
        for i in range(n):
            carry.later[i, w] = 0.0
            for j in range(n):
                line.matrix[i, j, w] = here.seen.hessian[i, j]
    eigen_in_lanes(line.matrix, carry.h, carry.overlaps, line.turn, line.part, carry.since)
    for i in range(n):
        for k in range(n):
            store(ends.axes, i * n + k, load(carry.overlaps, k * n + i))
    begin_all(ends, here, programs, terms, found)


@lean
def see_ends(ends, here, programs, terms, found):
    """See all ends of charts that wait, and begin the next ones."""
    line, n = ends.line, len(ends.axes)
    see_errors(line, programs.gradient, here)
    for i in range(n):
        for k in range(n):
            total = spread(0.0)
            for m in range(n):
                total += load(line.near.axes, i * n + m) * load(line.carry.overlaps, k * n + m)
            store(ends.axes, i * n + k, total)
    begin_all(ends, here, programs, terms, found)


@lean
def begin_all(ends, here, programs, terms, found):
    """Begin the charts of all members in the line, along the axes just evaluated."""
    line, charts, carry, n = ends.line, here.charts, ends.line.carry, len(ends.axes)
    sharpened(ends.axes, ends.low, line.careful)
    for w in range(line.count[0]):
        k, known = line.member[w], True
        for i in range(n):
            known = known and abs(carry.h[i, w]) < np.inf
        for i in range(n):
            charts.curvature[k, i] = carry.h[i, w] if known else np.nan
            charts.error[k, i] = carry.later[i, w] if known else np.nan
            for j in range(n):
                charts.axes[k, i, j, 0] = ends.axes[i, j, w]
                charts.axes[k, i, j, 1] = ends.low[i, j, w]
            for j in range(i, n):
                here.matrix[k, i, j] = here.matrix[k, j, i] = line.matrix[i, j, w]
        charts.since[k] = carry.since[w]
        first, behind = here.row[k], found.reached[k]
        ended = behind == found.since.shape[1]
        known = not ended and fresh(here, k, programs, terms, found)
        see_errors_of(carry, here, k, w, known, programs.loss, terms)
        fill(found, here, k, first, behind, carry.began[w], carry.since[w], terms)
        for i in range(n):
            here.error[k, i] = here.seen.error[i]
        for i in range(6):
            here.numbers[k, i] = here.seen.numbers[i]
    line.count[0] = 0


@lean
def see_errors_of(carry, here, k, w, known, loss, terms):
    """See loss, gradient and errors where a chart has ended, and of the next one where it is known.

    What its steps will leave is counted from its begin on.
    """
    charts, seen, part = here.charts, here.seen, part_of(terms)
    for i in range(len(seen.error)):
        seen.curvature[i], seen.error[i] = charts.curvature[k, i], charts.error[k, i]
        if known:
            seen.error[i] += charts.fresh[k, i]
            carry.along[i, w] = charts.slope[k, i]
        seen.along[i] = charts.slope[k, i] = carry.along[i, w]
    for i in range(5):
        seen.numbers[i] = np.nan
    seen.numbers[5] = 0.0
    value, length = here.value[k, loss.results[0]], length_at(carry.along, w)
    doubt, since, enough = part * length, carry.since[w], max(KNOWN, 2 * part)
    tell(seen, seen.along, value, part * abs(value), doubt, since, terms.rough, enough)
