"""The derivations of score matching: their order, and mutants that matter are refuted."""

from dataclasses import replace

import pytest
import sympy as sp

from symbolic.evidence.identity import Evidence
from symbolic.systems.score_matching.document import derive

DERIVATIONS = derive().derivations
STEPS = {s.rule: s for d in DERIVATIONS for s in d.steps}


def test_the_document_has_the_derivations_of_the_system_in_order():
    names = [d.name for d in DERIVATIONS]
    assert names[0] == "score-matching loss" and names[-1] == "stationary point"
    assert len(names) == len(set(names)) == 9


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        # Growth by the power 3/5, not by the square root, of what gradient EM has.
        ("until the cluster has reached the target", sp.Rational(1, 2), sp.Rational(3, 5)),
        # A far loss of exp(-9 R^2/40), not exp(-R^2/8).
        ("pull on the far components, leading order", sp.Rational(-1, 8), sp.Rational(-9, 40)),
    ],
)
def test_another_exponent_is_refuted(rule, old, new):
    step = STEPS[rule]
    broken = step.rhs.xreplace({old: new})
    assert broken != step.rhs
    assert replace(step, rhs=broken).verify().finding.evidence is Evidence.REFUTED
