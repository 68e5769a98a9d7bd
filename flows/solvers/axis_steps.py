r"""Compiled steps of Radau IIA along the axes of a chart, whose field is data.

.. math:: Z = h (A \otimes I) F(y + Z), \qquad W = (T^{-1} \otimes I) Z, \qquad
   (\Lambda/h \otimes I - I \otimes J)\, \Delta W = (T^{-1} \otimes I) F - (\Lambda/h \otimes I) W

with the eigenvalues of `A^-1` in `Lambda`: one real system a step and a complex one for each pair
of stages, factored as long as Newton's method converges with them.

Source: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.8.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean, loop
from flows.core.arrays import EPSILON
from flows.core.plain_factors import shifted, substitute
from flows.solvers.axis_slopes import centred, doubles_know, finite, linearise, slope_at, slope_of

__all__ = ["Pace", "Tableau", "advance"]

# A step is shortened by no more than the first, lengthened by no more than the second, and is kept
# where it would grow by less than the third, so that its factors serve again.
SHRINK, GROW, KEEP = 0.2, 10.0, 1.2
# It reaches a stop that is farther than its end by no more than this.
STRETCH = 1.01
# It aims at this part of the length that just serves, less where Newton's method takes long.
SAFETY, ITERATIONS = 0.9, 6
# Newton's method converges slowly with a Jacobian that is old: it is asked for anew.
SLOW, LONG = 3e-2, 3
# Its error is this part of the error allowed in a step.
NEWTON = 1e-3
# A first guess may be off by 1e12 along steep axes, where corrections shrink at once: that they do
# so by less than this is not believed of others.
FASTEST = 1e-2
# Below this fraction of the time a step is rounding.
SMALLEST = 1e-14


class Tableau(NamedTuple):
    """Coefficients, see :func:`flows.solvers.axis_radau.tableau`."""

    nodes: Any
    real: float
    pairs: Any
    back: Any
    forth: Any
    error: Any
    dense: Any


class Pace(NamedTuple):
    """State of a piece.

    ``clock`` (3,): solver time, length of the next step or 0, and of the last one; ``errors`` (3,):
    the error of the last step or 0, the root of the part of the energy that is left, and the energy
    at the start; ``y``, ``slope`` (N,); ``ahead`` (S, N): coefficients of the last step's
    polynomial; ``rtol``, ``atol`` (N,); ``stops`` (T,): times at which steps end, of which the last
    one ends the piece; ``counts`` (2,): fields and Jacobians so far; ``near``: what doubles take.
    """

    clock: Any
    errors: Any
    y: Any
    slope: Any
    ahead: Any
    rtol: float
    atol: Any
    stops: Any
    counts: Any
    near: Any


class Work(NamedTuple):
    """Arrays of steps with S stages along N axes.

    ``registers``, ``found`` (N, 3): of the program; ``linear``, ``rest`` (R,): those of doubles;
    ``z``, ``w``, ``f`` (S, N): stages, their modes and slopes; ``inside`` and ``off`` (N,): state
    and error; ``fast`` (N,), ``turning`` (P, N): modes of a correction, real and complex;
    ``jacobian`` (N, N); ``first``, ``second`` and ``pivots``, ``others``: factors of the real and
    the complex systems.
    """

    registers: Any
    found: Any
    linear: Any
    rest: Any
    z: Any
    w: Any
    f: Any
    inside: Any
    off: Any
    fast: Any
    turning: Any
    jacobian: Any
    first: Any
    second: Any
    pivots: Any
    others: Any


@lean
def first_step(y, slope, rtol, atol):
    """A hundredth of the time in which the state changes by its own size."""
    length, speed = 0.0, 0.0
    for i in range(len(y)):
        weight = atol[i] + rtol * abs(y[i])
        length += (y[i] / weight) ** 2
        speed += (slope[i] / weight) ** 2
    return 1e-2 * math.sqrt(length / speed) if 0.0 < length < speed else 1e-2


@lean
def size_of(x, y, z, pace):
    """Root mean square of the errors, in units of the tolerances and of the energy left."""
    total = 0.0
    for i in range(len(x)):
        total += (x[i] / (pace.atol[i] + pace.rtol * max(abs(y[i]), abs(z[i])))) ** 2
    return math.sqrt(total / len(x)) / pace.errors[1]


@inner
def workspace(field, stages):
    """Arrays for steps along the axes of a field."""
    pairs = stages // 2
    n, constants = len(field.size), len(field.gradient.constants)
    registers = np.empty((n + constants + len(field.gradient.operation), 3))
    for i in range(constants):
        for j in range(3):
            registers[n + i, j] = field.gradient.constants[i, j]
    return Work(
        registers,
        np.empty((n, 3)),
        np.zeros(len(registers)),
        np.zeros(len(registers)),
        np.empty((stages, n)),
        np.empty((stages, n)),
        np.empty((stages, n)),
        np.empty(n),
        np.empty(n),
        np.empty(n),
        np.empty((pairs, n), np.complex128),
        np.empty((n, n)),
        np.empty((n, n)),
        np.empty((pairs, n, n), np.complex128),
        np.empty(n, np.int64),
        np.empty((pairs, n), np.int64),
    )


@inner
def begin(pace, field, work):
    """Slope and first step of a piece; whether the field is known there."""
    energy = slope_at(pace.clock[0], pace.y, field, work.registers, work.found, pace.slope)
    pace.counts[0] += 1
    if not finite(pace.slope):
        return False
    pace.errors[1], pace.errors[2] = 1.0, energy
    centred(field, pace.near, work)
    pace.clock[1] = first_step(pace.y, pace.slope, pace.rtol, pace.atol)
    return True


@lean
def combined(weights, rows, found):
    """Products of a matrix with rows, one after the other."""
    for k in range(len(weights)):
        for i in range(rows.shape[1]):
            total = 0.0
            for j in range(len(rows)):
                total += weights[k, j] * rows[j, i]
            found[k, i] = total


@lean
def predict(pace, tableau, length, work):
    """Stages of a step before Newton's method: the polynomial of the last step goes on."""
    z, ahead = work.z, pace.ahead
    for k in range(len(z)):
        for i in range(len(pace.y)):
            z[k, i] = 0.0
    if pace.clock[2] > 0.0:
        for k in range(len(z)):
            s = 1.0 + tableau.nodes[k] * length / pace.clock[2]
            for i in range(len(pace.y)):
                value, whole = 0.0, 0.0
                for j in range(len(ahead) - 1, -1, -1):
                    value = s * (ahead[j, i] + value)
                    whole += ahead[j, i]
                z[k, i] = value - whole
    combined(tableau.back, z, work.w)


@lean
def correct(pace, field, tableau, length, work):
    """One correction of Newton's method in `fast` and `turning`, and its size."""
    y, z, w, f, fast, turning = pace.y, work.z, work.w, work.f, work.fast, work.turning
    n, stages = len(y), len(z)
    for k in range(stages):
        for i in range(n):
            work.inside[i] = y[i] + z[k, i]
        tau = pace.clock[0] + tableau.nodes[k] * length
        slope_of(tau, work.inside, field, pace.near, work, f[k])
    pace.counts[0] += stages
    for i in range(n):
        part = 0.0
        for j in range(stages):
            part += tableau.back[0, j] * f[j, i]
        fast[i] = part - tableau.real / length * w[0, i]
    substitute(work.first, work.pivots, fast)
    for p in range(len(turning)):
        for i in range(n):
            part = 0.0j
            for j in range(stages):
                row = complex(tableau.back[2 * p + 1, j], tableau.back[2 * p + 2, j])
                part += row * f[j, i]
            both = complex(w[2 * p + 1, i], w[2 * p + 2, i])
            turning[p, i] = part - tableau.pairs[p] / length * both
        substitute(work.second[p], work.others[p], turning[p])
    total = 0.0
    for i in range(n):
        square = fast[i] ** 2
        for p in range(len(turning)):
            square += turning[p, i].real ** 2 + turning[p, i].imag ** 2
        total += square / (pace.atol[i] + pace.rtol * abs(y[i])) ** 2
    return math.sqrt(total / (stages * n)) / pace.errors[1]


@lean
def solve_stages(pace, field, tableau, length, work):
    """Newton's method for the stages: whether it converges, in how many corrections, how fast."""
    w, fast, turning = work.w, work.fast, work.turning
    tolerance = max(10 * EPSILON / (pace.rtol * pace.errors[1]), NEWTON)
    before, rate = 0.0, 0.0
    for iteration in range(ITERATIONS):
        moved = correct(pace, field, tableau, length, work)
        if not np.isfinite(moved):
            return False, iteration + 1, rate
        if iteration > 0:
            rate = moved / before
            left = ITERATIONS - iteration
            if rate >= 1.0 or rate**left / (1.0 - rate) * moved > tolerance:
                return False, iteration + 1, rate
        for i in range(len(fast)):
            w[0, i] += fast[i]
            for p in range(len(turning)):
                w[2 * p + 1, i] += turning[p, i].real
                w[2 * p + 2, i] += turning[p, i].imag
        combined(tableau.forth, w, work.z)
        believed = max(rate, FASTEST)
        if moved == 0.0 or (iteration > 0 and believed / (1.0 - believed) * moved < tolerance):
            return True, iteration + 1, rate
        before = moved
    return False, ITERATIONS, rate


@lean
def compare(slope, pace, tableau, length, work):
    """Error of a step against a formula of the order of stages that begins with this slope."""
    for i in range(len(slope)):
        drift = 0.0
        for k in range(len(work.z)):
            drift += tableau.error[k] * work.z[k, i]
        work.off[i] = slope[i] + drift / length
    substitute(work.first, work.pivots, work.off)
    return size_of(work.off, pace.y, work.inside, pace)


@lean
def error_of(pace, field, tableau, length, work, refused):
    """Error of a step to `inside`; after a refused one it is damped where the flow is stiff."""
    for i in range(len(pace.y)):
        work.inside[i] = pace.y[i] + work.z[-1, i]
    wrong = compare(pace.slope, pace, tableau, length, work)
    if refused and wrong > 1.0:
        for i in range(len(pace.y)):
            work.off[i] += pace.y[i]
        slope_of(pace.clock[0], work.off, field, pace.near, work, work.fast)
        pace.counts[0] += 1
        wrong = compare(work.fast, pace, tableau, length, work)
    return wrong


@lean
def lengthened(pace, length, wrong, iterations):
    """Factor by which the next step may be longer, given the iterations of Newton's method."""
    safety = SAFETY * (2 * ITERATIONS + 1) / (2 * ITERATIONS + iterations)
    change, power = GROW, 1.0 / (1 + len(pace.ahead))
    if wrong > 0.0:
        change = wrong**-power
        if pace.errors[0] > 0.0 and pace.clock[2] > 0.0:
            change *= min(1.0, length / pace.clock[2] * (pace.errors[0] / wrong) ** power)
    return safety * change


@lean
def accept(pace, field, tableau, tau, length, wrong, work):
    """Bring the piece forward to `tau`, with the polynomial of the step; the energy there.

    Not where plain doubles have not known the field: the step is then to be taken anew.
    """
    energy = slope_at(tau, work.inside, field, work.registers, work.found, work.fast)
    pace.counts[0] += 1
    if pace.near.known[0]:
        left = math.sqrt(min(1.0, energy / pace.errors[2]))
        if not doubles_know(tau, work.fast, field, pace.near, work, left):
            pace.near.known[0] = False
            return np.nan
    combined(tableau.dense, work.z, pace.ahead)
    pace.clock[0], pace.clock[2], pace.errors[0] = tau, length, wrong
    pace.errors[1] = math.sqrt(min(1.0, energy / pace.errors[2]))
    for i in range(len(pace.y)):
        pace.y[i], pace.slope[i] = work.inside[i], work.fast[i]
    return energy


@loop
def advance(pace, field, tableau, taus, states):
    """Take as many steps as there are rows.

    Parameters
    ----------
    pace : Pace
        State of the piece; the steps move it forward.
    field : AxisField
        The flow.
    tableau : Tableau
        Coefficients.
    taus, states : ndarray, shape (B,) and (B, N)
        Ends of the steps.

    Returns
    -------
    tuple
        Number of steps, and whether the piece goes on: not beyond its end, nor where the field is
        not known, nor with steps of no length. Here it goes no farther once its energy is outside
        of ``field.least`` and ``field.most``.
    """
    clock, work = pace.clock, workspace(field, len(tableau.nodes))
    if clock[1] == 0.0 and not begin(pace, field, work):
        return 0, False
    done, fresh, factored, refused = 0, False, 0.0, False
    while done < len(taus):
        tau, wanted = clock[0], clock[1]
        if wanted < SMALLEST * max(1e-3, abs(tau)):
            return done, False
        end = pace.stops[np.searchsorted(pace.stops, tau, side="right")]
        stops = tau + STRETCH * wanted >= end
        length = end - tau if stops else wanted
        if not fresh and factored == 0.0:
            linearise(tau, pace.y, field, work.jacobian)
            pace.counts[1] += 1
            fresh = True
        if factored != length:
            shifted(work.jacobian, tableau.real / length, work.first, work.pivots)
            for p in range(len(tableau.pairs)):
                shift = tableau.pairs[p] / length
                shifted(work.jacobian, shift, work.second[p], work.others[p])
            factored = length
        predict(pace, tableau, length, work)
        converged, iterations, rate = solve_stages(pace, field, tableau, length, work)
        if not converged:
            if fresh:
                clock[1] = length / 2
            factored = 0.0  # with a Jacobian of this place, if it was older
            continue
        wrong = error_of(pace, field, tableau, length, work, refused)
        change = lengthened(pace, length, wrong, iterations)
        if not wrong <= 1.0:
            clock[1] = length * max(SHRINK, change) if wrong < np.inf else SHRINK * length
            refused = True
            continue
        tau = end if stops else tau + length
        energy = accept(pace, field, tableau, tau, length, wrong, work)
        if clock[0] != tau:
            continue  # with two doubles
        taus[done] = clock[0]
        for i in range(len(pace.y)):
            states[done, i] = pace.y[i]
        done += 1
        refused, fresh = False, False
        change = min(GROW, change)
        if iterations > LONG and rate > SLOW:
            factored = 0.0
        elif change < KEEP:
            change = 1.0
        # A step that was cut at a stop says little of how long the next one may be.
        clock[1] = max(length * change, wanted) if stops and change >= 1.0 else length * change
        if clock[0] >= pace.stops[-1] or not finite(pace.slope):
            return done, False
        if not field.least < energy < field.most:
            return done, True
    return done, True
