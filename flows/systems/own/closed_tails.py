r"""Compiled: ends of members' runs in closed form, from where the flow is linear.

Along the axes of the Hessian, from a place `c` on that two doubles tell,

.. math:: g_i(t) = g_i e^{-h_i t}, \qquad L - L_* = \sum_i \frac{g_i^2 e^{-2 h_i t}}{2 h_i}, \qquad
   y(t) = c - \sum_i q_i g_i \frac{1 - e^{-h_i t}}{h_i}

`L_*` is what this leaves of the loss there. Two doubles tell it from zero, or it is the constant
beside a sum of as many squares, none of which is a combination of others, as there are curved axes:
the rows of their Jacobian are independent then, so that the gradient vanishes nowhere near but
where all of them do.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean, loop
from flows.arithmetic.pairs import add
from flows.core.arrays import EPSILON
from flows.core.limit import FAST
from flows.systems.own.charts_of_members import run
from flows.systems.own.energy_piece import STAYS
from flows.systems.own.energy_units import UNDERFLOW
from flows.systems.own.seen_state import KNOWN, curvature_at
from flows.systems.own.sound_state import TRUSTED

__all__ = ["CURVED", "KNOWN_PART", "ROUNDED", "Tails", "look", "tails"]

# The way to the limit is this part of the state, at most, and changes the Hessian by no more than
# so many times its part of the state: the flow is linear to that.
NEAR, CURVED = 1e-11, 100.0
#: A loss above its limit is known to this part of it.
KNOWN_PART = 1e-9
#: Relative rounding of two doubles.
ROUNDED = 2.0**-104


class Tails(NamedTuple):
    """Ends of members' runs, the first axis.

    - ``found_end`` (M,): whether the end of the run is known.
    - ``first`` (M,): the output time from which on it is filled in.
    - ``limit`` (M, 3): the loss at the limit: high double, low double, error.
    - ``place`` (M, N, 2): the limit.
    - ``above`` (M, T, 2): the loss above its limit from ``first`` on, and its error.
    """

    found_end: Any
    first: Any
    limit: Any
    place: Any
    above: Any


class End(NamedTuple):
    """One end: curved axes, then what there is along each of them.

    ``axes`` (N, K), ``curvature``, ``slope``, ``error`` (K,), and ``doubt`` (1,): of curvatures.
    """

    axes: Any
    curvature: Any
    slope: Any
    error: Any
    doubt: Any


def _look(places, since, codes, value, hessian):
    """Losses in two doubles with radii, (M, 3), and Hessians at places."""
    loss, rates = codes
    n = places.shape[1]
    registers = np.zeros((n + len(loss.constants) + len(loss.operation), 3))
    there = np.zeros((n, 3))
    for k in range(len(places)):
        for i in range(n):
            there[i, 0], there[i, 1] = places[k, i, 0], places[k, i, 1]
        run(loss, there, registers)
        for part in range(3):
            value[k, part] = registers[loss.results[0], part]
        curvature_at(there, rates, since[k], hessian[k])


look: Any = loop(_look, nogil=True)


@inner
def end_of(found, k, row, h, axes, squares):
    """The end of a member at a place, whose Hessian has these eigenvalues and axes; or of no axes.

    Axes that the member has brought are nearly the same, in the same order.
    """
    n, since = len(h), found.since[k, row]
    fast = 0
    for i in range(n):
        fast += h[i] * since > FAST
    fast = fast if fast in (n, squares) else 0
    first = n - fast
    room = np.zeros((3, fast))
    end = End(np.empty((n, fast)), room[0], room[1], room[2], np.zeros(1))
    end.doubt[0] = n * EPSILON * abs(h[n - 1])
    for a in range(fast):
        end.curvature[a] = h[first + a]
        for i in range(n):
            end.axes[i, a] = axes[i, first + a]
        for j in range(n):
            overlap = 0.0
            for i in range(n):
                overlap += axes[i, first + a] * found.axes[k, i, j]
            end.slope[a] += overlap * found.slope[k, j]
            if j >= first:
                end.error[a] += abs(overlap) * found.error[k, row, j]
    return end


@lean
def state_at(end, centre, time, there, u):
    """State (N, 2) of a time after the end; how far it is."""
    square = 0.0
    for a in range(len(u)):
        h, slope = end.curvature[a], end.slope[a]
        u[a] = slope * math.expm1(-h * time) / h
        square += u[a] ** 2
    for i in range(len(centre)):
        moved = 0.0
        for a in range(len(u)):
            moved += end.axes[i, a] * u[a]
        there[i, 0], there[i, 1] = add(centre[i, 0], centre[i, 1], moved, 0.0)
    return math.sqrt(square)


@lean
def tell(end, length, time, numbers, error):
    """Put down numbers of a time after the end, as of `Seen`, where the loss is above its limit.

    What is not known of a curvature, and of its axis, changes slopes with time; ``length`` is that
    of all of them at the end.
    """
    energy, square, of_loss, off = 0.0, 0.0, 0.0, 0.0
    for a in range(len(end.slope)):
        h = end.curvature[a]
        decay = math.exp(-h * time)
        slope = end.slope[a] * decay
        far = (end.error[a] + length * end.doubt[0] * time / h) * decay
        energy += slope * (slope / h) / 2
        square += slope * slope
        of_loss += abs(slope) * far + h * far * far / 2
        off += (h * far) ** 2
        error[a] = far
    numbers[0], numbers[1], numbers[2] = energy, -square, math.sqrt(square)
    numbers[3] = math.sqrt(off / square) if square > 0.0 else np.inf
    numbers[4], numbers[5] = of_loss, 1.0


@lean
def add_limit(numbers, limit):
    """Make the numbers describe the loss itself; return whether they are known.

    The rate of an energy below `UNDERFLOW` is not known.
    """
    energy = numbers[0]
    numbers[0] = limit[0] + (limit[1] + energy)
    if not energy > UNDERFLOW:
        numbers[1] = numbers[2] = np.nan
        numbers[4] = 2 * STAYS * UNDERFLOW
        numbers[3] = limit[2] / abs(numbers[0]) if limit[0] != 0.0 else 0.0
        numbers[0] = numbers[0] if limit[0] != 0.0 else np.nan
        return True
    numbers[3] = max(numbers[3], (limit[2] + numbers[4]) / abs(numbers[0]))
    return numbers[3] <= TRUSTED


@lean
def least_loss(end, value, least, squares, rounded, energy, limit):
    """Record the loss at the limit; return whether it is known."""
    doubt = value[2]
    for a in range(len(end.slope)):
        h = end.curvature[a]
        doubt += abs(end.slope[a]) * rounded + h * rounded**2 / 2
    a, b = add(value[0], value[1], -energy, 0.0)
    beyond, rest = add(a, b, -least[0], -least[1])
    fast, n = end.axes.shape[1], end.axes.shape[0]
    if fast == squares and abs(beyond + rest) <= doubt + least[2] + TRUSTED * energy:
        for part in range(3):
            limit[part] = least[part]
        return True
    limit[0], limit[1], limit[2] = a, b, doubt + TRUSTED * energy
    return fast == n and limit[2] <= KNOWN * abs(a)


@lean
def fill(found, k, row, there, numbers, error, rounded):
    """Record the state and the numbers of an output time."""
    fast, n = len(error), len(there)
    for i in range(n):
        found.digits[k, row, i, 0], found.digits[k, row, i, 1] = there[i, 0], there[i, 1]
        found.error[k, row, i] = found.error[k, found.reached[k], i]
    for a in range(fast):
        found.error[k, row, n - fast + a] = error[a] + rounded
    for i in range(6):
        found.numbers[k, row, i] = numbers[i]


def _tails(which, found, times, curvature, axes, value, least, squares, tails):
    """Follow members to their ends in closed form.

    Parameters
    ----------
    which : ndarray of int, shape (J,)
        Members that have a place behind what they have reached.
    found : Found
        States of all members; they are filled in where an end is known.
    times : ndarray, shape (T - 1,)
        Output times after 0.
    curvature, axes, value : ndarray, shapes (J, N), (J, N, N) and (J, 3)
        Eigenvalues of the Hessian, increasing, at the last place, axes in columns, and the loss.
    least : ndarray, shape (3,)
        The constant beside a sum of squares, if the loss is one.
    squares : int
        Their number, or -1.
    tails : Tails
        To be filled.
    """
    every, n = found.since.shape[1], curvature.shape[1]
    rest, there = np.empty((every, 6)), np.zeros((every, n, 2))
    error, room = np.empty((every, n)), np.empty(n)
    for w in range(len(which)):
        k = which[w]
        first, unit = found.reached[k], found.since[k, 0]
        end = end_of(found, k, first, curvature[w], axes[w], squares)
        centre, now = found.digits[k, first], found.since[k, first]
        fast, size, square = len(end.slope), 0.0, 0.0
        for i in range(n):
            size = max(size, abs(centre[i, 0]))
        for a in range(fast):
            square += end.slope[a] ** 2
        length, u = math.sqrt(square), room[:fast]
        way = state_at(end, centre, np.inf, tails.place[k], u)
        if not (length > 0.0 and way <= NEAR * size):
            continue
        for a in range(fast):  # by how much the axes may be turned, and what the Hessian changes
            turned = n * EPSILON * length / end.curvature[a]
            end.error[a] += CURVED * way * (way / size) + turned
        tell(end, length, 0.0, rest[0], u)
        limit, energy, rounded = tails.limit[k], rest[0, 0], ROUNDED * size
        if not least_loss(end, value[w], least, squares, rounded, energy, limit):
            continue
        known = True
        for later in range(first, every):
            time = times[later - 1] - (now - unit)
            state_at(end, centre, time, there[later], u)
            tell(end, length, time, rest[later], error[later, :fast])
            tails.above[k, later, 0], tails.above[k, later, 1] = rest[later, 0], rest[later, 4]
            known = known and add_limit(rest[later], limit)
            if not rest[later, 2] > 0.0:
                tails.above[k, later, 0], tails.above[k, later, 1] = np.nan, 0.0
        if not known:
            continue
        tails.found_end[k], tails.first[k] = True, first
        for later in range(every - 1, first - 1, -1):  # the last place is behind what is reached
            fill(found, k, later, there[later], rest[later], error[later, :fast], rounded)
            found.since[k, later] = times[later - 1] + unit
        found.counts[k, 2], found.reached[k] = found.counts[k, 2] + 1, every


tails: Any = loop(_tails, nogil=True)
