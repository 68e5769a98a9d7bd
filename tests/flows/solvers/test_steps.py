"""Lengths of steps of compiled methods, from their errors and those before."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flows
from flows.runs.integrate import follow_in_pieces
from flows.runs.request import Request
from flows.solvers import gentle
from flows.solvers.gentle_formulas import FIELDS, ORDER
from flows.solvers.steps import GROW, SAFETY, SHRINK, planner


@pytest.fixture(scope="module")
def plan():
    import numba

    planned = planner(ORDER)
    return numba.njit(lambda *given: planned(*given))


def test_a_step_after_which_errors_have_grown_is_shorter(plan):
    # As long a step as before, whose error is twice as large: the next one would have four times.
    alone = plan(0.4, True, 1.0, 0.0, 0.0)
    assert alone == pytest.approx(SAFETY * 0.4 ** (-1 / ORDER))
    assert plan(0.4, True, 1.0, 1.0, 0.2) == pytest.approx(SAFETY * 0.8 ** (-1 / ORDER))
    # One whose error has fallen is no longer for that, and one that is refused looks at itself.
    assert plan(0.4, True, 1.0, 1.0, 0.8) == alone
    assert plan(4.0, False, 1.0, 1.0, 0.2) == pytest.approx(SAFETY * 4.0 ** (-1 / ORDER))


def test_lengths_change_by_bounded_factors_whatever_errors_are(plan):
    assert plan(0.0, True, 1.0, 0.0, 0.0) == plan(1e-30, True, 1.0, 0.0, 0.0) == GROW
    for wrong in (math.nan, math.inf, 1e30):
        assert plan(wrong, False, 1.0, 1.0, 0.1) == SHRINK


def test_steps_that_have_to_become_shorter_are_seldom_refused():
    # Seen on a logarithmic clock these means become faster and faster.
    system, request = flows.GMMEM(3, 2), Request(1e4, rtol=1e-8)
    starts = [system.initial(0.5, seed) for seed in range(24)]
    problems = [next(follow_in_pieces(system, start, request)) for start in starts]
    some = [p for p in problems if p.chart.explicit is not None]
    found = gentle.solve_many(some)
    assert len(some) > 10
    steps = np.array([s.stats["steps"] for s in found])
    attempts = np.array([s.stats["field_evaluations"] for s in found]) / FIELDS
    assert attempts.sum() < 1.4 * steps.sum()
    # Errors alone had almost every other one refused (1.6 attempts a step).
