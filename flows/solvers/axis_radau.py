"""Adapter of Radau for one problem whose field is data: no Python between its steps."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from flows.core.axis_field import AxisField
from flows.core.problem import (
    BREAKDOWNS,
    INTERRUPTED,
    SOLVER_FAILED,
    Problem,
    Recorder,
    Solution,
    Stop,
    finish,
)
from flows.solvers.rodas_recorder import accept_steps

# Steps between two looks of the watch.
BATCH = 64


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

    recorder, size = Recorder(problem), problem.y0.size
    pace = Pace(
        clock=np.array([problem.tau0, 0.0, 0.0]),
        errors=np.zeros(1),
        y=problem.y0.copy(),
        slope=np.zeros(size),
        ahead=np.zeros((3, size)),
        rtol=problem.rtol,
        atol=problem.atol,
        end=float(problem.taus[-1]),
        counts=np.zeros(2, np.int64),
    )
    taus, states, dense = np.empty(BATCH), np.empty((BATCH, size)), np.empty((BATCH, 3, size))
    outcome: Stop | str | None = None
    message = ""
    try:
        while outcome is None:
            tau, y = float(pace.clock[0]), pace.y.copy()
            done, goes_on = advance(pace, field, tableau(), taus, states, dense)
            if done:
                # Copies: what is recorded must not be overwritten by the next steps.
                rows = taus[:done].copy(), states[:done].copy(), dense[:done].copy()
                outcome = accept_steps(recorder, tau, y, *rows)
            if outcome is None and not goes_on:
                outcome, message = SOLVER_FAILED, "the step size became zero, or the field unknown"
    except KeyboardInterrupt:
        outcome = INTERRUPTED
    except BREAKDOWNS as failure:
        outcome, message = SOLVER_FAILED, f"{type(failure).__name__}: {failure}"
    assert outcome is not None
    fields, jacobians = (int(k) for k in pace.counts)
    stats = {"field_evaluations": fields, "jacobian_evaluations": jacobians}
    return finish(recorder, outcome, message, stats)
