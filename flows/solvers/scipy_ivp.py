"""Adapter of SciPy's implicit solvers: LSODA, BDF, Radau."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

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

# Steps of Radau between two looks at how far they have led; if that is less than the second number,
# in solver time, they crawl. A step takes seven field evaluations, and this many if it is repeated.
OFTEN, CRAWLS, REPEATED = 50, 1e-3, 14
# Radau fails if they were repeated at so many looks; where a flow changes fast they are at one.
LONG = 5
# Newton's method reaches a tolerance of this many roundings.
ROOM = 30.0

# LSODA keeps a Jacobian for up to twenty steps, in which the rates of slaved parts grow like
# exp(tau). With rates from the middle of that time it asks for a third fewer of them.
AHEAD = 0.15


class _Rounding:
    """Tolerances of Radau where those asked for are below the rounding of the field.

    Then rounding is compared with them, however short a step is, and steps shrink without end.
    Where steps crawl, the tolerance is raised to the change that a last bit of the state makes once
    the flow has damped it; ``loosened`` is the factor. Where they are only repeated, as Newton's
    method meets no tolerance below rounding, methods without it are faster: the solver fails.
    """

    def __init__(self, problem: Problem, solver: scipy.integrate.OdeSolver) -> None:
        self.problem, self.solver = problem, solver
        self.steps, self.reached, self.spent = 0, problem.tau0, 0
        self.loosened, self.raised, self.repeated = 1.0, False, 0

    def look(self) -> str:
        """Raise the tolerances after many steps that have led nowhere; why the solver fails."""
        self.steps += 1
        if self.steps % OFTEN or not isinstance(self.solver, scipy.integrate.Radau):
            return ""
        self.raised = self.raised or self.solver.t - self.reached < CRAWLS
        repeated = self.solver.nfev - self.spent > REPEATED * OFTEN
        self.reached, self.spent = self.solver.t, self.solver.nfev
        if self.raised:
            problem, y = self.problem, self.solver.y
            noise = ROOM * self._noise()
            self.solver.atol = np.maximum(problem.atol, noise)
            asked = problem.atol + problem.rtol * np.abs(y)
            self.loosened = max(self.loosened, float((noise / asked).max()))
            return ""
        self.repeated += repeated
        if self.repeated >= LONG and (self._noise() > self.problem.atol).any():
            return "the rounding of the field is larger than the tolerance, and steps are repeated"
        return ""

    def _noise(self) -> Array:
        """What last bits of the state do to it, in the time in which the flow forgets them."""
        tau, y, rhs = self.solver.t, self.solver.y, self.problem.rhs
        slope, rate = rhs(tau, y), 1 + np.abs(np.diag(self.solver.J))
        last = np.spacing(y)
        moved = [np.abs(rhs(tau, y + k * last) - slope) / rate for k in (-2, -1, 1, 2)]
        return np.asarray(np.max(moved, axis=0))


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
        rounding = _Rounding(problem, solver)
        try:
            while outcome is None:
                failure = solver.step()
                if solver.status == "failed":
                    outcome, message = SOLVER_FAILED, str(failure or "the step size became zero")
                    break
                if message := rounding.look():
                    outcome = SOLVER_FAILED
                    break
                outcome = recorder.accept(solver.t_old, solver.t, solver.y, _interpolant(solver))
        except STOPS as stop:
            outcome = status_of(stop)
        except (ValueError, np.linalg.LinAlgError) as failure:
            # BDF and Radau meet a matrix that is not finite or not regular.
            outcome, message = SOLVER_FAILED, " ".join(str(failure).split())
    stats = {"field_evaluations": int(solver.nfev), "jacobian_evaluations": int(solver.njev)}
    return replace(finish(recorder, outcome, message, stats), loosened=rounding.loosened)


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
