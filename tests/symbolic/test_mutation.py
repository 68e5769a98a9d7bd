"""Negative controls of the derivations."""

import sympy as sp

import symbolic
from symbolic.derivation import Derivation, Document, Step
from symbolic.identity import Evidence
from symbolic.mutation import controls, mutants

X, Y = sp.symbols("x y", positive=True)


def kinds(step):
    return [kind for kind, _ in mutants(step)]


def test_every_mutant_of_every_system_is_refuted():
    for name in symbolic.SYSTEMS:
        found = controls(symbolic.derive(name))
        assert [c for c in found if not c.caught] == []
        assert len(found) > 2 * sum(len(d.steps) for d in symbolic.derive(name).derivations)


def test_equality_is_broken_by_sign_factor_term_and_index():
    step = Step(X**2 + X * Y, X * (X + Y), "factor", fresh=True)
    assert kinds(step) == ["sign", "factor 2", "one term's sign", "x and y exchanged"]


def test_exchange_of_symmetric_indices_is_no_mutant():
    assert kinds(Step((X + Y) ** 2, X**2 + 2 * X * Y + Y**2, "square", fresh=True)) == [
        "sign", "factor 2", "one term's sign"]  # fmt: skip


def test_step_whose_right_side_is_zero_is_broken_on_the_left():
    step = Step(X * (X + Y) - X**2 - X * Y, sp.S.Zero, "cancel", fresh=True)
    assert "sign" not in kinds(step)
    assert len(kinds(step)) > 0


def test_inequality_is_turned_round():
    step = Step((X + Y) ** 2, X**2, "drop", fresh=True, relation=">=")
    assert kinds(step) == ["reversed"]


def test_mutant_that_goes_unseen_is_reported():
    # No number and no proof can be had of this limit, so its mutants stay open.
    unknown = sp.Limit(sp.Function("F", real=True)(X), X, sp.oo)
    document = Document("s", (Derivation("d", "s", (Step(unknown, Y, "?", fresh=True),)),))
    found = controls(document)
    assert found
    assert not any(c.caught for c in found)
    assert {c.evidence for c in found} == {Evidence.OPEN}
