"""Adapter of SUNDIALS CVODE (variable-order BDF) through scikit-sundae."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from sksundae.cvode import CVODE

from flows.core.arrays import Array
from flows.core.deadline import look
from flows.core.problem import (
    BREAKDOWNS,
    FIELD_FAILED,
    SOLVER_FAILED,
    STEP_BUDGET,
    STOPS,
    Problem,
    Recorder,
    Solution,
    Stop,
    finish,
    status_of,
)

# Vectors that GMRES keeps before it begins anew.
KRYLOV_DIM = 30
# An alarm changes its sign so often within one step at most.
RETURNS = 100
# Codes of CVODE: error tests, or Newton's method, failed again and again.
KINKS = (-3, -4)
_SILENCE = threading.RLock()


def solve(problem: Problem) -> Solution:
    """Solve ``problem`` by CVODE: in one go to each output, step by step while there is an alarm.

    Parameters
    ----------
    problem : Problem
        What to solve.

    Returns
    -------
    Solution
        States at the output times; the status tells the truth about the end.
    """
    count = {"steps": 0, "field_evaluations": 0, "jacobian_evaluations": 0}

    def rhs(tau: float, y: Array, out: Array) -> None:
        count["field_evaluations"] += 1
        out[:] = problem.rhs(tau, y.copy())  # CVODE's arrays are read-only

    def jacobian(tau: float, y: Array, out: Array, matrix: Array) -> None:
        count["jacobian_evaluations"] += 1
        matrix[:] = problem.jacobian(tau, y.copy())

    def alarm(tau: float, y: Array, out: Array) -> None:
        # CVODE looks for roots after every step, which is also where steps can be counted.
        look()
        count["steps"] += 1
        if tau > ends[1]:
            ends[:] = ends[1], tau
        if recorder.reason or recorder.crawls(count["steps"], tau, y) == FIELD_FAILED:
            out[0] = -1.0
        else:
            out[0] = 1.0 if watch is None else watch.alarm(tau, y)

    watch, recorder = problem.watch, Recorder(problem)
    # Of the last step, outside of which CVODE does not interpolate.
    ends = [problem.tau0, problem.tau0]
    outcome: Stop | str | None = None
    message = ""
    try:
        linear = (
            {"linsolver": "gmres", "krylov_dim": KRYLOV_DIM}
            if problem.krylov
            else {"jacfn": jacobian}
        )
        solver = CVODE(
            rhs,
            rtol=problem.rtol,
            atol=problem.atol,
            method="BDF",
            max_num_steps=problem.max_steps,
            eventsfn=alarm,
            num_events=1,
            **linear,
        )
        _silent(solver.init_step, problem.tau0, problem.y0)

        def interpolant(at: float) -> Array:
            # On the way CVODE comes back where the alarm changes its sign, with the state there.
            for _ in range(RETURNS):
                inside = _silent(solver.step, at, method="normal")
                if not inside.success or float(inside.t) == at:
                    break
            if not inside.success or float(inside.t) != at:
                raise RuntimeError(f"no state inside a step: {inside.message}")
            return np.array(inside.y)

        def alarmed() -> bool:
            return watch is not None and watch.alarm(before, y) <= 0

        before, y, begun = problem.tau0, problem.y0, problem.tau0
        alone = alarmed()
        while outcome is None:
            target = float(problem.taus[len(recorder.states)])
            result = _silent(solver.step, target, method="onestep" if alone else "normal")
            tau, y = float(result.t), np.array(result.y)
            kink = result.status in KINKS and tau > begun and count["steps"] < problem.max_steps
            if not (result.success or kink):
                budget = count["steps"] >= problem.max_steps
                outcome = STEP_BUDGET if budget else SOLVER_FAILED
                message = "" if budget else str(result.message)
                break
            if recorder.reason:
                outcome = FIELD_FAILED
                break
            first, before = max(before, ends[0]), tau
            # An answer may end an alarm here; CVODE still has its old sign, for one step more.
            alone = alarmed()
            outcome = recorder.accept(first, tau, y, interpolant)
            if kink and outcome is None:
                # Where slopes jump, steps of high order fail; of the first order they go on.
                begun = tau
                _silent(solver.init_step, tau, y)
    except STOPS as stop:
        outcome = status_of(stop)
    except (RuntimeError, *BREAKDOWNS) as failure:
        outcome, message = SOLVER_FAILED, " ".join(str(failure).split())
    return finish(recorder, outcome, message, count)


def _silent(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Result of a call; what CVODE prints of a failure is in the status of the run."""
    # Standard output is that of all threads.
    with _SILENCE, contextlib.redirect_stdout(io.StringIO()):
        return call(*arguments, **options)
