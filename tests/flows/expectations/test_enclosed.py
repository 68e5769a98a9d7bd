"""Sums over nodes in balls of two doubles: every number is inside, however much cancels."""

import numpy as np
import pytest
import sympy as sp
from flint import arb

from flows.core.balls import precision
from flows.expectations.product import Paired
from flows.systems.own.by_forms import formed
from flows.systems.own.in_pairs import InPairs

# Bits of sums by hand.
BY_HAND = 2000
# Two doubles have about 31 digits of each term, which grows with a place and its slopes.
DIGITS = 1e-28
NODES = 37


def sigmoid(z):
    return 1 / (1 + (-z).exp())


# As SymPy knows a function, and it by hand with its slope.
FUNCTIONS = {
    "tanh": (sp.tanh, arb.tanh, lambda z: 1 - z.tanh() * z.tanh()),
    "logistic": (lambda z: 1 / (1 + sp.exp(-z)), sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "softplus": (lambda z: sp.log(1 + sp.exp(z)), lambda z: (1 + z.exp()).log(), sigmoid),
    "log cosh": (lambda z: sp.log(sp.cosh(z)), lambda z: z.cosh().log(), arb.tanh),
    "sine": (sp.sin, arb.sin, arb.cos),
    "bump": (
        lambda z: sp.exp(-(z**2) / 2),
        lambda z: (-z * z / 2).exp(),
        lambda z: -z * (-z * z / 2).exp(),
    ),
    "error function": (sp.erf, arb.erf, lambda z: 2 / arb.pi().sqrt() * (-z * z).exp()),
    "area sine": (sp.asinh, arb.asinh, lambda z: 1 / (1 + z * z).sqrt()),
    "arc tangent": (sp.atan, arb.atan, lambda z: 1 / (1 + z * z)),
    "rational": (
        lambda z: z / (1 + z**2),
        lambda z: z / (1 + z * z),
        lambda z: (1 - z * z) / ((1 + z * z) * (1 + z * z)),
    ),
}


def by_hand(name, y, places, weights):
    """Sum of `b (s(a.x) - s(x_1))^2` and its gradient by `a` and `b`."""
    _, s, slope = FUNCTIONS[name]
    *a, b = [arb(v) for v in y]
    found = [arb(0)] * (len(a) + 2)
    for x, weight in zip(places.tolist(), weights.tolist(), strict=True):
        z = sum((p * arb(q) for p, q in zip(a, x, strict=True)), arb(0))
        off = s(z) - s(arb(x[0]))
        terms = [b * off * off, *(2 * b * off * slope(z) * q for q in x), off * off]
        found = [f + weight * t for f, t in zip(found, terms, strict=True)]
    return found


@pytest.mark.parametrize("apart", [1.0, 1e-8])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_sums_in_two_doubles_hold_those_by_hand(name, scale, apart):
    rng = np.random.default_rng(5)
    places, weights = scale * rng.normal(size=(NODES, 2)), rng.uniform(size=NODES)
    start = np.array([1.0, 0.0, 0.7]) + apart * rng.normal(size=3) * [1, 1, 0]
    a, x = sp.symbols("a1 a2 b", real=True), sp.symbols("x1 x2", real=True)
    s = FUNCTIONS[name][0]
    integrand = a[2] * (s(a[0] * x[0] + a[1] * x[1]) - s(x[0])) ** 2
    all_digits = np.zeros((NODES, 2, 3)), np.zeros((NODES, 3))
    all_digits[0][..., 0], all_digits[1][..., 0] = places, weights
    average = InPairs(formed(integrand, x, a), Paired(*all_digits), np.eye(2))
    found = average.both([arb(v) for v in start])
    assert found is not None
    with precision(BY_HAND):
        truth = by_hand(name, start, places, weights)
        for got, wanted in zip(found, truth, strict=True):
            assert got.contains(wanted)
            # It says something, and a control is seen: a number that is off by a small part.
            assert float(got.rad()) <= DIGITS * NODES * (1 + scale**3)
            assert not got.contains(wanted + 1e-9 * NODES * (1 + scale))


def test_a_function_beyond_the_doubles_is_not_known():
    a, x = sp.symbols("a", real=True), sp.symbols("x1 x2", real=True)
    places, weights = np.zeros((3, 2, 3)), np.ones((3, 3)) * [1.0, 0.0, 0.0]
    places[:, 0, 0] = [1.0, 2.0, 900.0]
    integrand = formed(sp.exp(a * x[0]) * sp.cos(x[1]), x, (a,))
    average = InPairs(integrand, Paired(places, weights), np.eye(2))
    assert average.both([arb(1)]) is None
    # Control: where it is a double it is known.
    assert average.both([arb(0.1)]) is not None
