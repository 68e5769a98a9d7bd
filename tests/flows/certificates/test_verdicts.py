from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from flint import arb

import flows
import potentials
from flows.certificates.boxes import Scene
from flows.certificates.chebyshev import precision
from flows.certificates.decide import Proof, compared
from flows.certificates.verdicts import exit_code, verdicts
from flows.runs.check import Quantities
from potentials.claim import Comparison, Inequality
from potentials.notation import symbol
from potentials.source import Source

CLAIMS = {c.id: c for c in potentials.claims("relu_neuron")}
END = 8.0
# Of quantities along a run of doubles, beside the width of the balls.
ROUNDED = 1e-9
# Output times of the run that is compared are so dense that a constant is attained near one.
DENSE, SAMPLED = 400, 1e-3
NAMES = (
    "loss",
    "loss_dot",
    "gradient_norm",
    "rho",
    "rho_dot",
    "h",
    "h_dot",
    "zeta",
    "zeta_dot",
    "norm",
    "norm_dot",
    "theta",
    "theta_dot",
    "distance",
    "distance_dot",
    "kappa",
    "kappa_dot",
    "theta_pair",
    "pairwise_distance",
    "pairwise_distance_dot",
    "kappa_max",
    "angle_max",
    "residual_projection",
    "residual_projection_dot",
    "angle_potential",
    "angle_potential_dot",
    "balance",
    "sigma",
    "z_min",
)


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


def test_quantities_on_a_box_contain_those_of_a_run(made, run):
    quantities = Quantities(run)
    with precision(made.precision):
        scene = Scene(made)
        for row in (10, 200, 399):
            index = made.locate(float(run.t[row]))
            span = made.span(index)
            s = float(((arb(float(run.t[row])).log1p() - span.centre) / span.half).mid())
            box = scene.box(index, max(s - 1e-3, -1.0), min(s + 1e-3, 1.0))
            beyond = scene.box(len(made.pieces) - 1, 0.9, 1.0) if row < 399 else None
            for name in NAMES:
                balls = box[name] if isinstance(box[name], list) else [box[name]]
                true = np.atleast_1d(quantities[name][row])
                assert len(balls) == len(true)
                assert all(
                    abs(b.mid() - x) <= b.rad() + ROUNDED * abs(x)
                    for b, x in zip(balls, true, strict=True)
                ), name
            if beyond is not None:
                assert not beyond["loss"].contains(quantities["loss"][row])


@pytest.mark.parametrize(
    "claim",
    [
        "transverse_vs_loss",
        "distance_vs_loss_constant",
        "distance_decay_constant",
        "loss_lower_constant",
    ],
)
def test_true_claims_are_proved_and_their_converses_refuted(made, claim):
    found = verdict(made, claim)
    assert found.verdict is Proof.PROVED
    assert exit_code([found]) == 0
    broken = verdict(made, replace(CLAIMS[claim], sign=-1))
    assert broken.verdict is Proof.REFUTED
    assert "fails at t = " in broken.message
    proved = all(proof is Proof.PROVED for _, proof in broken.hypotheses)
    assert exit_code([broken]) == int(proved)


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


def test_comparisons_of_balls_are_certain_or_undecided():
    one, wide = arb(1), arb(1, 0.5)
    assert compared(one, "<=", arb(2)) is Proof.PROVED
    assert compared(arb(2), "<=", one) is Proof.REFUTED
    assert compared(wide, "<=", one) is Proof.UNDECIDED
    assert compared(one, ">=", one) is Proof.PROVED
    assert compared(one, ">=", one, strict=True) is Proof.REFUTED
    assert compared(arb.nan(), "<=", one) is Proof.UNDECIDED


def test_an_unknown_claim_is_bad_input(made):
    with pytest.raises(flows.InputError, match="unknown claim 'loss_uper'"):
        verdicts(made, "loss_uper")
