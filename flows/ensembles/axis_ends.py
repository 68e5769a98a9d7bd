"""Compiled: ends of charts, where the next ones begin, seen side by side.

A chart is as long as its state, to plain doubles, is that of two. Then a member gives its lane to
another one and waits until axes and errors at its end are seen, with those of others.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.core.compiled import lean
from flows.ensembles.axis_lanes import again, aim
from flows.ensembles.axis_line import load_charts, see_errors, stand_in
from flows.ensembles.axis_members import (
    MOST_STEPS,
    NOISE,
    arrived,
    measure,
    onward,
    stand,
)
from flows.ensembles.axis_outputs import put_down
from flows.solvers.near_lanes import LANES
from flows.solvers.near_state import GOES_ON, SHORT
from flows.systems.own.axes_loop import LAST_BIT
from flows.systems.own.carried_errors import ANEW
from flows.systems.own.chart_loop import vanishes
from flows.systems.own.seen_loop import look

__all__ = ["ends_chart", "see_ends"]


@lean
def ends_chart(lane, near, out, here, k, e, codes, slopes, terms, times, found):
    """See what a lane has come to, and whether its chart goes on in it.

    A chart that plain doubles have not known is begun anew in the same lane, and ends sooner. Else
    its outputs are put down, and the next one begins when its end has been seen: at once where
    plain doubles do not tell enough of it. There is no next one where something reaches zero, as a
    run alone then tells.
    """
    _, loss, rates = codes
    n, outcome = len(lane.u), lane.outcome[e]
    if lane.steps[e] > MOST_STEPS:
        found.reached[k] = here.row[k]
        return False
    since = here.charts.since[k] * math.exp(lane.tau[e])
    off = arrived(lane, here, k, e, codes)
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
    put_down(lane, here, out, k, e, codes, slopes, terms, times, found)
    if found.reached[k] > len(times):
        return False
    here.step[k], anew = lane.step[e], min(ANEW, lane.left[e])
    if here.sharp[k]:  # its outputs have been at other places
        arrived(lane, here, k, e, codes)
        stand(here, k, loss, terms)
        look(
            here.charts,
            k,
            here.there,
            since,
            anew,
            here.whole,
            loss,
            rates,
            terms.rough,
            here.seen,
        )
        onward(here, k, since, codes, terms, found)
        return False
    stand(here, k, loss, terms)
    ends = out.ends
    count = stand_in(ends, out.views, here.charts, loss, k, 0, since)
    ends.carry.anew[count - 1] = anew
    load_charts(ends, here, out.near, k, e, count - 1)
    if count == LANES:
        see_ends(ends, here, codes, slopes, terms, found)
    return False


@lean
def see_ends(line, here, codes, slopes, terms, found):
    """See all ends of charts that wait, and begin the next ones."""
    see_errors(line, slopes, LAST_BIT)
    for w in range(line.count[0]):
        k = line.member[w]
        take_axes(line.carry, here.charts.axes[k], here.seen, w)
        onward(here, k, line.carry.since[w], codes, terms, found)
    line.count[0] = 0


@lean
def take_axes(carry, before, seen, w):
    """Put curvatures, axes and errors of a lane down; NaN where they are not known."""
    n, axes, turns = len(carry.h), seen.axes, seen.turns
    for i in range(n):
        seen.curvature[i], seen.error[i] = carry.h[i, w], carry.later[i, w]
        for j in range(n):
            turns[j, i] = carry.overlaps[i, j, w]
    for i in range(n):
        for k in range(n):
            axes[i, k] = 0.0
        for m in range(n):
            for k in range(n):
                axes[i, k] += before[i, m, 0] * turns[m, k]
    for i in range(n):
        if not abs(carry.h[i, w]) < np.inf:
            axes[0, 0] = np.nan
