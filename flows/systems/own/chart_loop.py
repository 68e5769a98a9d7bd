"""Compiled: charts in units of energy around states of two doubles, and what is seen at a state.

This is :mod:`flows.systems.own.energy` where two doubles know the gradient, for many members of an
ensemble. Where they do not, or a state is beside a saddle, it says so, and the member is followed
as a run alone.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.axis_field import AxisField
from flows.core.compiled import inner, lean
from flows.core.twofold_loop import UPWARD, defect, evaluate, step
from flows.systems.own.axes_loop import LAST_BIT, eigen, units
from flows.systems.own.carried_loop import carried, carry_of, turned
from flows.systems.own.energy import LINGERS, STIFF
from flows.systems.own.energy_units import ABOVE, FALLS, LEAST_SIZE
from flows.systems.own.increment import FIELD
from flows.systems.own.rates_loop import hessian, twofold_hessian
from flows.systems.own.sound_state import STEEP, TRUSTED

__all__ = [
    "Charts",
    "Seen",
    "begin",
    "charts_of",
    "field_of",
    "first_unit",
    "look",
    "place",
    "run",
    "seen_of",
    "tell",
    "vanishes",
]

# What is observed is known to this part of it, or the state is looked at in balls.
KNOWN = 1e-12
# Beside a saddle of so much curvature times time two doubles have to know the displacement; where
# there is less of it they may not, as along what a symmetry keeps, and errors say so.
RISES = -1.0
# What is as good as zero falls there where others change its slope by no more than this part.
STEADY = 1e-2
# An error of which rounding of the axes explains less than this part is that of the flow.
TURNS = 0.1
EPSILON = float(np.finfo(float).eps)
# An error that is this part of what grows can be a tenth when a chart ends: runs alone tell it from
# a shift in time, which is not linear by then.
LATE = 1e-3
# Doubles know a slope to this part of the root of the energy, and increments are no smaller there.
ROUNDED = 1e-14


class Charts(NamedTuple):
    """Charts by lane, the first axis: see :class:`flows.core.axis_field.AxisField`, `Errors`.

    ``slope`` (lanes, N), ``energy`` and ``since`` (lanes,) are those at the centre.
    """

    centre: Any
    axes: Any
    curvature: Any
    floored: Any
    size: Any
    allowed: Any
    error: Any
    fresh: Any
    slope: Any
    energy: Any
    since: Any


class Seen(NamedTuple):
    """What is seen at a state: errors and axes, curvatures there, and loss, length of the gradient.

    ``numbers`` (6,): loss, minus the square of the gradient's length, its length, the largest
    relative error, the error of the loss by those of the state, and 1 where all this is known.
    ``carry``, ``matrix``, ``turns`` (N, N), ``along`` (N,): room.
    """

    hessian: Any
    curvature: Any
    axes: Any
    error: Any
    gradient: Any
    numbers: Any
    carry: Any
    matrix: Any
    turns: Any
    along: Any


@inner
def charts_of(lanes, n):
    """Room for charts."""
    return Charts(
        np.zeros((lanes, n, 3)),
        np.zeros((lanes, n, n, 2)),
        np.zeros((lanes, n)),
        np.zeros((lanes, n)),
        np.zeros((lanes, n)),
        np.zeros((lanes, n)),
        np.zeros((lanes, n)),
        np.zeros((lanes, n)),
        np.zeros((lanes, n)),
        np.zeros(lanes),
        np.zeros(lanes),
    )


@inner
def seen_of(n):
    """Room for what is seen."""
    return Seen(
        np.zeros((n, n)),
        np.zeros(n),
        np.zeros((n, n)),
        np.zeros(n),
        np.zeros((n, 3)),
        np.zeros(6),
        carry_of(n, 1),
        np.zeros((n, n)),
        np.zeros((n, n)),
        np.zeros(n),
    )


@lean
def constants_in(code, n, registers):
    """Put constants behind the variables."""
    for k in range(len(code.constants)):
        for part in range(3):
            registers[n + k, part] = code.constants[k, part]


@lean
def run(code, place, registers):
    """Carry out a program at a place."""
    n = len(place)
    first = n + len(code.constants)
    for i in range(n):
        for part in range(3):
            registers[i, part] = place[i, part]
    constants_in(code, n, registers)
    for k in range(len(code.operation)):
        x, y = code.operands[k, 0], code.operands[k, 1]
        high, low, off = step(
            code.operation[k],
            registers[x, 0],
            registers[x, 1],
            registers[x, 2],
            registers[y, 0],
            registers[y, 1],
            registers[y, 2],
        )
        registers[first + k, 0], registers[first + k, 1] = high, low
        registers[first + k, 2] = UPWARD * off


@lean
def largest_of(matrix):
    """Largest entry of a matrix, NaN or infinite where one is."""
    found = 0.0
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            found = max(found, abs(matrix[i, j])) if abs(matrix[i, j]) < np.inf else np.nan
            if not found < np.inf:
                return found
    return found


@inner
def curvature_at(centre, rates, since, found):
    """Hessian at a state of two doubles, rounded, from two where one has too few digits."""
    n, rounded = len(centre), np.empty(len(centre))
    for i in range(n):
        rounded[i] = centre[i, 0] + centre[i, 1]
    hessian(rounded, rates.operation, rates.operands, rates.constants, rates.results, found)
    if not since * largest_of(found) < STIFF:
        pairs, both = np.empty((n, 2)), np.empty((n, n, 2))
        for i in range(n):
            pairs[i, 0], pairs[i, 1] = centre[i, 0], centre[i, 1]
        twofold_hessian(
            pairs, rates.operation, rates.operands, rates.constants, rates.results, both
        )
        for i in range(n):
            for j in range(n):
                found[i, j] = both[i, j, 0] + both[i, j, 1]
    for i in range(n):
        for j in range(i):
            found[i, j] = found[j, i] = (found[i, j] + found[j, i]) / 2


@lean
def first_unit(centre, registers, loss, rates, seen):
    """`T0` of a start, whose loss and Hessian are put down; NaN where they are not known."""
    n = len(centre)
    size, steep = 0.0, 0.0
    for i in range(n):
        size = max(size, abs(centre[i, 0]))
        steep = max(steep, abs(registers[loss.results[1 + i], 0]))
    curvature_at(centre, rates, 0.0, seen.hessian)
    size = size if size > LEAST_SIZE else 1.0
    rate = largest_of(seen.hessian) + steep / size
    if not np.isfinite(rate) or not np.isfinite(registers[loss.results[0], 2]):
        return np.nan
    return 1.0 / rate if rate > 1e-200 else 1.0


@lean
def known_axes(seen):
    """Whether axes have been seen."""
    return seen.axes[0, 0] == seen.axes[0, 0]


@lean
def vanishes(loss, registers, n, short):
    """Whether something reaches zero, that is as good as there and must not, as the program says.

    Behind loss and gradient are squares, then for each what a fall to zero has to exceed, and
    how fast it falls: see :class:`flows.core.axis_field.Code`.
    """
    r, count = loss.results, (len(loss.results) - 1 - n) // 3
    most = 0.0
    for i in range(count):
        most = max(most, registers[r[1 + n + i], 0])
    for i in range(count):
        square = registers[r[1 + n + i], 0] + registers[r[1 + n + i], 2]
        if not square > short * most:
            others, pull = (
                registers[r[1 + n + count + i], 0],
                registers[r[1 + n + 2 * count + i], 0],
            )
            # What underflows is taken to fall.
            if pull > 0.0 and not math.sqrt(others) * square**1.5 > STEADY * pull**2:
                return True
    return False


@inner
def begin(charts, k, gradient, seen, terms, registers):
    """Chart `k` around its centre, whose Hessian and axes have been seen; whether it is known.

    Parameters
    ----------
    charts : Charts
        Its centre and time are there.
    k : int
        Which.
    gradient : Code
        Of the loss.
    seen : Seen
        At the centre.
    terms : AxisTerms
        How members are followed.
    registers : ndarray, shape (R, 3)
        Room.
    """
    part = terms.known
    n, since = len(charts.size[k]), charts.since[k]
    h, axes, pairs = charts.curvature[k], seen.axes, charts.axes[k]
    for i in range(n):
        h[i], charts.error[k, i] = seen.curvature[i], seen.error[i]
    if not known_axes(seen):
        return False
    lacks, still, ones, found = np.empty((n, n)), np.zeros(n), np.ones(n), np.empty((n, 3))
    defect(axes, lacks)
    change = np.empty(n)
    for i in range(n):
        for j in range(n):
            change[j] = 0.0
        for m in range(n):
            for j in range(n):
                change[j] += axes[i, m] * lacks[m, j] / 2
        for j in range(n):
            high = axes[i, j] + change[j]
            pairs[i, j, 0], pairs[i, j, 1] = high, change[j] - (high - axes[i, j])
    constants_in(gradient, n, registers)
    evaluate(
        still,
        ones,
        charts.centre[k],
        pairs,
        gradient.operation,
        gradient.operands,
        gradient.results,
        registers,
        found,
    )
    slope, doubt, energy = charts.slope[k], found[:, 2], 0.0
    known = 0.0
    for i in range(n):
        slope[i] = found[i, 0]
        charts.floored[k, i] = max(abs(h[i]), 1.0 / since)
        energy += slope[i] * (slope[i] / charts.floored[k, i]) / 2
        known += doubt[i] * (doubt[i] / charts.floored[k, i])
        if h[i] * since < RISES and not abs(slope[i]) > ABOVE * doubt[i]:
            return False
    charts.energy[k] = energy
    for i in range(n):  # to which side it leaves, or when, will hardly be known
        if h[i] * since < RISES and not -h[i] * charts.error[k, i] ** 2 <= 2 * LATE**2 * energy:
            return False
    if h[0] * since <= -LINGERS and not slope[0] * (slope[0] / charts.floored[k, 0]) >= energy:
        return False
    if not (0.0 < energy < np.inf and known <= 2 * FIELD * energy):
        return False
    units(slope, doubt, h, since, charts.size[k])
    for i in range(n):
        if FALLS > h[i] * since >= RISES:
            least = min(1.0, ROUNDED / part) * math.sqrt(2 * energy / charts.floored[k, i])
            charts.size[k, i] = max(charts.size[k, i], least)
        charts.allowed[k, i] = part * charts.floored[k, i] * charts.size[k, i] / 2
        charts.fresh[k, i] = terms.left * charts.size[k, i]
        if not doubt[i] <= charts.allowed[k, i]:
            return False
    return True


@inner
def field_of(charts, k, gradient, rates):
    """The flow of a chart as data."""
    return AxisField(
        gradient,
        rates,
        charts.centre[k],
        charts.axes[k],
        charts.size[k],
        charts.floored[k],
        charts.allowed[k],
        charts.since[k],
        0.0,
        np.inf,
        np.inf,
    )


@lean
def place(charts, k, u, loss, registers, slopes, there):
    """State of an increment in `there` (N, 3), gradient along the axes in `slopes`.

    The registers of the loss there are what :func:`look` takes.
    """
    n = len(u)
    constants_in(loss, n, registers)
    evaluate(
        u,
        charts.size[k],
        charts.centre[k],
        charts.axes[k],
        loss.operation,
        loss.operands,
        loss.results[1:],
        registers,
        slopes,
    )
    for i in range(n):
        there[i, 0], there[i, 1], there[i, 2] = registers[i, 0], registers[i, 1], 0.0


@lean
def look(charts, k, there, since, anew, registers, loss, rates, rough, seen):
    """See a state: axes and errors that a chart has carried there, loss and gradient with errors.

    At a start, whose time is that of its chart, there are no errors. Where they are more than the
    part `rough` of the energy, axes with more digits may know better.
    """
    n, numbers = len(there), seen.numbers
    curvature_at(there, rates, since, seen.hessian)
    for i in range(5):
        numbers[i] = np.nan
    numbers[5] = 0.0
    if not largest_of(seen.hessian) < np.inf:
        seen.axes[0, 0] = np.nan
        return
    if since > charts.since[k]:
        h, axes = seen.curvature, seen.axes
        turned(charts.axes[k], seen.hessian, seen.matrix, h, seen.turns, axes, seen.carry)
    else:
        for i in range(n):
            seen.error[i] = 0.0
            for j in range(n):
                seen.matrix[i, j] = seen.hessian[i, j]
        eigen(seen.matrix, seen.curvature, seen.axes, LAST_BIT)
    along, doubt, size = seen.along, 0.0, 0.0
    for i in range(n):
        for part in range(3):
            seen.gradient[i, part] = registers[loss.results[1 + i], part]
        size = max(size, abs(seen.gradient[i, 0]))
    size = size if size > 0.0 else 1.0
    for i in range(n):
        doubt += (seen.gradient[i, 2] / size) ** 2
        along[i] = 0.0
        for j in range(n):
            along[i] += seen.axes[j, i] * seen.gradient[j, 0]
    if since > charts.since[k]:
        carried(
            charts.curvature[k],
            charts.error[k],
            charts.fresh[k],
            charts.slope[k],
            charts.since[k],
            along,
            since,
            anew,
            seen.carry,
            seen.error,
        )
    value, radius = registers[loss.results[0], 0], registers[loss.results[0], 2]
    tell(seen, along, value, radius, size * math.sqrt(doubt), since, rough, KNOWN)


@lean
def tell(seen, along, value, radius, doubt, since, rough, enough):
    """Put numbers down, of a gradient along the axes that are seen, a loss, and their radii.

    These serve where they are the part `enough` of both, at most.
    """
    size, numbers = 0.0, seen.numbers
    for i in range(len(along)):
        size = max(size, abs(along[i]))
    size = size if size > 0.0 else 1.0
    square, of_loss, turned, energy = 0.0, 0.0, 0.0, 0.0
    for i in range(len(along)):
        curved, far = abs(seen.curvature[i]), seen.error[i]
        square += (along[i] / size) ** 2
        of_loss += abs(along[i]) * far + curved * far**2 / 2
        turned += (curved * far / size) ** 2
        energy += along[i] * (along[i] / max(curved, 1.0 / since)) / 2
    length, off = size * math.sqrt(square), doubt + size * math.sqrt(turned)
    numbers[0], numbers[2] = value, length
    numbers[1] = -(length**2) if length < STEEP else np.nan
    numbers[4] = of_loss
    wrong = radius + of_loss
    sharp = radius <= enough * abs(value) and doubt <= enough * length
    trusted = wrong <= TRUSTED * abs(value) and off <= TRUSTED * length
    numbers[3] = max(wrong / abs(value), off / length) if value != 0.0 and length > 0.0 else np.nan
    if sharp and trusted and numbers[3] >= 0.0:
        turns = of_loss > rough * energy and not of_loss * TURNS > of_axes(seen, along)
        numbers[5] = 0.0 if turns else 1.0


@lean
def of_axes(seen, along):
    r"""Part of the error of a loss that rounding of the axes may be the reason of.

    Axis `i` turns towards `j` by `\epsilon |h| / |h_i - h_j|`: then the slope along it has a part
    of the other one, and so does the error.
    """
    h, far, n, steep, total = seen.curvature, seen.error, len(along), 0.0, 0.0
    for i in range(n):
        steep = max(steep, abs(h[i]))
    for i in range(n):
        slope, turned = 0.0, 0.0
        for j in range(n):
            if j != i:
                gap = abs(h[i] - h[j])
                angle = min(1.0, n * EPSILON * steep / gap) if gap > 0.0 else 1.0
                slope += angle * abs(along[j])
                turned += angle * far[j]
        total += abs(along[i]) * turned + slope * (far[i] + turned)
        total += abs(h[i]) * turned * (far[i] + turned / 2)
    return total
