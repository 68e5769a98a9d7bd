"""Runs of two layers past saddles have companions where errors outgrow the flow."""

import numpy as np
import pytest
from flint import arb
from oracles.taylor import flow

import flows
from flows.runs import companions, integrate
from flows.systems.two_layer.system import TwoLayer

TEACHERS = [[1.0, 0.2], [0.3, 1.1]]
START, TIMES = [0.1, 0.05], [0.75, 1.5, 2.25, 3.0, 4.5, 6.0]
# Two students that are one but for this: the flow of one student leads to a saddle of two.
APART = 1e-6
# A loss that is wrong by this part of it is not within its error.
WRONG = 1e-3


def slope(z):
    """Gradient of `E (sum (w.x)^2 - sum (v.x)^2)^2 / 2`, from `E = |a|^2 |b|^2 + 2 (a.b)^2`."""
    students = [z[:2], z[2:]]
    signed = [(1, u) for u in students] + [(-1, [arb(x) for x in v]) for v in TEACHERS]
    found = []
    for w in students:
        total = [arb(0), arb(0)]
        for sign, u in signed:
            square, inner = u[0] * u[0] + u[1] * u[1], w[0] * u[0] + w[1] * u[1]
            total = [
                t + sign * (2 * square * x + 4 * inner * y)
                for t, x, y in zip(total, w, u, strict=True)
            ]
        found += total
    return found


def value(z):
    students = np.array([[float(x) for x in z[:2]], [float(x) for x in z[2:]]])
    square = students.T @ students - np.array(TEACHERS).T @ np.array(TEACHERS)
    return np.trace(square) ** 2 / 2 + np.sum(square**2)


@pytest.fixture(scope="module")
def exact():
    start = [*START, START[0], START[1] + APART]
    return np.array([value(z) for z in flow(slope, start, TIMES)])


def run_of(system, rtol):
    start = [START, [START[0], START[1] + APART]]
    return flows.integrate(system, start, TIMES[-1], TIMES, rtol=rtol)


@pytest.mark.parametrize("doubles", [False, True])
def test_students_that_are_nearly_equal_have_companions_and_are_off_by_less(
    exact, doubles, monkeypatch
):
    runs, alone = [], integrate._alone
    monkeypatch.setattr(integrate, "_alone", lambda *given: runs.append(1) or alone(*given))
    system = TwoLayer(2, TEACHERS, activation="quadratic")
    system = system.in_doubles() if doubles else system
    run = run_of(system, 1e-9)
    assert run.completed and len(runs) > 1
    assert run.system.outgrown(run.states)[-1] > companions.FREE
    loss, stated = run["loss"][1:], run.absolute_errors("loss")[1:]
    known = np.isfinite(loss)
    assert (np.abs(loss - exact) < stated)[known].all() and known[:4].all()
    if not doubles:
        assert known.all() and (np.abs(loss - (1 + WRONG) * exact) > stated).all()


def test_companions_show_what_the_linear_flow_does_not(monkeypatch):
    system = TwoLayer(2, TEACHERS, activation="quadratic")
    with_companions = run_of(system, 1e-9)
    monkeypatch.setattr(companions, "FREE", np.inf)
    alone = run_of(system, 1e-9)
    assert (with_companions.states.error >= alone.states.error).all()


def test_students_that_are_equal_to_all_bits_stay_so_and_need_no_companions(monkeypatch):
    runs, alone = [], integrate._alone
    monkeypatch.setattr(integrate, "_alone", lambda *given: runs.append(1) or alone(*given))
    system = TwoLayer(2, TEACHERS, activation="quadratic")
    assert flows.integrate(system, [START, START], 6.0).completed and len(runs) == 1
