"""Compiled: members of an ensemble at the ends of their charts, and what is put down of them."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.vectors import WIDTH
from flows.core.arrays import EPSILON
from flows.core.limit import FAST
from flows.ensembles.axis_charts import registers_of, steepest
from flows.solvers.axis_slopes import finite, hessian_along
from flows.systems.own.charts_of_members import (
    DOUBT,
    begin,
    charts_of,
    first_unit,
    place,
    run,
    vanishes,
)
from flows.systems.own.seen_state import KNOWN, look_first, seen_of

__all__ = [
    "MOST_STEPS",
    "NEAREST",
    "NOISE",
    "Members",
    "centre_chart",
    "dequeue",
    "enter_start",
    "fresh",
    "leave",
    "measure",
    "members_of",
    "place_of_lane",
    "record",
    "takes_long",
    "waiting_count",
]

# Plain doubles may differ from two by this many times the allowed error, a part of the tolerance.
NOISE = 100.0
# They differ by rounding, with the square of the path in a chart, whose longest is 1. The next
# chart is so long that they would differ by the first number, in allowed errors; it changes by
# the next two factors at most and is no shorter than the last one. What is not known begins anew.
GOAL, NEARER, FARTHER, NEAREST = 2.0, 8.0, 3.0, 0.1
# At the end of a chart rounding may be small by chance, and yet so large between that steps become
# short. A chart that takes more attempts ends where it is, as a new one costs less than they do;
# that one is this part as long.
ATTEMPTS, PART = 25, 0.5
# The Hessian of plain doubles serves as that of two along an axis where its rounding, that of the
# largest curvature, is this part of the error allowed in a slope, or less.
ROUNDING = 0.05
# From where the way to the limit is this part of the state on, the flow is linear.
LINEAR = 1e-14
# No member takes more steps, but as a run alone, which says so.
MOST_STEPS = 20_000


class Members(NamedTuple):
    """Members with their charts, and room for one place.

    Each member has:

    - ``unit`` (M,): `T_0`.
    - ``reach`` (M,): the factor by which energy and time may change in a chart.
    - ``step`` (M,): the length of the next step, or 0.
    - ``row`` (M,): the number of outputs before the chart.
    - ``vanished`` (M,): whether a quantity has reached zero.
    - ``doubt`` (M,): the radius of the loss.
    - ``late`` (M,): whether Radau's method takes the steps.
    - ``outgrown`` (M,): the factor by which errors have outgrown the flow.
    - ``looked`` (M, 2): the time of the last look at that growth, and its rate.
    - ``passed`` (M, T, N): increments at the outputs of the chart; states before the chart.
    - ``value`` (M, R): registers of the loss at the centre.
    - ``slopes`` (M, N, 3): the gradient at the centre, in two doubles.
    - ``matrix`` (M, N, N): the Hessian at the centre, along the axes.
    - ``error`` (M, N), ``numbers`` (M, 6): the fields of `Seen` at the start of the chart.

    ``queue`` (M,) holds the members that have a chart and no lane, from the first up to the second
    number of ``queued`` (2,). ``whole`` holds the registers at the last place, ``found`` (N, 3) the
    gradient along the axes, ``there`` (N, 3) the state, ``u`` (N,) an increment, ``careful`` (N,)
    axes; ``room`` (4, width) is work space.
    """

    charts: Any
    unit: Any
    reach: Any
    step: Any
    row: Any
    vanished: Any
    doubt: Any
    late: Any
    outgrown: Any
    looked: Any
    passed: Any
    value: Any
    slopes: Any
    matrix: Any
    queue: Any
    queued: Any
    error: Any
    numbers: Any
    seen: Any
    whole: Any
    found: Any
    there: Any
    u: Any
    room: Any
    careful: Any


@inner
def members_of(count, times, n, loss, reach):
    """Room for members."""
    registers = registers_of(n, loss)
    return Members(
        charts_of(count, n),
        np.zeros(count),
        np.full(count, reach),
        np.zeros(count),
        np.zeros(count, np.int64),
        np.zeros(count, np.bool_),
        np.zeros(count),
        np.zeros(count, np.bool_),
        np.zeros(count),
        np.zeros((count, 2)),
        np.zeros((count, 1 + times, n)),
        np.zeros((count, registers)),
        np.zeros((count, n, 3)),
        np.zeros((count, n, n)),
        np.zeros(count, np.int64),
        np.zeros(2, np.int64),
        np.zeros((count, n)),
        np.zeros((count, 6)),
        seen_of(n),
        np.zeros((registers, 3)),
        np.zeros((n, 3)),
        np.zeros((n, 3)),
        np.zeros(n),
        np.zeros((4, WIDTH)),
        np.zeros(n, np.int64),
    )


@lean
def waiting_count(here):
    """Number of members that have a chart and no lane."""
    return here.queued[1] - here.queued[0]


@lean
def enqueue(here, k):
    """Put a member at the end of the queue for a lane."""
    here.queue[here.queued[1] % len(here.queue)] = k
    here.queued[1] += 1


@lean
def dequeue(here):
    """Take the first member out of the queue."""
    here.queued[0] += 1
    return here.queue[(here.queued[0] - 1) % len(here.queue)]


@lean
def difference(lane, here, k, e):
    """Difference of plain doubles from two, in units of the allowed error, or infinity."""
    charts, most = here.charts, 0.0
    since = charts.since[k] * math.exp(lane.tau[e])
    for i in range(len(lane.u)):
        near = -lane.slope[i, e] * charts.size[k, i] / since
        allowed = charts.allowed[k, i]
        if not here.found[i, 2] <= DOUBT * allowed:
            return math.inf
        off = abs(near - here.found[i, 0]) / (min(1.0, lane.left[e]) * allowed)
        most = max(most, off) if off >= 0.0 else math.inf
    return most


@lean
def way(part):
    """Length of the path after which this part of the energy, or of the time, is left."""
    return 1.0 - math.sqrt(part)


@lean
def fraction_done(lane, e):
    """Length of the path of a lane in its chart, between 0 and 1."""
    return way(min(math.exp(-lane.tau[e]), max(0.0, lane.left[e])))


@lean
def takes_long(lane, e):
    """Whether a chart has taken enough steps for a new one to pay."""
    return lane.attempts[e] > ATTEMPTS and fraction_done(lane, e) >= NEAREST


@lean
def measure(lane, here, k, e, off, terms):
    """Choose how long the next chart of a member may be, by the one that has ended."""
    done = fraction_done(lane, e)
    before = way(1.0 / here.reach[k])
    wanted = done * math.sqrt(GOAL / off) if off > 0.0 else 1.0
    if lane.attempts[e] > ATTEMPTS:
        wanted = min(wanted, PART * done)
    rest = 1.0 - max(NEAREST, before / NEARER, min(FARTHER * before, wanted))
    here.reach[k] = min(terms.reach, 1.0 / rest**2) if rest > 0.0 else terms.reach


@lean
def record(found, k, row, there, since, seen):
    """Record a state."""
    for i in range(len(there)):
        found.digits[k, row, i, 0], found.digits[k, row, i, 1] = there[i, 0], there[i, 1]
        found.error[k, row, i] = seen.error[i]
    found.since[k, row] = since
    for i in range(6):
        found.numbers[k, row, i] = seen.numbers[i]


@lean
def centre_chart(here, k, loss, terms):
    """Centre the next chart of a member at the last place, whose registers are known."""
    for i in range(len(here.there)):
        for digit in range(3):
            here.charts.centre[k, i, digit] = here.there[i, digit]
            here.slopes[k, i, digit] = here.whole[loss.results[1 + i], digit]
    for i in range(len(here.whole)):
        here.value[k, i] = here.whole[i, 0]
    here.doubt[k] = here.whole[loss.results[0], 2]
    here.vanished[k] = vanishes(loss, here.whole, len(here.there), terms.short)


@lean
def rests(here, k, loss, terms):
    """Whether the flow is linear from where a chart would begin on, to the end of the run.

    Curved axes have decayed there. Two doubles tell the least loss from zero, or it is the constant
    beside as many squares, and other axes are flat.
    """
    charts, way, size, energy, fast = here.charts, 0.0, 0.0, 0.0, 0
    n, since = len(here.there), here.charts.since[k]
    for i in range(n):
        fast += 1 if charts.curvature[k, i] * since > FAST else 0
    if not terms.ends or (fast != n and fast != terms.squares):
        return False
    for i in range(n):
        size += charts.centre[k, i, 0] ** 2
        if charts.curvature[k, i] * since > FAST:
            away = charts.slope[k, i] / charts.curvature[k, i]
            way, energy = way + away * away, energy + away * charts.slope[k, i] / 2
    value = here.value[k, loss.results[0]]
    left = abs(value - terms.constant) <= 2.0 * energy + KNOWN * abs(terms.constant)
    zero = fast == terms.squares and left
    known = fast == n and here.doubt[k] <= KNOWN * abs(value - energy)
    return (zero or known) and way <= LINEAR * LINEAR * size


@lean
def fresh(here, k, programs, terms, found):
    """Begin the chart of a member at its state, whose axes are known; return whether it is known.

    No chart begins where a closed form holds to the end of the run. The Hessian along the axes is
    in plain doubles; axes whose curvature plain doubles would lose have it in two.
    """
    charts = here.charts
    if here.vanished[k] or not begin(charts, k, here.slopes[k], terms):
        return False
    if rests(here, k, programs.loss, terms):
        return True
    careful, rounding = 0, steepest(charts, k) * EPSILON
    for i in range(len(here.there)):
        if not rounding < ROUNDING * terms.known * charts.floored[k, i]:
            here.careful[careful] = i
            careful += 1
    if careful > 0:
        which = here.careful[:careful]
        hessian_along(charts.centre[k], charts.axes[k], programs.rates, which, here.matrix[k])
        known = finite(here.value[k])
        for i in range(len(here.there)):
            known = known and finite(here.matrix[k, i])
        if not known:
            return False
    found.counts[k, 2] += 1
    here.row[k] = found.reached[k] = max(1, found.reached[k])
    enqueue(here, k)
    return True


@lean
def enter_start(starts, k, programs, terms, here, found):
    """Record a start and keep its Hessian in `seen`; return whether the start is known."""
    loss, rates = programs.loss, programs.rates
    for i in range(starts.shape[1]):
        here.there[i, 0] = starts[k, i]
        here.there[i, 1] = here.there[i, 2] = 0.0
    run(loss, here.there, here.whole)
    here.unit[k] = first_unit(here.there, here.whole, loss, rates, here.seen)
    if not here.unit[k] > 0.0:
        return False
    here.charts.since[k] = here.unit[k]
    look_first(here.whole, loss, here.unit[k], terms.rough, here.seen)
    record(found, k, 0, here.there, here.unit[k], here.seen)
    centre_chart(here, k, loss, terms)
    return True


@lean
def place_of_lane(lane, here, k, e, programs):
    """Write the state of a lane into `there`, in two doubles; return the error of plain doubles."""
    for i in range(len(lane.u)):
        here.u[i] = lane.u[i, e]
    place(here.charts, k, here.u, programs.loss, here.whole, here.found, here.there)
    return difference(lane, here, k, e)


@lean
def leave(here, found):
    """Record axes, and the start of the last chart of members that have not reached the end."""
    charts = here.charts
    for k in range(len(found.reached)):
        row = found.reached[k]
        for i in range(charts.centre.shape[1]):
            found.curvature[k, i], found.slope[k, i] = charts.curvature[k, i], charts.slope[k, i]
            for j in range(charts.centre.shape[1]):
                found.axes[k, i, j] = charts.axes[k, i, j, 0]
        if not 0 < row < found.since.shape[1]:
            continue
        found.since[k, row] = charts.since[k]
        for i in range(charts.centre.shape[1]):
            found.error[k, row, i] = charts.error[k, i]
            found.digits[k, row, i, 0] = charts.centre[k, i, 0]
            found.digits[k, row, i, 1] = charts.centre[k, i, 1]
        for i in range(6):
            found.numbers[k, row, i] = 0.0
