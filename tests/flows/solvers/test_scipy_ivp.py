"""Steps whose tolerance is below the rounding of the field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sympy as sp

import flows
from flows.core.problem import COMPLETED, SOLVER_FAILED, Problem
from flows.solvers import scipy_ivp

STIFF, THIRD = 1e6, 1 / 3
RTOL, ATOL = 1e-12, 1e-21
# Steps of order five to one part in 1e12 of what falls by a factor e: some hundreds.
STEPS = 3000
# Errors of many steps, in tolerances of one.
MANY = 100.0
# From t = 1e6 on what is slaved to their angles is a rounding of the angles: there steps were 1e-7.
TWINS = [[0.5, 0.3], [0.5, 0.3 + 1e-7]]


def rounded(tau, y):
    """What falls, and what is slaved to a rounding of it, where exact numbers have zero."""
    return np.array([-y[0], -STIFF * (y[1] - ((y[0] + THIRD) - THIRD - y[0]))])


PROBLEM = Problem(
    rhs=rounded,
    jacobian=lambda tau, y: np.array([[-1.0, 0.0], [0.0, -STIFF]]),
    tau0=0.0,
    y0=np.array([1.0, 0.0]),
    taus=np.array([0.5, 1.0]),
    rtol=RTOL,
    atol=np.array([RTOL, ATOL]),
    max_steps=STEPS,
)


def test_steps_are_not_as_small_as_rounding_and_say_what_they_leave():
    found = scipy_ivp.solve(PROBLEM, "Radau")
    assert found.status == COMPLETED and found.loosened > 1
    assert np.allclose(found.states[:, 0], np.exp(-PROBLEM.taus), rtol=MANY * RTOL, atol=0)
    left = MANY * found.loosened * (ATOL + RTOL * np.abs(found.states[:, 1]))
    assert (np.abs(found.states[:, 1]) <= left).all()
    assert (np.abs(found.states[:, 1]) > MANY * ATOL).any()  # what was asked for is not there


def test_tolerances_that_can_be_met_are_kept():
    found = scipy_ivp.solve(replace(PROBLEM, atol=np.array([RTOL, 1e-12])), "Radau")
    assert (found.status, found.loosened) == (COMPLETED, 1.0)


def test_two_neurons_that_hardly_differ_are_followed_at_tight_tolerances():
    t_end = 3e6
    run = flows.integrate(flows.ReLUNeuron(2, 2), TWINS, t_end, rtol=1e-12, max_steps=15_000)
    assert run.completed and 1e-12 < run.rtol < 1e-8
    looser = flows.integrate(flows.ReLUNeuron(2, 2), TWINS, t_end, rtol=1e-10)
    room = run.absolute_errors("loss")[-1] + looser.absolute_errors("loss")[-1]
    assert abs(run["loss"][-1] - looser["loss"][-1]) <= room
    assert abs(1.02 * run["loss"][-1] - looser["loss"][-1]) > room  # the control


# From t = 1e7 on doubles round what is left across this valley, and steps were repeated for ever.
ACROSS, ALONG = sp.symbols("b a", real=True)
VALLEY, START, STEPS_TO = ALONG**4 / 4 + (ACROSS - 1 + ALONG**2) ** 2 / 2, [0.2, 0.5], 18_000


def in_doubles(method, t_end):
    system = flows.OwnSystem("valley", [ACROSS, ALONG], VALLEY, arithmetic="doubles")
    return flows.integrate(system, START, t_end, rtol=RTOL, max_steps=STEPS_TO, method=method)


def test_where_rounding_repeats_steps_other_methods_take_them():
    run = in_doubles("auto", 1e9)
    assert run.completed and run.rtol == RTOL
    # a' = -a^3 along the valley, but for what is beside its floor: L = 1/(16 t^2) + O(log t/t^3).
    assert abs(16 * run.t[-1] ** 2 * run["loss"][-1] - 1) < 1e-7 + run.errors("loss")[-1] < 1e-4
    named = in_doubles("Radau", 1e9)
    assert named.status == SOLVER_FAILED and "rounding of the field is larger" in named.message
    room = named.absolute_errors("loss") + run.absolute_errors("loss")[: len(named.t)]
    assert (np.abs(named["loss"] - run["loss"][: len(named.t)]) <= room).all()


def test_without_a_look_at_its_work_radau_ends_with_its_budget_of_steps(monkeypatch):
    monkeypatch.setattr(scipy_ivp, "REPEATED", np.inf)
    assert in_doubles("auto", 1e9).status == "step_budget"
