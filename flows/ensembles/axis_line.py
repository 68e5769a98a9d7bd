"""Compiled: states inside charts that wait, of many members, until errors there are seen together.

Hessian, axes and carried errors take most of the time of what is seen at a state. They are seen of
as many states at a time as there are lanes, each in a chart of its own.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner, lean
from flows.ensembles.axis_lanes import near_of
from flows.solvers.near_hessian import curvatures
from flows.solvers.near_lanes import LANES, change
from flows.systems.own.axes_in_lanes import eigen_in_lanes, turn_of
from flows.systems.own.carried_loop import carried_along, carry_of
from flows.systems.own.energy import STIFF

__all__ = ["Line", "line_of", "load_charts", "see_errors", "stand_in"]


class Line(NamedTuple):
    """States that wait, the last axis.

    ``near``: their charts; ``slope`` (N, lanes): gradients along the axes; ``value`` (lanes,):
    losses; ``matrix`` (N, N, lanes): Hessians along the axes, ``careful`` (N, N, lanes): what
    Jacobians tell of them; ``there`` (N, 2, lanes): their places; ``carry``: their errors, where
    they began and when they are; ``turn``, ``place`` (N, 3): room; ``member``, ``row`` (lanes,):
    whose they are, and which output; ``count`` (1,): how many.
    """

    near: Any
    slope: Any
    value: Any
    matrix: Any
    careful: Any
    there: Any
    carry: Any
    turn: Any
    place: Any
    member: Any
    row: Any
    count: Any


@inner
def line_of(loss, n):
    """Room for states that wait."""
    return Line(
        near_of(n, loss),
        np.zeros((n, LANES)),
        np.zeros(LANES),
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, 2, LANES)),
        carry_of(n),
        turn_of(LANES),
        np.zeros((n, 3)),
        np.zeros(LANES, np.int64),
        np.zeros(LANES, np.int64),
        np.zeros(1, np.int64),
    )


@lean
def stand_in(line, views, k, v, since):
    """Let one of the states that are viewed wait, whose chart is loaded later; how many do."""
    w = line.count[0]
    line.member[w], line.row[w], line.carry.since[w] = k, views.row[v], since
    line.value[w] = views.value[v]
    for i in range(len(line.slope)):
        line.near.registers[i, 1, w] = views.registers[i, 1, v]
        line.slope[i, w] = views.slope[i, v]
        line.there[i, 0, w], line.there[i, 1, w] = views.there[i, 0, v], views.there[i, 1, v]
    line.count[0] = w + 1
    return w + 1


@lean
def load_charts(line, here, whole, k, e, first):
    """Put the chart of a lane where those read it that wait, from a place on: they lie together."""
    charts, near, carry, last = here.charts, line.near, line.carry, line.count[0]
    for w in range(first, last):
        near.since[w] = carry.began[w] = charts.since[k]
    for i in range(len(near.registers)):
        value = whole.registers[i, 0, e]
        for w in range(first, last):
            near.registers[i, 0, w] = value
    for i in range(len(line.slope)):
        slope, size, curvature = charts.slope[k, i], charts.size[k, i], charts.curvature[k, i]
        error, fresh = charts.error[k, i], charts.fresh[k, i]
        for w in range(first, last):
            near.size[i, w], near.unit[i, w] = size, 1.0 / size
            carry.curvature[i, w] = curvature
            carry.error[i, w], carry.fresh[i, w], carry.slope[i, w] = error, fresh, slope
        for j in range(len(line.slope)):
            axis = charts.axes[k, i, j, 0]
            matrix = here.matrix[k, i, j] * charts.size[k, j] / charts.size[k, i]
            for w in range(first, last):
                near.matrix[i, j, w], near.axes[i, j, w] = matrix, axis


@lean
def see_errors(line, slopes, part):
    """Put down axes and errors of all who wait; entries of this part of those beside them stay."""
    n, carry = len(line.slope), line.carry
    change(slopes, line.near.registers)
    curvatures(line.near, slopes, carry.since, STIFF, line.matrix, line.careful)
    for i in range(n):
        for w in range(LANES):
            carry.now[i, w] = line.matrix[i, i, w]
    eigen_in_lanes(line.matrix, carry.h, carry.overlaps, line.turn, part, carry.since)
    for i in range(n):
        for w in range(LANES):
            carry.along[i, w] = 0.0
        for j in range(n):
            for w in range(LANES):
                carry.along[i, w] += carry.overlaps[i, j, w] * line.slope[j, w]
    carried_along(carry)
