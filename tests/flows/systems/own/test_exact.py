"""Own losses for twelve decades, against closed forms and 40 digits that popflow did not make."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from flint import arb
from mpmath import mp
from oracles import own_losses as oracle

import flows
from flows.core import limit
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.systems.own import energy, energy_units, exact_view
from flows.systems.own.exact import balls, from_doubles, is_sharp, is_steep
from flows.systems.own.given import loss_of
from symbolic import Expectation

A, B, X = sp.Symbol("a"), sp.Symbol("b"), sp.Symbol("x")
TIMES = np.array(oracle.TIMES)
# Steps of 1e-10, whose errors the flow contracts.
DIGITS = 1e-9
# Exponents of a run whose corrections fall like the root of what its law is a power of.
SLOWLY = 1e-2
# Of a loss that was rounded to a double.
LAST_BITS = 1e-15
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
    # Control: where Newton's method has to halve its steps, it is said not to converge. Whether it
    # has to hangs on the last digits of the last state where the law is the fastest.
    if exponent > -3 / 2:
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


def test_the_error_above_a_limit_is_what_the_states_carry():
    """Of states of a file from before, which carry none, it is looked at anew."""
    run = followed("rotated")
    doubt = run.states.doubt
    assert (doubt[1:] > 0).all()
    anew = replace(run, states=replace(run.states, doubt=np.full(len(doubt), np.nan)))
    assert anew.excess.error[1:] == pytest.approx(run.excess.error[1:], rel=SLOWLY, abs=0)
    # A start is exact, and its loss is a double.
    assert anew.excess.error[0] <= run.excess.error[0] <= LAST_BITS * run["loss"][0]
    # Control: what they carry is what is taken.
    wrong = replace(run, states=replace(run.states, doubt=(1 + 1e-3) * doubt))
    change = wrong.excess.error - run.excess.error
    assert change == pytest.approx(1e-3 * doubt, rel=SLOWLY, abs=1e-300)


def test_a_gradient_of_which_nothing_is_known_is_not_taken_for_steep():
    none = arb("1e400 +/- 1e400")  # its middle and its radius are beyond doubles
    assert not is_steep([none, none]) and not is_sharp([none])
    known = arb(1e300, 1e200)
    assert is_steep([none, known]) and is_sharp([known])
    assert not is_steep([none, arb(1e300, 1e297)]) and not is_sharp([arb(1e3, 1.0)])


def test_losses_that_have_been_seen_tell_most_of_the_loss_above_a_limit(monkeypatch):
    run = flows.integrate(flows.OwnSystem("fast", [A], (A - 1) ** 2 + 3), [2.0], t_end=60.0)
    looked: list[int] = []
    doubt = exact_view.ExactView._doubt
    monkeypatch.setattr(
        exact_view.ExactView, "_doubt", lambda self, *a: looked.append(1) or doubt(self, *a)
    )
    found = run.excess
    assert 0 < len(looked) < len(run.t) / 2
    monkeypatch.setattr(exact_view, "FINE", 0.0)
    again = replace(run).excess
    assert len(looked) > len(run.t)
    assert (np.abs(found.value - again.value) <= found.error).all()
    assert np.abs(found.value / again.value - 1).max() < 1e-11
    # Control: by losses alone the last digits are lost.
    lost = run["loss"] - found.limit
    assert np.abs(lost / again.value - 1).max() > 1e-11


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
    with pytest.raises(InputError, match="no fixed rule"):
        replace(plane, arithmetic="balls").reduce(np.array([1.0]))
    with pytest.raises(InputError, match="arithmetic must be one of"):
        flows.OwnSystem("plane", [A], A**2, arithmetic="quick")


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
    assert run.message.startswith("beside a saddle, and nothing says that it stays")


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


def test_a_limit_is_found_where_the_loss_differs_from_it_by_less_than_its_rounding():
    # 1e-145 beside the minimum 900 bits alone would say which loss is larger.
    loss = (A - 1) ** 2 / 300 + (A**2 * B - 1) ** 2 / 2 + (A - A * B - 1) ** 2 / 2
    exact, where = balls(loss_of((A, B), loss)), [arb(1.615), arb(0.383)]
    for _ in range(3):
        minimum = limit.find_limit(exact, where, 1e3)
        where = minimum.where
    for k in range(1, 20):
        with precision(2 * limit.BITS):
            state = [x + k * arb(late) for x, late in zip(where, (-1e-147, 2.7e-148), strict=True)]
        found = limit.find_limit(exact, state, 1e5)
        assert float(found.loss) == pytest.approx(float(minimum.loss), rel=1e-15)
