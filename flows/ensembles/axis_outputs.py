"""Compiled: what is seen at output times inside charts, several outputs side by side.

When a chart has ended, :mod:`flows.ensembles.axis_views` sees its outputs, and beside them its end.
There all is compared with two doubles; where these differ the outputs are seen in two doubles.

:mod:`flows.ensembles.axis_chords` tells their errors, when those at the chart's end have been seen.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.ensembles.axis_charts import registers_of
from flows.ensembles.axis_chords import part_of, tell_briefly
from flows.ensembles.axis_views import align, locate, look_over, views_of
from flows.solvers.near_flow import LANES, near_of
from flows.systems.own.charts_of_members import place

__all__ = ["Outputs", "length_at", "outputs_of", "put_down"]


class Outputs(NamedTuple):
    """Charts that lanes of steps are in, ``near``, and ``views`` of one of them."""

    near: Any
    views: Any


@inner
def outputs_of(loss, n):
    """Work space for outputs and their charts."""
    return Outputs(near_of(n, registers_of(n, loss), LANES), views_of(loss, n))


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
def put_down(lane, here, out, k, e, programs, terms, times, found):
    """See the outputs of a chart that has ended, but for their errors.

    The chart's end is seen beside them, at the place 0, and here its state in two doubles stays.
    """
    u, views, behind = here.u, out.views, found.reached[k]
    for i in range(len(u)):
        views.u[i, 0] = lane.u[i, e]
    views.count[0] = 1
    for row in range(here.row[k], behind):
        w = views.count[0]
        views.row[w], views.count[0] = row, w + 1
        for i in range(len(u)):
            views.u[i, w] = here.passed[k, row, i]
        if w + 1 == LANES:
            see_in(out, here, k, e, programs, terms, times, found)
    see_in(out, here, k, e, programs, terms, times, found)


@lean
def see_in(out, here, k, e, programs, terms, times, found):
    """See outputs of a chart, in two doubles where plain ones do not tell enough of its end."""
    views, loss = out.views, programs.loss
    if not here.late[k]:
        align(views, here.charts, k)
    look_over(views, out.near, here, k, e, programs.value)
    if agrees(views, here, loss, terms):
        locate(views, here.charts, k)
    else:
        for w in range(views.count[0] - 1, -1, -1):
            look_sharply(views, here, k, loss, terms, w)
    for w in range(1, views.count[0]):
        row = views.row[w]
        for i in range(len(views.u)):
            found.digits[k, row, i, 0] = views.there[i, 0, w]
            found.digits[k, row, i, 1] = views.there[i, 1, w]
            found.error[k, row, i] = np.nan
        found.since[k, row] = times[row - 1] + here.unit[k]
        tell_briefly(found.numbers[k, row], views.value[w], length_at(views.slope, w))
    views.count[0] = 1


@lean
def length_at(slope, w):
    """Length of one of the gradients, also where its square is no double."""
    size, square = 0.0, 0.0
    for i in range(len(slope)):
        size = max(size, abs(slope[i, w]))
    for i in range(len(slope)):
        square += (slope[i, w] / size) ** 2 if size > 0.0 else 0.0
    return size * math.sqrt(square)
