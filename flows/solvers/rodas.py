"""Adapter of Rodas5P with compiled steps, for many problems side by side: no Python between them.

A step costs one Jacobian with its field, one factorisation and seven fields. Its error is far below
the tolerance, where that of LSODA is above: compare them at equal error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.core.chart import Chart, Lanes
from flows.core.problem import Problem, Solution
from flows.solvers.groups import Kind, solve_together
from flows.solvers.side_by_side import Advance
from flows.solvers.stiff import steps_of

# Attempts between two looks of the watch.
BATCH = 128
# Problems side by side, as long as their matrices fit into the cache: two registers of the widest
# processors.
LANES = 16
SMALL = 64


def solve(problem: Problem) -> Solution:
    """Solve ``problem`` by Rodas5P, bit for bit as one of many; see :func:`solve_many`."""
    return solve_many([problem])[0]


def solve_alone(problem: Problem) -> Solution:
    """Solve ``problem`` by Rodas5P without lanes beside it, which take their time empty, too."""
    return solve_together([_damped(problem)], KIND._replace(width=lambda chart: 1))[0]


def solve_many(problems: Sequence[Problem]) -> list[Solution]:
    """Solve problems by Rodas5P, see :func:`flows.solvers.groups.solve_together`."""
    return solve_together([_damped(problem) for problem in problems], KIND)


def _damped(problem: Problem) -> Problem:
    """The problem with tolerances for steps that damp the errors of what is slaved."""
    slack = None if problem.chart is None else problem.chart.slack
    return problem if slack is None else replace(problem, atol=slack * problem.atol)


def _lanes(chart: Chart) -> Lanes | None:
    return chart.lanes


def _width(chart: Chart) -> int:
    assert chart.lanes is not None
    return LANES if chart.x0.size <= SMALL and not chart.lanes.alone else 1


def _steps(chart: Chart, lanes: int) -> Advance:
    assert chart.lanes is not None
    return steps_of(chart.field, chart.lanes.make_field, lanes, chart.lanes.look)


KIND = Kind("Rodas5P", _lanes, _width, _steps, BATCH, 3, (7, 1))
