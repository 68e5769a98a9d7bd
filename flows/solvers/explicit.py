"""Adapter of an explicit method with compiled steps, for many problems side by side.

A step costs fields alone, however many unknowns there are. Where the flow is stiff, and so many
steps are left that others do better, a solution ends as ``stiff``, for another method to go on.
"""

from __future__ import annotations

from collections.abc import Sequence

from flows.core.chart import Chart, Lanes
from flows.core.problem import Problem, Solution
from flows.solvers.explicit_steps import steps_of
from flows.solvers.explicit_tableau import DENSE, FIELDS
from flows.solvers.groups import Kind, solve_together
from flows.solvers.side_by_side import Advance

# Attempts between two looks of the watch.
BATCH = 64
# Problems side by side: those of a vector.
LANES = 16


def solve_many(problems: Sequence[Problem]) -> list[Solution]:
    """Solve problems by DOP853, see :func:`flows.solvers.groups.solve_together`."""
    return solve_together(
        problems, Kind("DOP853", _lanes, _width, _steps, BATCH, DENSE, (FIELDS, 0))
    )


def _lanes(chart: Chart) -> Lanes | None:
    return chart.explicit


def _width(chart: Chart) -> int:
    assert chart.explicit is not None
    return 1 if chart.explicit.alone else LANES


def _steps(chart: Chart, lanes: int) -> Advance:
    explicit = chart.explicit
    assert explicit is not None
    return steps_of(explicit.make_field, lanes, explicit.patience, explicit.look)
