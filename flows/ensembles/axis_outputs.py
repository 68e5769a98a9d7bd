r"""Compiled: what is seen at output times inside charts, of many members side by side.

Loss, gradient and Hessian come from plain doubles around the centre of a chart,

.. math:: L = L_0 + g \cdot u + r(u), \qquad \nabla L = g + M u + \nabla r(u)

with `L_0`, `g` from two doubles there. At the end of the chart, where there is least of all three,
they are compared with two doubles; where these differ the outputs are seen in two doubles. Outputs
of ended charts wait until all lanes are full.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner, lean
from flows.core.twofold_loop import located
from flows.ensembles.axis_members import record
from flows.solvers.near_lanes import LANES, field, jacobian
from flows.systems.own.axes_loop import carried_along, eigen
from flows.systems.own.carried_errors import ANEW
from flows.systems.own.chart_loop import KNOWN, look, place, tell

__all__ = ["Outputs", "agrees", "load_loss", "outputs_of", "put_down", "see_all"]

# Plain doubles see a loss and a gradient to this part, or to that to which a field is known, or two
# are taken.
ALIKE = KNOWN / 2
# Entries of a Hessian that are this part of those beside them are nothing to errors.
TURNED = 1e-3


class Outputs(NamedTuple):
    """Charts of the loss that lanes of steps are in, and outputs that wait.

    ``near``: the charts; ``u``, ``slope`` (N, lanes), ``clock`` (lanes,), ``matrix`` (N, N, lanes):
    increments, slopes, times, Jacobians. Of those that
    wait: ``waiting``: their charts, and all these; ``centre``, ``axes``, ``size``, ``curvature``,
    ``error``, ``fresh``, by lane: of :class:`flows.systems.own.chart_loop.Charts`;
    ``member``, ``row`` (lanes,): whose they are; ``count`` (1,): how many there are;
    ``there`` (N, 3): room for a state.
    """

    near: Any
    waiting: Any
    u: Any
    slope: Any
    clock: Any
    matrix: Any
    centre: Any
    axes: Any
    size: Any
    curvature: Any
    error: Any
    fresh: Any
    member: Any
    row: Any
    count: Any
    there: Any


@inner
def outputs_of(near, waiting, n):
    """Room for outputs, of charts and of those that wait."""
    return Outputs(
        near,
        waiting,
        np.zeros((n, LANES)),
        np.zeros((n, LANES)),
        np.ones(LANES),
        np.zeros((n, n, LANES)),
        np.zeros((LANES, n, 3)),
        np.zeros((LANES, n, n, 2)),
        np.zeros((LANES, n)),
        np.zeros((LANES, n)),
        np.zeros((LANES, n)),
        np.zeros((LANES, n)),
        np.zeros(LANES, np.int64),
        np.zeros(LANES, np.int64),
        np.zeros(1, np.int64),
        np.zeros((n, 3)),
    )


@lean
def load_loss(out, near, here, e):
    """Put the chart that steps of a lane read where its outputs read it."""
    n = len(near.slope)
    out.near.since[e] = near.since[e]
    for i in range(len(here.whole)):
        out.near.registers[i, 0, e] = here.whole[i, 0]
    for i in range(n):
        out.near.slope[i, e] = near.slope[i, e]
        for j in range(n):
            out.near.matrix[i, j, e] = near.matrix[i, j, e]
            out.near.inward[i, j, e] = near.inward[i, j, e]
            out.near.outward[i, j, e] = near.outward[i, j, e]


@lean
def loss_of(near, loss, size, u, e):
    """Loss of a lane by its registers."""
    linear, value = 0.0, loss.results[0]
    for i in range(len(size)):
        linear += near.slope[i, e] * size[i] * size[i] * u[i, e]
    return near.registers[value, 0, e] + (linear + near.registers[value, 2, e])


@lean
def agrees(lane, here, out, k, e, loss, slopes, known):
    """Whether plain doubles see the loss and the gradient of a lane as two do, at `there`."""
    n, size = len(lane.u), here.charts.size[k]
    field(out.near, slopes, out.near.since, lane.u, out.slope)
    value = here.whole[loss.results[0], 0]
    off, length = 0.0, 0.0
    for i in range(n):
        slope = here.found[i, 0]
        off += (-out.slope[i, e] / out.near.since[e] * size[i] - slope) ** 2
        length += slope**2
    part = max(ALIKE, known)
    near = abs(loss_of(out.near, loss, size, lane.u, e) - value) <= part * abs(value)
    return near and off <= part * (part * length)


@lean
def put_down(lane, here, out, k, e, codes, slopes, terms, times, found):
    """Let the outputs of a chart that has ended wait to be seen, or see them in two doubles."""
    charts, u = here.charts, here.u
    n, loss, rates = len(u), codes[1], codes[2]
    row, behind = here.row[k], found.reached[k]
    while row < behind:
        since = times[row - 1] + here.unit[k]
        if here.sharp[k]:
            for i in range(n):
                u[i] = here.passed[k, row, i]
            place(charts, k, u, loss, here.whole, here.found, here.there)
            look(
                charts, k, here.there, since, ANEW, here.whole, loss, rates, terms.rough, here.seen
            )
            record(found, k, row, here.there, since, here.seen)
            row += 1
            continue
        first = out.count[0]
        last = min(LANES, first + behind - row)
        wait(here, out, k, e, row, first, last, times)
        out.count[0] = last
        row += last - first
        if last == LANES:
            see_all(out, here, loss, slopes, terms, found)


@lean
def wait(here, out, k, e, row, first, last, times):
    """Let the outputs of a chart from a row on wait in some lanes, whose entries lie together."""
    charts, waiting, n = here.charts, out.waiting, len(out.u)
    for w in range(first, last):
        out.member[w], out.row[w], waiting.since[w] = k, row + w - first, charts.since[k]
        out.clock[w] = times[row + w - first - 1] + here.unit[k]
        for i in range(n):
            out.u[i, w] = here.passed[k, row + w - first, i]
            out.size[w, i], out.curvature[w, i] = charts.size[k, i], charts.curvature[k, i]
            out.error[w, i], out.fresh[w, i] = charts.error[k, i], charts.fresh[k, i]
            for j in range(3):
                out.centre[w, i, j] = charts.centre[k, i, j]
            for j in range(n):
                out.axes[w, i, j, 0] = charts.axes[k, i, j, 0]
                out.axes[w, i, j, 1] = charts.axes[k, i, j, 1]
    for i in range(len(waiting.registers)):
        value = out.near.registers[i, 0, e]
        for w in range(first, last):
            waiting.registers[i, 0, w] = value
    for i in range(n):
        slope = out.near.slope[i, e]
        for w in range(first, last):
            waiting.slope[i, w] = slope
        for j in range(n):
            matrix, inward = out.near.matrix[i, j, e], out.near.inward[i, j, e]
            outward = out.near.outward[i, j, e]
            for w in range(first, last):
                waiting.matrix[i, j, w] = matrix
                waiting.inward[i, j, w], waiting.outward[i, j, w] = inward, outward


@lean
def see_all(out, here, loss, slopes, terms, found):
    """See all outputs that wait, and put down what is seen."""
    field(out.waiting, slopes, out.waiting.since, out.u, out.slope)
    jacobian(out.waiting, slopes, out.waiting.since, out.matrix)
    for w in range(out.count[0]):
        see(out, here, loss, terms, w)
        record(found, out.member[w], out.row[w], out.there, out.clock[w], here.seen)
    out.count[0] = 0


@lean
def see(out, here, loss, terms, w):
    """See one of the outputs."""
    seen, since, size, n = here.seen, out.clock[w], out.size[w], len(out.u)
    turned, along, began, carry = seen.matrix, seen.along, out.waiting.since[w], here.seen.carry
    for i in range(n):
        here.u[i] = out.u[i, w]
    located(here.u, size, out.centre[w], out.axes[w], out.there)
    for i in range(n):
        for j in range(i + 1):
            one = out.matrix[i, j, w] * size[i] / size[j]
            other = out.matrix[j, i, w] * size[j] / size[i]
            turned[i, j] = turned[j, i] = -(one + other) / 2 / began
        carry.now[i] = turned[i, i]
    eigen(turned, seen.curvature, seen.axes, TURNED)
    square = 0.0
    for i in range(n):
        along[i] = 0.0
        for j in range(n):
            carry.overlaps[i, j] = seen.axes[j, i]
            along[i] += seen.axes[j, i] * (-out.slope[j, w] / began * size[j])
        square += along[i] ** 2
    carried_along(
        out.curvature[w],
        out.error[w],
        out.fresh[w],
        began,
        seen.curvature,
        since,
        ANEW,
        carry,
        seen.error,
    )
    for i in range(5):
        seen.numbers[i] = np.nan
    seen.numbers[5] = 0.0
    value = loss_of(out.waiting, loss, size, out.u, w)
    part = max(ALIKE, terms.known)
    doubt = part * math.sqrt(square)
    tell(seen, along, value, part * abs(value), doubt, since, terms.rough, max(KNOWN, 2 * part))
