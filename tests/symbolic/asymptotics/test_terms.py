"""Homogeneous polynomials by their terms agree with SymPy's derivatives."""

import numpy as np
import pytest
import sympy as sp

from symbolic.asymptotics.derivatives import BALLS, DOUBLES, EXACT, derivatives
from symbolic.asymptotics.terms import Terms, collected, seconds

Z = sp.symbols("z1:4", real=True)
# Sums of a dozen products of numbers of order one.
ROUNDING = 1e-12


@pytest.mark.parametrize("degree", [3, 4, 5])
def test_second_derivatives_in_doubles_are_those_of_the_polynomial(degree):
    form = sp.expand((Z[0] - 2 * Z[1] + Z[2] / 3) ** degree + Z[0] ** (degree - 1) * Z[2])
    at = np.array([0.3, -1.2, 0.7])
    found = seconds(Terms.of(form, Z)).second(at)
    exact = np.array(sp.hessian(form, Z).subs(dict(zip(Z, at, strict=True))), dtype=float)
    assert np.abs(found - exact).max() < ROUNDING * np.abs(exact).max()
    # A term with another coefficient is seen.
    other = seconds(Terms.of(form + Z[0] ** degree / 1000, Z)).second(at)
    assert np.abs(other - exact).max() > 1e-6


@pytest.mark.parametrize("zeros", [(), (1,), (0, 2)])
def test_terms_that_vanish_with_their_derivatives_are_left_out(zeros):
    form = sp.expand((Z[0] + 2 * Z[1] - Z[2]) ** 4)
    at = [sp.S.Zero if k in zeros else sp.Rational(k + 2, 3) for k in range(3)]
    found, where = derivatives(form, Z, EXACT), dict(zip(Z, at, strict=True))
    assert found.first(at) == (form.subs(where), [sp.diff(form, v).subs(where) for v in Z])
    assert sp.Matrix(found.second(at)) == sp.hessian(form, Z).subs(where)


#: One of each way: terms, powers of quadratic forms, and signs.
FORMS = {
    "a polynomial": (Z[0] + 2 * Z[1] - Z[2]) ** 4 + sp.pi * Z[0] * Z[1] * Z[2] ** 2,
    "lengths": (Z[0] ** 2 + (Z[1] - Z[2]) ** 2) ** sp.Rational(3, 2) + sp.sqrt(Z[2] ** 2) ** 3 / 2,
    "signs": sp.Abs(Z[0] - 2 * Z[1]) ** 3 + Z[2] * (Z[0] ** 2 + Z[1] * Z[2]),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("kind", [EXACT, BALLS, DOUBLES], ids=["exact", "balls", "doubles"])
def test_derivatives_of_every_form_in_every_kind_of_numbers_are_those_of_sympy(form, kind):
    at = [sp.Rational(7, 10), sp.Rational(-13, 10), sp.Rational(2, 5)]
    where = dict(zip(Z, at, strict=True))
    true = [form, *(sp.diff(form, v) for v in Z), *sp.hessian(form, Z)]
    exact = np.array([e.subs(where) for e in true], dtype=float)
    found = derivatives(form, Z, kind)
    here = [kind.number(a) for a in at]
    value, slope = found.first(here)
    numbers = [value, *slope, *(e for row in found.second(here) for e in row)]
    off = np.abs(np.array([float(e) for e in numbers]) - exact).max()
    assert off < ROUNDING * np.abs(exact).max()
    other = derivatives(form + Z[0] ** 4 / 1000, Z, kind).first(here)[0]
    assert abs(float(other) - exact[0]) > 1e-5


def test_terms_are_read_off_an_expanded_sum_only():
    form = sp.Mul(sp.Rational(1, 2), Z[0] ** 2 + 3 * Z[1] * Z[2], evaluate=False)
    assert collected(form, Z) == {(2, 0, 0): sp.Rational(1, 2), (0, 1, 1): sp.Rational(3, 2)}
    assert collected((Z[0] + Z[1]) ** 2, Z) is None
    assert collected(Z[0] ** sp.Rational(1, 2), Z) is None
    assert Terms.of((Z[0] + Z[1]) ** 2, Z) == Terms.of(sp.expand((Z[0] + Z[1]) ** 2), Z)
