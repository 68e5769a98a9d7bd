"""Factors of polynomials: those that were multiplied, whatever their order and signs."""

import time

import pytest
import sympy as sp

from symbolic.language.factors import factored

X, Y, Z = sp.symbols("x y z")
# Processor seconds; a hundredth of it is used, SymPy took up to 120 s of it.
SOON = 10.0


@pytest.mark.parametrize(
    "product",
    [
        (X - Y) ** 2 * (X * Y + 1) / 2,
        -X * (2 * X - 1) / 6,
        3 * (X**2 + Y**2 + 1),
        (X - Y) * (X + Y) * (X**2 + X * Y + Y**2) * (Z - 3) ** 3,
        -(X + Y + Z),
        5 * X,
        X + 1,
    ],
    ids=str,
)
def test_factors_are_those_that_were_multiplied(product):
    found = factored(sp.expand(product))
    assert sp.expand(found - product) == 0
    assert found == sp.factor(sp.expand(product))


@pytest.mark.parametrize("other", [sp.S(3), sp.pi * X**2 - sp.pi, sp.sin(X) ** 2 + sp.sin(X)])
def test_what_has_no_rational_coefficients_is_left_to_sympy(other):
    assert factored(other) == sp.factor(other)


def test_a_polynomial_of_many_variables_is_factored_soon():
    entries = sp.symbols("a:12")
    w = sp.Matrix(4, 3, entries)
    gap = w.T * w - sp.diag(1, 0, 0)
    cubic = sp.expand(sum(sp.diff((gap * gap).trace(), a) for a in entries))
    begun = time.process_time()
    found = factored(sp.expand(cubic * (entries[0] - entries[7]) * gap.trace()))
    assert time.process_time() - begun < SOON
    assert {entries[0] - entries[7], sp.expand(gap.trace())} <= set(found.args)
