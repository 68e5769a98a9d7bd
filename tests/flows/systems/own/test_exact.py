"""Own losses for twelve decades, against closed forms and 40 digits that popflow did not make."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import sympy as sp
from flint import arb
from mpmath import mp
from oracles import own_losses as oracle

import flows
from flows.core import limit
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.systems.own import energy, energy_units, exact
from flows.systems.own.carried_errors import Errors
from flows.systems.own.exact import balls, from_doubles
from flows.systems.own.given import loss_of
from symbolic import Expectation

A, B, X = sp.Symbol("a"), sp.Symbol("b"), sp.Symbol("x")
TIMES = np.array(oracle.TIMES)
# Steps of 1e-10, whose errors the flow contracts.
DIGITS = 1e-9
# Exponents of a run whose corrections fall like the root of what its law is a power of.
SLOWLY = 1e-2
# A bound that is sampled; what is stated of a run is a hundredfold.
SAMPLED = 3.0
# Two fixed rules of an expectation agree to 1e-30.
RULE = 1e-28
TALL = [[0.3, -0.2], [0.5, 0.1], [-0.1, 0.4]]
SQUARE = [[0.4, 0.1, 0.2], [-0.2, 0.5, 0.1], [0.1, -0.3, 0.6]]


ROTATION = [[sp.Rational(3, 5), sp.Rational(-4, 5)], [sp.Rational(4, 5), sp.Rational(3, 5)]]


def factorization(target, rows, turn=None):
    """`|O'W'W O - M|^2/4`, `M` diagonal."""
    w = sp.MatrixSymbol("W", rows, len(target))
    turned = sp.Matrix(w) * (sp.eye(len(target)) if turn is None else sp.Matrix(turn))
    gap = turned.T * turned - sp.diag(*target)
    return flows.OwnSystem("factorization", [w], sp.trace(gap.T * gap) / 4)


CASES = {
    "rotated": (factorization((1, 0), 3, ROTATION), TALL, (1, 0), ROTATION),
    "a negative eigenvalue": (factorization((1, 0, -1), 3), SQUARE, (1, 0, -1), None),
}


def closed(name, t):
    """Loss of a case at a time, with 60 digits."""
    _, start, target, turn = CASES[name]
    with mp.workdps(120):
        exact_turn = None if turn is None else [[mp.mpf(x.p) / x.q for x in row] for row in turn]
    return oracle.factorization(start, target, t, exact_turn)


@functools.cache
def followed(name):
    system, start, *_ = CASES[name]
    return flows.integrate(system, np.ravel(start), t_end=1e12, t_eval=TIMES)


def off(run, truth, name="loss"):
    """Largest relative error at the output times."""
    return max(abs(mp.mpf(float(x)) / y - 1) for x, y in zip(run[name][1:], truth, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_factorisation_keeps_its_digits_to_1e12(name):
    run = followed(name)
    truth = [closed(name, t) for t in TIMES]
    assert run.completed and off(run, truth) < DIGITS
    least = mp.mpf(1) / 4 if "negative" in name else mp.mpf(0)
    with mp.workdps(60):
        above = [x - least for x in truth]
    assert run.excess.limit == pytest.approx(float(least), abs=1e-100) and not run.excess.reason
    assert off(run, above, "excess") < DIGITS
    assert flows.local_exponent(run)[-1] == pytest.approx(-2, abs=1e-6)
    # Control: a hundred times less is not met.
    assert off(run, [x * (1 + 100 * DIGITS) for x in above], "excess") > 10 * DIGITS


def test_a_valley_and_quadratic_neurons_are_those_of_fifty_digits():
    u, q = sp.symbols("u q")
    valley = flows.OwnSystem("valley", [u, q], (u**2 - q**3) ** 2 + q**8)
    w, x = sp.MatrixSymbol("W", 3, 3), sp.MatrixSymbol("x", 3, 1)
    student = (x.T * w.T * w * x)[0, 0]
    neurons = flows.OwnSystem("neurons", [w], Expectation((student - x[0, 0] ** 2) ** 2, x) / 2)
    for name, system, start in (
        ("valley", valley, oracle.VALLEY_START),
        ("neurons", neurons, np.ravel(oracle.NEURONS_START)),
    ):
        run = flows.integrate(system, start, t_end=1e12, t_eval=TIMES)
        assert off(run, oracle.kept(name)) < DIGITS


def squared(kernel):
    """Half of the mean square of `erf(a x) + erf(b x) - 2 erf(x)`, of averages of products."""
    signs = ((A, 1), (B, 1), (sp.Integer(1), -2))
    return sum(r * s * kernel(p, q) for p, r in signs for q, s in signs) / 2


def saad_solla(p, q):
    return 2 / sp.pi * sp.asin(2 * p * q / sp.sqrt((1 + 2 * p**2) * (1 + 2 * q**2)))


@pytest.mark.parametrize("form", ["kernel", "expectation"])
def test_two_erf_students_are_those_of_fifty_digits_also_as_an_expectation(form):
    gap = sp.erf(A * X) + sp.erf(B * X) - 2 * sp.erf(X)
    loss = squared(saad_solla) if form == "kernel" else Expectation(gap**2, X) / 2
    system = flows.OwnSystem("committee", [A, B], loss, arithmetic="balls")
    run = flows.integrate(system, oracle.COMMITTEE_START, t_end=TIMES[-1], t_eval=TIMES)
    truth = oracle.kept("committee")
    assert run.completed and off(run, truth) < DIGITS
    # Control: a kernel with a wrong factor.
    wrong = flows.OwnSystem("wrong", [A, B], squared(saad_solla).subs(sp.pi, sp.pi * 1.001))
    if form == "kernel":
        run = flows.integrate(wrong, oracle.COMMITTEE_START, t_end=10.0, t_eval=TIMES[:2])
        assert off(run, truth[:2]) > 1e3 * DIGITS


ELSEWHERE = flows.OwnSystem("elsewhere", [A], (A - 1) ** 2)


def worst_elsewhere():
    run = flows.integrate(ELSEWHERE, [2.0], 60.0, [1.0, 10.0, 60.0], max_steps=20_000)
    return np.abs(run["loss"] / np.exp(-4 * run.t) - 1).max() if run.completed else np.inf


def test_a_state_that_is_rounded_to_doubles_loses_the_digits(monkeypatch):
    assert worst_elsewhere() < 10 * DIGITS

    def rounded(doubles):
        return from_doubles(np.where(np.arange(doubles.shape[-1]) == 0, doubles, 0.0))

    monkeypatch.setattr(energy, "from_doubles", rounded)
    assert not worst_elsewhere() < 1e3 * DIGITS


def test_without_the_floor_an_axis_without_curvature_has_no_size(monkeypatch):
    # From an inflection point a^2 obeys the logistic equation.
    well = flows.OwnSystem("well", [A], (A**2 - 1) ** 2 / 4)
    start, times = np.sqrt(1 / 3), np.array([0.5, 2.0])

    def worst():
        run = flows.integrate(well, [start], 2.0, times, max_steps=6000)
        square = 1 / (1 + (start**-2 - 1) * np.exp(-2 * times))
        if not run.completed:
            return np.inf
        return np.abs(run["loss"][1:] / ((square - 1) ** 2 / 4) - 1).max()

    assert worst() < DIGITS
    for part in (energy, energy_units):
        monkeypatch.setattr(part, "floor", lambda h, since: np.maximum(np.abs(h), 1e-300))
    assert not worst() < 1e3 * DIGITS


@pytest.mark.parametrize(
    ("system", "start", "t_end"),
    [
        (flows.OwnSystem("flat", [A], sp.exp(-1 / A**2)), [1.0], 1e9),
        (flows.OwnSystem("away", [A], sp.log(1 + sp.exp(-A))), [0.0], 1e9),
        (flows.OwnSystem("saddle", [A, B], (A**2 - 1) ** 2 / 4 + B**2), [1e-9, 1.0], 5.0),
        (flows.OwnSystem("early", [A], (A - 1) ** 4 / 4 + 3), [2.0], 0.1),
        (flows.OwnSystem("slope", [A, B], A**2 + sp.log(1 + sp.exp(B))), [1.0, 30.0], 10.0),
    ],
)
def test_a_limit_that_is_not_known_is_refused_with_a_reason(system, start, t_end):
    run = flows.integrate(system, start, t_end=t_end)
    assert np.isnan(run.excess.limit) and np.isnan(run["excess"]).all()
    assert run.excess.reason.startswith("limit not found: ")
    # The loss keeps its digits.
    assert np.isfinite(run["loss"]).all()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("loss", "start", "exponent"),
    [
        (A**2 * (B**2 + B**4) + B**6 + A**4, (0.2, 1.2), -3 / 2),
        ((A - B**2) ** 2 * B**2 + B**8, (0.2, 1.2), -4 / 3),
        ((A**2 - B**3) ** 2 + B**8, (1.2, 0.8), -4 / 3),
    ],
)
def test_a_valley_whose_fast_curvature_vanishes_at_the_limit_has_one(
    loss, start, exponent, turned, monkeypatch
):
    if turned:  # axes in doubles lean by their rounding
        turn = sp.Matrix([[3, -4], [4, 3]]) / 5
        names = dict(zip((A, B), turn * sp.Matrix([A, B]), strict=True))
        loss, start = loss.subs(names, simultaneous=True), np.array(turn.T, float) @ start
    system = flows.OwnSystem("valley", [A, B], loss + 1)
    run = flows.integrate(system, start, t_end=1e12, t_eval=[1e8, 1e11, 1e12])
    assert not run.excess.reason and run.excess.limit == 1
    law = np.diff(np.log(run["excess"][2:])) / np.diff(np.log(run.t[2:]))
    assert law == pytest.approx(exponent, abs=SLOWLY)
    # Control: where Newton's method has to halve its steps, it is said not to converge.
    monkeypatch.setattr(limit, "SLOWLY", 0.5)
    again = flows.integrate(system, start, t_end=1e12, t_eval=[1e12])
    assert again.excess.reason.startswith("limit not found: ")


def test_a_minimum_that_is_not_zero_is_approached_like_its_closed_form():
    system = flows.OwnSystem("quartic", [A], (A - 1) ** 4 / 4 + 3)
    run = flows.integrate(system, [2.0], t_end=1e12, t_eval=TIMES)
    assert run["excess"][1:] == pytest.approx((1 + 2 * TIMES) ** -2 / 4, rel=DIGITS, abs=0)
    assert run.excess.limit == 3
    assert flows.local_exponent(run)[-1] == pytest.approx(-2, abs=1e-9)
    fast = flows.OwnSystem("fast", [A], (A - 1) ** 2 + 3)
    run = flows.integrate(fast, [2.0], t_end=60.0)
    assert run["excess"] == pytest.approx(np.exp(-4 * run.t), rel=1e-8, abs=0)
    built = flows.ReLUNeuron(n=2, d=2)
    run = flows.integrate(built, built.initial(), t_end=1e3)
    assert run.excess.limit == 0 and np.array_equal(run["excess"], run["loss"])


def test_an_expectation_behaves_like_its_closed_form():
    # E cosh(a x) = exp(a^2/2), minimal and 1 at a = 0.
    closed = flows.OwnSystem("closed", [A], sp.exp(A**2 / 2))
    averaged = flows.OwnSystem("averaged", [A], Expectation(sp.cosh(A * X), X))
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
    # E cosh(a x) = exp(a^2/2).
    loss = flows.OwnSystem("even", [A], Expectation(sp.cosh(A * X), X))._loss
    rule = exact.fixed_rule(loss, np.array([1.0]))
    assert exact.is_even(loss)
    steps = exact.steps_of(loss.form.integrand, loss.y)
    assert exact.work(loss, rule) == (rule.count + 1) * steps

    def off():
        with precision(exact.BITS):
            return float(abs(exact.balls(loss, rule).both([arb(1)])[0] - arb("0.5").exp()))

    assert off() < RULE
    # Control: weights with a wrong factor.
    right = exact._nodes
    monkeypatch.setattr(exact, "_nodes", lambda *a: [(x, w * arb("1.001")) for x, w in right(*a)])
    assert off() > 1e-4
    odd = flows.OwnSystem("odd", [A], Expectation(sp.exp(A * X), X))._loss
    assert not exact.is_even(odd)


def test_an_expectation_that_is_slow_in_balls_is_in_doubles_unless_they_are_asked_for():
    w = sp.MatrixSymbol("w", 7, 1)
    gap = sum(sp.tanh(w[i, 0] * X) for i in range(7)) - sp.tanh(X) - sp.tanh(2 * X)
    system = flows.OwnSystem("seven", [w], Expectation(gap**2, X) / 2)
    start = np.array([1.2, 0.3, 2.0, 0.5, 0.7, 0.9, 1.5])
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


def test_a_weaker_rule_accepts_limits_that_are_none(monkeypatch):
    flat = flows.OwnSystem("flat", [A], sp.exp(-1 / A**2))
    run = flows.integrate(flat, [1.0], t_end=1e9)
    assert isinstance(flat.limit(run.states, run.t), str)
    for name in ("SUPERLINEAR", "SMALL", "FLAT"):
        monkeypatch.setattr(limit, name, np.inf)
    assert not isinstance(flat.limit(run.states, run.t), str)


def test_a_file_knows_the_loss_as_the_run_did(tmp_path):
    run = followed("rotated")
    again = flows.load(run.save(tmp_path / "run.nc"), run.system)
    assert np.array_equal(again["loss"], run["loss"])
    assert np.array_equal(again.states.digits, run.states.digits)
    assert again["excess"] == pytest.approx(run["excess"], rel=1e-14, abs=0)
    recorded = flows.load(tmp_path / "run.nc")
    assert np.array_equal(recorded["loss"], run["loss"])
    # What a double does not hold is in the file too.
    run = flows.integrate(ELSEWHERE, [2.0], t_end=60.0)
    again = flows.load(run.save(tmp_path / "elsewhere.nc"), ELSEWHERE)
    assert again["loss"] == pytest.approx(np.exp(-4 * run.t), rel=10 * DIGITS, abs=0)
    assert ELSEWHERE.loss(run.state[-1]) == 0.0


def test_the_reference_keeps_its_digits_when_it_takes_the_loss():
    system = flows.OwnSystem("square", [A], (A - 1) ** 2)
    run = flows.integrate(system, [2.0], t_end=20.0, method="reference")
    assert run["loss"] == pytest.approx(np.exp(-4 * run.t), rel=1e-14, abs=0)


def test_doubles_are_chosen_where_balls_are_not_possible():
    two = sp.MatrixSymbol("x", 2, 1)
    plane = flows.OwnSystem("plane", [A], Expectation(sp.tanh(A * two[0, 0] * two[1, 0]) ** 2, two))
    assert not plane.reduce(np.array([1.0]))[1].exact
    with pytest.raises(InputError, match="more than one dimension"):
        replace(plane, arithmetic="balls").reduce(np.array([1.0]))
    with pytest.raises(InputError, match="arithmetic must be one of"):
        flows.OwnSystem("plane", [A], A**2, arithmetic="quick")


def test_decay_is_ignored_and_deprecated():
    plain = flows.OwnSystem("quartic", [A], A**4)
    with pytest.warns(DeprecationWarning, match="decay is not needed"):
        told = flows.OwnSystem("quartic", [A], A**4, decay={A: 0.5})
    losses = [flows.integrate(s, [1.0], t_end=1e6)["loss"] for s in (plain, told)]
    assert np.array_equal(*losses)


def test_an_ensemble_has_the_digits_of_its_members():
    system, start, *_ = CASES["rotated"]
    many = flows.integrate_ensemble(system, np.ravel(start)[None], t_end=1e12, t_eval=TIMES)
    assert many["loss"][0] == pytest.approx(followed("rotated")["loss"], rel=1e-14)


@pytest.mark.parametrize(
    ("beside", "status"), [(0.0, "completed"), (1e-300, "field_failed"), (1e-100, "completed")]
)
def test_a_state_beside_a_saddle_is_not_said_to_stay(beside, status):
    # From 1e-300 the flow leaves at t = 691, when doubles of an energy have long ended.
    system = flows.OwnSystem("saddle", [A, B], A**2 / 2 - B**2 / 2 + B**4 / 4)
    run = flows.integrate(system, [1.0, beside], t_end=1e4)
    assert run.status == status
    assert run.completed or "saddle" in run.message
    if run.completed and beside:
        assert run["loss"][-1] == pytest.approx(-0.25, rel=1e-8)


NEXT_TO = 1e-200
# A displacement that grows like exp(t) has grown by a hundredth.
HARDLY = 0.01


@pytest.mark.parametrize("method", ["auto", "LSODA", "Radau", "BDF", "CVODE"])
@pytest.mark.parametrize("side", [(1.0, 1.0), (0.0, 1.0), (1.0, -2.0)])
def test_a_start_that_leaves_a_saddle_with_less_energy_than_doubles_hold_is_not_at_rest(
    side, method
):
    # Followed with 50 digits, the flow from (1, 1) leaves at t = 461 and its loss tends to zero.
    system = flows.OwnSystem("pair", [A, B], (A * B - 1) ** 2 / 2)
    run = flows.integrate(system, NEXT_TO * np.array(side), t_end=1e3, method=method)
    assert run.status == "field_failed" and run.t[-1] <= HARDLY
    assert run.message.startswith("beside a saddle, which it leaves")


@pytest.mark.parametrize(
    ("loss", "start"),
    [
        ((A * B - 1) ** 2 / 2, [0.0, 0.0]),  # at the saddle itself
        ((A * B + 1) ** 2 / 2, [NEXT_TO, NEXT_TO]),  # on its stable manifold
        ((A**2 + B**2 + 1) ** 2 / 2, [NEXT_TO, NEXT_TO]),
        ((A**2 * B - 1) ** 2 / 2, [NEXT_TO, NEXT_TO]),  # for a time of 1e200
    ],
)
def test_a_start_of_no_energy_stays_where_it_cannot_leave_in_that_time(loss, start):
    run = flows.integrate(flows.OwnSystem("still", [A, B], loss), start, t_end=1e3)
    assert run.completed
    assert run["loss"][-1] == 0.5


def test_a_start_of_no_energy_leaves_if_it_is_one_bit_beside_the_way_to_the_saddle():
    # The stable manifold is `a = b`; the displacement grows by e per time, from 1e-216.
    start = [NEXT_TO, float(np.nextafter(NEXT_TO, 1.0))]
    run = flows.integrate(flows.OwnSystem("left", [A, B], (A * B + 1) ** 2 / 2), start, t_end=1e3)
    assert run["loss"][-1] != 0.5 or not run.completed


def test_a_start_that_never_moves_takes_no_more_steps_than_outputs():
    # The time in which anything changes is 1e153 here: LSODA took its whole budget of steps.
    run = flows.integrate(flows.OwnSystem("quartic", [A], A**4), [1e-77], t_end=1e3)
    assert run.completed
    assert run.stats["steps"] <= len(run.t)


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


def test_equal_curvatures_do_not_make_the_error_grow_and_the_loss_stays_known():
    # Phase retrieval: tan^2 of the angle to the teacher falls exactly like exp(-4 t), L like that.
    w, x = sp.MatrixSymbol("w", 8, 1), sp.MatrixSymbol("x", 8, 1)
    loss = Expectation(((w.T * x)[0, 0] ** 2 - x[0, 0] ** 2) ** 2, x) / 4
    system = flows.OwnSystem("phase", [w], loss)
    start = system.initial(scale=0.1, seed=3)
    run = flows.integrate(system, start, t_end=50.0, t_eval=[20.0, 50.0])
    tangent = np.sum(start[1:] ** 2) / start[0] ** 2
    assert np.exp(4 * run.t[1:]) * run["loss"][1:] / tangent == pytest.approx(1, abs=DIGITS)
    # A hundred times what the steps of twenty charts leave, and what turns.
    assert (run.errors("loss")[1:] < 3e-6).all()


@pytest.mark.parametrize(("power", "exact_decay"), [(1.0, True), (2.0, False)])
def test_errors_along_a_slow_axis_decay_as_its_flow_does(power, exact_decay):
    # Of curvature p/s the flow makes s^-p; of one that falls otherwise the smaller rate is taken.
    first, last, p = 10.0, 50.0, 0.5
    start, end = (np.diag([p / s**power, 1.0]) for s in (first, last))
    before = Errors(np.eye(2), np.diag(start), np.array([1e-9, 0.0]), np.zeros(2), first)
    _, _, (error, _) = before.carried(end, last)
    least = 1e-9 * np.exp(-(last - first) * end[0, 0])
    wanted = 1e-9 * (first / last) ** p if exact_decay else least
    assert error == pytest.approx(wanted, rel=1e-12)
    assert error <= least * (1 + 1e-12)


def test_errors_at_the_same_time_turn_with_the_axes_and_say_nothing_else():
    # Two states at one time, without an axis that becomes fast: no rate times no time.
    before = Errors(np.eye(2), np.array([0.1, 0.2]), np.array([3e-9, 4e-9]), np.zeros(2), 10.0)
    curvature, _, error = before.carried(np.diag([0.1, 0.2]), 10.0)
    assert (curvature, error) == (pytest.approx([0.1, 0.2]), pytest.approx([3e-9, 4e-9]))


def turned(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def coupled(first, last, angle, length):
    """Flow of `x' = -R P R' x` in log-time: rates `P` that change, along axes that turn."""
    found, steps = np.eye(2), 400
    for k in range(steps):
        part = (k + 0.5) / steps
        axes, rates = turned(angle * part), first + (last - first) * part
        found = scipy.linalg.expm(-length / steps * axes * rates @ axes.T) @ found
    return found


def test_errors_along_slow_axes_that_turn_into_each_other_are_bounded():
    generator, since, length = np.random.default_rng(0), 10.0, np.log(10.0)
    worst, alone = 0.0, 0.0
    for _ in range(30):
        first = np.sort(generator.uniform(0.1, 2.5, 2))
        last = np.sort(first * np.exp(generator.uniform(-0.3, 0.3, 2)))
        angle, k = generator.uniform(0, 1.5), int(generator.integers(2))
        later, error = since * np.exp(length), 1e-9 * np.eye(2)[k]
        hessian = turned(angle) * last @ turned(angle).T / later
        before = Errors(np.eye(2), first / since, error, np.zeros(2), since)
        _, axes, found = before.carried(hessian, later)
        truth = np.abs(axes.T @ coupled(first, last, angle, length) @ error)
        worst = max(worst, (truth / found).max())
        # Control: each by its own rate, in the mean, and then as it has turned.
        rates = (first + np.diag(later * hessian)) / 2
        apart = np.abs(axes.T) @ (error * np.exp(-rates * length))
        alone = max(alone, (truth / apart).max())
    assert 0.5 < worst <= 1 < 2 < alone


def test_errors_of_fast_axes_that_turn_into_slow_ones_before_they_decay_are_counted():
    # Rates in log-time of a slow axis, and of one of constant curvature: like time.
    generator, since = np.random.default_rng(0), 10.0
    worst, decayed = 0.0, 0.0
    for _ in range(30):
        length, p = generator.uniform(0.5, 4.0), generator.uniform(0.1, 2.5)
        q, angle = np.exp(generator.uniform(-0.5, 3.0)), generator.uniform(0.1, 1.4)
        q = max(q, 1.1 * p)
        first, last, later = (
            np.array([p, q]),
            np.array([p, q * np.exp(length)]),
            since * np.exp(length),
        )
        found, steps = np.eye(2), 400
        for k in range(steps):
            part = (k + 0.5) / steps
            axes, rates = turned(angle * part), first * (last / first) ** part
            found = scipy.linalg.expm(-length / steps * axes * rates @ axes.T) @ found
        error = 1e-9 * np.array([generator.uniform(0.0, 1e-2), 1.0])
        hessian = turned(angle) * last @ turned(angle).T / later
        before = Errors(np.eye(2), first / since, error, np.zeros(2), since)
        _, axes, stated = before.carried(hessian, later)
        truth = np.abs(axes.T @ found) @ error
        worst = max(worst, (truth / stated).max())
        # Control: the fast axis decays by its own rate, and then has turned.
        apart = np.abs(axes.T) @ (error * np.exp(-np.array([p * length, q * np.expm1(length)])))
        decayed = max(decayed, (truth / apart)[0])
    assert 0.5 < worst <= SAMPLED < 10 < decayed


def wiggling(depth):
    """Time at which `x^4 (1 + a sin(8 log x))` has brought 1 to each `x`, by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def time(x):
        ends = np.linspace(0.0, -np.log(x), 60)
        middle, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
        z = middle[:, None] + half[:, None] * nodes
        slope = 4 * (1 + depth * np.sin(-8 * z)) + 8 * depth * np.cos(8 * z)
        return float(half @ (np.exp(2 * z) / slope @ weights))

    return time


def test_a_curvature_that_oscillates_between_the_ends_of_charts_is_within_the_stated_error():
    # Two ends tell nothing of a curvature that oscillates between them: here it is off by a factor
    # between two outputs. What steps leave, a hundredfold, covers that.
    a, depth = sp.Symbol("a"), sp.Rational(1, 10)
    loss = a**4 * (1 + depth * sp.sin(8 * sp.log(a)))
    system = flows.OwnSystem("wiggling", [a], loss)
    run = flows.integrate(system, [1.0], 1e12, np.geomspace(1.0, 1e12, 13))
    rates = sp.lambdify(a, [loss.diff(a) ** 2 / loss, loss.diff(a, 2)])
    x, t = run.state[1:, 0], run.t[1:]
    speed, curvature = rates(x)
    scaled = t * curvature
    assert scaled.max() > 2 * scaled.min() > 0
    apart, control = (
        abs(np.array([wiggling(d)(k) for k in x]) - t) * speed for d in (0.1, 0.1 * (1 + 1e-3))
    )
    stated = run.errors("loss")[1:]
    assert (apart < stated).all() and (control > stated).any()


def found_from(loss, blocks, state, time):
    return limit.find_limit(balls(loss_of(blocks, loss)), [arb(x) for x in state], time)


def test_a_saddle_on_which_newtons_method_settles_is_no_limit():
    loss = (A**2 - B**2) / 2 + B**4 / 4
    found = found_from(loss, (A, B), [1e-30, 1e-40], 1e3)
    assert "negative curvature, as at a saddle" in found
    # Control: without the wrong sign it is the limit.
    assert float(found_from((A**2 + B**2) / 2, (A, B), [1e-30, 1e-40], 1e3).loss) == 0


def test_a_limit_at_which_the_loss_is_larger_is_none():
    # Values of the wrong sign beside their gradient: every other rule looks at the gradient only.
    right = balls(loss_of((A, B), (A**2 + B**2) / 2))
    wrong = right._replace(both=lambda y: [-right.both(y)[0], *right.both(y)[1:]])
    state = [arb(1e-30), arb(1e-40)]
    assert limit.find_limit(wrong, state, 1e3).endswith("the loss is larger there")
    assert not isinstance(limit.find_limit(right, state, 1e3), str)
