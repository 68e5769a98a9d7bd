"""Adapter of Radau for one problem whose field is data: no Python between its steps."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import AxisField
from flows.core.problem import INTERRUPTED, Problem, Recorder, Solution, Stop, Watch, finish
from flows.solvers.compiled_steps import record_batch

# Steps between two looks of the watch.
BATCH = 64
FAILING = "the step size became zero, or the field unknown"


@functools.cache
def tableau() -> Any:
    r"""Coefficients of Radau IIA with three stages, from its nodes.

    Returns
    -------
    Tableau
        ``nodes``; the real eigenvalue of `A^-1` and one of the pair; ``back`` `T^-1` and ``forth``
        `T`, whose columns are the real eigenvector and the parts of the other; ``error``: weights
        of the stages in the formula of order 3 that is compared, `\hat b_0 = 1/\text{real}`;
        ``dense``: coefficients of the polynomial through start and stages, from degree 1 on.

    Source: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.8.
    """
    from flows.solvers.axis_steps import Tableau

    nodes = np.array([(4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1.0])
    degrees = np.arange(3)
    vandermonde = nodes[:, None] ** degrees
    integral = nodes[:, None] ** (degrees + 1) / (degrees + 1) @ np.linalg.inv(vandermonde)
    inverse = np.linalg.inv(integral)
    values, vectors = np.linalg.eig(inverse)
    alone, up = np.argmin(abs(values.imag)), np.argmax(values.imag)
    real, v = float(values[alone].real), vectors[:, up]
    forth = np.column_stack([vectors[:, alone].real, v.real, v.imag])
    # Of order 3: it integrates 1, x and x^2 with the field at the start weighted by 1/real.
    wanted = 1 / (degrees + 1) - (degrees == 0) / real
    embedded = np.linalg.solve(vandermonde.T, wanted)
    error = real * inverse.T @ (embedded - integral[2])
    return Tableau(
        nodes,
        real,
        complex(values[up].conj()),
        np.linalg.inv(forth),
        forth,
        error,
        np.linalg.inv(nodes[:, None] ** (degrees + 1)),
    )


def _at_the_end(watch: Watch | None) -> Watch | None:
    """Watch that asks for the last of many steps: compiled ones go no farther than an alarm."""
    if watch is None:
        return None

    def alarms(taus: Array, states: Array) -> Array:
        found = np.ones(len(taus))
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
    from flows.solvers.axis_steps import Pace, advance  # Numba, where it is needed

    recorder, size = Recorder(replace(problem, watch=_at_the_end(problem.watch))), problem.y0.size
    pace = Pace(
        clock=np.array([problem.tau0, 0.0, 0.0]),
        errors=np.zeros(1),
        y=problem.y0.copy(),
        slope=np.zeros(size),
        ahead=np.zeros((3, size)),
        rtol=problem.rtol,
        atol=problem.atol,
        end=min(float(problem.taus[-1]), field.ends),
        counts=np.zeros(2, np.int64),
    )
    taus, states, dense = np.empty(BATCH), np.empty((BATCH, size)), np.empty((BATCH, 3, size))
    outcome: Stop | str | None = None
    message = ""
    try:
        while outcome is None:
            began = float(pace.clock[0]), pace.y.copy()
            done, goes_on = advance(pace, field, tableau(), taus, states, dense)
            steps = taus[:done], states[:done], dense[:done]
            outcome, message = record_batch(recorder, began, steps, goes_on, FAILING)
    except KeyboardInterrupt:
        outcome = INTERRUPTED
    assert outcome is not None
    fields, jacobians = (int(k) for k in pace.counts)
    stats = {"field_evaluations": fields, "jacobian_evaluations": jacobians}
    return finish(recorder, outcome, message, stats)
