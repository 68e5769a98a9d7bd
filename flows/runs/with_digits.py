"""A run with many digits, in plain coordinates, as far as the flow is smooth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flows.core.deadline import deadline
from flows.core.problem import TIME_BUDGET
from flows.core.system import System
from flows.runs.request import Request
from flows.solvers.reference import solve_reference

# Digits of the solver: three times those of the doubles with which it is compared.
REFERENCE_DIGITS = 50


def solve_with_digits(
    system: System, frame: Any, state: Any, request: Request, show: Callable[[float], None] | None
) -> tuple[Any, str, str, dict[str, int]]:
    """Follow a run with many digits.

    Parameters
    ----------
    system : System
        The system.
    frame, state
        Its start, as the system keeps it.
    request : Request
        Times and budget of steps.
    show : callable or None
        Is called with the time of each step.

    Returns
    -------
    states : State
        From the start on, at the times that were reached.
    status, message : str
        How the run ended.
    stats : dict
        Its work.
    """
    smooth = system.exact_flow(frame, state, REFERENCE_DIGITS)
    found = solve_reference(
        smooth.field,
        smooth.jacobian,
        smooth.x0,
        request.times.tolist(),
        REFERENCE_DIGITS,
        max_steps=request.max_steps,
        progress=show,
        switches=smooth.switches,
    )
    states = [state.at(None), *(smooth.decode(x).at(None) for x in found.states)]
    spent = found.status == TIME_BUDGET
    message = deadline().message(f"at t = {float(found.time):.6g}") if spent else found.message
    return type(state).join(states), found.status, message, {**found.stats, "pieces": 1}
