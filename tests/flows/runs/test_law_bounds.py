"""Theorems' bounds against the derived laws."""

from dataclasses import replace
from fractions import Fraction

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
