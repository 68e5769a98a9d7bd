"""Losses of your own that are expectations: their rules, and runs for many decades."""

import re
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from flint import arb
from mpmath import mp
from scipy.integrate import quad, solve_ivp
from scipy.special import expit

import flows
from flows.core.balls import precision
from flows.systems.own import exact, serving, view
from flows.systems.own.loss import ROUNDING
from symbolic import Expectation

A, X = sp.symbols("a x")
# Steps of 1e-10, whose errors the flow contracts.
DIGITS = 1e-9
# Two fixed rules of an expectation agree to 1e-30.
RULE = 1e-28
# Digits of `1 + z` that its logarithm loses, and some last bits of a few steps.
LOST = 1e-13


def test_an_expectation_behaves_like_its_closed_form():
    # E cos(a x) = exp(-a^2/2), maximal and 1 at a = 0.
    closed = flows.OwnSystem("closed", [A], -sp.exp(-(A**2) / 2))
    averaged = flows.OwnSystem("averaged", [A], -Expectation(sp.cos(A * X), X))
    assert averaged._loss.averaged
    found, truth = (flows.integrate(s, [1.0], 20.0) for s in (averaged, closed))
    assert found["excess"] == pytest.approx(truth["excess"], rel=DIGITS, abs=0)
    assert truth["excess"][-1] < 1e-16


def test_a_softplus_expectation_keeps_its_loss_beside_a_minimum_that_is_not_zero():
    # Minimal where E x s(a x) = 1/4, s the logistic function; not a number anybody knows.
    system = flows.OwnSystem("softplus", [A], Expectation(sp.log(1 + sp.exp(A * X)), X) - A / 4)
    run = flows.integrate(system, [0.3], t_end=1e12)
    with mp.workdps(50):

        def average(f):
            return 2 * mp.quad(lambda x: mp.npdf(x) * f(x), [0, 1, 2, 4, 8, 16])

        def logistic(x):
            return 1 / (1 + mp.exp(-x))

        # Even parts: softplus(z) = z/2 + log(2 cosh(z/2)), s(z) = 1/2 + tanh(z/2)/2.
        found = system.limit(run.states, run.t)
        where, lowest = (mp.mpf(x.str(45, radius=False)) for x in (found.where[0], found.loss))
        slope = average(lambda x: x * mp.tanh(where * x / 2)) / 2 - mp.mpf(1) / 4
        least = average(lambda x: mp.log(2 * mp.cosh(where * x / 2))) - where / 4
        bend = average(lambda x: x**2 * logistic(where * x) * logistic(-where * x))
        assert abs(slope) < RULE and abs(lowest - least) < RULE
    assert run.completed and run["loss"][-1] == pytest.approx(float(least), rel=1e-15)
    above = run["excess"]
    near = np.flatnonzero((above > 1e-48) & (above < 1e-20))
    fell = np.log(above[near[0]] / above[near[-1]]) / (run.t[near[-1]] - run.t[near[0]])
    assert fell == pytest.approx(2 * float(bend), rel=DIGITS)
    # Where the states no longer tell it, it is unknown, not zero, and the run says so.
    assert np.isnan(above[-1]) and "no longer tell it" in run.excess.reason


def test_a_tanh_expectation_falls_to_its_minimum_by_a_law_to_1e12():
    # E (tanh^2 - x)^2 = 1 + E tanh^4 ~ 1 + 3 a^4, so that a^2 ~ 1/(24 t).
    system = flows.OwnSystem("tanh", [A], Expectation((sp.tanh(A * X) ** 2 - X) ** 2, X))
    run = flows.integrate(system, [0.5], t_end=1e12)
    assert run.completed and run.excess.limit == pytest.approx(1, abs=1e-15)
    law = 1 / (192 * run.t[-1] ** 2)
    assert run["excess"][-1] == pytest.approx(law, rel=DIGITS, abs=0)
    assert run["excess"][-1] != pytest.approx(1.001 * law, rel=DIGITS, abs=0)
    assert flows.local_exponent(run)[-1] == pytest.approx(-2, abs=1e-6)


def test_an_even_integrand_takes_half_of_its_nodes_and_has_the_same_average(monkeypatch):
    # E cos(a x) = exp(-a^2/2).
    loss = flows.OwnSystem("even", [A], Expectation(sp.cos(A * X), X))._loss
    rule = serving.on_line(loss, np.array([1.0]))
    assert exact.is_even(loss)
    steps = exact.steps_of(loss.form.integrand, loss.y)
    assert exact.work(loss, rule) == (len(rule) + 1) / 2 * steps

    def off():
        with precision(exact.BITS):
            return float(abs(exact.balls(loss, rule).both([arb(1)])[0] - arb("-0.5").exp()))

    assert off() < RULE
    # Control: weights with a wrong factor.
    right = exact.in_balls
    monkeypatch.setattr(exact, "in_balls", lambda *a: [(x, w * arb("1.001")) for x, w in right(*a)])
    assert off() > 1e-4
    odd = flows.OwnSystem("odd", [A], Expectation(sp.sin(A * X), X))._loss
    assert not exact.is_even(odd)


@pytest.mark.parametrize("a", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("inner", [A * X, sp.Max(0, A * X)], ids=["smooth", "kink"])
def test_digits_that_an_integrand_loses_in_doubles_are_in_the_stated_error(a, inner):
    # 1 + (a x)^2 has lost digits of x that no last bit of a or x shows.
    system = flows.OwnSystem("log", [A], Expectation(sp.log(1 + inner**2), X))
    found, share = system.expectation([a]), 2 if inner == A * X else 1
    with mp.workdps(40):
        half = mp.quad(lambda x: mp.npdf(x) * mp.log1p((a * x) ** 2), [0, 3, 6, 16])
        off = float(abs(found.loss - share * half))
    assert off <= found.loss_error < LOST / a**2 * found.loss
    # Control: sums alone are rounded by less.
    assert a == 1e-2 or off > ROUNDING * found.loss


def test_an_expectation_that_is_slow_in_balls_is_in_doubles_unless_they_are_asked_for(monkeypatch):
    w = sp.MatrixSymbol("w", 3, 1)
    gap = sum(sp.tanh(w[i, 0] * X) for i in range(3)) - sp.tanh(X) - sp.tanh(2 * X)
    system = flows.OwnSystem("three", [w], Expectation(gap**2, X) / 2)
    start = np.array([1.2, 0.3, 2.0])
    assert system.reduce(start)[1].exact
    steps = exact.work(system._loss, serving.on_line(system._loss, start))
    monkeypatch.setattr(view, "MOST_WORK", steps - 1)
    assert not system.reduce(start)[1].exact
    assert replace(system, arithmetic="balls").reduce(start)[1].exact
    run = flows.integrate(system, start, t_end=1.0)
    assert np.isnan(run["excess"]).all() and "arithmetic='balls'" in run.excess.reason


def test_gradient_em_on_a_line_has_its_digits_by_default_for_twelve_decades():
    mu = sp.MatrixSymbol("mu", 2, 1)
    tilt = [sp.exp(mu[i, 0] * X - mu[i, 0] ** 2 / 2) for i in range(2)]
    own = flows.OwnSystem("mixture", [mu], Expectation(-sp.log(sum(tilt) / 2), X))
    start, times = [1.0, -0.4], np.geomspace(1, 1e12, 13)
    run = flows.integrate(own, start, times[-1], times, rtol=1e-8)
    built = flows.integrate(flows.GMMEM(n=2, d=1), np.array(start)[:, None], times[-1], times)
    # Tolerances of steps, added up over charts.
    assert run["loss"] == pytest.approx(built["loss"], rel=1e-7, abs=0)


def test_a_relu_expectation_is_the_built_in_neuron_for_nine_decades():
    w, x = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("x", 2, 1)
    students = sum(sp.Max(0, (w * x)[i, 0]) for i in range(2))
    own = flows.OwnSystem("relu", [w], Expectation((students - sp.Max(0, x[0, 0])) ** 2, x) / 2)
    built_in = flows.ReLUNeuron(n=2, d=2)
    start = built_in.initial(0.1, seed=0)
    times = [1.0, 1e3, 1e6, 1e9]
    known = flows.integrate(built_in, start, t_end=1e9, t_eval=times)["loss"]
    run = flows.integrate(own, start.ravel(), t_end=1e9, t_eval=times)
    assert run.completed and np.abs(run["loss"] / known - 1).max() < DIGITS
    assert run["excess"] == pytest.approx(known, rel=DIGITS)
    # Control: a teacher of another length, by a thousandth.
    off = (students - sp.Rational(1001, 1000) * sp.Max(0, x[0, 0])) ** 2
    wrong = flows.OwnSystem("wrong", [w], Expectation(off, x) / 2)
    other = flows.integrate(wrong, start.ravel(), t_end=1.0, t_eval=[1.0])["loss"]
    assert abs(other[-1] / known[1] - 1) > 1e3 * DIGITS


def test_two_oblique_teachers_with_trained_outputs_keep_what_the_outputs_conserve():
    # |w_i|^2 - c_i^2 does not move: ReLU is homogeneous of degree one.
    w, c, x = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("c", 2, 1), sp.MatrixSymbol("x", 2, 1)
    students = sum(c[i, 0] * sp.Max(0, (w * x)[i, 0]) for i in range(2))
    oblique = sp.Rational(3, 5) * x[0, 0] + sp.Rational(4, 5) * x[1, 0]
    teachers = sp.Max(0, x[0, 0]) + sp.Max(0, oblique)
    balance = {f"b{i}": w[i, 0] ** 2 + w[i, 1] ** 2 - c[i, 0] ** 2 for i in range(2)}
    loss = Expectation((students - teachers) ** 2, x) / 2
    system = flows.OwnSystem("two", [w, c], loss, balance)
    start = np.array([0.5, 0.1, 0.2, 0.6, 0.8, 0.9])
    run = flows.integrate(system, start, t_end=300.0, t_eval=[1.0, 30.0, 300.0])
    assert run.completed and run["loss"][-1] < 1e-10
    for name in balance:
        assert run[name] == pytest.approx(run[name][0], rel=DIGITS)


def plane_of_gauss(panels, nodes, reach=8.5):
    """Nodes and weights of `N(0, I_2)`: Gauss-Legendre on panels, a family that no run takes."""
    t, w = np.polynomial.legendre.leggauss(nodes)
    half = reach / panels
    x = (np.linspace(-reach + half, reach - half, panels)[:, None] + half * t).ravel()
    w = np.tile(half * w, panels) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return np.stack(np.meshgrid(x, x, indexing="ij")).reshape(2, -1), np.outer(w, w).ravel()


BY_HAND = {
    "tanh": (sp.tanh, np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "cos": (sp.cos, np.cos, lambda z: -np.sin(z)),
    "logistic": (lambda z: 1 / (1 + sp.exp(-z)), expit, lambda z: expit(z) * expit(-z)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_students_in_the_plane_are_within_their_errors_at_every_time(name):
    written, s, slope = BY_HAND[name]
    w, x = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
    gap = written((w.T * x)[0, 0]) - written(x[0, 0])
    system = flows.OwnSystem("student", [w], Expectation(gap**2, x) / 2)
    nodes, weights = plane_of_gauss(10, 10)

    def both(y):
        z = y @ nodes
        off = s(z) - s(nodes[0])
        return weights @ off**2 / 2, nodes @ (weights * off * slope(z))

    # It turns by 150 degrees, beside where it may go to either side.
    start, times = [-1.0, 0.5], np.array([0.1, 1.0, 3.0, 8.0])
    truth = solve_ivp(
        *(lambda t, y: -both(y)[1], (0, 8.0), start, "DOP853", times), rtol=1e-11, atol=1e-13
    )
    run = flows.integrate(system, start, t_end=8.0, t_eval=times)
    losses = np.array([both(y)[0] for y in truth.y.T])
    stated = run.errors("loss")[1:]
    assert run.completed and not np.isnan(run["loss"]).any()
    assert (np.abs(run["loss"][1:] / losses - 1) <= stated).all()
    # It says something, which it did not where a coarse rule was subtracted from a fine one.
    assert (stated < 1e-4).all()
    # A hundred times the tolerance of the run.
    assert run.state[1:] == pytest.approx(truth.y.T, abs=1e-8)
    # Control: a loss that is off by a thousandth is outside.
    assert (np.abs(1.001 * run["loss"][1:] / losses - 1) > stated).all()


def test_a_run_into_steep_integrands_follows_all_of_its_loss():
    # a' = E x tanh(a x) - a/100: its expectation grows until one in 2000 nodes sees its turn.
    system = flows.OwnSystem("steep", [A], A**2 / 200 - Expectation(sp.log(sp.cosh(A * X)), X))
    times = [1.0, 10.0, 100.0]
    run = flows.integrate(system, [1.0], t_end=100.0, t_eval=times, rtol=1e-6)

    def pull(a):
        far = 30.0 / a
        middle = quad(lambda x: x * np.tanh(a * x) * np.exp(-(x**2) / 2), 0, far, epsabs=1e-13)[0]
        # Beyond, the integrand is x.
        beyond = np.exp(-(far**2) / 2) if far < 12 else 0.0
        return 2 * (middle + beyond) / np.sqrt(2 * np.pi)

    truth = solve_ivp(
        *(lambda t, y: [pull(y[0]) - y[0] / 100], (0, 100.0), [1.0], "DOP853", times),
        rtol=1e-9,
        atol=1e-9,
    )
    # Ten times the tolerance of steps.
    assert run.completed and run.state[1:, 0] == pytest.approx(truth.y[0], rel=1e-5)
    assert run.state[-1, 0] != pytest.approx(1.001 * truth.y[0, -1], rel=1e-5)
    # A file that is read tells the same, each time by the rule that serves there.
    again = system.recorded(run.states)
    assert again.seen[:, 0] == pytest.approx(run["loss"], rel=1e-12)


def test_an_expectation_without_a_rule_ends_the_run_and_says_when(monkeypatch):
    system = flows.OwnSystem("steep", [A], A**2 / 200 - Expectation(sp.log(sp.cosh(A * X)), X))
    monkeypatch.setattr(serving, "MOST_ON_LINE", 200)
    run = flows.integrate(system, [1.0], t_end=100.0, rtol=1e-6)
    assert run.status == "field_failed" and "more than 200 nodes" in run.message
    assert 0 < run.t[-1] < 100 and not np.isnan(run["loss"]).any()
    monkeypatch.undo()
    truth = flows.integrate(system, [1.0], t_end=run.t[-1], t_eval=run.t[1:], rtol=1e-6)
    assert run.state == pytest.approx(truth.state, rel=1e-5)  # ten times the tolerance of steps


def test_an_integrand_that_comes_to_grow_too_fast_ends_the_run_and_says_when():
    # Of `-E e^{a x^2} = -1/sqrt(1 - 2 a)` the flow leads to `a = 1/2` at `t = 0.8^2.5/5`.
    system = flows.OwnSystem("growing", [A], -Expectation(sp.exp(A * X**2), X))
    run = flows.integrate(system, [0.1], t_end=1.0)
    when = float(re.search(r"\(at t = ([\d.e-]+)\)", run.message)[1])
    assert run.status == "field_failed" and "\n" not in run.message
    assert run.t[-1] <= when < 0.8**2.5 / 5
    truth = -((0.8**2.5 - 5 * run.t) ** -0.2)
    assert run["loss"] == pytest.approx(truth, rel=1e-8)
    assert run["loss"] != pytest.approx((1 + 1e-3) * truth, rel=1e-8)


STEEP = {
    # E log(1 + e^{-z}) = E log(2 cosh(z/2)); E log cosh z and E e^z, z ~ N(0, a^2).
    "softplus": (sp.log(1 + sp.exp(-A * X)), lambda z: mp.log(2 * mp.cosh(z / 2))),
    "log cosh": (sp.log(sp.cosh(A * X)), lambda z: mp.log(mp.cosh(z))),
    "exponential": (sp.exp(A * X), None),
}


def averaged_by_hand(a, f):
    """Average of an even function of `a x`, with 30 digits."""
    with mp.workdps(30):
        near = [0, 1 / mp.mpf(a), 10 / mp.mpf(a), 1, 4, 16]
        return 2 * mp.quad(lambda x: mp.npdf(x) * f(a * x), near)


@pytest.mark.parametrize("name", STEEP)
def test_a_steep_loss_is_right_or_unknown(name):
    integrand, by_hand = STEEP[name]
    system = flows.OwnSystem("steep", [A], Expectation(integrand, X))
    for a in (20.0, 30.0, 100.0, 1e3):
        truth = averaged_by_hand(a, by_hand) if by_hand else mp.exp(mp.mpf(a) ** 2 / 2)
        loss = system.loss([a])
        if truth > 1e300:
            assert not np.isfinite(loss)
            continue
        # Rounding of sums over hundreds of nodes.
        assert loss == pytest.approx(float(truth), rel=1e-13)
        assert loss != pytest.approx(1.001 * float(truth), rel=1e-13)
        if by_hand:
            assert abs(loss - float(truth)) <= system.expectation([a]).loss_error < 1e-9 * loss


def test_an_average_that_no_rule_tells_is_no_number():
    # Steep in four directions, which is more than rules have.
    w, x = sp.MatrixSymbol("w", 4, 1), sp.MatrixSymbol("x", 4, 1)
    steps = [sp.tanh(w[i, 0] * x[i, 0] - i) for i in range(4)]
    system = flows.OwnSystem("apart", [w], Expectation((sum(steps) - sp.prod(steps)) ** 4, x))
    steep = [300.0, -200.0, 500.0, 100.0]
    found = system.expectation(steep)
    assert found.error > 0.1 and np.isnan(system.loss(steep))
    assert np.isnan(system.gradient(steep)).all()
    # Control: what is gentle is told.
    gentle = [0.1, 0.2, 0.1, 0.3]
    assert system.loss(gentle) == system.expectation(gentle).loss


def test_a_gradient_that_vanishes_at_every_number_ends_no_run():
    # At the minimum the slope 1/4 - expit(-a x - b) is zero at each x: doubles see nothing of it.
    a, b, x = sp.symbols("a b x", real=True)
    z = a * x + b
    loss = Expectation(sp.log(1 + sp.exp(-z)) + z / 4, x) + a**2 / 10
    run = flows.integrate(flows.OwnSystem("logistic", [a, b], loss), [0.3, 0.7], 1e3)
    assert run.status == "completed" and np.isfinite(run.errors("loss")).all()
    lowest = np.log(4 / 3) + np.log(3) / 4
    assert run["loss"][-1] == pytest.approx(lowest, abs=1e-15)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def field(t, y):
        slope = 0.25 - expit(-y[0] * nodes - y[1])
        return [-weights @ (slope * nodes) - y[0] / 5, -weights @ slope]

    times = run.t[(run.t > 0) & (run.t < 100)]
    other = solve_ivp(field, (0, times[-1]), [0.3, 0.7], "DOP853", times, rtol=1e-13, atol=1e-15).y
    there = np.logaddexp(0, -np.outer(other[0], nodes) - other[1][:, None])
    losses = there @ weights + other[1] / 4 + other[0] ** 2 / 10
    known = run["loss"][(run.t > 0) & (run.t < 100)]
    off = run.absolute_errors("loss")[(run.t > 0) & (run.t < 100)]
    assert (np.abs(known - losses) <= off + 1e-13).all()
