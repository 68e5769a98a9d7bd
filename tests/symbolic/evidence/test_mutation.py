"""Negative controls of the derivations."""

import os

import pytest
import sympy as sp

import symbolic
from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.evidence.identity import Evidence
from symbolic.evidence.mutation import _candidates, _harmless, _is_zero, controls, mutants

X, Y = sp.symbols("x y", positive=True)


def kinds(step):
    return [kind for kind, _ in mutants(step)]


@pytest.mark.skipif("POPFLOW_FUZZ" not in os.environ, reason="a minute: make fuzz")
@pytest.mark.parametrize("name", symbolic.DOCUMENTS)
def test_every_mutant_of_every_derivation_is_refuted(name):
    for one in symbolic.derive(name).derivations:
        found = controls(Document("one", (one,)))
        assert [c for c in found if not c.caught] == []
        # An equality has two mutants at least; an inequality, and a zero without a sum, has one.
        sums = [s for s in one.steps if s.relation == "==" and not _is_zero(s.rhs)]
        assert len(found) >= sum(1 + (s in sums) for s in one.steps if s.rhs != s.lhs)


@pytest.mark.parametrize("name", symbolic.DOCUMENTS)
def test_a_mutant_of_every_step_is_refuted(name):
    steps = [step for one in symbolic.derive(name).derivations for step in one.steps]
    for number, step in enumerate(s for s in steps if s.rhs != s.lhs):
        # Each kind has its turn; one that changes no value says nothing.
        kinds = list(_candidates(step))
        turned = kinds[number % len(kinds) :] + kinds[: number % len(kinds)]
        found = ((kind, mutant.verify().evidence, mutant) for kind, mutant in turned)
        kind, evidence, _ = next(
            f for f in found if f[1] is Evidence.REFUTED or not _harmless(step, f[2])
        )
        assert evidence is Evidence.REFUTED, (step.rule, kind)


# Of the other documents all steps are PROVED, say the tests of systems and lemmas.
def test_no_step_about_factorisation_is_refuted_open_or_only_sampled():
    document = symbolic.derive("matrix_factorization").verify()
    evidence = {s.rule: s.finding.evidence for d in document.derivations for s in d.steps}
    assert set(evidence.values()) <= {Evidence.PROVED, Evidence.ENCLOSED}, evidence


def test_every_derivation_is_there_once():
    names = [
        (name, d.name) for name in symbolic.DOCUMENTS for d in symbolic.derive(name).derivations
    ]
    assert len(names) == len(set(names)) > 30


def test_equality_is_broken_by_sign_factor_term_and_index():
    step = Step(X**2 + X * Y, X * (X + Y), "factor")
    assert kinds(step) == ["sign", "factor 1.001", "one term's sign", "x and y exchanged"]


def test_exchange_of_symmetric_indices_is_no_mutant():
    assert kinds(Step((X + Y) ** 2, X**2 + 2 * X * Y + Y**2, "square")) == [
        "sign",
        "factor 1.001",
        "one term's sign",
    ]


def test_step_whose_right_side_is_zero_is_broken_on_the_left():
    step = Step(X * (X + Y) - X**2 - X * Y, sp.S.Zero, "cancel")
    assert kinds(step)[0] == "a thousandth for zero"
    assert "sign" not in kinds(step) and len(kinds(step)) > 1


def test_inequality_is_turned_round():
    step = Step((X + Y) ** 2, X**2, "drop", relation=">=")
    assert kinds(step) == ["reversed"]


def test_mutant_that_goes_unseen_is_reported():
    # No number and no proof can be had of this limit, so its mutants stay open.
    unknown = sp.Limit(sp.Function("F", real=True)(X), X, sp.oo)
    document = Document("s", (Derivation("d", "s", (Step(unknown, Y, "?"),)),))
    found = controls(document)
    assert found
    assert not any(c.caught for c in found)
    assert {c.evidence for c in found} == {Evidence.OPEN}
