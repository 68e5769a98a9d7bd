"""Gradient flows with learning rates and in metrics, against flows that they are equal to."""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from potentials import symbol
from symbolic import D

X, Y, T = sp.symbols("x y t")
LOSS = (X * Y - 1) ** 2 / 2
START = [0.3, 0.2]
# What a run of the usual tolerance may be off by, and what a control is broken by.
DIGITS, OFF = 1e-8, 1e-3


def test_rates_are_those_of_rescaled_coordinates():
    # With x = sqrt(r) u the flow of u is that of the gradient, which exact states follow.
    rate = sp.Integer(9)
    rated = flows.OwnSystem("rated", [X, Y], LOSS, {"sum": X + Y}, rates={Y: rate})
    plain = flows.OwnSystem("plain", [X, Y], LOSS.subs(Y, 3 * Y), {"sum": X + 3 * Y})
    times = np.geomspace(0.01, 5, 12)
    run = flows.integrate(rated, START, 5.0, times)
    other = flows.integrate(plain, [START[0], START[1] / 3], 5.0, times)
    assert run.state[:, 1] == pytest.approx(3 * other.state[:, 1], rel=DIGITS)
    assert run["sum"] == pytest.approx(other["sum"], rel=DIGITS)
    off = np.abs(run["loss"] - other["loss"])
    stated = run.absolute_errors("loss") + other.absolute_errors("loss")
    assert (off <= stated)[~np.isnan(run["loss"])].all() and (other["loss"] <= stated)[-1]
    known = run["loss"] > 1e-12
    assert known.sum() > 8 and run.errors("loss")[known].max() < 1e-4
    wrong = flows.OwnSystem("wrong", [X, Y], LOSS, rates={Y: 9 * (1 + OFF)})
    broken = flows.integrate(wrong, START, 5.0, times)
    assert np.abs(broken["loss"] - run["loss"])[5] > 100 * run.absolute_errors("loss")[5]


def test_a_diagonal_network_is_a_mirror_flow():
    # beta = u^2 - v^2 with u v kept: beta' = -4 sqrt(beta^2 + 4 (u v)^2) dL/dbeta (Woodworth et
    # al. 2020). Both ways have no code in common but the solver.
    u, v, beta = sp.symbols("u v beta")
    alpha = sp.Rational(1, 10)
    network = flows.OwnSystem("network", [u, v], (u**2 - v**2 - 2) ** 2 / 2, {"beta": u**2 - v**2})
    metric = {beta: 1 / (4 * sp.sqrt(beta**2 + 4 * alpha**4))}
    mirror = flows.OwnSystem("mirror", [beta], (beta - 2) ** 2 / 2, metric=metric)
    times = np.geomspace(0.01, 2, 10)
    ours = flows.integrate(mirror, [0.0], 2.0, times)
    theirs = flows.integrate(network, [0.1, 0.1], 2.0, times)
    assert ours.state[1:, 0] == pytest.approx(theirs["beta"][1:], rel=DIGITS)
    other = flows.integrate(network, [0.1 * (1 + OFF), 0.1], 2.0, times)
    assert np.abs(ours.state[5, 0] / other["beta"][5] - 1) > OFF / 10


def test_a_full_metric_is_inverted():
    metric = sp.Matrix([[2 + X**2, X], [X, 1 + Y**2]])
    system = flows.OwnSystem("natural", [X, Y], LOSS, metric=metric)
    slope = system.compiled.slope(np.array([0.4, -0.7]), 0.0)
    at = {X: 0.4, Y: -0.7}
    exact = -metric.subs(at).inv() * sp.Matrix([sp.diff(LOSS, s) for s in (X, Y)]).subs(at)
    assert slope == pytest.approx(np.array(exact, dtype=float)[:, 0], rel=1e-13)


def test_the_loss_falls_by_the_square_of_its_gradient_in_the_metric():
    system = flows.OwnSystem("weighted", [X, Y], LOSS, metric=sp.diag(1 + X**2, 2))
    run = flows.integrate(system, START, 3.0)
    loss, rate = symbol("loss"), D(symbol("loss"))
    size = symbol("gradient_norm")
    assert [v.verdict for v in flows.check(run, [rate <= 0, rate <= -(size**2) * (1 + OFF)])] == [
        "HOLDS",
        "VIOLATED",
    ]
    assert system.loss(START) == pytest.approx(float(LOSS.subs({X: 0.3, Y: 0.2})))
    assert system.hessian(START) == pytest.approx(
        flows.OwnSystem("plain", [X, Y], LOSS).hessian(START)
    )
    assert loss.name in run.names


def test_a_slow_rate_is_not_taken_for_a_late_regime():
    # The quartic direction moves a million times more slowly: at the end nothing has happened yet.
    system = flows.OwnSystem("slow", [X, Y], X**4 / 4 + Y**2 / 2, rates={X: sp.Rational(1, 10**6)})
    run = flows.integrate(system, [1.0, 1.0], 1e3)
    (verdict,) = flows.check(run, symbol("loss") <= sp.Symbol("C") / symbol("t") ** 2)
    assert verdict.verdict == "INCONCLUSIVE"
    later = flows.integrate(system, [1.0, 1.0], 1e11)
    tail = flows.tail_constant(later, "loss", 2.0)
    assert tail.value == pytest.approx(10**12 / 16, rel=1e-4)


def test_rates_may_be_schedules():
    system = flows.OwnSystem("schedule", [X], X**2 / 2, rates={X: 1 / (1 + T)})
    run = flows.integrate(system, [2.0], 1e3, [1e3])
    assert run.state[-1, 0] == pytest.approx(2 / 1001, rel=DIGITS)
    with pytest.raises(InputError, match="depends on the time"):
        flows.descend(system, [2.0], 0.1, 10)
    with pytest.raises(InputError, match="depends on the time; it has no invariants"):
        system.invariants(2)


def test_steps_of_descent_are_taken_in_the_metric():
    system = flows.OwnSystem("two", [X, Y], LOSS, rates={Y: 10})
    run = flows.descend(system, START, 0.01, 1)
    slope = (0.3 * 0.2 - 1) * np.array([0.2, 10 * 0.3])
    assert run.state[-1] == pytest.approx(np.array(START) - 0.01 * slope, rel=1e-14)


def test_balances_know_the_rates():
    system = flows.OwnSystem("two", [X, Y], LOSS, rates={Y: 10})
    assert [str(p) for p in system.invariants(2).conserved] == ["10*x**2 - y**2"]


def test_a_file_holds_rates_and_metric(tmp_path):
    for k, given in enumerate(
        ({"rates": {X: 2, Y: 1 + T}}, {"metric": {X: 2}}, {"metric": sp.Matrix([[2, 1], [1, 2]])})
    ):
        system = flows.OwnSystem("kept", [X, Y], LOSS, {"sum": X + Y}, **given)
        run = flows.integrate(system, START, 1.0)
        read = flows.load(run.save(tmp_path / f"{k}.nc"))
        assert read.system == system and read["sum"].tolist() == run["sum"].tolist()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"rates": {sp.Symbol("z"): 2}}, "rates: expected blocks, x, y, got z"),
        ({"rates": {X: -1}}, "must be positive, got -1"),
        ({"metric": sp.Matrix([[1, 2]])}, "expected 2 rows and columns"),
        ({"metric": sp.Matrix([[1, 2], [3, 4]])}, "expected a symmetric matrix"),
        ({"metric": sp.Matrix([[1, 1], [1, 1]])}, "invertible"),
        ({"metric": 3}, "metric must be a mapping"),
        ({"rates": {X: 2}, "arithmetic": "balls"}, "expected none beside rates or a metric"),
        ({"rates": {X: 2}, "metric": sp.Matrix([[2, 1], [1, 2]])}, "expected none beside a metric"),
    ],
    ids=str,
)
def test_bad_rates_and_metrics_are_one_line(given, line):
    with pytest.raises(InputError, match=line):
        flows.OwnSystem("bad", [X, Y], LOSS, **given)


def test_a_start_where_the_metric_is_not_positive_is_refused():
    system = flows.OwnSystem("mirror", [X, Y], LOSS, metric={X: 1 / X, Y: 1 / Y})
    with pytest.raises(InputError, match="must be positive, and are not at this start"):
        flows.integrate(system, [-1.0, 1.0], 1.0)


def test_a_loss_that_moves_is_no_gradient_flow():
    with pytest.raises(InputError, match="expected an expression without t"):
        flows.OwnSystem("moves", [X], (X - T) ** 2, rates={X: 2})


def test_a_run_says_when_rates_are_not_positive_any_more():
    system = flows.OwnSystem("back", [X], X**2 / 2, rates={X: 1 - T})
    run = flows.integrate(system, [1.0], 2.0, [0.5, 1.1, 2.0])
    assert run.message.count("rates and metric are not positive") == 1
    fine = flows.integrate(system, [1.0], 0.99, [0.5, 0.99])
    assert fine.message == "reached the end"
