"""Verdicts: right claims hold, broken ones are violated, and nothing is claimed without ground."""

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import sympy as sp
from oracles.made_runs import (
    ASYMPTOTIC,
    CLAIMS,
    LINEAR,
    PHASES,
    bare,
    exponential_run,
    made_for,
    power_run,
    verdict,
)

from flows import MatrixFactorization, OwnSystem, ReLUNeuron, ScoreMatching, TwoLayer, integrate
from flows.core.errors import InputError
from flows.runs.check import _worst, check
from flows.runs.comparison import ComparisonResult
from flows.runs.quantities import marked_times
from flows.runs.rates import local_exponent, tail_constant
from flows.runs.verdict import Outcome, exit_code
from potentials.claim import Comparison, Conserved, Hypothesis, Identity, Inequality
from potentials.notation import symbol
from potentials.source import Source

# Exponents are fitted on three decades that end at 1e9, where corrections are below 1e-5.
EXPONENT_TOLERANCE = 1e-4
SOURCE = Source("no author", 2000, "0000.00000", "a test", "identity")


@pytest.mark.parametrize("claim", [i for i in CLAIMS if i not in LINEAR])
def test_every_conclusion_of_the_table_holds_on_a_power_tail(claim):
    assert verdict(made_for(claim), bare(claim)).verdict == Outcome.HOLDS


@pytest.mark.parametrize("claim", PHASES)
def test_an_empty_statement_does_not_hold_and_says_that_it_is_empty(claim):
    # Both sides of the one are negative, the slack of the other exceeds what it bounds.
    found = verdict(power_run(), claim)
    assert found.verdict == Outcome.HYPOTHESIS_NOT_MET
    assert "empty" in found.message
    assert verdict(power_run(), bare(claim)).verdict == Outcome.INCONCLUSIVE


@pytest.mark.parametrize("claim", ASYMPTOTIC)
def test_the_measured_exponent_is_the_claimed_one_within_its_error(claim):
    found = verdict(power_run(), claim)
    assert found.measured == pytest.approx(found.bound, abs=EXPONENT_TOLERANCE)
    assert abs(found.measured - found.bound) <= found.error < EXPONENT_TOLERANCE * 10


@pytest.mark.parametrize(
    ("claim", "exponent"),
    [
        ("loss_upper", 4),
        ("loss_upper", sp.Rational(31, 10)),
        ("loss_lower", 2),
        ("distance_decay", 3),
        ("distance_vs_loss", 2),
        ("gradient_lower", sp.Rational(1, 3)),
        ("angle_vs_loss", 1),
        ("phase1_angles", 2),
        ("phase2_residual", 5),
        ("transverse_vs_loss", 1),
        ("distance_decay_constant", 3),
        ("distance_vs_loss_constant", 1),
        ("loss_lower_constant", 1),
    ],
)
def test_a_broken_exponent_is_violated(claim, exponent):
    broken = bare(claim, exponent=sp.sympify(exponent))
    assert verdict(made_for(claim), broken).verdict == "VIOLATED"


@pytest.mark.parametrize(
    "claim",
    [
        "kappa_persists",
        "separation",
        "balance",
        "phase1_angles",
        "angle_vs_loss",
        "phase2_residual",
        "transverse_vs_loss",
        "distance_decay_constant",
        "distance_vs_loss_constant",
        "loss_lower_constant",
    ],
)
def test_a_changed_sign_is_violated(claim):
    assert verdict(made_for(claim), bare(claim, sign=-1)).verdict == Outcome.VIOLATED


@pytest.mark.parametrize(
    "claim", ["loss_upper", "loss_lower", "distance_decay", "distance_vs_loss", "gradient_lower"]
)
def test_the_reverse_of_a_tight_bound_with_an_open_constant_is_true(claim):
    # On an exact power tail both directions hold, so here a changed sign breaks nothing.
    assert verdict(power_run(), bare(claim, sign=-1)).verdict == Outcome.HOLDS


def test_a_broken_constant_is_violated():
    claim = CLAIMS["kappa_persists"]
    (c,) = claim.conclusions
    broken = replace(claim, conclusions=(replace(c, constant=sp.Integer(3)),))
    assert verdict(power_run(), broken).verdict == Outcome.VIOLATED


def test_a_weaker_exponent_still_holds():
    assert verdict(power_run(), bare("loss_upper", exponent=sp.Integer(2))).verdict == "HOLDS"
    assert verdict(power_run(), bare("loss_lower", exponent=sp.Integer(4))).verdict == "HOLDS"


def test_exponential_decay_is_told_from_a_power():
    assert verdict(exponential_run(), "exact_param_rate").verdict == Outcome.HOLDS
    assert verdict(exponential_run(), "exact_param_rate").constant == pytest.approx(1.0)
    power = verdict(exponential_run(), "loss_upper")
    assert (
        power.conclusion and np.isnan(power.error) and "the exponent has no limit" in power.message
    )
    both = verdict(exponential_run(), "gradient_lower")  # |grad L| = L^(1/2), a power of the loss
    assert abs(both.measured - 1 / 2) <= both.error < 1e-6
    broken = bare("exact_param_rate", exponent=sp.Rational(1, 2))
    assert verdict(exponential_run(), broken).verdict == Outcome.VIOLATED
    assert verdict(power_run(), bare("exact_param_rate")).verdict == Outcome.VIOLATED
    assert verdict(power_run(), "exact_param_rate").verdict == Outcome.HYPOTHESIS_NOT_MET


def test_an_exponential_rate_breaks_the_lower_bound_unless_its_hypotheses_exclude_it():
    run = exponential_run(n=2)
    shared, claim = CLAIMS["loss_upper"].hypotheses, CLAIMS["loss_lower"]
    # Without the small start, which nobody has.
    lower = replace(claim, hypotheses=tuple(h for h in claim.hypotheses if h not in shared))
    assert verdict(run, lower).verdict == Outcome.VIOLATED
    assert verdict(run, claim).verdict == Outcome.HYPOTHESIS_NOT_MET
    parallel = replace(run, features=run.features | {"zeta": 0 * run.features["zeta"]})
    assert verdict(parallel, lower).verdict == Outcome.HYPOTHESIS_NOT_MET
    assert verdict(parallel, "loss_upper").verdict == Outcome.HOLDS_BEYOND


def test_nobody_meets_the_small_start_and_the_numbers_say_so():
    found = verdict(power_run(), "loss_upper")
    assert found.verdict == Outcome.HOLDS_BEYOND and "outside the theorem" in found.message
    (small,) = (h for h in found.hypotheses if "4226" in h.text)
    assert not small.holds and small.needed == pytest.approx(-2 - 4226 * np.log10(2))
    assert small.value == pytest.approx(np.log10(5e-4 * np.sqrt(2 / 12) * np.sqrt(6)))
    broken = replace(CLAIMS["loss_upper"], exponent=sp.Integer(4))
    assert verdict(power_run(), broken).verdict == Outcome.HYPOTHESIS_NOT_MET


def test_a_run_that_ended_early_decides_nothing_asymptotic():
    stopped = power_run(status="step_budget")
    for claim in ASYMPTOTIC:
        assert verdict(stopped, bare(claim, exponent=sp.Integer(9))).verdict == "INCONCLUSIVE"
    assert verdict(stopped, "kappa_persists").verdict == Outcome.HOLDS


def test_a_short_run_does_not_refute_a_true_bound():
    for end in (3.0, 1e1, 3e1, 1e2, 1e3):
        for claim in ASYMPTOTIC:
            assert verdict(power_run(end=end), bare(claim)).verdict != Outcome.VIOLATED


def test_a_margin_below_the_error_is_inconclusive():
    assert verdict(power_run(rtol=1.0), bare("kappa_persists")).verdict == Outcome.INCONCLUSIVE
    assert verdict(power_run(), bare("kappa_persists")).verdict == Outcome.HOLDS


def test_values_that_disagree_with_their_rates_are_inconclusive():
    run = power_run()
    noisy = replace(run, features=run.features | {"loss_dot": 1.2 * run.features["loss_dot"]})
    assert verdict(noisy, bare("loss_lower")).verdict == Outcome.INCONCLUSIVE
    assert "disagree" in verdict(noisy, bare("loss_lower")).message


def test_where_a_hypothesis_fails_an_undecided_conclusion_is_no_open_question():
    short = power_run(status="step_budget")
    found = verdict(short, "loss_lower")
    assert found.verdict == Outcome.HYPOTHESIS_NOT_MET and found.conclusion is None
    assert "late regime has not begun" in found.message and "hypotheses not met" in found.message
    assert verdict(short, bare("loss_lower")).verdict == Outcome.INCONCLUSIVE
    wide = power_run(rtol=1.0)  # the margin is below the error
    alone = Hypothesis("n = 1", symbol("n"), "<=", sp.S.One)
    claim = replace(CLAIMS["kappa_persists"], hypotheses=(alone,))
    assert verdict(wide, claim).verdict == Outcome.HYPOTHESIS_NOT_MET


def test_an_inequality_with_zero_on_its_small_side_holds_trivially():
    run = power_run()
    zero = {k: 0 * run.features[k] for k in ("distance", "distance_dot")}
    found = verdict(replace(run, features=run.features | zero), "distance_vs_loss")
    assert found.verdict == Outcome.HOLDS and "trivially" in found.message
    assert "trivially" not in verdict(run, "distance_vs_loss").message


def test_a_claim_that_selects_nothing_is_void_not_true():
    run = exponential_run(n=1)
    for claim in ("separation", "kappa_persists", "distance_decay"):
        assert verdict(run, claim).verdict == Outcome.HYPOTHESIS_NOT_MET
        assert verdict(run, bare(claim)).verdict == Outcome.INCONCLUSIVE


@pytest.mark.parametrize("claim", ASYMPTOTIC)
def test_constants_do_not_depend_on_the_length_of_the_teacher(claim):
    # The flow is homogeneous, so a constant that moves is a wrong power of |v| in the claim.
    one, large = (verdict(power_run(v=v), claim) for v in (1.0, 1e6))
    assert large.constant == pytest.approx(one.constant, rel=1e-9)
    assert large.verdict == one.verdict


def test_the_tightest_constant_is_the_largest_ratio_with_its_time():
    found = verdict(power_run(), "distance_decay")
    # -Z'/Z^2 = 1/0.3 throughout, times kappa_max(0)^2/n^4.
    assert found.constant == pytest.approx(1.2**2 / 0.3 / 16)
    # kappa_max grows from 1.2 by 0.3 t/(2 + t), and t = 1e-3 is the first time after the start.
    found = verdict(power_run(), "kappa_persists")
    assert found.constant == pytest.approx(1 + 0.3e-3 / 2.001 / 1.2)


def test_marks_are_the_first_and_last_times_of_their_rules():
    run = power_run()
    marks = marked_times(run)
    step = 10**0.1
    assert -np.log(0.9) / step <= marks["T1"] <= -np.log(0.9)
    assert np.log(10) / step <= marks["T2"] <= np.log(10) * step
    never = replace(run, features=run.features | {"rho": -1 + 0 * run.features["rho"]})
    assert marked_times(never)["T1"] == run.t[-1] and np.isnan(marked_times(never)["T2"])


def test_identities_and_conserved_quantities_are_equal_within_error_or_violated():
    dissipation = Comparison(symbol("loss_dot"), "==", -(symbol("gradient_norm") ** 2), sp.S.One)
    wrong = replace(dissipation, rhs=dissipation.rhs * sp.Rational(1001, 1000))
    for c, outcome in ((dissipation, Outcome.HOLDS), (wrong, Outcome.VIOLATED)):
        claim = Identity(
            id="energy", statement="dL/dt = -|grad L|^2", source=SOURCE, conclusions=(c,)
        )
        assert verdict(power_run(), claim).verdict == outcome
    for name, outcome in (("balance", Outcome.HOLDS), ("loss", Outcome.VIOLATED)):
        same = Comparison(symbol(name), "==", symbol(f"{name}_0"), sp.S.One)
        claim = Conserved(id="same", statement="constant", source=SOURCE, conclusions=(same,))
        assert verdict(power_run(), claim).verdict == outcome
    with pytest.raises(ValueError, match="must claim <= or >=, got '=='; take Identity"):
        Inequality(id="x", statement="", source=SOURCE, conclusions=(dissipation,))


def test_a_comparison_over_neurons_of_a_system_without_them_is_refused():
    each = Comparison(symbol("loss"), "<=", sp.S.One, sp.S.One, over="neuron")
    claim = Inequality(id="x", statement="", source=SOURCE, conclusions=(each,))
    y = sp.Symbol("y")
    run = integrate(OwnSystem("well", [y], y**2 / 2), [1.0], t_end=1.0)
    with pytest.raises(InputError, match="over must be state for a system without neurons"):
        check(run, claim)
    with pytest.raises(InputError, match="claim must be the id of one, or a Claim, got Comparison"):
        check(power_run(), each)


def test_a_verdict_beyond_its_hypotheses_counts_those_that_are_not_met():
    n = symbol("n")
    assumed = tuple(Hypothesis("", n, ">=", sp.Integer(k)) for k in (1, 2, 5))
    found = verdict(power_run(), replace(CLAIMS["loss_upper"], hypotheses=assumed))
    assert found.verdict is Outcome.HOLDS_BEYOND
    assert "1 of 3 hypotheses not met" in found.message


def test_an_undefined_hypothesis_is_not_met():
    h = Hypothesis("sqrt(-loss) >= 0", sp.sqrt(-symbol("loss")), ">=", sp.S.Zero)
    claim = replace(CLAIMS["kappa_persists"], hypotheses=(h,))
    found = verdict(power_run(), claim)
    assert found.verdict == Outcome.HOLDS_BEYOND and not found.hypotheses[0].holds


def test_a_hypothesis_that_is_unknown_excludes_nothing_that_could_be_compared():
    # Neither met nor failed: a conclusion that fails is then no violation, and no clean bill.
    unknown = Hypothesis("own", symbol("loss"), ">=", sp.sqrt(-symbol("loss")))
    failed = Hypothesis("n = 0", symbol("n"), "<=", sp.S.Zero)
    broken = replace(CLAIMS["kappa_persists"], sign=-1)
    for hs, outcome in (((unknown,), "INCONCLUSIVE"), ((unknown, failed), "HYPOTHESIS_NOT_MET")):
        found = verdict(power_run(), replace(broken, hypotheses=hs))
        assert found.conclusion is False and found.verdict == outcome
        short = verdict(power_run(rtol=1.0), replace(broken, hypotheses=hs))
        assert short.conclusion is None and short.verdict == outcome
        void = verdict(exponential_run(n=1), replace(broken, hypotheses=hs))
        assert void.conclusion is None and void.verdict == "HYPOTHESIS_NOT_MET"


def test_verdicts_are_json_with_the_public_keys_and_the_exit_code_counts_them():
    verdicts = check(power_run())
    assert [v.claim for v in verdicts] == list(CLAIMS)
    for v in verdicts:
        plain = json.loads(json.dumps(v.to_json(), allow_nan=False))
        assert {"claim", "verdict", "measured", "bound", "error", "hypotheses", "source"} <= set(
            plain
        )
    outcomes = {o: [replace(verdicts[0], verdict=o)] for o in Outcome}
    assert exit_code(outcomes[Outcome.HOLDS] + outcomes[Outcome.HOLDS_BEYOND]) == 0
    assert exit_code(outcomes[Outcome.VIOLATED] + outcomes[Outcome.INCONCLUSIVE]) == 1
    assert exit_code(outcomes[Outcome.HOLDS] + outcomes[Outcome.INCONCLUSIVE]) == 3
    assert exit_code(outcomes[Outcome.HOLDS] + outcomes[Outcome.HYPOTHESIS_NOT_MET]) == 0


def test_an_unknown_claim_is_one_clear_line():
    with pytest.raises(InputError, match="unknown claim 'nope'; known: loss_upper"):
        check(power_run(), "nope")


def test_a_conjunction_is_decided_by_its_worst_part_in_any_order():
    def part(holds, defined=True, measured=1.0, bound=2.0):
        return ComparisonResult(holds, defined, measured, bound)

    fails, void, opened = part(False), part(None, False), part(None)
    tight, slack, zero = part(True, measured=1.99), part(True), part(True, bound=0.0)
    exact, large = part(True, measured=2.0), part(True, measured=99.9, bound=100.0)
    ranked = [fails, void, opened, exact, large, tight, slack, zero]
    for k, worst in enumerate(ranked):
        for some in permutations(ranked[k:], min(3, len(ranked) - k)):
            if worst in some:
                assert _worst(some) is worst
    negative = part(True, measured=-1.9, bound=-2.0)
    assert _worst([slack, negative]) is negative


def test_a_hypothesis_is_compared_where_the_claim_is_and_else_at_the_start():
    run, loss, t = power_run(), symbol("loss"), symbol("t")

    def compared(where, lhs, relation, rhs):
        h = Hypothesis("own", lhs, relation, sp.sympify(rhs))
        c = Comparison(loss, "<=", sp.S.One, sp.S.One, where)
        claim = Inequality(id="own", statement="", source=SOURCE, conclusions=(c,), hypotheses=(h,))
        return verdict(run, claim).hypotheses[0]

    never, always, late = (-t - 1,), (t,), (t - 100,)
    assert compared(never, loss, ">", 0).value == run.features["loss"][0]
    assert compared(always, loss, ">", 0).value == run.features["loss"][-1]
    assert compared(always, loss, "<", 1).value == run.features["loss"][0]
    assert compared(late, t, ">=", 0).value == run.t[run.t >= 100][0]
    # Equality is within a relation that says so, and no undefined side passes.
    for relation, holds in (("<=", True), ("<", False), (">=", True), (">", False)):
        assert compared(always, t - t + 2, relation, 2).holds is holds
    partly = compared(always, sp.sqrt(100 - t), ">=", 0)
    assert not partly.holds and np.isnan(partly.value)
    assert compared((100 - t,), sp.sqrt(100 - t), ">=", 0).holds


# --- runs of the flow itself ---------------------------------------------------------------------


def run_from(start, end=1e6):
    start = np.array(start, dtype=float)
    return integrate(ReLUNeuron(n=start.shape[0], d=start.shape[1]), start, t_end=end)


def test_a_mirror_pair_has_the_exponent_three_and_a_constant_within_its_error():
    run = run_from([[0.5, 0.1], [0.5, -0.1]])
    assert local_exponent(run)[-1] == pytest.approx(-3.0, abs=EXPONENT_TOLERANCE)
    # theta' = -theta^2/pi and L = theta^3/(6 pi) to leading order: t^3 L -> pi^2/6.
    found = tail_constant(run)
    assert abs(found.value - np.pi**2 / 6) <= found.error < 1e-4
    for claim in ("loss_lower", "loss_upper"):
        assert verdict(run, claim).verdict == Outcome.HOLDS_BEYOND
    assert verdict(run, "mirror_pair").verdict == Outcome.HOLDS
    assert verdict(run, bare("loss_lower", exponent=sp.Integer(2))).verdict == Outcome.VIOLATED
    assert verdict(run, bare("loss_upper", exponent=sp.Integer(4))).verdict == Outcome.VIOLATED


def test_a_parallel_start_has_a_linear_rate_and_contradicts_nothing():
    run = run_from([[0.2, 0.0], [0.1, 0.0]])
    found = {v.claim: v.verdict for v in check(run)}
    assert found["exact_param_rate"] == found["loss_upper"] == Outcome.HOLDS_BEYOND
    assert found["loss_lower"] == Outcome.HYPOTHESIS_NOT_MET
    assert Outcome.VIOLATED not in found.values()


def test_a_close_pair_separates_and_random_starts_violate_no_claim():
    close = run_from([[0.02, 0.1, 0.0], [0.03, 0.1, 0.02]])
    assert verdict(close, "separation").verdict == Outcome.HOLDS
    assert verdict(close, replace(CLAIMS["separation"], sign=-1)).verdict == Outcome.VIOLATED
    for n, seed in ((1, 0), (2, 1), (3, 2), (5, 3)):
        start = ReLUNeuron(n=n, d=5).initial(scale=0.1, seed=seed)
        assert Outcome.VIOLATED not in {v.verdict for v in check(run_from(start, 1e5))}


@pytest.mark.parametrize(
    ("n", "other"), [(1, "n = 1, not 2"), (2, None), (3, "n = 3, not 2")], ids=str
)
def test_a_hypothesis_on_a_number_is_met_by_that_number_alone(n, other):
    system = ReLUNeuron(n, 2)
    (verdict,) = check(integrate(system, system.initial(0.1, seed=0), 10.0), "mirror_pair")
    (two,) = (h for h in verdict.hypotheses if h.text == "n = 2")
    assert two.holds == (other is None)
    assert str(two) == (other or "n = 2: met")


def test_an_activation_without_a_kink_is_no_leaky_relu():
    erf = TwoLayer(2, 2, activation="erf")
    (verdict,) = check(integrate(erf, [[0.9, 0.2], [0.1, 0.8]], 10.0), "cluster_law")
    said = {h.text: str(h) for h in verdict.hypotheses}
    assert said["the activation is ReLU or leaky ReLU"] == (
        "the activation is neither ReLU nor leaky ReLU"
    )


def test_numbers_of_the_whole_run_belong_to_no_time_and_those_of_the_start_do():
    system = MatrixFactorization(2, regularization=20.0)
    run = integrate(system, system.initial(0.2, seed=0), 1e3)
    (verdict,) = check(run, "global_convergence")
    assert verdict.attained_at is None and verdict.to_json()["attained_at"] is None
    assert "t =" not in str(dict(verdict.said())["measured"])
    start = ScoreMatching(3, 1)
    (verdict,) = check(integrate(start, [[2.5], [-2.5], [0.0]], 10.0), "stationary_point")
    assert verdict.attained_at == 0.0


def test_a_claim_about_all_later_times_that_waits_says_nothing_of_its_resolution():
    layers = MatrixFactorization(2, regularization=5.0)
    start = layers.initial(0.2, seed=0, balanced=True)
    (verdict,) = check(integrate(layers, start, 1e3), "real_failure")
    assert verdict.verdict is Outcome.INCONCLUSIVE
    assert "the late regime has not begun" in verdict.message
    assert verdict.resolution is None and "cannot distinguish" not in str(verdict)


#: It leaves the saddle after t = 1585 and is below all doubles at the next output time, 1995.
ABRUPT = MatrixFactorization(2, regularization=5.0)


def test_a_loss_that_falls_below_the_doubles_between_two_outputs_is_no_loss_that_stays():
    run = integrate(ABRUPT, ABRUPT.initial(0.2, seed=7, balanced=True), 1e4)
    assert run["loss"][-1] == 0.0 and run["loss"][run["loss"] > 0][-1] > 0.49
    (verdict,) = check(run, "real_failure")
    assert verdict.conclusion is False and verdict.measured == 0.0
    constant, loss = sp.Symbol("C", positive=True), symbol("loss")
    (stays,) = check(run, loss >= constant)
    assert stays.verdict is Outcome.INCONCLUSIVE
    assert "no output shows how" in stays.message
    assert "and then the loss is below 1e-280" in stays.message
    assert np.isnan(tail_constant(run, "loss", 0).value)


def test_with_outputs_in_the_fall_the_same_run_shows_that_the_loss_does_not_stay():
    times = np.linspace(0.0, 1e4, 5001)[1:]
    run = integrate(ABRUPT, ABRUPT.initial(0.2, seed=7, balanced=True), 1e4, t_eval=times)
    constant, loss = sp.Symbol("C", positive=True), symbol("loss")
    (stays,) = check(run, loss >= constant)
    assert stays.verdict is Outcome.VIOLATED


@pytest.mark.parametrize(
    ("n", "start", "equal"),
    [
        (1, [[-0.3]], "HOLDS"),  # it shrinks to nothing: in the end a state has no numbers
        (2, [[0.0], [0.1]], "HYPOTHESIS_NOT_MET"),  # one neuron, not two that are equal
        (2, [[0.1], [0.1]], "HOLDS"),
    ],
)
def test_neurons_on_a_line_may_be_zero_or_vanish(n, start, equal):
    found = {v.claim: str(v.verdict) for v in check(integrate(ReLUNeuron(n, 1), start, 1e5))}
    assert "VIOLATED" not in found.values()
    assert found["equal_rate"] == equal


@pytest.mark.parametrize(("start", "word"), [([0.1 + 0.2, 0.3], "known"), ([0.5, 0.3], "met")])
def test_a_hypothesis_about_what_has_no_digit_left_is_not_known(start, word):
    """A balance of one rounding is NaN later on: nothing says that it fails."""
    x, y = sp.symbols("x y", real=True)
    balance = symbol("balance")
    system = OwnSystem("ab", [x, y], (x * y - 1) ** 2 / 2, potentials={"balance": x**2 - y**2})
    small = Hypothesis("a balanced start", sp.Abs(balance), "<=", sp.Float(1e-12))
    claim = Inequality(
        id="falls",
        statement="L <= 1",
        source=Source("popflow", 2026, "", "here", "upper"),
        hypotheses=(small,),
        conclusions=(Comparison(symbol("loss"), "<=", sp.S.One, sp.S.One),),
    )
    (found,) = check(integrate(system, start, 10.0), claim)
    assert found.message.endswith(f"1 of 1 hypotheses not {word}")
