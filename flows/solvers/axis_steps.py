"""Compiled steps of Radau along the axes of one chart: in plain doubles, or in two.

The steps are those of :mod:`flows.solvers.near_radau` in one lane. After each step two doubles tell
the slope; where plain ones have not known it, the step is taken anew, and others after it, with
slopes of two doubles.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean, loop
from flows.solvers.axis_slopes import finite, hessian_along, slope_at
from flows.solvers.near_flow import near_of
from flows.solvers.near_plan import plan_of
from flows.solvers.near_radau import radau_of
from flows.solvers.near_state import FAILED, GOES_ON, lanes_of, room

__all__ = ["Pace", "advance", "begin"]

# Newton's method ends at this part of the error of a step: what is left has one sign, and grows
# beside ridges, from which members of an ensemble are followed alone.
NEWTON = 1e-3
# Plain doubles serve as long as they differ from two by at most this many times the tolerance.
NOISE = 10.0


class Sure(NamedTuple):
    """A :class:`flows.solvers.near_plan.Plan`, and what two doubles take.

    ``field``: the flow; ``known`` (1,): whether plain doubles have been enough so far;
    ``registers`` (R, 3), ``found`` (N, 3): of the program; ``u``, ``slope`` (N,): a state, and the
    slope there; ``matrix`` (N, N): the Hessian at the centre.
    """

    operation: Any
    operands: Any
    results: Any
    read: Any
    first: Any
    field: Any
    known: Any
    registers: Any
    found: Any
    u: Any
    slope: Any
    matrix: Any


class Pace(NamedTuple):
    """State of a piece.

    ``lane``, ``near``, ``work``, ``program``: what steps take; ``before`` (N,): the state before a
    step; ``energy`` (1,): at the start; ``stops`` (T,): times at which steps end, of which the last
    one ends the piece; ``counts`` (2,): fields and Jacobians so far.
    """

    lane: Any
    near: Any
    work: Any
    program: Any
    before: Any
    energy: Any
    stops: Any
    counts: Any


@lean
def in_two(program, s, u):
    """Put down the slope at a state (N, 1) from two doubles; return the energy."""
    for i in range(len(program.u)):
        program.u[i] = u[i, 0]
    field, r = program.field, program.registers
    return slope_at(s, program.u, field, r, program.found, program.slope)


@lean
def exactly(near, program, s, u, out):
    """Take slopes of two doubles where plain ones do not know them."""
    if program.known[0]:
        return
    in_two(program, s[0], u)
    for i in range(len(program.u)):
        out[i, 0] = program.slope[i]


_, step_on, _, evaluate = radau_of(1, exactly, NEWTON)


@inner
def centre(near, field, program, matrix):
    """Put down a chart, from two doubles at its centre."""
    n, r = len(program.u), program.registers
    slope_at(field.since, program.u, field, r, program.found, program.slope)
    hessian_along(field.centre, field.axes, field.rates, np.arange(n), matrix)
    near.since[0], program.known[0] = field.since, True
    for k in range(len(r)):
        near.registers[k, 0, 0] = r[k, 0]
        program.known[0] = program.known[0] and math.isfinite(r[k, 0])
    for i in range(n):
        near.size[i, 0], near.unit[i, 0] = field.size[i], 1.0 / field.size[i]
        near.slope[i, 0] = program.found[i, 0] / field.size[i]
        for j in range(n):
            near.axes[i, j, 0] = field.axes[i, j, 0]
            near.matrix[i, j, 0] = matrix[i, j] * field.size[j] / field.size[i]
            program.known[0] = program.known[0] and math.isfinite(near.matrix[i, j, 0])


def begin(field, tau, y, rtol, stops):
    """State of a piece that is to begin at a time and an increment; the first step begins it."""
    n, code = len(y), field.gradient
    plan, count = plan_of(n, code), n + len(code.constants) + len(code.operation)
    registers = np.zeros((count, 3))
    registers[n : n + len(code.constants)] = code.constants
    numbers = np.ones(1, np.bool_), registers, np.zeros((n, 3)), np.zeros(n), np.zeros(n)
    program = Sure(*plan, field, *numbers, np.zeros((n, n)))
    # The functions that make the room of lanes, as Python.
    lane = lanes_of.py_func(n, 1, rtol, 1.0, np.nan)
    near, work = near_of.py_func(n, count, 1), room.py_func(n, 1)
    lane.live[0], lane.step[0], lane.tau[0] = True, 0.0, tau
    lane.least[0], lane.most[0] = 0.0, np.inf
    lane.u[:, 0] = y
    return Pace(lane, near, work, program, np.zeros(n), np.zeros(1), stops, np.zeros(2, np.int64))


@inner
def start(pace):
    """Put down the chart and the slope at the begin of a piece."""
    lane, program = pace.lane, pace.program
    field = program.field
    centre(pace.near, field, program, program.matrix)
    energy = settle(pace)
    pace.energy[0], pace.counts[0], lane.left[0] = energy, 1, 1.0
    for i in range(len(program.u)):
        lane.weight[i, 0] = field.size[i] / energy * (field.size[i] / field.floored[i]) / 2


@lean
def settle(pace):
    """Put down the slope of two doubles at the state; return the energy."""
    lane, program = pace.lane, pace.program
    evaluate(lane, pace.near, program, pace.work)
    energy = in_two(program, pace.work.clock[0], lane.u)
    for i in range(len(program.u)):
        lane.slope[i, 0] = program.slope[i]
    return energy


@lean
def doubles_know(pace, left):
    """Whether the slope in plain doubles is that of two."""
    lane, program, s = pace.lane, pace.program, pace.work.clock[0]
    for i in range(len(program.u)):
        off = abs(lane.slope[i, 0] - program.slope[i]) * program.field.size[i] / s
        if not off <= NOISE * left * program.field.allowed[i]:
            return False
    return True


@loop
def advance(pace, tableau, taus, states):
    """Take as many steps as there are rows.

    Parameters
    ----------
    pace : Pace
        State of the piece; the steps move it forward.
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
    lane, program, n, done = pace.lane, pace.program, len(pace.before), 0
    if not pace.counts[0]:
        start(pace)
    if not finite(program.slope):
        return done, False
    while done < len(taus):
        begun = lane.tau[0]
        lane.stop[0] = pace.stops[np.searchsorted(pace.stops, begun, side="right")]
        lane.outcome[0], lane.fields[0] = GOES_ON, 0
        for i in range(n):
            pace.before[i] = lane.u[i, 0]
        step_on(lane, pace.near, program, tableau, pace.work)
        pace.counts[0] += lane.fields[0] + 1
        pace.counts[1] += 1
        if lane.outcome[0] == FAILED:
            return done, False
        if lane.refused[0]:
            continue
        energy = in_two(program, pace.work.clock[0], lane.u)
        lane.left[0] = math.sqrt(min(1.0, energy / pace.energy[0]))
        if program.known[0] and not doubles_know(pace, lane.left[0]):
            program.known[0] = False
            lane.tau[0], lane.before[0], lane.error[0] = begun, 0.0, 0.0
            for i in range(n):
                lane.u[i, 0] = pace.before[i]
            settle(pace)
            continue
        taus[done] = lane.tau[0]
        for i in range(n):
            lane.slope[i, 0], states[done, i] = program.slope[i], lane.u[i, 0]
        done += 1
        if lane.tau[0] >= pace.stops[-1] or not finite(program.slope):
            return done, False
        if not program.field.least < energy < program.field.most:
            return done, True
    return done, True
