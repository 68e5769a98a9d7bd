"""Compiled: what is seen at output times inside charts, of many members side by side.

When a chart has ended, :mod:`flows.ensembles.axis_views` sees its outputs, and beside them its end,
where there is least of loss, gradient and Hessian. There all is compared with two doubles; where
these differ the outputs are seen in two doubles.

Hessian, axes and carried errors take most of the time of an output. They are seen at some outputs
of a chart, the first and the last one among them, which wait until all lanes are full;
:mod:`flows.ensembles.axis_chords` tells errors of those between.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner, lean
from flows.ensembles.axis_chords import part_of, tell_briefly
from flows.ensembles.axis_line import line_of, load_charts, see_errors, stand_in
from flows.ensembles.axis_members import record
from flows.ensembles.axis_views import locate, look_over, views_of
from flows.solvers.near_lanes import LANES, PARTS, Near
from flows.systems.own.chart_loop import place
from flows.systems.own.seen_loop import KNOWN, tell

__all__ = ["Outputs", "outputs_of", "put_down", "see"]

# Errors of outputs between two that are seen, the later of which has so much of the time, are told
# by these.
FARTHEST = 3.0
# Entries of a Hessian that are this part of those beside them are nothing to errors.
TURNED = 1e-3


class Outputs(NamedTuple):
    """Charts of the loss that lanes of steps are in, and outputs that wait.

    ``near``: the charts; ``whole``: outputs that wait for their errors to be seen; ``views``: those
    of one chart.
    """

    near: Any
    whole: Any
    views: Any


@inner
def outputs_of(loss, n, near):
    """Room for outputs, of charts that steps read, with registers of their own, and of others."""
    registers = np.zeros((n + len(loss.constants) + len(loss.operation), PARTS, LANES))
    own = Near(registers, near.slope, near.matrix, near.axes, near.size, near.unit, near.since)
    return Outputs(own, line_of(loss, n), views_of(loss, n))


@lean
def agrees(views, here, loss, terms):
    """Whether plain doubles see the loss and the gradient at a chart's end as two do."""
    value, off, length = here.whole[loss.results[0], 0], 0.0, 0.0
    for i in range(len(views.u)):
        slope = here.found[i, 0]
        off += (views.slope[i, 0] - slope) ** 2
        length += slope**2
    part = part_of(terms)
    near = abs(views.value[0] - value) <= part * abs(value)
    return near and off <= part * (part * length)


@lean
def look_sharply(views, here, k, loss, terms, w):
    """Put down one of the outputs of a chart as two doubles see it."""
    length, doubt, part = 0.0, 0.0, part_of(terms)
    for i in range(len(views.u)):
        here.u[i] = views.u[i, w]
    place(here.charts, k, here.u, loss, here.whole, here.found, here.there)
    for i in range(len(views.u)):
        views.slope[i, w], views.there[i, 0, w] = here.found[i, 0], here.there[i, 0]
        views.there[i, 1, w] = here.there[i, 1]
        length, doubt = length + abs(here.found[i, 0]), doubt + here.found[i, 2]
    value, off = here.whole[loss.results[0], 0], here.whole[loss.results[0], 2]
    known = off <= part * abs(value) and doubt <= part * length
    views.value[w] = value if known else np.nan


@lean
def put_down(lane, here, out, k, e, codes, slopes, terms, times, found):
    """See the outputs of a chart that has ended, or let them wait for their errors to be seen.

    The chart's end is seen beside them, at the place 0, and here its state in two doubles stays.
    """
    u, views = here.u, out.views
    behind, last, first = found.reached[k], 0.0, out.whole.count[0]
    for i in range(len(u)):
        views.u[i, 0] = lane.u[i, e]
    views.count[0] = 1
    for row in range(here.row[k], behind):
        w, since = views.count[0], times[row - 1] + here.unit[k]
        views.brief[w] = row + 1 < behind and times[row] + here.unit[k] <= FARTHEST * last
        last = last if views.brief[w] else since
        views.row[w], views.count[0] = row, w + 1
        for i in range(len(u)):
            views.u[i, w] = here.passed[k, row, i]
        if w + 1 == LANES:
            first = see_in(out, here, k, e, first, codes[1], slopes, terms, times, found)
    first = see_in(out, here, k, e, first, codes[1], slopes, terms, times, found)
    load_charts(out.whole, here, out.near, k, e, first)


@lean
def see_in(out, here, k, e, first, loss, slopes, terms, times, found):
    """See outputs of a chart, in two doubles where plain ones do not tell enough of its end.

    Returns from which place on outputs wait whose chart is to be loaded.
    """
    charts, views, whole, seen = here.charts, out.views, out.whole, here.seen
    look_over(views, out.near, here, k, e, slopes, loss.results[0])
    if agrees(views, here, loss, terms):
        locate(views, charts, k)
    else:
        for w in range(views.count[0] - 1, -1, -1):
            look_sharply(views, here, k, loss, terms, w)
    for w in range(1, views.count[0]):
        row = views.row[w]
        since = times[row - 1] + here.unit[k]
        if not views.brief[w]:
            if stand_in(whole, views, k, w, since) == LANES:
                load_charts(whole, here, out.near, k, e, first)
                see(whole, here, slopes, terms, found)
                first = 0
            continue
        tell_briefly(seen, views.value[w], length_at(views.slope, w))
        put_place(views.there, w, views.place)
        record(found, k, row, views.place, since, seen)
    views.count[0] = 1
    return first


@lean
def put_place(there, w, place):
    """Put one of several places, (N, 2, lanes), where it is read."""
    for i in range(len(place)):
        place[i, 0], place[i, 1] = there[i, 0, w], there[i, 1, w]


@lean
def see(line, here, slopes, terms, found):
    """See outputs that wait, and put down what is seen."""
    see_errors(line, slopes, TURNED)
    for w in range(line.count[0]):
        value, length, seen = line.value[w], length_at(line.slope, w), here.seen
        put_place(line.there, w, line.place)
        tell_whole(line, seen, value, length, terms, w)
        record(found, line.member[w], line.row[w], line.place, line.carry.since[w], seen)
    line.count[0] = 0


@lean
def length_at(slope, w):
    """Length of one of the gradients, also where its square is no double."""
    size, square = 0.0, 0.0
    for i in range(len(slope)):
        size = max(size, abs(slope[i, w]))
    for i in range(len(slope)):
        square += (slope[i, w] / size) ** 2 if size > 0.0 else 0.0
    return size * math.sqrt(square)


@lean
def tell_whole(line, seen, value, length, terms, w):
    """See one of the outputs with its errors."""
    carry = line.carry
    for i in range(len(line.slope)):
        seen.along[i] = carry.along[i, w]
        seen.curvature[i], seen.error[i] = carry.h[i, w], carry.later[i, w]
    for i in range(5):
        seen.numbers[i] = np.nan
    seen.numbers[5] = 0.0
    part = part_of(terms)
    doubt, since, enough = part * length, carry.since[w], max(KNOWN, 2 * part)
    tell(seen, seen.along, value, part * abs(value), doubt, since, terms.rough, enough)
