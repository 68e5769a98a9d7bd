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
from flows.core.twofold_pairs import add, multiply, product
from flows.ensembles.axis_members import record
from flows.solvers.near_hessian import forget, hessian
from flows.solvers.near_lanes import LANES, field, jacobian
from flows.systems.own.axes_in_lanes import eigen_in_lanes, turn_of
from flows.systems.own.carried_errors import ANEW
from flows.systems.own.carried_loop import carried_along, carry_of
from flows.systems.own.chart_loop import KNOWN, look, place, tell
from flows.systems.own.energy import STIFF

__all__ = ["Outputs", "agrees", "load_loss", "outputs_of", "put_down", "see_all"]

# Plain doubles see a loss and a gradient to this part, or to that to which a field is known, or two
# are taken.
ALIKE = KNOWN / 2
# Entries of a Hessian that are this part of those beside them are nothing to errors.
TURNED = 1e-3


class Outputs(NamedTuple):
    """Charts of the loss that lanes of steps are in, and outputs that wait.

    ``near``: the charts; ``u``, ``slope`` (N, lanes): increments and slopes. Of those that wait:
    ``waiting``: their charts, and these; ``matrix`` (N, N, lanes): Hessians along the axes,
    ``careful`` (N, N, lanes): what Jacobians tell of them;
    ``centre``, ``there`` (N, 2, lanes), ``axes`` (N, N, 2, lanes), ``size`` (N, lanes): of their
    charts, and their places; ``carry``: their errors, where they began and when they are;
    ``turn``, ``place`` (N, 3): room; ``member``, ``row`` (lanes,): whose they are;
    ``count`` (1,): how many.
    """

    near: Any
    waiting: Any
    u: Any
    slope: Any
    matrix: Any
    careful: Any
    centre: Any
    there: Any
    axes: Any
    size: Any
    carry: Any
    turn: Any
    place: Any
    member: Any
    row: Any
    count: Any


@inner
def outputs_of(near, waiting, n):
    """Room for outputs, of charts and of those that wait."""
    return Outputs(
        near,
        waiting,
        np.zeros((n, LANES)),
        np.zeros((n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((n, 2, LANES)),
        np.zeros((n, 2, LANES)),
        np.zeros((n, n, 2, LANES)),
        np.ones((n, LANES)),
        carry_of(n, LANES),
        turn_of(LANES),
        np.zeros((n, 3)),
        np.zeros(LANES, np.int64),
        np.zeros(LANES, np.int64),
        np.zeros(1, np.int64),
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
def loss_of(near, loss, linear, e):
    """Loss of a lane by its registers, and by what the gradient at the centre makes of it."""
    value = loss.results[0]
    return near.registers[value, 0, e] + (linear + near.registers[value, 2, e])


@lean
def agrees(lane, here, out, k, e, loss, slopes, known):
    """Whether plain doubles see the loss and the gradient of a lane as two do, at `there`."""
    n, size = len(lane.u), here.charts.size[k]
    field(out.near, slopes, out.near.since, lane.u, out.slope)
    value = here.whole[loss.results[0], 0]
    off, length, linear = 0.0, 0.0, 0.0
    for i in range(n):
        slope = here.found[i, 0]
        linear += out.near.slope[i, e] * size[i] * size[i] * lane.u[i, e]
        off += (-out.slope[i, e] / out.near.since[e] * size[i] - slope) ** 2
        length += slope**2
    part = max(ALIKE, known)
    near = abs(loss_of(out.near, loss, linear, e) - value) <= part * abs(value)
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
    charts, waiting, carry, n = here.charts, out.waiting, out.carry, len(out.u)
    for w in range(first, last):
        out.member[w], out.row[w] = k, row + w - first
        waiting.since[w] = carry.began[w] = charts.since[k]
        carry.since[w] = times[row + w - first - 1] + here.unit[k]
        for i in range(n):
            out.u[i, w] = here.passed[k, row + w - first, i]
    for i in range(len(waiting.registers)):
        value = out.near.registers[i, 0, e]
        for w in range(first, last):
            waiting.registers[i, 0, w] = value
    for i in range(n):
        slope, size, curvature = out.near.slope[i, e], charts.size[k, i], charts.curvature[k, i]
        error, anew = charts.error[k, i], charts.fresh[k, i]
        high, low = charts.centre[k, i, 0], charts.centre[k, i, 1]
        for w in range(first, last):
            waiting.slope[i, w], out.size[i, w], carry.curvature[i, w] = slope, size, curvature
            carry.error[i, w], carry.fresh[i, w], carry.slope[i, w] = error, anew, slope * size
            out.centre[i, 0, w], out.centre[i, 1, w] = high, low
        for j in range(n):
            matrix, inward = out.near.matrix[i, j, e], out.near.inward[i, j, e]
            outward = out.near.outward[i, j, e]
            high, low = charts.axes[k, i, j, 0], charts.axes[k, i, j, 1]
            for w in range(first, last):
                waiting.matrix[i, j, w], waiting.inward[i, j, w] = matrix, inward
                waiting.outward[i, j, w] = outward
                out.axes[i, j, 0, w], out.axes[i, j, 1, w] = high, low


@lean
def locate(out):
    """Put down the places of outputs, in two doubles."""
    n, there = len(out.u), out.there
    for i in range(n):
        for w in range(LANES):
            there[i, 0, w] = there[i, 1, w] = 0.0
        for j in range(n):
            for w in range(LANES):
                a, b = product(out.u[j, w], out.size[j, w])
                a, b = multiply(out.axes[i, j, 0, w], out.axes[i, j, 1, w], a, b)
                there[i, 0, w], there[i, 1, w] = add(there[i, 0, w], there[i, 1, w], a, b)
        for w in range(LANES):
            a, b = there[i, 0, w], there[i, 1, w]
            a, b = add(out.centre[i, 0, w], out.centre[i, 1, w], a, b)
            there[i, 0, w], there[i, 1, w] = a, b


@lean
def curve(out, slopes):
    """Put down Hessians at outputs, with more care where steep axes hide others."""
    n, matrix, size, careful = len(out.u), out.matrix, out.size, False
    hessian(out.waiting, slopes, out.axes, matrix)
    for w in range(out.count[0]):
        careful = careful or is_stiff(out, w)
    if not careful:
        return
    forget(out.waiting, slopes)
    jacobian(out.waiting, slopes, out.waiting.since, out.careful)
    for w in range(out.count[0]):
        if not is_stiff(out, w):
            continue
        for i in range(n):
            for j in range(i, n):
                one = out.careful[i, j, w] * size[i, w] / size[j, w]
                other = out.careful[j, i, w] * size[j, w] / size[i, w]
                matrix[i, j, w] = -(one + other) / 2 / out.waiting.since[w]


@lean
def is_stiff(out, w):
    """Whether rounding of the largest curvature of a lane is as much as others are."""
    n, most = len(out.u), 0.0
    for i in range(n):
        most = max(most, abs(out.matrix[i, i, w]))
    return not out.carry.since[w] * most < STIFF


@lean
def see_all(out, here, loss, slopes, terms, found):
    """See all outputs that wait, and put down what is seen."""
    carry, n = out.carry, len(out.u)
    field(out.waiting, slopes, out.waiting.since, out.u, out.slope)
    locate(out)
    curve(out, slopes)
    for i in range(n):
        for w in range(LANES):
            carry.now[i, w] = out.matrix[i, i, w]
            out.slope[i, w] *= -out.size[i, w] / out.waiting.since[w]
    eigen_in_lanes(out.matrix, carry.h, carry.overlaps, out.turn, TURNED, carry.since)
    for i in range(n):
        for w in range(LANES):
            carry.along[i, w] = 0.0
        for j in range(n):
            for w in range(LANES):
                carry.along[i, w] += carry.overlaps[i, j, w] * out.slope[j, w]
    carried_along(carry, ANEW)
    for w in range(out.count[0]):
        see(out, here, loss, terms, w)
        record(found, out.member[w], out.row[w], out.place, carry.since[w], here.seen)
    out.count[0] = 0


@lean
def see(out, here, loss, terms, w):
    """See one of the outputs."""
    seen, carry, square, linear = here.seen, out.carry, 0.0, 0.0
    for i in range(len(out.u)):
        seen.along[i] = carry.along[i, w]
        seen.curvature[i], seen.error[i] = carry.h[i, w], carry.later[i, w]
        out.place[i, 0], out.place[i, 1] = out.there[i, 0, w], out.there[i, 1, w]
        linear += out.waiting.slope[i, w] * out.size[i, w] * out.size[i, w] * out.u[i, w]
        square += seen.along[i] ** 2
    for i in range(5):
        seen.numbers[i] = np.nan
    seen.numbers[5] = 0.0
    value = loss_of(out.waiting, loss, linear, w)
    part = max(ALIKE, terms.known)
    doubt = part * math.sqrt(square)
    since, enough = carry.since[w], max(KNOWN, 2 * part)
    tell(seen, seen.along, value, part * abs(value), doubt, since, terms.rough, enough)
