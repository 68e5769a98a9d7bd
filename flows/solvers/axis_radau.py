"""Adapter of Radau for one problem whose field is data: no Python between its steps."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import AxisField
from flows.core.problem import (
    SOLVER_FAILED,
    STOPS,
    Problem,
    Recorder,
    Solution,
    Stop,
    Watch,
    finish,
    status_of,
)
from flows.solvers.radau_tableau import tableau as collocation
from flows.solvers.recorded import record_batch

# Steps between two looks of the watch.
BATCH = 64
# Number of stages, where the order is twice it less one; digits of their nodes.
STAGES, DIGITS = 5, 30
# Solver time after which what is done is kept, where steps fail.
KEPT = 1e-3
FAILING = "the step size became zero, or the field unknown"


@functools.cache
def tableau() -> Any:
    r"""Coefficients of Radau IIA, from its nodes.

    Returns
    -------
    Tableau
        ``nodes``; the real eigenvalue of `A^-1` and one of each pair; ``back`` `T^-1` and ``forth``
        `T`, whose columns are the real eigenvector and the parts of the others; ``error``: weights
        of the stages in the formula, of the order of their number, that is compared,
        `\hat b_0 = 1/\text{real}`; ``dense``: coefficients of the polynomial through start and
        stages, from degree 1 on.

    Source: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.8.
    """
    from flows.solvers.axis_steps import Tableau

    found = collocation(STAGES, DIGITS)
    nodes = np.array([float((1 + x) / 2) for x in found.nodes])
    integral = np.array([[float(x) for x in row] for row in found.integral])
    degrees = np.arange(STAGES)
    inverse = np.linalg.inv(integral)
    values, vectors = np.linalg.eig(inverse)
    alone = int(np.argmin(abs(values.imag)))
    up = np.flatnonzero(values.imag > abs(values[alone].imag) + 0.5)
    real = float(values[alone].real)
    parts = [part for k in up for part in (vectors[:, k].real, vectors[:, k].imag)]
    forth = np.column_stack([vectors[:, alone].real, *parts])
    # Of the order of the stages: it integrates these powers with the field at the start weighted.
    vandermonde = nodes[:, None] ** degrees
    wanted = 1 / (degrees + 1) - (degrees == 0) / real
    embedded = np.linalg.solve(vandermonde.T, wanted)
    error = real * inverse.T @ (embedded - integral[-1])
    return Tableau(
        nodes,
        real,
        values[up].conj(),
        np.linalg.inv(forth),
        forth,
        error,
        np.linalg.inv(nodes[:, None] ** (degrees + 1)),
    )


def _at_the_end(watch: Watch | None) -> Watch | None:
    """Watch that asks for the last of many steps: compiled ones go no farther than an alarm.

    One that looks at all of them has its own way.
    """
    if watch is None or watch.alarms is not None:
        return watch

    def alarms(taus: Array, states: Array) -> Array:
        found = np.ones(len(taus))
        if watch.noted is not None:
            watch.noted(taus[:-1], states[:-1])
        found[-1:] = [watch.alarm(float(taus[-1]), states[-1])]
        return found

    return replace(watch, alarms=alarms)


def solve(problem: Problem, field: AxisField) -> Solution:
    """Solve ``problem`` by Radau along the axes of its chart.

    Parameters
    ----------
    problem : Problem
        What to solve.
    field : AxisField
        Its field.

    Returns
    -------
    Solution
        States at the output times; the status tells the truth about the end.
    """
    from flows.solvers.axis_slopes import Near  # Numba, where it is needed
    from flows.solvers.axis_steps import Pace, advance

    recorder, size = Recorder(replace(problem, watch=_at_the_end(problem.watch))), problem.y0.size
    # Between the ends of its steps the polynomial of the stages has half the order.
    end = min(float(problem.taus[-1]), field.ends)
    stops = np.unique(np.append(problem.taus[problem.taus < end], end))
    program = field.gradient
    registers = size + len(program.constants) + len(program.operation)
    pace = Pace(
        clock=np.array([problem.tau0, 0.0, 0.0]),
        errors=np.zeros(3),
        y=problem.y0.copy(),
        slope=np.zeros(size),
        ahead=np.zeros((STAGES, size)),
        rtol=problem.rtol,
        atol=problem.atol,
        stops=stops,
        counts=np.zeros(2, np.int64),
        near=Near(np.zeros(1, bool), np.zeros(registers), np.zeros(size), np.zeros((size, size))),
    )
    taus, states = np.empty(BATCH), np.empty((BATCH, size))
    inside = np.zeros((BATCH, 1, size))  # unused: outputs are at ends of steps
    outcome: Stop | str | None = None
    message = ""
    # Where each step is looked at, few are taken before the first look.
    most = BATCH if problem.watch is None or problem.watch.alarms is None else 1
    try:
        while outcome is None:
            began = float(pace.clock[0]), pace.y.copy()
            done, goes_on = advance(pace, field, tableau(), taus[:most], states[:most])
            most = min(2 * most, BATCH)
            steps = taus[:done], states[:done], inside[:done]
            outcome, message = record_batch(recorder, began, steps, goes_on, FAILING)
    except STOPS as stop:
        outcome = status_of(stop)
    assert outcome is not None
    reached = float(pace.clock[0])
    if outcome == SOLVER_FAILED and problem.watch is not None and reached > problem.tau0 + KEPT:
        outcome, message = Stop(reached, pace.y.copy()), ""  # another chart may go on
    fields, jacobians = (int(k) for k in pace.counts)
    stats = {"field_evaluations": fields, "jacobian_evaluations": jacobians}
    return finish(recorder, outcome, message, stats)
