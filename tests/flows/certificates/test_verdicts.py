from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.certified import layers, means

import flows
import potentials
from flows.certificates.certificate import certifiable
from flows.certificates.decision import Proof
from flows.certificates.verdicts import refutes, verdicts
from potentials.claim import Comparison, Hypothesis, Inequality
from potentials.notation import symbol
from potentials.source import Source

CLAIMS = {c.id: c for name in certifiable() for c in potentials.claims(name)}
END = 8.0
# Output times of the run that is compared are so dense that a constant is attained near one.
DENSE, SAMPLED = 400, 1e-3
# The certificate has d = 3: a hypothesis on d/3, and what it and the conclusion are off by.
LEAST_D, OFF = 1.0, 1e-3


@pytest.fixture(scope="module")
def made():
    system = flows.ReLUNeuron(n=2, d=3)
    return flows.certify(system, system.initial(0.1, 2), END, digits=10)


@pytest.fixture(scope="module")
def run(made):
    times = np.geomspace(1e-2, END, DENSE).tolist()
    return flows.integrate(made.system, made.start, t_end=END, t_eval=times, rtol=1e-12)


def verdict(made, claim):
    (found,) = verdicts(made, claim)
    return found


@pytest.mark.parametrize(
    "claim",
    [
        "transverse_vs_loss",
        "distance_vs_loss_constant",
        "distance_decay_constant",
        "loss_lower_constant",
        "residual_vs_loss",
        "gradient_upper",
        "distance_vs_reach",
        "angle_vs_reach",
    ],
)
def test_true_claims_are_proved_and_their_converses_refuted(made, claim):
    found = verdict(made, claim)
    assert found.verdict is Proof.PROVED
    assert not refutes([found])
    broken = verdict(made, replace(CLAIMS[claim], sign=-1))
    assert broken.verdict is Proof.REFUTED
    assert "fails at t = " in broken.message
    proved = all(proof is Proof.PROVED for _, proof in broken.hypotheses)
    assert refutes([broken]) is proved


@pytest.mark.parametrize("claim", ["distance_vs_loss", "exact_param_rate"])
def test_open_constants_are_enclosed_where_a_dense_run_finds_them(made, run, claim):
    found = verdict(made, claim)
    assert found.verdict is Proof.ENCLOSED
    low, high = (float(x) for x in found.constant.strip("[]").split(","))
    (sampled,) = flows.check(run, claim)
    assert low * (1 - SAMPLED) <= sampled.constant <= high * (1 + SAMPLED)
    assert high < 1.05 * low


def test_a_constant_at_a_mark_where_both_sides_vanish_is_enclosed(made, run):
    # Theorem 14: both sides of the comparison are zero at T2.
    found = verdict(made, "loss_lower")
    assert found.verdict is Proof.ENCLOSED
    low, high = (float(x) for x in found.constant.strip("[]").split(","))
    (sampled,) = flows.check(run, "loss_lower")
    assert low * 0.98 <= sampled.constant <= high  # T2 of the run is an output time, a little later


def statement(lhs, relation, rhs, where=(), constant=sp.S.One):
    comparison = Comparison(lhs, relation, rhs, constant, where or (symbol("t"),))
    return Inequality(
        id="planted", statement="", source=Source("", 2023, "", "", ""), conclusions=(comparison,)
    )


def test_planted_bounds_at_the_very_value_of_the_loss_are_never_proved_beyond_it(made):
    # The loss decreases, so the bound on [t, end] is attained at t, where it is known to 1e-9.
    t, loss = symbol("t"), symbol("loss")
    at, window = float(made.loss(3.0).mid()), (t - 3,)
    true = verdict(made, statement(loss, "<=", sp.Float(at * (1 + 1e-6)), window))
    false = verdict(made, statement(loss, "<=", sp.Float(at * (1 - 1e-6)), window))
    close = verdict(made, statement(loss, "<=", sp.Float(at * (1 - 1e-15)), window))
    assert true.verdict is Proof.PROVED
    assert false.verdict is Proof.REFUTED
    assert close.verdict is not Proof.PROVED


def test_hypotheses_are_decided_too(made):
    found = dict(verdict(made, "loss_upper").hypotheses)
    decided = {text.split(",")[0]: proof for text, proof in found.items()}
    assert decided["d >= C log(n/delta)"] is Proof.REFUTED  # 3 < log 200
    spread = dict(verdict(made, "distance_decay").hypotheses)
    assert spread["kappa_max(0) > 0"] is Proof.PROVED
    assert spread["|w_i| >= |v|/(4n) in the window"] is Proof.PROVED


def test_equalities_and_times_that_are_not_reached_are_undecided(made, monkeypatch):
    monkeypatch.setattr("flows.certificates.decide.BUDGET", 50)
    loss = symbol("loss")
    assert verdict(made, statement(loss, "<=", loss)).verdict is Proof.UNDECIDED
    late = verdict(made, statement(loss, "<=", sp.S.One, (symbol("t") - 100,)))
    assert late.verdict is Proof.UNDECIDED
    assert late.message == "the claim selects no time"
    system = flows.ReLUNeuron(n=2, d=3)
    short = flows.certify(system, system.initial(0.1, 2), 0.01, digits=8)
    assert "T2" in verdict(short, "distance_vs_loss").message


def test_an_angle_that_may_be_anything_is_not_negative():
    # In the plane projections are aligned or opposed; where one of them vanishes, at a kink, their
    # angle lies in [0, pi], and the largest angle too, to the last bit.
    system = flows.ReLUNeuron(n=2, d=2)
    made = flows.certify(system, system.initial(0.1, 3), 2.0, digits=8)
    assert verdict(made, "kappa_persists").verdict is Proof.PROVED
    largest = symbol("kappa_max")
    assert verdict(made, statement(largest, ">=", sp.S.Zero)).verdict is Proof.PROVED
    assert verdict(made, statement(largest, ">=", sp.Float(1e-9))).verdict is Proof.REFUTED


def test_an_unknown_claim_is_bad_input(made):
    with pytest.raises(flows.InputError, match="unknown claim 'loss_uper'"):
        verdicts(made, "loss_uper")


@pytest.mark.parametrize("claim", ["norms_shrink", "loss_quadratic"])
def test_true_claims_about_means_are_proved_and_their_converses_refuted(claim):
    made = means.certificate("two", 12)
    (found,) = verdicts(made, claim)
    assert found.verdict is Proof.PROVED
    (broken,) = verdicts(made, replace(CLAIMS[claim], sign=-1))
    assert broken.verdict is Proof.REFUTED


@pytest.mark.parametrize("claim", ["gradient_lower", "fisher_lower"])
def test_open_constants_of_means_are_enclosed_where_a_dense_run_finds_them(claim):
    made = means.certificate("two", 12)
    (found,) = verdicts(made, claim)
    assert found.verdict is Proof.ENCLOSED
    low, high = (float(x) for x in found.constant.strip("[]").split(","))
    times = np.geomspace(0.1, made.t_end, 2000).tolist()
    run = flows.integrate(made.system, made.start, t_end=made.t_end, t_eval=times)
    (sampled,) = flows.check(run, claim)
    assert low <= sampled.constant <= 1.001 * high  # the extremum is near an output time
    assert high < 1.05 * low


@pytest.mark.parametrize(
    ("made", "claim"),
    [
        (layers.balanced, "skew_monotone"),
        (layers.balanced, "main_term_grows"),
        (layers.conserved, "balance_conserved"),
        (layers.decaying, "balance_decays"),
    ],
)
def test_true_claims_about_layers_are_proved_and_their_converses_refuted(made, claim):
    (found,) = verdicts(made(), claim)
    assert found.verdict is Proof.PROVED
    (reversed_,) = verdicts(made(), replace(CLAIMS[claim], sign=-1))
    assert reversed_.verdict is Proof.REFUTED


def test_hypotheses_of_balanced_layers_are_proved():
    (found,) = verdicts(layers.balanced(), "main_term_grows")
    assert {proof for _, proof in found.hypotheses} == {Proof.PROVED}
    (found,) = verdicts(layers.conserved(), "skew_monotone")
    assert Proof.REFUTED in {proof for text, proof in found.hypotheses if "balanced" in text}


def test_what_is_not_enclosed_is_undecided():
    made = layers.certificate("real", 8)  # its target is not diagonal
    (found,) = verdicts(made, "skew_monotone")
    assert found.verdict is Proof.UNDECIDED


def test_odd_depths_are_certified_without_what_they_do_not_have():
    system = flows.MatrixFactorization(d=1, depth=3, regularization=1.0)
    made = flows.certify(system, system.initial(1.0, 2), 1.0, digits=8)
    found = {v.claim: v for v in verdicts(made)}
    assert found["balance_decays"].verdict is Proof.PROVED
    assert found["skew_monotone"].verdict is Proof.UNDECIDED  # R has no such form
    assert found["skew_monotone"].message == "open at t = 0"


@pytest.mark.parametrize(
    ("claim", "start", "end", "converse"),
    [
        ("local_rate", (0.5, 0.75, 0.5, 0.5), 4.0, Proof.REFUTED),
        ("global_convergence", (0.5, 0.75, 0.5, 0.5), 6.0, Proof.HYPOTHESIS_NOT_MET),
        ("real_failure", (-0.5, 0.5, 0.5, 0.5), 10.0, Proof.REFUTED),
    ],
)
def test_what_is_claimed_of_limits_is_proved_and_its_converse_fails(claim, start, end, converse):
    made = layers.scalars(*start, end=end)
    (found,) = verdicts(made, claim)
    assert found.verdict is Proof.PROVED
    (broken,) = verdicts(made, replace(CLAIMS[claim], sign=-1))
    assert broken.verdict is converse


@pytest.mark.parametrize(
    ("needed", "off", "proof"),
    [
        (LEAST_D - OFF, OFF, Proof.REFUTED),  # the hypothesis holds, and the conclusion fails
        (LEAST_D + OFF, OFF, Proof.HYPOTHESIS_NOT_MET),
        (None, OFF, Proof.UNDECIDED),  # at its very limit, which balls do not decide
        (LEAST_D - OFF, -OFF, Proof.PROVED),
        (LEAST_D + OFF, -OFF, Proof.PROVED),  # of the conclusion
    ],
)
def test_a_conclusion_that_fails_is_refuted_only_where_hypotheses_hold(made, needed, off, proof):
    loss, first = symbol("loss"), symbol("loss_0")
    at = sp.sin(1) ** 2 + sp.cos(1) ** 2 if needed is None else sp.Float(needed)
    claim = replace(
        statement(loss, "<=", first * (1 - sp.Float(off)), constant=sp.S.One),
        hypotheses=(Hypothesis("d is large", symbol("d") / 3, ">=", at),),
    )
    found = verdict(made, claim)
    assert found.verdict is proof
    assert refutes([found]) is (proof is Proof.REFUTED)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_functions_of_a_claim_are_balls_and_no_doubles(made, number):
    # A double of tanh is as often below its value as above; the margin is far below its rounding.
    value = sp.tanh(sp.Rational(number, 7), evaluate=False)
    margin, bound = sp.Rational(1, 10**25), sp.Rational(sp.N(value, 60))
    assert verdict(made, statement(value, "<=", bound + margin)).verdict is not Proof.REFUTED
    assert verdict(made, statement(value, "<=", bound - margin)).verdict is not Proof.PROVED
    coarse = sp.Rational(1, 100)
    assert verdict(made, statement(value, "<=", bound + coarse)).verdict is Proof.PROVED
    assert verdict(made, statement(value, "<=", bound - coarse)).verdict is Proof.REFUTED


def test_a_function_without_balls_is_undecided_and_named(made):
    found = verdict(made, statement(symbol("loss"), "<=", 100 * sp.zeta(2 + symbol("t"))))
    assert found.verdict is Proof.UNDECIDED
    assert "there is no ball arithmetic for zeta" in found.message
