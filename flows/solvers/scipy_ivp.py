"""Adapter of SciPy's implicit solvers: LSODA, BDF, Radau."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import scipy.integrate

from flows.core.arrays import Array
from flows.core.problem import (
    SOLVER_FAILED,
    STOPS,
    Interpolant,
    Problem,
    Recorder,
    Solution,
    Stop,
    finish,
    status_of,
)

METHODS = {
    "LSODA": scipy.integrate.LSODA,
    "BDF": scipy.integrate.BDF,
    "Radau": scipy.integrate.Radau,
}

# LSODA keeps a Jacobian for up to twenty steps, in which the rates of slaved parts grow like
# exp(tau). With rates from the middle of that time it asks for a third fewer of them.
AHEAD = 0.15


def solve(problem: Problem, method: str) -> Solution:
    """Solve ``problem`` by one of :data:`METHODS`.

    Parameters
    ----------
    problem : Problem
        What to solve.
    method : str
        A key of :data:`METHODS`.

    Returns
    -------
    Solution
        States at the output times; the status tells the truth about the end.
    """
    recorder = Recorder(problem)
    outcome: Stop | str | None = None
    message = ""
    with warnings.catch_warnings():
        # SciPy announces a failed LSODA step by a warning; here it becomes the status.
        warnings.simplefilter("ignore")
        solver = METHODS[method](
            problem.rhs,
            problem.tau0,
            problem.y0,
            float(problem.taus[-1]),
            rtol=problem.rtol,
            atol=problem.atol,
            jac=_ahead(problem) if method == "LSODA" else problem.jacobian,
        )
        try:
            while outcome is None:
                failure = solver.step()
                if solver.status == "failed":
                    outcome, message = SOLVER_FAILED, str(failure or "the step size became zero")
                    break
                outcome = recorder.accept(solver.t_old, solver.t, solver.y, _interpolant(solver))
        except STOPS as stop:
            outcome = status_of(stop)
        except (ValueError, np.linalg.LinAlgError) as failure:
            # BDF and Radau meet a matrix that is not finite or not regular.
            outcome, message = SOLVER_FAILED, " ".join(str(failure).split())
    stats = {"field_evaluations": int(solver.nfev), "jacobian_evaluations": int(solver.njev)}
    return finish(recorder, outcome, message, stats)


def _ahead(problem: Problem) -> Callable[[float, Array], Array]:
    """Jacobian in the middle of the steps for which LSODA keeps it, as far as it is stiff."""
    chart = problem.chart
    if chart is None or chart.clock.exponential:
        return problem.jacobian
    growth = math.exp(AHEAD)
    return lambda tau, y: growth * problem.jacobian(tau, y)


def _interpolant(solver: scipy.integrate.OdeSolver) -> Interpolant:
    """Interpolant of the last step, built only if somebody asks."""
    built: list[Interpolant] = []

    def interpolate(tau: float) -> Array:
        if not built:
            built.append(solver.dense_output())
        return built[0](tau)

    return interpolate
