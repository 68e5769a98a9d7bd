"""Homogeneous polynomials by their terms agree with SymPy's derivatives."""

import numpy as np
import pytest
import sympy as sp

from symbolic.asymptotics.terms import Terms, collected, seconds

Z = sp.symbols("z1:4", real=True)
# Sums of a dozen products of numbers of order one.
ROUNDING = 1e-12


@pytest.mark.parametrize("degree", [3, 4, 5])
def test_second_derivatives_in_doubles_are_those_of_the_polynomial(degree):
    form = sp.expand((Z[0] - 2 * Z[1] + Z[2] / 3) ** degree + Z[0] ** (degree - 1) * Z[2])
    at = np.array([0.3, -1.2, 0.7])
    found = seconds(Terms.of(form, Z), degree).at(at)
    exact = np.array(sp.hessian(form, Z).subs(dict(zip(Z, at, strict=True))), dtype=float)
    assert np.abs(found - exact).max() < ROUNDING * np.abs(exact).max()
    # A term with another coefficient is seen.
    other = seconds(Terms.of(form + Z[0] ** degree / 1000, Z), degree).at(at)
    assert np.abs(other - exact).max() > 1e-6


@pytest.mark.parametrize("zeros", [(), (1,), (0, 2)])
def test_terms_that_vanish_with_their_derivatives_are_left_out(zeros):
    form = sp.expand((Z[0] + 2 * Z[1] - Z[2]) ** 4)
    at = [sp.S.Zero if k in zeros else sp.Rational(k + 2, 3) for k in range(3)]
    terms, where = Terms.of(form, Z), dict(zip(Z, at, strict=True))
    value, *slope = terms.gradient(at, terms.coefficients, sp.S.Zero)
    assert value == form.subs(where)
    assert slope == [sp.diff(form, v).subs(where) for v in Z]
    hessian = sp.Matrix(terms.hessian(at, terms.coefficients, sp.S.Zero))
    assert hessian == sp.hessian(form, Z).subs(where)


def test_terms_are_read_off_an_expanded_sum_only():
    form = sp.Mul(sp.Rational(1, 2), Z[0] ** 2 + 3 * Z[1] * Z[2], evaluate=False)
    assert collected(form, Z) == {(2, 0, 0): sp.Rational(1, 2), (0, 1, 1): sp.Rational(3, 2)}
    assert collected((Z[0] + Z[1]) ** 2, Z) is None
    assert collected(Z[0] ** sp.Rational(1, 2), Z) is None
    assert Terms.of((Z[0] + Z[1]) ** 2, Z) == Terms.of(sp.expand((Z[0] + Z[1]) ** 2), Z)
