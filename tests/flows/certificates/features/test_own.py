"""Potentials and claims of an own polynomial loss along its certificate."""

import math

import pytest
import sympy as sp

import flows
from flows.certificates.features.registry import enclosure
from flows.certificates.verdicts import verdicts
from flows.core.balls import precision
from potentials import Comparison, Inequality, Source
from potentials.notation import symbol

U, V = sp.symbols("u v")
HERE = Source("test", 2026, "", "its own", "definition")
BALANCE, t = symbol("balance"), symbol("t")


def claim(name, lhs, relation, rhs):
    conclusion = Comparison(lhs, relation, rhs, sp.S.One, (t,))
    return Inequality(id=name, statement=name, source=HERE, conclusions=(conclusion,))


@pytest.fixture(scope="module")
def certificate():
    system = flows.OwnSystem(
        "scalars",
        [U, V],
        (U * V - 1) ** 2 / 2,
        {"balance": U**2 - V**2, "angle": sp.atan(V / U), "far": sp.sqrt(U - V - 1)},
        [
            claim("conserved_below", BALANCE, "<=", sp.Rational(35, 16) + sp.Rational(1, 20)),
            claim("conserved_above", BALANCE, ">=", sp.Rational(35, 16) - sp.Rational(1, 20)),
            claim("wrong", BALANCE, "<=", sp.Rational(35, 16) - sp.Rational(1, 1000)),
            claim("turns", symbol("angle_dot"), ">=", sp.S.Zero),
        ],
    )
    return flows.certify(system, [1.5, 0.25], 4.0, digits=12)


def test_claims_of_the_system_are_decided_along_the_trajectory(certificate):
    found = {v.claim: str(v.verdict) for v in verdicts(certificate)}
    assert found == {
        "conserved_below": "PROVED",
        "conserved_above": "PROVED",
        "wrong": "REFUTED",
        "turns": "PROVED",
    }


def test_a_potential_and_its_rate_are_those_of_the_flow(certificate):
    run = flows.integrate(certificate.system, [1.5, 0.25], t_end=4.0, t_eval=[1.0], rtol=1e-12)
    with precision(certificate.precision):
        box = enclosure(certificate)
        index, tau = certificate.locate(1.0), math.log(2)
        span = certificate.span(index)
        s = float((tau - float(span.centre)) / float(span.half))
        here = box.box(index, s, s)
        assert abs(float(here["angle"]) - run["angle"][1]) < 1e-9
        assert abs(float(here["angle_dot"]) - run.potential("angle")[1][1]) < 1e-9


def test_a_potential_that_is_not_known_to_be_defined_is_not_enclosed(certificate):
    with precision(certificate.precision):
        box = enclosure(certificate).box(len(certificate.pieces) - 1, -1.0, 1.0)
        assert not box["far"].is_finite()
        with pytest.raises(KeyError, match="unknown quantity 'near'"):
            box["near"]
