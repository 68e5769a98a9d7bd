"""Laws that are read off runs of own losses, and of chains that fail."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from scipy.integrate import solve_ivp

import flows
from flows.core.minimiser import Approach
from flows.core.valley_escape import valley_escape
from flows.runs import rates
from flows.runs.law_of_run import _nearing
from flows.runs.verdict import Outcome
from flows.systems.matrix_factorization.late_time import approach
from flows.systems.own import view
from symbolic import Expectation
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.evidence.identity import Evidence

X, Y, Z, W = CHAIN = sp.symbols("x y z w", real=True)
SQUARE = sp.MatrixSymbol("X", 2, 2)
V = sp.Symbol("v", real=True)
GAP = SQUARE * SQUARE.T - sp.diag(1, 0)
#: A chain of four whose product should be 1 and is negative.
FAILING = (1 - X * Y * Z * W) ** 2 / 2
VALLEYS = (X**2 - Y**3) ** 2 + Y**8

# Loss, blocks, start, end; then constant, its exponent, and how far log t/t leaves the run from it.
RUNS = {
    "one slow direction": (
        ((X - Y**2) ** 2 + Y**4 + X * Y**2, [X, Y], [0.3, 0.5], 1e8),
        (sp.Rational(1, 112), 2, 1e-6),
    ),
    # The limit is a point of the circle of minimisers, which the start decides.
    "on a circle": (
        (sp.trace(GAP.T * GAP) / 4, [SQUARE], [1.1, 0.2, -0.1, 0.5], 1e8),
        (sp.Rational(1, 16), 2, 1e-6),
    ),
    "balanced factors": (((X * Y) ** 2 / 2, [X, Y], [0.5, 0.5], 1e6), (sp.Rational(1, 8), 2, 1e-5)),
    "a chain that fails": ((FAILING, CHAIN, [-0.5, 0.5, 0.5, 0.5], 1e6), (0.25, 2, 2e-4)),
    "a valley": ((VALLEYS, [X, Y], [0.3, -0.5], 1e8), (sp.sqrt(6) / 288, 1.5, 1e-3)),
}


#: Limits that are found in two doubles; y is 1e-2 and more at the end of these runs.
HIDDEN = 1e-60


@functools.cache
def followed(name, method="auto"):
    loss, blocks, start, end = RUNS[name][0]
    run = flows.integrate(flows.OwnSystem("own", list(blocks), loss), start, end, method=method)
    return run, flows.late_time_law(run)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_an_own_loss_has_the_law_of_its_limit(name):
    run, law = followed(name)
    constant, exponent, near = RUNS[name][1]
    one = law.laws[law.chosen]
    assert one.constant == pytest.approx(float(constant), rel=1e-12)
    assert float(one.exponent) == exponent and one.evidence["this run"] is Evidence.SAMPLED
    excess = run["loss"][-1] - float(law.derived.limit)
    ratio = excess * run.t[-1] ** exponent / one.constant
    assert abs(ratio - 1) < near
    assert abs(run.t[-1] ** 0.1 * ratio - 1) > 100 * near and abs(ratio / 1.001 - 1) > near / 2


def test_a_limit_that_is_no_fraction_is_known_in_decimals_and_its_law_is_sampled():
    run, law = followed("on a circle")
    assert "in decimals" in law.notes[0] and law.derived.kernel == (1, 1, 2)
    assert np.allclose((law.at.reshape(2, 2) @ law.at.reshape(2, 2).T), np.diag([1, 0]), atol=1e-15)
    assert set(law.laws[0].evidence.values()) == {Evidence.SAMPLED}
    upper, lower = law.claims()
    assert {flows.check(run, c)[0].verdict for c in (upper, lower)} == {Outcome.HOLDS}
    off = flows.check(run, replace(lower, exponent=sp.Rational(19, 10)))
    assert off[0].verdict is Outcome.VIOLATED


def test_of_several_valleys_the_run_shows_its_own():
    _, law = followed("a valley")
    assert len(law.laws) == 2 and law.laws[1 - law.chosen].exponent == sp.Rational(4, 3)


@pytest.mark.parametrize("method", ["LSODA", "Radau"])
def test_a_limit_is_found_that_steps_across_a_valley_hide_and_another_one_is_refused(method):
    run, law = followed("a valley", method)
    assert not law.notes and np.abs(law.at).max() < HIDDEN
    last = run.state_at(-1)
    true = Approach(np.zeros(2), last)
    assert _nearing(law, run, true).laws == law.laws
    other = replace(true, deviation=last - [0, 0.1 * last[1] + 1e-3])
    refused = _nearing(law, run, other)
    assert refused.laws == () and "is seen: the distance to the point" in refused.reason


def test_a_cone_is_kept_to_the_digits_of_the_conserved_quantities():
    off = flows.OwnSystem("own", list(CHAIN), FAILING)
    for gap, until in ((1e-8, "2e+08"), (1e-10, "2e+10")):
        law = flows.late_time_law(flows.integrate(off, [-0.5, 0.5, 0.5, 0.5 + gap], 1e6))
        assert "conserved quantities are zero" in law.notes[-1] and law.notes[-1].endswith(until)
    start = [-0.5, 0.50001, 0.50002, 0.50003]
    passing = flows.late_time_law(flows.integrate(off, start, 3e4))
    assert passing.laws == () and "passes beside a saddle" in passing.reason
    left = float(passing.reason.rpartition("t = ")[2])

    def velocity(_, w):
        return (1 - np.prod(w)) * np.array([np.prod(np.delete(w, k)) for k in range(4)])

    # Beside zero the smallest layer changes its sign, and the chain converges.
    later = solve_ivp(velocity, (0, 10 * left), start, "LSODA", rtol=1e-10, atol=1e-14)
    stays = np.abs(later.y.prod(axis=0)) < 0.1
    assert 0.1 * left < later.t[stays][-1] < 10 * left and not stays[-1]


@pytest.mark.parametrize(
    ("system", "start", "constant"),
    [
        (flows.MatrixFactorization(d=1, regularization=0), [[[-0.5]], *[[[0.5]]] * 3], 1 / 4),
        (
            flows.MatrixFactorization(d=1, regularization=5),
            [[[-0.5]], [[0.4]], *[[[0.5]]] * 2],
            1 / 4,
        ),
        # Of the singular value s = 1/2 that fails: (N-2)^(-N/(N-2)) s^(-2/(N-2)) t^(-N/(N-2))
        (
            flows.MatrixFactorization(d=2, depth=3, target=np.diag([1, 0.5]), regularization=0),
            [np.diag([0.9, -0.4]), *[np.diag([0.9, 0.4])] * 2],
            4,
        ),
    ],
    ids=["balanced", "with a balancing term", "one of two singular values"],
)
def test_a_factorisation_that_fails_has_a_power_law(system, start, constant):
    run = flows.integrate(system, np.array(start), t_end=1e5)
    law = flows.late_time_law(run)
    one, p = law.laws[law.chosen], len(start) / (len(start) - 2)
    assert one.constant == pytest.approx(constant, rel=1e-9) and float(one.exponent) == p
    # The loss is L* and a bit, and that is rounded. The gradient of the mode that fails shows the
    # law; that of the fitted one is what the solver's tolerance leaves.
    slope = np.sum(system.gradient(run.state_at(-1))[:, -1, -1] ** 2)
    assert slope * run.t[-1] ** (p + 1) / (p * constant) == pytest.approx(1, rel=2e-3)


def test_real_layers_that_fail_have_their_law_in_the_complex_field_too():
    system = flows.MatrixFactorization(d=1, regularization=0, field="complex")
    start = np.array([[[-0.5]], *[[[0.5]]] * 3], dtype=complex)
    law = flows.late_time_law(flows.integrate(system, start, t_end=1e5))
    assert law.laws[law.chosen].constant_exact == sp.Rational(1, 4) and law.at.dtype == complex


def test_a_run_of_an_own_loss_is_told_by_when_it_will_have_left_a_saddle_of_its_form():
    loss = flows.OwnSystem("own", [X, Y], X**4 + Y**4)
    law = flows.late_time_law(flows.integrate(loss, [0.5, 1e-3], 1e4))
    # x' = -4 x^3: the axis is a maximum of the form on the circle, the diagonal its minimum.
    assert law.laws[law.chosen].constant_exact == sp.Rational(1, 32)
    assert "beside a saddle" in law.notes[-1]
    exact = [(c**-2 + 8 * law.arrives) ** -0.5 for c in (0.5, 1e-3)]
    gap = 2 * sum(c**4 for c in exact) / sum(c**2 for c in exact) ** 2 - 1
    assert 0.8e-3 < gap < 1e-3  # looked at every 0.03 decades


EARLY = {
    "before anything happens": ([X, Y], X**4 + Y**4, [0.5, 0.4], 0.01, "late regime"),
    "too early": ([X, Y], (X - Y**2) ** 2 + Y**4, [0.3, 0.5], 1.0, "limit not found"),
}


@pytest.mark.parametrize(("blocks", "loss", "start", "end", "words"), EARLY.values(), ids=EARLY)
def test_a_run_before_its_late_regime_is_refused_in_one_line(blocks, loss, start, end, words):
    law = flows.late_time_law(flows.integrate(flows.OwnSystem("own", blocks, loss), start, end))
    assert law.laws == () and words in law.reason and "\n" not in law.reason


@pytest.mark.parametrize("shift", [0, 1])
def test_states_in_doubles_have_the_law_of_the_flow_through_the_last_one(shift):
    system = flows.OwnSystem("own", [Y], (Y - shift) ** 4 / 4 + shift, arithmetic="doubles")
    run = flows.integrate(system, [3.0], 1e6)
    law = flows.late_time_law(run)
    assert law.laws[law.chosen].constant_exact == sp.Rational(1, 16)
    assert abs(law.at - shift) < HIDDEN
    # L = 1/(4 t^2), of y = (2 t)^(-1/2): seen in the state, where the loss is rounded.
    seen = (run.state_at(-1)[0] - shift) ** 4 / 4 * run.t[-1] ** 2
    assert seen == pytest.approx(1 / 16, rel=1e-6) and seen * 1.001 != pytest.approx(
        1 / 16, rel=1e-6
    )


def test_the_limit_of_a_state_of_many_entries_is_not_looked_for(monkeypatch):
    system = flows.OwnSystem("own", [Y], Y**4 / 4, arithmetic="doubles")
    run = flows.integrate(system, [3.0], 1e6)
    monkeypatch.setattr(view, "MOST_EXACT", 0)
    assert "not looked for: more than 0 entries" in flows.late_time_law(run).reason


# Mean squares of what no polynomial is, by quadrature with 30 digits.
QUADRATURE = 1e-14


def average(function):
    """Average over a standard normal number."""
    with mp.workdps(30):
        return mp.quad(lambda x: mp.npdf(x) * function(x), [-16, -4, -1, 0, 1, 4, 16])


def misfit(*weights):
    """`E (sum tanh(w x) - n tanh x)^2/2`."""
    gap = sum(sp.tanh(w * V) for w in weights) - len(weights) * sp.tanh(V)
    blocks = sorted(set().union(*(w.free_symbols for w in weights)), key=str)
    return flows.OwnSystem("students", blocks, Expectation(gap**2, V) / 2)


def once(x):
    """`x tanh'(x)`."""
    return x * mp.sech(x) ** 2


def test_a_student_of_tanh_falls_at_the_rate_of_an_average_that_is_no_closed_form():
    run = flows.integrate(misfit(X), [0.3], 600.0, [400.0, 600.0], rtol=1e-7)
    law = flows.late_time_law(run)
    rate = 2 * float(average(lambda x: x**2 * mp.sech(x) ** 4))
    assert law.laws[0].rate == pytest.approx(rate, rel=QUADRATURE)
    assert "a sum over nodes" in law.notes[-1]
    assert set(law.laws[0].evidence.values()) == {Evidence.SAMPLED}
    # At 1e-40 and below the loss vanishes by any rule; a coarse one has a rate that is off by 2e-4.
    falls = np.log(run["loss"][1] / run["loss"][-1]) / 200
    assert falls == pytest.approx(rate, rel=1e-7)
    given = flows.late_time_law(misfit(X), at=[1.0])
    assert given.laws[0].rate == law.laws[0].rate
    beside = flows.late_time_law(misfit(X), at=[1.001])
    assert not beside.laws and "not critical: its gradient has an entry 0.0001" in beside.reason


def test_two_students_of_tanh_meet_by_a_power_of_time_with_its_constant():
    # With a = 1 + s + z and b = 1 + s - z the misfit is 2 s x T' + z^2 x^2 T'' with T = tanh x.
    def twice(x):
        return -2 * x * once(x) * mp.tanh(x)

    mixed = average(lambda x: once(x) * twice(x)) ** 2 / average(lambda x: once(x) ** 2)
    constant = float(1 / (8 * (average(lambda x: twice(x) ** 2) - mixed)))
    law = flows.late_time_law(misfit(X, Y), at=[1.0, 1.0])
    assert float(law.laws[0].exponent) == 2
    assert law.laws[0].constant == pytest.approx(constant, rel=1e-12)


def test_the_claims_of_a_law_with_an_average_hold_and_an_exponent_that_is_off_is_violated():
    # The misfit is y^2 x T'.
    run = flows.integrate(misfit(1 + Y**2), [0.5], 1e8, rtol=1e-7)
    law = flows.late_time_law(run)
    constant = float(1 / (32 * average(lambda x: once(x) ** 2)))
    assert law.laws[0].constant == pytest.approx(constant, rel=1e-12)
    upper, lower = law.claims()
    assert {flows.check(run, c)[0].verdict for c in (upper, lower)} == {Outcome.HOLDS}
    off = flows.check(run, replace(lower, exponent=sp.Rational(19, 10)))
    assert off[0].verdict is Outcome.VIOLATED


#: Loss, blocks, start; exponent of time, of its logarithm, and constant.
ESCAPES = {
    "exponential": ((sp.exp(-X), [X], [0.0]), (1, None, 1)),
    "logistic": ((sp.log(1 + sp.exp(-X)), [X], [0.0]), (1, None, 1)),
    "logistic of depth 2": (
        (sp.log(1 + sp.exp(-X * Y)), [X, Y], [0.5, 0.5]),
        (1, 1, sp.Rational(1, 2)),
    ),
    "unbalanced": ((sp.log(1 + sp.exp(-X * Y)), [X, Y], [0.5, 0.7]), (1, 1, sp.Rational(1, 2))),
    "a power": ((1 / (1 + X**2), [X], [1.0]), (sp.Rational(1, 2), None, sp.sqrt(2) / 4)),
    # y ~ 1/x, so that x' = x^-5 and L = (6 t)^(-2/3)/4.
    "a valley": (
        ((X * Y - 1) ** 2 / 2 + Y**4 / 4, [X, Y], [1.0, 0.5]),
        (sp.Rational(2, 3), None, 6 ** sp.Rational(-2, 3) / 4),
    ),
    # x -> -oo with y ~ 1/x^2 and z ~ -1/x, so that L ~ 3/(4 x^4) on the way.
    "a valley of two": (
        (
            (X**2 * Y - 1) ** 2 / 2 + (X * Z + 1) ** 2 / 2 + Y**2 / 2 + Z**4 / 4,
            [X, Y, Z],
            [-1, 1, 1],
        ),
        (sp.Rational(2, 3), None, sp.Rational(3, 4) * 18 ** sp.Rational(-2, 3)),
    ),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_run_of_an_own_loss_that_goes_to_infinity_has_the_law_of_its_ray(name):
    (loss, blocks, start), (exponent, logarithm, constant) = ESCAPES[name]
    run = flows.integrate(flows.OwnSystem("own", blocks, loss), start, 1e8)
    law = flows.late_time_law(run)
    one = law.laws[law.chosen]
    assert (one.exponent, one.log_exponent) == (exponent, logarithm)
    assert sp.simplify(one.constant_exact - constant) == 0
    assert one.evidence["escape"] is Evidence.PROVED
    assert one.evidence["this run"] is Evidence.SAMPLED and "goes to infinity" in law.notes[0]
    # L' = -|grad L|^2 gives t |grad L|^2/L -> 1 or the power; log log t/log t is left.
    slope = system_slope(run)
    near = 0.07 if logarithm else 1e-3
    assert run.t[-1] * slope @ slope / run["loss"][-1] == pytest.approx(float(exponent), rel=near)
    if not logarithm:
        upper, lower = law.claims(margin=1e-3)
        assert {flows.check(run, c)[0].verdict for c in (upper, lower)} == {Outcome.HOLDS}
        off = replace(lower, exponent=exponent - sp.Rational(1, 10))
        assert flows.check(run, off)[0].verdict is Outcome.VIOLATED


def test_a_valley_whose_sides_are_too_flat_for_others_to_follow_has_no_law():
    state = [1e3, 1e-3]
    for degree, follows in ((2, True), (3, False)):
        # Along y = 1/x the rate of x is x^-3; across it the curvature is x^-degree.
        loss = 1 / X + (Y - 1 / X) ** 2 / (2 * X**degree)
        found = valley_escape(Point((X, Y), loss, sp.S.Zero, (), ()), state)
        assert (found is not None) == follows

    # A run that is not in the valley yet is not told where it goes.
    loss = (X * Y - 1) ** 2 / 2 + Y**4 / 4
    point = Point((X, Y), loss, sp.S.Zero, (), ())
    assert valley_escape(point, [1e3, 1e-3]) and not valley_escape(point, [1e3, 2e-3])


def system_slope(run):
    return np.ravel(run.system.gradient(run.state_at(-1)))


@pytest.mark.parametrize(
    ("loss", "end", "why"),
    [
        # A minimum lies ahead; too early.
        ((X - 30) ** 4 * sp.exp(-X), 1e7, "limit not found"),
        (sp.log(1 + sp.exp(-X)), 3.0, "falls like t^-0.662, by the law like t^-1"),
    ],
    ids=["minimum ahead", "early"],
)
def test_a_run_that_does_not_follow_the_law_of_a_ray_has_none(loss, end, why):
    law = flows.late_time_law(
        flows.integrate(flows.OwnSystem("own", [X], loss), [1.0 * (end > 3)], end)
    )
    assert law.laws == () and why in law.reason


@pytest.mark.parametrize("phases", [[1j, 1j, 1, 1], [-1j, 1j, -1, 1]])
def test_complex_layers_that_phases_make_real_fail_by_the_same_law(phases):
    system = flows.MatrixFactorization(d=1, regularization=0, field="complex")
    start = 0.5 * np.array(phases).reshape(4, 1, 1)
    law = flows.late_time_law(flows.integrate(system, start, t_end=1e5))
    assert law.laws[law.chosen].constant_exact == sp.Rational(1, 4) and (law.at == 0).all()


def test_complex_modes_that_fail_are_told_apart_from_those_that_converge():
    target = np.diag([1j, 0.5])
    system = flows.MatrixFactorization(
        d=2, depth=3, target=target, regularization=0, field="complex"
    )
    start = np.array([np.diag([0.9j, -0.4j]), np.diag([0.9, 0.4j]), np.diag([0.9, -0.4])])
    law = flows.late_time_law(flows.integrate(system, start, t_end=1e5))
    # (N-2)^(-N/(N-2)) s^(-2/(N-2)) = 4 for N = 3, s = 1/2.
    assert law.laws[law.chosen].constant == pytest.approx(4, rel=1e-9)
    assert np.allclose(law.at[2] @ law.at[1] @ law.at[0], np.diag([1j, 0]), atol=1e-12)


@pytest.mark.parametrize(
    "layers",
    [[[[-1]], [[1j]], [[1]], [[1]]], [[[-1, 0], [0.1j, 1]], [[1, 0], [0, 1]], [[1j, 0], [0, 1]]]],
    ids=["a phase is left", "not diagonal"],
)
def test_the_limit_of_other_complex_layers_is_not_looked_for(layers):
    where = np.array(layers, dtype=complex)
    with pytest.raises(NoLaw, match="phases make them real"):
        approach(where, np.eye(where.shape[-1], dtype=complex), 0.0, True, 1e5)


@pytest.mark.parametrize(("loss", "limit"), [((X**2 - 1) ** 2 / 8, 0), (sp.cosh(X - 1) + 3, 4)])
def test_the_claims_of_an_exponential_law_are_about_the_times_at_which_the_loss_is_known(
    loss, limit
):
    run = flows.integrate(flows.OwnSystem("own", [X], loss), [2.0], 1e6)
    law = flows.late_time_law(run)
    assert (law.chosen, law.laws[0].rate, law.derived.limit) == (0, pytest.approx(2), limit)
    assert law.since < 1000 and np.isnan(run["excess"][-1])
    assert {v.verdict for c in law.claims() for v in flows.check(run, c)} == {Outcome.HOLDS}
    sharper = law.claims(margin=-1e-4)
    assert {v.verdict for c in sharper for v in flows.check(run, c)} == {Outcome.VIOLATED}


def test_the_claims_of_a_power_law_above_a_limit_take_no_difference_of_near_numbers():
    # L - 3 = (1 + 2 t)^-2 / 4: far below the rounding of L at the end.
    run = flows.integrate(flows.OwnSystem("own", [X], (X - 1) ** 4 / 4 + 3), [2.0], 1e12)
    law = flows.late_time_law(run)
    assert law.laws[0].constant_exact == sp.Rational(1, 16)
    assert {v.verdict for c in law.claims() for v in flows.check(run, c)} == {Outcome.HOLDS}
    sharper = law.claims(margin=-1e-4)
    assert {v.verdict for c in sharper for v in flows.check(run, c)} == {Outcome.VIOLATED}


#: Parts of the constant that three decades leave open.
SEEN_CONSTANT = 1e-4


@pytest.mark.parametrize(
    ("loss", "start", "end"),
    [
        (X**4 / 4 + X**5 / 5, [0.5], 1e6),
        (X**6 / 6 + X**7, [0.3], 1e10),
        ((X**2 - Y) ** 2 + Y**4 + X**9, [0.5, 0.5], 1e10),
        ((X - Y**2) ** 2 + Y**4 + Y**5, [0.3, 0.5], 1e8),
    ],
)
def test_a_constant_is_measured_with_corrections_of_terms_of_higher_degree(
    loss, start, end, monkeypatch
):
    run = flows.integrate(flows.OwnSystem("own", [X, Y][: len(start)], loss), start, end)
    law = flows.late_time_law(run)
    one = law.laws[law.chosen]
    found = flows.tail_constant(run, law=one)
    off = abs(found.value - one.constant)
    assert off <= found.error < SEEN_CONSTANT * one.constant
    # Control: with 1/t and log t/t alone it is farther from the constant than is stated.
    monkeypatch.setattr(rates, "LAW_POWERS", 0)
    assert abs(flows.tail_constant(run, law=one).value - one.constant) > found.error


def test_a_constant_along_a_valley_is_extrapolated_and_its_error_holds_the_derived_one():
    run, law = followed("a valley")
    one = law.laws[law.chosen]
    found = flows.tail_constant(run, law=one)
    assert not one.direction and found == flows.tail_constant(run, exponent=1.5)
    assert abs(found.value - one.constant) <= found.error
