"""Two layers: every step has evidence, and small errors are seen."""

from dataclasses import replace

import pytest
import sympy as sp

import symbolic
from symbolic.evidence.identity import Evidence
from symbolic.lemmas.activations import ERF, QUADRATIC, leaky_relu
from symbolic.systems.two_layer.calculus import (
    SLOPE,
    derive_balance,
    derive_hessian,
    derive_loss,
    derive_one_teacher,
    derive_student,
)
from symbolic.systems.two_layer.pair import NAMES, Kinked, named, pair_of

OWN = [
    derive_loss(),
    *(derive_student(s) for s in (leaky_relu(SLOPE), QUADRATIC, ERF)),
    *(derive_hessian(s) for s in (QUADRATIC, ERF)),
    derive_balance(),
    derive_one_teacher(),
]
STEPS = [step for derivation in OWN for step in derivation.steps]


@pytest.mark.parametrize("derivation", OWN, ids=lambda d: d.name)
def test_every_step_is_proved(derivation):
    assert {step.verify().evidence for step in derivation.steps} == {Evidence.PROVED}


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.rule[:40])
def test_a_thousandth_too_much_is_refuted(step):
    more = sp.Rational(1001, 1000) * step.rhs if step.rhs != 0 else step.rhs + sp.Rational(1, 1000)
    assert replace(step, rhs=more).verify().evidence is Evidence.REFUTED


def test_the_document_has_kernels_gradients_hessians_and_the_balance():
    names = [d.name for d in symbolic.derive("two_layer").derivations]
    assert names[-1] == "balance of the layers"
    assert sum(name.startswith("dual kernel") for name in names) == 3


def test_activations_have_names_and_a_slope_is_the_fraction_that_is_written():
    assert pair_of(named("relu").activation) == Kinked(sp.Rational(1, 2), sp.S.One)
    assert pair_of(named("leaky:0.1").activation).kink == sp.Rational(81, 100)
    assert [named(name).degree for name in ("relu", "leaky:-1", "erf", "quadratic")] == [
        1,
        1,
        None,
        2,
    ]
    for wrong in ("leaky:1", "leaky:", "leaky:nan", "leaky:1e9", "cosh", *NAMES[-1:]):
        with pytest.raises(ValueError, match="expected relu"):
            named(wrong)
