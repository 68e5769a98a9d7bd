"""Claims: complete, sourced, printable, breakable."""

from dataclasses import replace

import pytest
import sympy as sp

import potentials
from potentials.claim import EXPONENT, Claim

CLAIMS = potentials.claims("relu_neuron")
# theory table: id -> (kind, exponent)
TABLE = {
    "loss_upper": ("UpperBound", 3),
    "loss_lower": ("LowerBound", 3),
    "exact_param_rate": ("Rate", 1),
    "distance_decay": ("Inequality", 2),
    "distance_vs_loss": ("Inequality", 3),
    "kappa_persists": ("Invariant", None),
    "separation": ("Inequality", None),
    "balance": ("Invariant", None),
    "phase1_angles": ("Inequality", sp.Rational(1, 24)),
    "phase2_residual": ("Inequality", sp.Rational(1, 2)),
    "gradient_lower": ("Inequality", sp.Rational(2, 3)),
    "angle_vs_loss": ("Inequality", 3),
    # The same statements with the constants that `symbolic.systems.relu_neuron.bounds` derives.
    "transverse_vs_loss": ("Inequality", 3),
    "distance_decay_constant": ("Inequality", 2),
    "distance_vs_loss_constant": ("Inequality", 3),
    "loss_lower_constant": ("LowerBound", 3),
}
# Claims about every state, which need no hypothesis.
UNCONDITIONAL = {"transverse_vs_loss"}


def test_every_claim_of_the_table_is_there_with_kind_and_exponent():
    assert {c.id: (c.kind, c.exponent) for c in CLAIMS} == TABLE


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_a_claim_prints_statement_source_and_latex(claim):
    assert claim.source.year in (2020, 2023) and claim.source.locator in str(claim)
    latex = claim.latex()
    assert latex.count("{") == latex.count("}") and r"\left(" not in latex[-6:]
    assert r"\le" in latex or r"\ge" in latex
    assert "exponent" not in latex
    assert bool(claim.hypotheses) is (claim.id not in UNCONDITIONAL)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.exponent is not None], ids=lambda c: c.id)
def test_a_changed_exponent_changes_the_expressions_and_the_latex(claim):
    broken = replace(claim, exponent=claim.exponent + 1)
    assert broken.comparisons != claim.comparisons and broken.latex() != claim.latex()
    assert all(EXPONENT not in c.lhs.free_symbols | c.rhs.free_symbols for c in broken.comparisons)


def test_a_changed_sign_is_the_converse():
    for claim in CLAIMS:
        turned = replace(claim, sign=-1).comparisons
        relations = [
            (a.relation, b.relation) for a, b in zip(claim.comparisons, turned, strict=True)
        ]
        assert all(pair in {("<=", ">="), (">=", "<=")} for pair in relations)


def test_the_abstract_claim_is_not_instantiated_by_the_table():
    assert all(type(c) is not Claim and isinstance(c, Claim) for c in CLAIMS)
