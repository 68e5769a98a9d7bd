"""Means of activations by composition, against closed forms that are found another way."""

import pytest
import sympy as sp

from symbolic.evidence.identity import Evidence, examine
from symbolic.language.primitives import definition
from symbolic.lemmas import composition
from symbolic.lemmas.activation_mean import activation_mean
from symbolic.lemmas.activations import RELU, Homogeneous
from symbolic.lemmas.composition import composed

W, V, X, Y = sp.symbols("w v x y", real=True)
U = W * X + V * Y
NUMBERS = (X, Y)
# The smallest slip that a test must see.
SLIP = sp.Rational(1001, 1000)

MEANS = {
    "a square of two ReLU": (sp.Max(0, U) - sp.Max(0, X)) ** 2,
    "a square of two erf": (sp.erf(U) - sp.erf(X)) ** 2,
    "a square of two leaky ReLU": (sp.Max(U, U / 3) - sp.Max(X, X / 3)) ** 2,
    "a square of two steps": (sp.Heaviside(U) - sp.Heaviside(X)) ** 2,
    "squares of ReLU": sp.Max(0, U) ** 2 * sp.Max(0, X) ** 2,
    "absolute values": sp.Abs(U) * X * Y + sp.Abs(U) * sp.Abs(Y),
    "ReLU and a polynomial": sp.Max(0, U) * X**2 * Y + X**4,
    "erf and a polynomial": sp.erf(U) * X**3 + sp.erf(U) * Y,
}


@pytest.mark.parametrize("name", MEANS)
def test_a_composed_mean_is_the_closed_form_and_a_thousandth_off_it_is_not(name):
    found = definition(composed(MEANS[name], NUMBERS))
    closed = definition(activation_mean(MEANS[name], NUMBERS))
    assert examine(found, closed).evidence is Evidence.PROVED
    assert examine(found, SLIP * closed).evidence is Evidence.REFUTED


@pytest.mark.parametrize(
    "integrand",
    [
        sp.tanh(U),
        sp.Max(0, U) * sp.erf(X),
        sp.Max(0, U) * sp.Max(0, X) * Y,
        sp.erf(U) ** 3,
        sp.Max(0, U) / (1 + X**2),
    ],
)
def test_what_no_kernel_gives_is_not_composed(integrand):
    assert composed(integrand, NUMBERS) is None


def test_a_kernel_with_a_step_that_is_not_proved_composes_nothing(monkeypatch):
    monkeypatch.setattr(composition, "_is_proved", lambda s: False)
    assert composed(MEANS["a square of two ReLU"], NUMBERS) is None
    assert composed(sp.Max(0, U), NUMBERS) is not None  # elementary


def test_a_function_that_is_taken_for_another_composes_nothing(monkeypatch):
    slope = Homogeneous("leaky ReLU", sp.S.One, sp.Rational(1, 1000))
    for wrong in ((slope, (W, V)), (RELU, (W, -V))):
        monkeypatch.setattr(composition, "applied", lambda e, x, wrong=wrong: wrong)
        assert composed(sp.Max(0, U), NUMBERS) is None
