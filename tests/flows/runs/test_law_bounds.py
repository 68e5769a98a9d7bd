"""Theorems' bounds against the derived laws."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

import flows
import potentials
from flows.runs.law_bounds import judged, orders

THREE, FOUR = sp.Integer(3), sp.Integer(4)
# Degree of the leading form, claim, and by which power of time there is room.
KNOWN = [
    ("relu_neuron", THREE, "loss_upper", 0),
    ("relu_neuron", THREE, "loss_lower", 0),
    ("relu_neuron", THREE, "gradient_lower", 0),
    ("relu_neuron", THREE, "distance_decay", 0),
    ("relu_neuron", THREE, "distance_vs_loss", 0),
    ("gmm_em", FOUR, "loss_upper", Fraction(3, 2)),
    ("gmm_em", FOUR, "gradient_lower", 0),
    ("gmm_em", FOUR, "loss_quadratic", 1),
    ("score_matching", FOUR, "large_noise", Fraction(3, 2)),
]


def claim(system, name):
    return next(c for c in potentials.claims(system) if c.id == name)


@pytest.mark.parametrize(("system", "degree", "name", "slack"), KNOWN)
def test_a_bound_is_tight_or_loose_by_a_power_of_time(system, degree, name, slack):
    (found,) = judged(degree, [claim(system, name)])
    assert found.slack == slack and found.outcome == ("loose" if slack else "tight")


@pytest.mark.parametrize(
    ("system", "degree", "name", "exponent"),
    [
        ("relu_neuron", THREE, "loss_upper", sp.Rational(31, 10)),
        ("relu_neuron", THREE, "loss_lower", sp.Rational(29, 10)),
        ("relu_neuron", THREE, "distance_decay", sp.Rational(21, 10)),
        ("gmm_em", FOUR, "loss_upper", sp.Rational(21, 10)),
        ("gmm_em", FOUR, "gradient_lower", sp.Rational(29, 10)),
    ],
)
def test_a_wrong_exponent_is_refuted_by_the_law(system, degree, name, exponent):
    (found,) = judged(degree, [replace(claim(system, name), exponent=exponent)])
    assert found.outcome == "REFUTED" and found.slack < 0


def test_quantities_fall_like_the_powers_of_a_run():
    run = flows.integrate(flows.GMMEM(n=2, d=1), [[0.3], [-0.2]], t_end=1e8)
    known = orders(FOUR)
    for name in ("loss", "gradient_norm", "fisher", "max_norm"):
        rates = run.quantities[name]
        measured = sp.log(rates[-1] / rates[-9]) / sp.log(run.t[-1] / run.t[-9])
        assert float(measured) == pytest.approx(float(known[name]), abs=1e-4)


def test_a_law_judges_the_claims_of_its_system():
    law = flows.late_time_law(flows.ReLUNeuron(n=2, d=2), at=[[0.5, 0], [0.5, 0]])
    assert {b.outcome for b in law.bounds()} == {"tight"} and len(law.bounds()) >= 5
    assert law.to_json()["bounds"][0]["outcome"] == "tight"


# Powers of n that a bound states, and of the law's constant, for equal shares.
IN_POWERS_OF_N = [
    ("relu_neuron", THREE, "loss_upper", 4, -2),
    ("relu_neuron", THREE, "loss_lower", -17, -2),
    ("relu_neuron", THREE, "loss_lower_constant", -17, -2),
    ("gmm_em", FOUR, "loss_upper", 4, 2),
    ("score_matching", FOUR, "large_noise", 3, 2),
    # About other quantities than the loss.
    ("relu_neuron", THREE, "distance_decay", None, None),
]


@pytest.mark.parametrize(("system", "degree", "name", "stated", "derived"), IN_POWERS_OF_N)
def test_a_bound_on_the_loss_is_loose_by_a_power_of_n(system, degree, name, stated, derived):
    (found,) = judged(degree, [claim(system, name)], potentials.flow(system).in_n)
    assert (found.n_claimed, found.n_derived) == (stated, derived)
    assert found.n_slack == (None if stated is None else abs(stated - derived))
    # Another power of the law is another slack, and a bound below the law states none.
    (other,) = judged(degree, [claim(system, name)], potentials.flow(system).in_n + Fraction(1, 2))
    assert other.n_slack is None or other.n_slack != found.n_slack
    (below,) = judged(degree, [claim("relu_neuron", "loss_upper")], Fraction(5))
    assert below.n_claimed is None


def test_the_constants_of_the_laws_are_these_powers_of_n():
    def constants(system, at=None):
        return [law.constant for law in flows.late_time_law(system, at, log_terms=False).laws]

    # Triangles of three neurons, alone and with a fourth one in the centre.
    three, four = (
        min(constants(flows.ReLUNeuron(n=n, d=n), np.eye(1, n).repeat(n, axis=0) / n))
        for n in (3, 4)
    )
    power = float(potentials.flow("relu_neuron").in_n)
    assert np.log(four / three) / np.log(4 / 3) == pytest.approx(power, abs=1e-9)
    for kind, more in ((flows.GMMEM, {}), (flows.ScoreMatching, {"noise_time": 0.0})):
        small, large = (constants(kind(n=n, d=1, **more))[0] for n in (2, 4))
        power = float(potentials.flow(kind(n=2, d=1, **more).name).in_n)
        assert np.log(large / small) / np.log(2) == pytest.approx(power, abs=1e-9)
