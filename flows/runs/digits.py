"""A run with many digits, in plain coordinates, as far as its flow is smooth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flows.core.system import System
from flows.runs.request import Request

__all__ = ["solve_with_digits"]

DIGITS = 50


def solve_with_digits(
    system: System,
    frame: Any,
    state: Any,
    request: Request,
    show: Callable[[float], None] | None,
) -> tuple[Any, str, str, dict[str, int]]:
    """States at the start and at the times that it reaches, status, message and what it took."""
    from flows.solvers.reference import solve_reference

    smooth = system.exact_flow(frame, state, DIGITS)
    found = solve_reference(
        smooth.field,
        smooth.jacobian,
        smooth.x0,
        request.times.tolist(),
        DIGITS,
        max_steps=request.max_steps,
        progress=show,
        switches=smooth.switches,
    )
    states = [state.at(None), *(smooth.decode(x).at(None) for x in found.states)]
    stats = {**found.stats, "pieces": 1}
    return type(state).join(states), found.status, found.message, stats
