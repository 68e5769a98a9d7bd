"""Compiled: ends of charts that wait, of many members, until errors there are seen together.

Hessian, axes and carried errors take most of the time of what is seen at a state. They are seen of
as many states at a time as there are lanes, each in a chart of its own.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.ensembles.axis_charts import load_matrix
from flows.solvers.near_flow import LANES, change, near_of
from flows.solvers.near_hessian import any_stiff, hessian, sharpen
from flows.systems.own.axes_of_members import eigen_in_lanes, turn_of
from flows.systems.own.carried_along import between_ends, carried_along
from flows.systems.own.carry import carry_of
from flows.systems.own.energy_units import STIFF

__all__ = ["NEARLY", "Line", "line_of", "see_errors", "stand_in"]

# Entries of a Hessian that are this part of those beside them stay beside its axes: they are in it.
# Where a state hardly moves any more they are smaller: axes that turn more than it does would take
# errors along a valley for others across it.
NEARLY = 1e-6


class Line(NamedTuple):
    """States that wait, the last axis.

    ``near``: their charts, with units and Hessians where Jacobians take these; ``slope`` (N,
    lanes): gradients along the axes; ``matrix`` (N, N, lanes): Hessians along the axes, ``careful``
    (N, N, lanes): what Jacobians tell of them; ``carry``: their errors, where they began and when
    they are; ``turn``: room; ``part`` (lanes,): of entries that may
    stay beside axes; ``member`` (lanes,): whose they are; ``count`` (1,): how many.
    """

    near: Any
    slope: Any
    matrix: Any
    careful: Any
    carry: Any
    turn: Any
    part: Any
    member: Any
    count: Any


@inner
def line_of(n, count):
    """Room for states that wait."""
    return Line(
        near_of(n, count, LANES),
        np.zeros((n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        carry_of(n),
        turn_of(LANES),
        np.full(LANES, NEARLY),
        np.zeros(LANES, np.int64),
        np.zeros(1, np.int64),
    )


@lean
def stand_in(line, out, read, here, k, e, since):
    """Let the end of a lane's chart wait, which is the place 0 of the views; how many do.

    ``read``: registers of the gradient that are read at the centre.
    """
    charts, near, carry, w = here.charts, line.near, line.carry, line.count[0]
    line.member[w], carry.since[w], line.count[0] = k, since, w + 1
    carry.began[w] = charts.since[k]
    way, size = 0.0, 0.0
    for i in read:
        near.registers[i, 0, w] = out.near.registers[i, 0, e]
    for i in range(len(line.slope)):
        near.registers[i, 1, w] = out.views.registers[i, 1, 0]
        line.slope[i, w] = out.views.slope[i, 0]
        way += (charts.size[k, i] * out.views.u[i, 0]) ** 2
        size += charts.centre[k, i, 0] ** 2
        carry.curvature[i, w], carry.slope[i, w] = charts.curvature[k, i], charts.slope[k, i]
        carry.error[i, w], carry.fresh[i, w] = charts.error[k, i], charts.fresh[k, i]
        for j in range(len(line.slope)):
            near.axes[i, j, w] = charts.axes[k, i, j, 0]
    line.part[w] = min(NEARLY, math.sqrt(way / size)) if size > 0.0 else NEARLY
    return w + 1


@lean
def see_errors(line, gradient, here):
    """Record axes and errors of all members in the line."""
    n, carry, near = len(line.slope), line.carry, line.near
    change(gradient, near.registers)
    hessian(near, gradient, line.matrix)
    if any_stiff(line.matrix, carry.since, STIFF):
        for w in range(line.count[0]):
            k = line.member[w]
            near.since[w] = here.charts.since[k]
            for i in range(n):
                near.size[i, w], near.unit[i, w] = (
                    here.charts.size[k, i],
                    1.0 / here.charts.size[k, i],
                )
            load_matrix(near, here, k, w)
        sharpen(near, gradient, carry.since, STIFF, line.matrix, line.careful)
    for i in range(n):
        for w in range(LANES):
            carry.now[i, w] = line.matrix[i, i, w]
    eigen_in_lanes(line.matrix, carry.h, carry.overlaps, line.turn, line.part, carry.since)
    for i in range(n):
        for w in range(LANES):
            carry.along[i, w] = 0.0
        for j in range(n):
            for w in range(LANES):
                carry.along[i, w] += carry.overlaps[i, j, w] * line.slope[j, w]
    between_ends(carry)
    carried_along(carry)
