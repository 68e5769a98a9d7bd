"""Expectations that are infinite are refused by their reason, and finite ones beside them are not.

Where the border lies is known: `E exp(c x^2)` is `(1 - 2 c)^(-1/2)` for `c < 1/2`, and a pole has a
finite mean for an order below one.
"""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from symbolic import Expectation

A, S = sp.symbols("a s")
X = sp.MatrixSymbol("x", 2, 1)
U, V = X[0, 0], X[1, 0]
HALF = sp.Rational(1, 2)
SLIGHTLY = sp.Rational(1, 1000)


def averaged(integrand):
    return Expectation(integrand, X if integrand.has(X) else S)


GROWS, POLE, UNREAL = "does not fall up to", "has a pole at", "is not a real number at"
REFUSED = [
    (sp.exp(S**2) * (A - 1) ** 2, GROWS),
    (sp.exp(S**2 * HALF) * (A - 1) ** 2, GROWS),
    (sp.exp(S**2 * HALF) * A**2 / (1 + S**2) ** HALF, GROWS),
    (sp.cosh(S**2) * A**2, GROWS),
    (sp.exp(A * S**3), GROWS),
    (sp.exp(sp.exp(S)) * A**2, GROWS),
    (sp.exp((3 * U + 4 * V) ** 2 / 50) * A**2, GROWS),
    ((A - 1) ** 2 / S**2, r"has a pole at x = 0\.0;"),
    (A**2 / S, POLE),
    (A**2 * (S**2 + S**4) ** (-HALF) * sp.exp(S), POLE),
    ((S - A) ** -2, POLE),
    ((sp.tan(S) - A) ** 2, POLE),
    (A**2 * sp.tanh(V) ** 2 / U**2, r"has a pole at x = \(0\.0, "),
    ((sp.log(S) - A) ** 2, UNREAL),
    (sp.sqrt(A**2 + S) * A, UNREAL),
]
# Beside the border, and where a numerator takes the pole away.
TAKEN = [
    sp.exp(S**2 * (HALF - SLIGHTLY)) * (A - 1) ** 2,
    sp.exp(S**2 * HALF) * A**2 / (1 + S**2) ** (HALF + SLIGHTLY),
    sp.exp(S**2 - S**4 / 10**6) * A**2,
    sp.exp(A * S**2),
    sp.exp(4 * A * S**2),  # infinite at one of the states that are tried
    sp.exp((3 * U + 4 * V) ** 2 * (1 - SLIGHTLY) / 50) * A**2,
    A**2 * (S**2 + S**4) ** (SLIGHTLY - HALF) * sp.exp(S),
    (sp.tanh(A * S) / S - A) ** 2,
    (A - S) ** 2 / (S**2 + sp.Rational(1, 10**12)),
    sp.log(S**2) ** 2 * A**2,
]


@pytest.mark.parametrize(("integrand", "message"), REFUSED)
def test_an_expectation_without_a_finite_mean_is_refused_when_it_is_given(integrand, message):
    with pytest.raises(InputError, match=message) as told:
        flows.OwnSystem("mean", [A], averaged(integrand))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("integrand", TAKEN)
def test_an_expectation_with_a_finite_mean_is_a_loss(integrand):
    flows.OwnSystem("mean", [A], averaged(integrand))


def test_a_start_where_the_expectation_is_infinite_is_refused_and_another_one_runs():
    # L = (1 - 2 a)^(-1/2), and (1 - 2 a)^(5/2) = (1 - 2 a_0)^(5/2) + 5 t.
    system = flows.OwnSystem("mean", [A], Expectation(sp.exp(A * S**2), S))
    for start in (0.5, 0.9):
        with pytest.raises(InputError, match=r"not finite at the start: .* does not fall"):
            flows.integrate(system, [start], 1.0)
    run = flows.integrate(system, [0.1], 10.0)
    assert run.completed
    assert run["loss"] == pytest.approx((0.8**2.5 + 5 * run.t) ** -0.2, rel=1e-8)


@pytest.mark.parametrize(
    ("loss", "start", "message"),
    [
        (sp.sqrt(A - 1), 0.5, "is not a real number at the start"),
        (sp.log(A) ** 2, -0.5, "is not a real number at the start"),
        (sp.acos(A), 2.5, "is not a real number at the start"),
        (sp.exp(sp.exp(A)), 50.0, "is larger at the start than doubles hold"),
        (1 / A, 0.0, "or its gradient at the start is not finite"),
        (sp.sqrt(A), 0.0, "or its gradient at the start is not finite"),
    ],
)
def test_a_start_where_the_loss_is_no_number_is_refused_by_its_reason(loss, start, message):
    system = flows.OwnSystem("odd", [A], loss)
    with pytest.raises(InputError, match=message) as told:
        flows.integrate(system, [start], 1.0)
    assert "\n" not in str(told.value)
    assert np.isfinite(system.loss([1.0]))


def test_a_function_without_a_known_derivative_is_not_said_to_have_kinks():
    for loss, message in (
        (sp.zeta(A), "zeta has no derivative that is known"),
        (sp.floor(A), "floor has kinks"),
        (sp.Abs(A), "Abs has kinks"),
    ):
        with pytest.raises(InputError, match=message):
            flows.OwnSystem("odd", [A], loss)
