r"""Compiled steps of Radau IIA along the axes of charts, for several members side by side.

The formulas are those of :mod:`flows.solvers.axis_steps`, which explains them; here time itself is
the variable, in which the field of a chart is autonomous, each step has a Jacobian of its own, and
the innermost loop of everything runs over lanes. What happens in one does not change a bit in
another: Newton's method goes on until all have converged, those that have stay. Complex numbers are
pairs of arrays. Matrices are factored without pivots: along any axes, whatever their units, the
pivots of a Hessian are those of a symmetric matrix, definite but where the loss curves downward,
which the length of steps follows.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner
from flows.solvers.axis_radau import STAGES
from flows.solvers.axis_steps import (
    EPSILON,
    GROW,
    ITERATIONS,
    SAFETY,
    SHRINK,
    SMALLEST,
    STRETCH,
)
from flows.solvers.near_lanes import LANES, field, jacobian

__all__ = [
    "CHANGED",
    "FAILED",
    "GOES_ON",
    "SHORT",
    "STOPPED",
    "Lane",
    "evaluate",
    "is_short",
    "lanes_of",
    "room",
    "set_steps",
    "step_on",
    "within",
]

PAIRS = STAGES // 2
# Newton's error is this part of what a step may leave: all lanes wait for the slowest one.
NEWTON = 1e-3
# A member that takes more fields is not for steps of many. Each attempt takes some, whatever the
# numbers are, also NaN: so this bounds all loops.
MOST_FIELDS = 50_000
#: What became of a lane: it goes on, stands at its stop, has left its energies, has failed, or has
#: something that is as good as zero.
GOES_ON, STOPPED, CHANGED, FAILED, SHORT = range(5)


class Lane(NamedTuple):
    """Where the charts stand; the last axis is that of the lanes.

    ``live``: whether there is a member; ``outcome``: what became of it; ``tau``, ``u`` (N, lanes),
    ``slope`` (N, lanes): time since the chart's begin in units of `s_0`, increment, its slope;
    ``stop``: where a step ends; ``step``, ``before``: lengths of the next step and of the last one,
    0 where there is none; ``error``: that of the last step; ``refused``: whether the last attempt
    was; ``ahead`` (S, N, lanes): coefficients of the last step's polynomial; ``rtol``; ``weight``
    (N, lanes): of squares of slopes over `s_0^2` in the energy, whose sum is 1 at the start;
    ``left``: root of the part of the energy that is left; ``least``, ``most``: between which a
    chart goes on; ``short`` (1,): where a square that must not vanish is this part of the largest,
    a lane is looked at; ``steps``, ``fields``.
    """

    live: Any
    outcome: Any
    tau: Any
    u: Any
    slope: Any
    stop: Any
    step: Any
    before: Any
    error: Any
    refused: Any
    ahead: Any
    rtol: Any
    weight: Any
    left: Any
    least: Any
    most: Any
    short: Any
    steps: Any
    fields: Any


class Room(NamedTuple):
    """Room for steps of N axes."""

    jacobian: Any
    real: Any
    turning: Any
    z: Any
    w: Any
    f: Any
    inside: Any
    off: Any
    change: Any
    length: Any
    last: Any
    active: Any
    converged: Any
    moved: Any
    rate: Any
    wrong: Any
    iterations: Any


@inner
def lanes_of(n, rtol, reach, short):
    """Lanes without members."""
    return Lane(
        np.zeros(LANES, np.bool_),
        np.zeros(LANES, np.int64),
        np.zeros(LANES),
        np.zeros((n, LANES)),
        np.zeros((n, LANES)),
        np.ones(LANES),
        np.ones(LANES),
        np.zeros(LANES),
        np.zeros(LANES),
        np.zeros(LANES, np.bool_),
        np.zeros((STAGES, n, LANES)),
        np.full(LANES, rtol),
        np.zeros((n, LANES)),
        np.ones(LANES),
        np.full(LANES, math.sqrt(1.0 / reach)),
        np.full(LANES, math.sqrt(reach)),
        np.full(1, short),
        np.zeros(LANES, np.int64),
        np.zeros(LANES, np.int64),
    )


@inner
def room(n):
    """Room for steps."""
    return Room(
        np.zeros((n, n, LANES)),
        np.zeros((n, n, LANES)),
        np.zeros((PAIRS, 2, n, n, LANES)),
        np.zeros((STAGES, n, LANES)),
        np.zeros((STAGES, n, LANES)),
        np.zeros((STAGES, n, LANES)),
        np.zeros((n, LANES)),
        np.zeros((n, LANES)),
        np.zeros((STAGES, n, LANES)),
        np.zeros(LANES),
        np.zeros(LANES, np.bool_),
        np.zeros(LANES, np.bool_),
        np.zeros(LANES, np.bool_),
        np.zeros(LANES),
        np.zeros(LANES),
        np.zeros(LANES),
        np.zeros(LANES, np.int64),
    )


@inner
def set_steps(lane, work):
    """Lengths of this attempt; that of a lane without a member is 1."""
    for e in range(len(lane.live)):
        if not lane.live[e]:
            work.length[e] = 1.0
            continue
        if lane.step[e] == 0.0:
            # A hundredth of the time in which the state changes by its own size.
            length, speed = 0.0, 0.0
            for i in range(len(lane.u)):
                weight = 1.0 + abs(lane.u[i, e])
                length += (lane.u[i, e] / weight) ** 2
                speed += (lane.slope[i, e] / weight) ** 2
            lane.step[e] = 1e-2 * math.sqrt(length / speed) if 0.0 < length < speed else 1e-2
        work.last[e] = lane.tau[e] + STRETCH * lane.step[e] >= lane.stop[e]
        work.length[e] = lane.stop[e] - lane.tau[e] if work.last[e] else lane.step[e]


@inner
def factor(matrix):
    """Factors of the matrices, in their place; no rows are exchanged."""
    for k in range(len(matrix)):
        for i in range(k + 1, len(matrix)):
            for e in range(LANES):
                matrix[i, k, e] /= matrix[k, k, e]
            for j in range(k + 1, len(matrix)):
                for e in range(LANES):
                    matrix[i, j, e] -= matrix[i, k, e] * matrix[k, j, e]


@inner
def substitute(matrix, x):
    """Solve with the factors of the matrices, in place."""
    n = len(matrix)
    for i in range(n):
        for j in range(i):
            for e in range(LANES):
                x[i, e] -= matrix[i, j, e] * x[j, e]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            for e in range(LANES):
                x[i, e] -= matrix[i, j, e] * x[j, e]
        for e in range(LANES):
            x[i, e] /= matrix[i, i, e]


@inner
def divided(a, b, c, d):
    """Quotient of the complex numbers `a + ib` and `c + id`."""
    square = c * c + d * d
    return (a * c + b * d) / square, (b * c - a * d) / square


@inner
def factor_both(matrix):
    """Factors of complex matrices (2, N, N, lanes), in their place."""
    real, other = matrix[0], matrix[1]
    n = len(real)
    for k in range(n):
        for i in range(k + 1, n):
            for e in range(LANES):
                real[i, k, e], other[i, k, e] = divided(
                    real[i, k, e], other[i, k, e], real[k, k, e], other[k, k, e]
                )
            for j in range(k + 1, n):
                for e in range(LANES):
                    a, b, c, d = real[i, k, e], other[i, k, e], real[k, j, e], other[k, j, e]
                    real[i, j, e] -= a * c - b * d
                    other[i, j, e] -= a * d + b * c


@inner
def take(matrix, i, j, x, y):
    """Take the product of an entry and the unknown `j` from the unknown `i`."""
    for e in range(LANES):
        a, b, c, d = matrix[0, i, j, e], matrix[1, i, j, e], x[j, e], y[j, e]
        x[i, e] -= a * c - b * d
        y[i, e] -= a * d + b * c


@inner
def substitute_both(matrix, x, y):
    """Solve with the factors of complex matrices for `x + iy`, in place."""
    n = len(x)
    for i in range(n):
        for j in range(i):
            take(matrix, i, j, x, y)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            take(matrix, i, j, x, y)
        for e in range(LANES):
            x[i, e], y[i, e] = divided(x[i, e], y[i, e], matrix[0, i, i, e], matrix[1, i, i, e])


@inner
def combined(weights, rows, found):
    """Products of a matrix with rows (S, N, lanes), one after the other."""
    for k in range(len(weights)):
        for i in range(rows.shape[1]):
            for e in range(LANES):
                found[k, i, e] = weights[k, 0] * rows[0, i, e]
            for j in range(1, len(rows)):
                for e in range(LANES):
                    found[k, i, e] += weights[k, j] * rows[j, i, e]


@inner
def evaluate(lane, near, program, work):
    """Slopes where the lanes stand, with their registers; and what is left of the energies."""
    field(near, program, near.since, lane.u, lane.slope)
    for e in range(LANES):
        energy = 0.0
        for i in range(len(lane.u)):
            energy += lane.weight[i, e] * (lane.slope[i, e] / near.since[e]) ** 2
        lane.left[e] = math.sqrt(energy)


@inner
def linearise(lane, near, program, tableau, work):
    """Factors of the matrices of a step from where the lanes stand."""
    n, turned = len(lane.u), work.jacobian
    jacobian(near, program, near.since, turned)
    for i in range(n):
        for j in range(n):
            for e in range(LANES):
                work.real[i, j, e] = -turned[i, j, e]
            for p in range(PAIRS):
                for e in range(LANES):
                    work.turning[p, 0, i, j, e] = -turned[i, j, e]
                    work.turning[p, 1, i, j, e] = 0.0
        for e in range(LANES):
            work.real[i, i, e] += tableau.real / work.length[e]
        for p in range(PAIRS):
            for e in range(LANES):
                work.turning[p, 0, i, i, e] += tableau.pairs[p].real / work.length[e]
                work.turning[p, 1, i, i, e] = tableau.pairs[p].imag / work.length[e]
    factor(work.real)
    for p in range(PAIRS):
        factor_both(work.turning[p])


@inner
def predict(lane, tableau, work):
    """Stages of a step before Newton's method: the polynomial of the last step goes on."""
    ahead = lane.ahead
    for k in range(STAGES):
        for i in range(len(lane.u)):
            for e in range(LANES):
                goes_on = lane.before[e] > 0.0
                before = lane.before[e] if goes_on else 1.0
                s = 1.0 + tableau.nodes[k] * work.length[e] / before
                # In a new chart there is no step behind, but a slope.
                first = tableau.nodes[k] * work.length[e] * lane.slope[i, e]
                value, whole = 0.0, 0.0
                for j in range(STAGES - 1, -1, -1):
                    value = s * (ahead[j, i, e] + value)
                    whole += ahead[j, i, e]
                work.z[k, i, e] = value - whole if goes_on else first
    combined(tableau.back, work.z, work.w)


@inner
def correct(lane, near, program, tableau, work):
    """One correction of Newton's method in `change`, and its sizes in `moved`."""
    n, change, length = len(lane.u), work.change, work.length
    for k in range(STAGES):
        for i in range(n):
            for e in range(LANES):
                work.inside[i, e] = lane.u[i, e] + work.z[k, i, e]
        field(near, program, near.since, work.inside, work.f[k])
    combined(tableau.back, work.f, change)
    for i in range(n):
        for e in range(LANES):
            change[0, i, e] -= tableau.real / length[e] * work.w[0, i, e]
        for p in range(PAIRS):
            x, y = 2 * p + 1, 2 * p + 2
            a, b = tableau.pairs[p].real, tableau.pairs[p].imag
            for e in range(LANES):
                v, w = work.w[x, i, e], work.w[y, i, e]
                change[x, i, e] -= (a * v - b * w) / length[e]
                change[y, i, e] -= (a * w + b * v) / length[e]
    substitute(work.real, change[0])
    for p in range(PAIRS):
        substitute_both(work.turning[p], change[2 * p + 1], change[2 * p + 2])
    for e in range(LANES):
        work.moved[e] = 0.0
    for i in range(n):
        for k in range(STAGES):
            for e in range(LANES):
                weight = lane.rtol[e] * (1.0 + abs(lane.u[i, e]))
                work.moved[e] += (change[k, i, e] / weight) ** 2
    for e in range(LANES):
        left = min(1.0, lane.left[e])
        work.moved[e] = math.sqrt(work.moved[e] / (STAGES * n)) / left


@inner
def solve_stages(lane, near, program, tableau, work):
    """Newton's method for the stages: which lanes have converged, in how many corrections."""
    before = np.zeros(LANES)
    for e in range(len(lane.live)):
        work.active[e], work.converged[e] = lane.live[e], False
        work.iterations[e], work.rate[e] = 0, 0.0
    for iteration in range(ITERATIONS):
        correct(lane, near, program, tableau, work)
        going = False
        for e in range(len(lane.live)):
            if not work.active[e]:
                continue
            moved, rate = work.moved[e], 0.0
            tolerance = max(10 * EPSILON / (lane.rtol[e] * min(1.0, lane.left[e])), NEWTON)
            lane.fields[e] += STAGES
            work.iterations[e] = iteration + 1
            if iteration > 0:
                rate = moved / before[e]
                left = ITERATIONS - iteration
                if rate >= 1.0 or rate**left / (1.0 - rate) * moved > tolerance:
                    work.active[e] = False
            if not np.isfinite(moved):
                work.active[e] = False
            if not work.active[e]:
                continue
            for k in range(STAGES):
                for i in range(len(lane.u)):
                    work.w[k, i, e] += work.change[k, i, e]
            before[e] = moved
            if moved == 0.0 or (iteration > 0 and rate / (1.0 - rate) * moved < tolerance):
                work.active[e], work.converged[e] = False, True
            going = going or work.active[e]
        combined(tableau.forth, work.w, work.z)
        if not going:
            return


@inner
def compare(slope, lane, tableau, work, found):
    """Errors of steps against a formula of the order of stages that begins with these slopes."""
    n, off = len(lane.u), work.off
    for i in range(n):
        for e in range(LANES):
            off[i, e] = 0.0
        for k in range(STAGES):
            for e in range(LANES):
                off[i, e] += tableau.error[k] * work.z[k, i, e]
        for e in range(LANES):
            off[i, e] = slope[i, e] + off[i, e] / work.length[e]
    substitute(work.real, off)
    for e in range(LANES):
        total = 0.0
        for i in range(n):
            larger = max(abs(lane.u[i, e]), abs(lane.u[i, e] + work.z[STAGES - 1, i, e]))
            total += (off[i, e] / (lane.rtol[e] * (1.0 + larger))) ** 2
        found[e] = math.sqrt(total / n) / min(1.0, lane.left[e])


@inner
def judge(lane, near, program, tableau, work):
    """Errors of steps in `wrong`; after a refused one they are damped where the flow is stiff."""
    compare(lane.slope, lane, tableau, work, work.wrong)
    again = False
    for e in range(LANES):
        again = again or (lane.live[e] and lane.refused[e] and work.wrong[e] > 1.0)
    if not again:
        return
    for i in range(len(lane.u)):
        for e in range(LANES):
            work.inside[i, e] = lane.u[i, e] + work.off[i, e]
    field(near, program, near.since, work.inside, work.f[0])
    compare(work.f[0], lane, tableau, work, work.moved)
    for e in range(LANES):
        if lane.refused[e] and work.wrong[e] > 1.0:
            work.wrong[e] = work.moved[e]


@inner
def conclude(lane, tableau, work):
    """Accept or refuse the attempts, and choose the lengths of the next ones."""
    n = len(lane.u)
    for e in range(len(lane.live)):
        if not lane.live[e]:
            continue
        length, wrong, wanted = work.length[e], work.wrong[e], lane.step[e]
        if not work.converged[e]:
            lane.step[e], lane.refused[e] = length / 2, True
        else:
            safety = SAFETY * (2 * ITERATIONS + 1) / (2 * ITERATIONS + work.iterations[e])
            change, power = GROW, 1.0 / (1 + STAGES)
            if wrong > 0.0:
                change = wrong**-power
                if lane.error[e] > 0.0 and lane.before[e] > 0.0:
                    slower = length / lane.before[e] * (lane.error[e] / wrong) ** power
                    change *= min(1.0, slower)
            change *= safety
            if not wrong <= 1.0:
                lane.step[e] = length * max(SHRINK, change) if wrong < np.inf else SHRINK * length
                lane.refused[e] = True
            else:
                lane.refused[e] = False
                lane.steps[e] += 1
                began = lane.tau[e]
                lane.tau[e] = lane.stop[e] if work.last[e] else began + length
                lane.before[e], lane.error[e] = length, wrong
                for i in range(n):
                    lane.u[i, e] += work.z[STAGES - 1, i, e]
                    for k in range(STAGES):
                        total = 0.0
                        for j in range(STAGES):
                            total += tableau.dense[k, j] * work.z[j, i, e]
                        lane.ahead[k, i, e] = total
                # What falls like a power of time takes longer with time.
                change = min(GROW, change) * ((1.0 + lane.tau[e]) / (1.0 + began))
                lane.step[e] = length * change
                if work.last[e]:
                    lane.outcome[e] = STOPPED
                    # A step that was cut says little of how long the next one may be.
                    if change >= 1.0:
                        lane.step[e] = max(lane.step[e], wanted)
        least = SMALLEST * max(1e-3, abs(lane.tau[e]))
        if not lane.step[e] >= least or lane.fields[e] > MOST_FIELDS:
            lane.outcome[e] = FAILED


@inner
def is_short(near, program, n, short, e):
    """Whether in a lane something is as good as zero that must not be."""
    least, most, r = np.inf, 0.0, near.registers
    for k in range(n, len(program.results)):
        of_square = program.results[k]
        square = r[of_square, 0, e] + r[of_square, 1, e] + r[of_square, 2, e]
        least, most = min(least, square), max(most, square)
    return least <= short * most


@inner
def step_on(lane, near, program, tableau, work):
    """Try a step in every lane, whose slopes have been evaluated where they stand; there also now.

    Each attempt takes fields, of which `MOST_FIELDS` are the last.
    """
    set_steps(lane, work)
    linearise(lane, near, program, tableau, work)
    predict(lane, tableau, work)
    solve_stages(lane, near, program, tableau, work)
    judge(lane, near, program, tableau, work)
    conclude(lane, tableau, work)
    evaluate(lane, near, program, work)
    for e in range(len(lane.live)):
        if not lane.live[e]:
            continue
        lane.fields[e] += 1
        changed = not lane.least[e] < lane.left[e] < lane.most[e]
        if changed and lane.outcome[e] in (GOES_ON, STOPPED):
            lane.outcome[e] = CHANGED
        if lane.outcome[e] == GOES_ON and is_short(near, program, len(lane.u), lane.short[0], e):
            lane.outcome[e] = SHORT


@inner
def within(lane, part, e, found):
    """Increment `found` (N,) at a part of the last step, by the polynomial of its stages."""
    for i in range(len(found)):
        value, whole = 0.0, 0.0
        for j in range(STAGES - 1, -1, -1):
            value = part * (lane.ahead[j, i, e] + value)
            whole += lane.ahead[j, i, e]
        found[i] = lane.u[i, e] + (value - whole)
