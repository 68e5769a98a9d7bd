"""Students exactly parallel to each other or to the teacher, where angles have no slope."""

import functools

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from symbolic import Expectation

W, X = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("x", 2, 1)
# Starts of two students of the teacher e_1, and until when they are followed.
STARTS = {
    "one parallel to the teacher": ([[0.3, 0.0], [0.2, 0.1]], 1e3),
    "both parallel to the teacher": ([[0.3, 0.0], [0.2, 0.0]], 50.0),
    "equal": ([[0.3, 0.1], [0.3, 0.1]], 50.0),
    "equal but for the last bit": ([[0.3, 0.1], [np.nextafter(0.3, 1), 0.1]], 20.0),
    "one opposite to the teacher": ([[-0.3, 0.0], [0.2, 0.1]], 10.0),
}
# A student that is zero has no direction, and squares of the other one are below the doubles.
REFUSED = {"zero": [[0.0, 0.0], [0.2, 0.1]], "next to zero": [[1e-300, 1e-300], [0.2, 0.1]]}
# Of the built-in neuron, at the tolerance that it is asked for; losses below are not asked for.
ORACLE, LEAST = 1e-10, 1e-28
# A start that is off by this has another loss.
MOVED = 1e-4


@functools.cache
def students(activation):
    outputs = [activation((W * X)[i, 0]) for i in range(2)]
    gap = sum(outputs) - activation(X[0, 0])
    return flows.OwnSystem("students", [W], Expectation(gap**2, X) / 2)


def relu(u):
    return sp.Max(0, u)


def misses(run, oracle):
    """Largest distance from the oracle in units of the stated error, of losses that are known."""
    known = ~np.isnan(run["loss"])
    off = np.abs(run["loss"] - oracle["loss"]) / oracle["loss"]
    return float(np.max((off / (run.errors("loss") + 10 * ORACLE))[known]))


@pytest.mark.parametrize("name", STARTS)
def test_students_that_begin_exactly_parallel_are_followed_as_the_built_in_neuron_is(name):
    start, t_end = STARTS[name]
    times = np.geomspace(t_end / 1e4, t_end, 9)
    run = flows.integrate(students(relu), np.ravel(start), t_end, times)
    built_in = flows.ReLUNeuron(2, 2)
    oracle = flows.integrate(built_in, start, t_end, times, rtol=ORACLE)
    assert run.completed
    assert not np.isnan(run["loss"][oracle["loss"] > LEAST]).any()
    assert misses(run, oracle) < 1
    # Control: another start has another loss.
    other = flows.integrate(built_in, np.array(start) * (1 + MOVED), t_end, times, rtol=ORACLE)
    assert misses(run, other) > 1


@pytest.mark.parametrize("name", REFUSED)
def test_a_student_without_a_direction_is_refused_in_one_line(name):
    with pytest.raises(InputError, match="its gradient at the start is not finite"):
        flows.integrate(students(relu), np.ravel(REFUSED[name]), 10.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_hessian_of_parallel_students_is_the_limit_of_those_beside_them(sign):
    system = students(relu)
    at = system.hessian([0.3 * sign, 0.0, 0.2, 0.1])
    near = system.hessian([0.3 * sign, 1e-12, 0.2, 0.1])
    assert at == pytest.approx(near, abs=1e-10)
    assert at != pytest.approx(system.hessian([0.3 * sign, 1e-2, 0.2, 0.1]), abs=1e-4)


# Steps after which a kink is named.
AT_ONCE = 1000


def test_a_kink_stops_the_run_with_a_reason_and_does_not_move():
    run = flows.integrate(students(sp.Heaviside), [0.3, 0.0, 0.2, 0.1], 1e2)
    assert run.status == "field_failed" and "kink" in run.message
    assert len(run.t) == 1
    # Control: beside the kink it moves.
    beside = flows.integrate(students(sp.Heaviside), [0.3, 0.1, 0.2, 0.1], 1e-2)
    assert beside.completed and beside["loss"][-1] < beside["loss"][0]


@pytest.mark.parametrize("start", [[0.3, 0.1], [0.3, 0.06, 0.08]])
@pytest.mark.parametrize("arithmetic", ["balls", "doubles"])
@pytest.mark.parametrize("method", ["auto", "CVODE", "BDF"])
def test_steps_that_go_to_and_fro_across_a_kink_end_with_that_reason(start, arithmetic, method):
    d = len(start)  # in three dimensions the kink is the tip of a cone
    w, x = sp.MatrixSymbol("w", 1, d), sp.MatrixSymbol("x", d, 1)
    loss = Expectation((sp.Heaviside((w * x)[0, 0]) - sp.Heaviside(x[0, 0])) ** 2, x) / 2
    system = flows.OwnSystem("step", [w], loss, arithmetic=arithmetic)
    run = flows.integrate(system, start, 10.0, method=method)
    # |w| is kept, and the angle to the teacher falls at the rate 1/(2 pi |w|^2).
    arrives = 2 * np.pi * 0.1 * np.arctan2(0.1, 0.3)
    assert run.status == "field_failed" and "the gradient jumps within" in run.message
    assert f"at t = {arrives:.5g}" in run.message
    # At once: not when the steps of the run, 200 000 of them, are used up.
    assert run.stats["steps"] < AT_ONCE
    # Control: before it, more steps are what is lacking.
    short = flows.integrate(system, start, 10.0, method=method, max_steps=10)
    assert short.status == "step_budget" and "kink" not in short.message


# The kink is seen in the steps of any method; in balls each of them takes longer.
@pytest.mark.parametrize(
    ("arithmetic", "method"),
    [
        *(("balls", method) for method in ("auto", "CVODE")),
        *(("doubles", method) for method in ("auto", "CVODE", "BDF", "LSODA")),
    ],
)
def test_the_tip_of_a_cone_is_named_at_once(arithmetic, method):
    u, v = sp.symbols("u v")
    loss = sp.sqrt((u - 1) ** 2 + (v - 2) ** 2)
    system = flows.OwnSystem("cone", [u, v], loss, arithmetic=arithmetic)
    run = flows.integrate(system, [1.5, 0.2], 1e3, method=method)
    assert run.status == "field_failed" and run.stats["steps"] < AT_ONCE
    assert f"at t = {np.hypot(0.5, 1.8):.6g}" in run.message  # at unit speed
    # Control: rounded at the tip it is no kink, however sharp.
    rounded = flows.OwnSystem("round", [u, v], sp.sqrt(loss**2 + 1e-12), arithmetic=arithmetic)
    assert flows.integrate(rounded, [1.5, 0.2], 1e3, method=method).completed


def test_a_smooth_loss_that_lacks_steps_has_no_kink():
    start = [0.3, 0.4, 0.1, 0.2]
    for steps in (50, 100, 150):
        run = flows.integrate(students(relu), start, 1e8, max_steps=steps)
        assert run.status == "step_budget" and "kink" not in run.message
