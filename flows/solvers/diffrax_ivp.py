"""Adapter of diffrax: Kvaerno3, Kvaerno5 and Rodas5P, for systems whose field exists in JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import numpy as np
import optimistix

from flows.core.arrays import Array
from flows.core.errors import InputError
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
from flows.core.system import JaxField, System
from flows.solvers.chart_jax import SelfSimilarField, arguments, require_x64
from flows.solvers.diffrax_lanes import Lane
from flows.solvers.diffrax_rodas import Rodas5P
from flows.solvers.rodas_tableau import STAGES

SOLVERS: dict[str, Any] = {
    "diffrax-kvaerno3": diffrax.Kvaerno3,
    "diffrax-kvaerno5": diffrax.Kvaerno5,
    "diffrax-rodas5p": Rodas5P,
}
# Attempts between two looks at the watch: few enough to waste little where a piece ends, and a
# solver that had none of them accepted has made its step 1e-44 times as long.
ATTEMPTS = 64
# First step in solver time: a neuron that leaves zero turns within 1e-6, where a longer first step
# is accepted wrongly. Steps grow tenfold where this is too little.
FIRST_STEP = 1e-9
# Newton's method iterates at least so often in every implicit stage of diffrax.
ITERATIONS = 2
# Newton's method has converged at this fraction of the tolerance. Where two of its steps are both
# rounding, below 1e-13 of what NOISE scales, the second may be the larger one; optimistix would
# call that divergence, and the solver would take ever smaller steps, which are rounding at once.
KAPPA = 1e-2
NOISE = 10.0


class Attempts(NamedTuple):
    """What ``ATTEMPTS`` attempts gave; only the first ``accepted`` rows count.

    ``times`` (ATTEMPTS,) and ``states`` (ATTEMPTS, N) at the ends of the steps.
    """

    times: Any
    states: Any
    accepted: Any
    attempted: Any


def adapter(method: str, system: System) -> Callable[[Problem], Solution]:
    """Adapter of ``method`` for a system whose field exists in JAX.

    Raises
    ------
    InputError
        For a system without that field, or where JAX computes with 32 bits.
    """
    require_x64(f"method {method}")
    make_raw = jax_field(method, system)
    return lambda problem: solve(problem, method, make_raw)


def jax_field(method: str, system: System) -> JaxField:
    """Raw field in JAX of a system, from a chart, for ``method``.

    Raises
    ------
    InputError
        For a system without one.
    """
    found = system.jax_field()
    if found is None:
        raise InputError(f"method {method} knows no field of {system.name} in JAX; choose another")
    return found


def solve(problem: Problem, method: str, make_raw: JaxField) -> Solution:
    """Solve ``problem``, which has a chart, by one of :data:`SOLVERS`.

    Parameters
    ----------
    problem : Problem
        What to solve.
    method : str
        A key of :data:`SOLVERS`.
    make_raw : callable
        Raw field in JAX of a chart, and its arguments.

    Returns
    -------
    Solution
        States at the output times; the status tells the truth about the end. Refused steps and
        those to output times count among the evaluations. For the Kvaerno methods they are a
        lower bound: diffrax does not tell how often Newton's method has iterated.
    """
    assert problem.chart is not None
    raw, raw_arguments = make_raw(problem.chart)
    field = SelfSimilarField(raw, problem.chart.clock.exponential)
    recorder = Recorder(problem)
    outcome: Stop | str | None = None
    message = ""
    attempted = 0
    tau, y, step = problem.tau0, problem.y0, FIRST_STEP
    constant = jax.tree.map(
        np.asarray, (problem.atol, arguments(problem.chart.clock, raw_arguments))
    )
    rtol = np.asarray(problem.rtol)

    def attempt(tau: float, end: float, step: float, y: Array) -> Attempts:
        nonlocal attempted
        moving = map(np.asarray, (tau, end, min(step, end - tau), y))
        found = jax.device_get(_attempt(method, field, Lane(*moving, *constant), rtol))
        attempted += int(found.attempted)
        return found

    def interpolant(before: float, y: Array) -> Interpolant:
        # A step that ends there: Kvaerno's own dense output is of order 3.
        def at(tau: float) -> Array:
            if tau == before:
                return y
            found = attempt(before, tau, tau - before, y)
            last = found.accepted - 1
            arrived = last >= 0 and found.times[last] == tau
            return np.array(found.states[last]) if arrived else np.full_like(y, np.nan)

        return at

    try:
        while outcome is None:
            found = attempt(tau, float(problem.taus[-1]), step, y)
            for i in range(found.accepted):
                before, start = tau, y
                tau, y = float(found.times[i]), found.states[i]
                step = tau - before
                outcome = recorder.accept(before, tau, y, interpolant(before, start))
                if outcome is not None:
                    break
            if outcome is None and not found.accepted:
                outcome, message = SOLVER_FAILED, f"{ATTEMPTS} steps in a row were refused"
    except STOPS as stop:
        outcome = status_of(stop)
    if method == "diffrax-rodas5p":
        per_attempt = {"field_evaluations": STAGES, "jacobian_evaluations": 1}
    else:
        least = ITERATIONS * (SOLVERS[method].tableau.num_stages - 1)
        per_attempt = {"field_evaluations": least, "jacobian_evaluations": least}
    stats = {name: count * attempted for name, count in per_attempt.items()}
    return finish(recorder, outcome, message, stats)


def solver_of(method: str, rtol: Any, size: Any) -> diffrax.AbstractSolver[Any]:
    """One of :data:`SOLVERS` for states of this size."""
    if method == "diffrax-rodas5p":
        return Rodas5P()
    newton: Any = optimistix.Newton(NOISE, NOISE * size, kappa=KAPPA * rtol / NOISE)
    return SOLVERS[method](root_finder=newton)


@eqx.filter_jit
def _attempt(method: str, field: SelfSimilarField, lane: Lane, rtol: Any) -> Attempts:
    """Up to ``ATTEMPTS`` steps from ``lane.tau`` towards ``lane.end``."""
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        solver_of(method, rtol, abs(lane.y) + lane.atol),
        lane.tau,
        lane.end,
        lane.step,
        lane.y,
        lane.numbers,
        saveat=diffrax.SaveAt(steps=True),
        max_steps=ATTEMPTS,
        throw=False,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=lane.atol),
    )
    return Attempts(found.ts, found.ys, found.stats["num_accepted_steps"], found.stats["num_steps"])
