"""Compiled: charts of members of an ensemble where lanes of steps read them, and their ends."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

from flows.arithmetic.kept import inner, lean
from flows.solvers.near_flow import Near
from flows.solvers.near_plan import plan_of
from flows.solvers.near_state import GOES_ON

__all__ = ["Programs", "again", "aim", "load", "load_matrix", "output_in"]
__all__ += ["programs_of", "registers_of", "steepest", "steps_in"]


class Programs(NamedTuple):
    """What is computed: ``gradient``, ``value``, the loss with its gradient, plans for lanes.

    In two doubles: ``loss``, the loss with its gradient, ``rates``, the rates of the gradient.
    """

    gradient: Any
    value: Any
    loss: Any
    rates: Any


@inner
def programs_of(n, gradient, loss, rates):
    """Programs of a loss in `n` variables."""
    return Programs(plan_of(n, gradient), plan_of(n, loss), loss, rates)


@lean
def registers_of(n, code):
    """How many registers a program takes."""
    return n + len(code.constants) + len(code.operation)


@inner
def steps_in(whole, count):
    """The same charts for steps, which take the first registers alone, those of the gradient."""
    return Near(
        whole.registers[:count],
        whole.slope,
        whole.matrix,
        whole.axes,
        whole.size,
        whole.unit,
        whole.since,
    )


@lean
def again(lane, e):
    """Begin the chart of a lane, with steps as long as they were."""
    for i in range(len(lane.u)):
        lane.u[i, e] = 0.0
    lane.tau[e], lane.left[e] = 0.0, 1.0
    lane.before[e], lane.error[e], lane.refused[e] = 0.0, 0.0, False
    lane.attempts[e] = 0


@lean
def load(lane, near, read, here, k, e):
    """Put the chart of a member where the steps of a lane, and its outputs, read it.

    Registers of the gradient are the first of those of the loss, in one array for both, of which
    some are ``read`` at the centre.
    """
    charts, size = here.charts, here.charts.size[k]
    near.since[e] = charts.since[k]
    for i in read:
        near.registers[i, 0, e] = here.value[k, i]
    for i in range(len(size)):
        unit = 1.0 / size[i]
        near.size[i, e], near.unit[i, e] = size[i], unit
        near.slope[i, e] = charts.slope[k, i] / size[i]
        lane.slope[i, e] = -near.since[e] * near.slope[i, e]
        lane.weight[i, e] = size[i] * (size[i] / charts.floored[k, i] / charts.energy[k]) / 2
        for j in range(len(size)):
            near.axes[i, j, e] = charts.axes[k, i, j, 0]
    if here.late[k]:  # explicit steps do without
        load_matrix(near, here, k, e)
    again(lane, e)


@lean
def load_matrix(near, here, k, e):
    """Put the Hessian of a member's chart, in its units, where lanes read it."""
    size = here.charts.size[k]
    for i in range(len(size)):
        unit = 1.0 / size[i]
        for j in range(len(size)):
            near.matrix[i, j, e] = here.matrix[k, i, j] * size[j] * unit


@lean
def steepest(charts, k):
    """Largest curvature at the centre of a chart, of either sign."""
    return max(abs(charts.curvature[k, 0]), abs(charts.curvature[k, -1]))


@lean
def solver_time(here, k, time):
    """Solver time of a member's chart at a time."""
    return math.log((time + here.unit[k]) / here.charts.since[k])


@lean
def aim(lane, here, k, e, times, before, halts, found):
    """Let the steps of a lane end at the last output, where its chart does, or before.

    Where it ``halts``, they end at the next output.
    """
    last, reach = solver_time(here, k, times[-1]), here.reach[k]
    row = found.reached[k]
    if halts and row <= len(times):
        last = min(last, solver_time(here, k, times[row - 1]))
    lane.least[e], lane.most[e] = math.sqrt(1.0 / reach), math.sqrt(reach)
    lane.stop[e] = min(min(last, math.log(reach)), before)
    lane.outcome[e], lane.live[e] = GOES_ON, True


@lean
def output_in(here, k, times, found, begins, ends):
    """Part of a step, which begins and ends then, at which the next output is; else -1."""
    row = found.reached[k]
    if row > len(times):
        return -1.0
    tau = solver_time(here, k, times[row - 1])
    if not tau <= ends:
        return -1.0
    return min(1.0, max(0.0, (tau - begins) / (ends - begins)))
