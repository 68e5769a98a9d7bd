"""Axes with tiny units beside large ones: what a symmetry keeps next to zero takes few steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp

import flows

A, B = sp.symbols("a b")
PRODUCT = flows.OwnSystem("product", [A, B], (A * B) ** 2 / 2)
SADDLE = flows.OwnSystem("saddle", [A, B], (A * B - 1) ** 2 / 2)
# A unit of the smaller axis is that part of the larger one, or less.
SMALL = 1e-20
# Rounding of the Hessian along the larger axis in units of the smaller one: Newton's method needs
# less than 1, and doubles have 1e10.
COUPLED = 1e-6
# Work of a run to 1e3, which was without end.
WORK = 40_000


@pytest.mark.parametrize(
    ("system", "start", "t"),
    [(PRODUCT, [0.5, 0.5], 5.0), (SADDLE, [0.5, -0.5], 1.0)],
    ids=["product", "saddle"],
)
def test_rounding_of_a_large_axis_does_not_move_a_small_one(system, start, t):
    run = flows.integrate(system, start, t_end=t, rtol=1e-11)
    tolerant = system.at_tolerance(1e-11, 1e-13, True)
    piece = tolerant.piece(run.frame, run.states.at(len(run.t) - 1), t)
    unit, u = piece.increment.size, np.array([0.0, -1e-3])
    assert unit[0] < SMALL * unit[1]
    found, step = piece.chart.jacobian(0.0, u), np.array([1e-6 * (u[0] or 1.0), 0.0])
    assert np.abs(found[~np.eye(2, dtype=bool)]).max() < COUPLED
    # The field itself, along the small axis.
    slope = (piece.chart.rhs(0.0, u + step) - piece.chart.rhs(0.0, u - step)) / (2 * step[0])
    assert math.isclose(found[0, 0], slope[0], rel_tol=1e-6)
    assert not math.isclose(1.001 * found[0, 0], slope[0], rel_tol=1e-6)  # the control


@pytest.mark.parametrize("rtol", [1e-11, 1e-12])
def test_a_symmetry_with_curvature_downward_across_it_is_followed_to_any_tolerance(rtol):
    run = flows.integrate(PRODUCT, [0.5, 0.5], t_end=1e3, rtol=rtol, max_steps=10_000)
    assert run.completed and run.stats["field_evaluations"] < WORK
    exact = (0.25 / (1 + 0.5 * run.t)) ** 2 / 2  # a = b: a' = -a^3
    assert (np.abs(run["loss"] - exact) <= run.absolute_errors("loss")).all()


def test_a_way_to_a_saddle_ends_with_what_is_known():
    run = flows.integrate(SADDLE, [0.5, -0.5], t_end=1e3, rtol=1e-11, max_steps=10_000)
    assert run.stats["field_evaluations"] < 3 * WORK  # two finer runs are tried beside it
    p = run.state[:, 0] * run.state[:, 1]
    # p' = -2 p (p - 1) along a = -b, with s = -p: s/(1 + s) = exp(-2 t)/5.
    s = np.exp(-2 * run.t) / 5
    exact = (1 + s / (1 - s)) ** 2 / 2
    assert (np.abs(run["loss"] - exact) <= run.absolute_errors("loss")).all()
    assert math.isclose(float(-p[1]), float((s / (1 - s))[1]), rel_tol=1e-9)
    assert run.completed or "not known" in run.message
