"""Integrands by steps and ramps are the functions that they were."""

import itertools

import pytest
import sympy as sp

from symbolic.language.averages.kinks import has_kinks, kinks_of

X, Y, A, B = sp.symbols("x y a b", real=True)
Z = A * X + B
FLAT = [
    sp.Max(0, Z) * sp.Max(0, -2 * X),
    sp.Max(0, Z) - 3 * sp.Max(0, -Z) ** 2,
    sp.Min(Z, 2 - X, 1) * sp.Abs(-X),
    sp.sign(X - B) + sp.sign(B - X) * X,
    sp.Heaviside(-2 * X) + sp.Heaviside(X),
    sp.tanh(sp.Max(0, X + Y * A) - sp.Abs(Y)),
    sp.Max(0, 1 - sp.sign(Y) * X),
    sp.Abs(sp.Max(X, Y) - sp.Min(X, 2 * Y)),
    sp.Piecewise((X, Y < X), (Y**2, X <= 1), (0, True)),
    sp.Piecewise((X, sp.Ge(Z, 0)), (sp.Max(0, Y), True)),
]
OFF = sp.Rational(1, 1000)
PLACES = [sp.Rational(k, 6) for k in (-14, -1, 3, 13)]


@pytest.mark.parametrize("whole", FLAT, ids=str)
def test_steps_and_ramps_of_forms_are_the_integrand_on_all_sides_of_its_kinks(whole):
    found = kinks_of(whole, (X, Y))
    assert has_kinks(whole, (X, Y)) and not has_kinks(found.expression, (X, Y))
    seen = 0
    for x, y in itertools.product(PLACES, (p + sp.Rational(1, 7) for p in PLACES)):
        there = {X: x, Y: y, A: sp.Rational(3, 5), B: sp.Rational(2, 7)}
        forms = [form.xreplace(there) for form in found.forms]
        sides = dict(zip(found.steps, map(sp.Heaviside, forms), strict=True))
        ramps = dict(zip(found.ramps, (sp.Max(0, z) for z in forms), strict=True))
        expected = whole.subs(there)
        for written in (found.expression.xreplace(ramps), found.resolved):
            value = written.xreplace(sides).xreplace(there).doit()
            assert abs((value - expected).evalf()) < OFF**4
            seen += bool(abs((value * (1 + OFF) - expected).evalf()) > OFF**2)
    assert seen > 1


@pytest.mark.parametrize("whole", [sp.Abs(X * Y), sp.Max(0, sp.tanh(X)), sp.sign(X**2 - 1)])
def test_kinks_that_are_no_hyperplanes_are_not_written(whole):
    assert has_kinks(whole, (X,)) and kinks_of(whole, (X, Y)) is None


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (sp.Piecewise((Z, Z > 0), (0, True)), "r0"),
        (sp.Piecewise((0, Z < 0), (3 * Z**2, True)), "-3*r0**2 + 3*(a*x + b)**2"),
        (2 * Z * sp.Heaviside(Z), "2*r0"),
        # Another value jumps, by however little.
        ((Z + OFF) * sp.Heaviside(Z), "h0*(a*x + b + 1/1000)"),
    ],
    ids=str,
)
def test_a_multiple_of_a_form_where_it_is_positive_is_a_ramp(whole, expected):
    assert str(kinks_of(whole, (X, Y)).expression) == expected
