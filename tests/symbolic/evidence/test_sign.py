"""Signs that are proved, and signs that must not be."""

import pytest
import sympy as sp

from symbolic.evidence.sign import sign

T = sp.Symbol("theta", nonnegative=True)
K = sp.Symbol("kappa", nonnegative=True)
P, Q = sp.symbols("p q", nonnegative=True)
A, B = sp.symbols("a b", positive=True)
X = sp.Symbol("x", real=True)
FULL = ((T, sp.S.Zero, sp.pi),)
HALF = ((T, sp.S.Zero, sp.pi / 2),)
SQUARE = ((P, sp.S.Zero, sp.S.One), (Q, sp.S.Zero, sp.S.One))
RAY = ((T, sp.S.Zero, sp.oo),)
CHORDAL = (T - sp.sin(T) * sp.cos(T)) / T**3

PROVED = {
    "monotone from a zero": (T - sp.sin(T), FULL, 1),
    "monotone, negative": (sp.log(1 + T) - T, RAY, -1),
    "concave with zeros at both ends": (sp.pi / 2 * sp.sin(T) - T, HALF, 1),
    "derivative that factors": (4 * T - 3 * sp.sin(2 * T) + 2 * T * sp.cos(2 * T), FULL, 1),
    "quotient falling to its value at the end": (CHORDAL - CHORDAL.subs(T, sp.pi), FULL, 1),
    "quotient below its limit": (CHORDAL - sp.Rational(2, 3), FULL, -1),
    "product of waves": (sp.sin(T) * (1 + sp.cos(K)), (*FULL, (K, sp.S.Zero, sp.pi)), 1),
    "square": (A**2 - 2 * A * B + B**2, (), 1),
    "two bounded symbols": (1 - P * Q, SQUARE, 1),
    "unbounded interval": (sp.exp(T) - 1 - T, RAY, 1),
}
UNPROVED = {
    "changes sign": (sp.cos(T), FULL),
    "concave beyond its zero": (sp.pi / 2 * sp.sin(T) - T, FULL),
    "product of fractions that may exceed one half": (1 - 2 * P * Q, SQUARE),
    "indefinite form": (A**2 - 3 * A * B + B**2, ()),
    "wave on an unbounded interval": (sp.sin(T), RAY),
    "odd power of anything": (X**3, ()),
    "quotient above a value in its range": (CHORDAL - sp.Rational(1, 2), FULL),
}


@pytest.mark.parametrize("name", PROVED)
def test_sign_is_proved(name):
    expr, domain, expected = PROVED[name]
    assert sign(expr, domain) == expected


@pytest.mark.parametrize("name", PROVED)
def test_opposite_expression_has_the_opposite_sign(name):
    expr, domain, expected = PROVED[name]
    assert sign(-expr, domain) == -expected


@pytest.mark.parametrize("name", UNPROVED)
def test_sign_that_does_not_hold_is_not_proved(name):
    expr, domain = UNPROVED[name]
    assert sign(expr, domain) is None
    assert sign(-expr, domain) is None
