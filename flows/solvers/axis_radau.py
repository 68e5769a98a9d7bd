"""Adapter of Radau for one problem whose field is data: no Python between its steps."""

from __future__ import annotations

from dataclasses import replace

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
from flows.solvers.recorded import record_batch
from flows.solvers.timed_radau import tableau

# Steps between two looks of the watch.
BATCH = 64
# Part of the tolerance that steps are asked for, as they are as long as their errors allow.
SAFE = 0.25
# Solver time after which what is done is kept, where steps fail.
KEPT = 1e-3
FAILING = "the step size became zero, or the field unknown"


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
    from flows.solvers.axis_steps import advance, begin  # Numba, where it is needed

    recorder, size = Recorder(replace(problem, watch=_at_the_end(problem.watch))), problem.y0.size
    # Between the ends of its steps the polynomial of the stages has half the order.
    end = min(float(problem.taus[-1]), field.ends)
    stops = np.unique(np.append(problem.taus[problem.taus < end], end))
    # Increments are of order one: one tolerance serves for all.
    rtol = SAFE * float(max(problem.rtol, problem.atol.max()))
    pace = begin(field, problem.tau0, problem.y0.copy(), rtol, stops)
    lane = pace.lane
    taus, states = np.empty(BATCH), np.empty((BATCH, size))
    inside = np.zeros((BATCH, 1, size))  # unused: outputs are at ends of steps
    outcome: Stop | str | None = None
    message = ""
    # Where each step is looked at, few are taken before the first look.
    most = BATCH if problem.watch is None or problem.watch.alarms is None else 1
    try:
        while outcome is None:
            began = float(lane.tau[0]), lane.u[:, 0].copy()
            done, goes_on = advance(pace, tableau(), taus[:most], states[:most])
            most = min(2 * most, BATCH)
            steps = taus[:done], states[:done], inside[:done]
            outcome, message = record_batch(recorder, began, steps, goes_on, FAILING)
    except STOPS as stop:
        outcome = status_of(stop)
    assert outcome is not None
    reached = float(lane.tau[0])
    if outcome == SOLVER_FAILED and problem.watch is not None and reached > problem.tau0 + KEPT:
        outcome, message = Stop(reached, lane.u[:, 0].copy()), ""  # another chart may go on
    fields, jacobians = (int(k) for k in pace.counts)
    stats = {"field_evaluations": fields, "jacobian_evaluations": jacobians}
    return finish(recorder, outcome, message, stats)
