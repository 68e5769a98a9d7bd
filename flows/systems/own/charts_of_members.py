"""Compiled: charts in units of energy around states of two doubles.

This is :mod:`flows.systems.own.energy` where two doubles know the gradient, for many members of an
ensemble. Where they do not, or a state is beside a saddle, it says so, and the member is followed
as a run alone.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.core.enclosed_program import UPWARD, evaluate, step, turned
from flows.systems.own.energy_units import ABOVE, FALLS, LEAST_SIZE, LINGERS
from flows.systems.own.increment import FIELD
from flows.systems.own.seen_state import curvature_at, largest_of
from flows.systems.own.units_of_members import units

__all__ = ["DOUBT", "Charts", "begin", "charts_of", "first_unit", "place", "run", "vanishes"]

# Beside a saddle of so much curvature times time two doubles have to know the displacement; where
# there is less of it they may not, as along what a symmetry keeps, and errors say so.
RISES = -1.0
# What is as good as zero falls there where others change its slope by no more than this part.
STEADY = 1e-2
# An error that is this part of what grows can be a tenth when a chart ends: runs alone tell it from
# a shift in time, which is not linear by then.
LATE = 1e-3
# The error of a slope in two doubles may be this many times the allowed one; errors state it.
DOUBT = 500.0
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
def first_unit(centre, registers, loss, rates, seen):
    """`T0` of a start, whose loss is put down, and then its Hessian; NaN where it is not known."""
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
def begin(charts, k, gradient, terms):
    """Chart `k` around its centre, as far as two doubles know it; whether they do.

    Parameters
    ----------
    charts : Charts
        Its centre, axes with curvatures and errors, and time are there; curvatures that are not
        known are NaN.
    k : int
        Which.
    gradient : ndarray, shape (N, 3)
        At the centre, in the coordinates of states.
    terms : AxisTerms
        How members are followed.
    """
    part = terms.known
    n, since = len(charts.size[k]), charts.since[k]
    h, pairs = charts.curvature[k], charts.axes[k]
    for i in range(n):
        if not abs(h[i]) < np.inf:
            return False
    found = np.empty((n, 3))
    turned(pairs, gradient, np.arange(n), found)
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
        charts.fresh[k, i] = terms.left * charts.size[k, i] + doubt[i] / charts.floored[k, i]
        if not doubt[i] <= DOUBT * charts.allowed[k, i]:
            return False
    return True


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
