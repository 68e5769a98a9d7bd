"""Linear symmetries are proved in whole numbers where these are small, else by normal forms."""

import numpy as np
import pytest
import sympy as sp

from symbolic import late_time_law
from symbolic.asymptotics import reduction
from symbolic.asymptotics.symmetries import invariant, numerical_gradient

X, Y, Z = sp.symbols("x y z", real=True)
R = sp.Rational
TURN = sp.Matrix([[0, 1, 0], [-1, 0, 0], [0, 0, 0]])
#: Forms that turn in the plane leaves alone; in the last ones numbers are large, or no fractions.
FORMS = {
    "a polynomial": (X**2 + Y**2) ** 2 * Z + 3 * Z**5,
    "fractions": (X**2 + Y**2) ** 2 / 7 + R(2, 3) * Z * (X**2 + Y**2),
    "large numbers": 10**12 * (X**2 + Y**2) ** 2 + Z**4,
    "roots": sp.sqrt(2) * (X**2 + Y**2) ** 2 + Z**4,
    "lengths": (X**2 + Y**2) ** R(3, 2) + sp.Abs(Z) ** 3,
}
# Of sums of doubles.
DOUBLES = 1e-12


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("scale", [1, R(1, 3), 10**9])
def test_a_rotation_is_proved_and_one_that_is_off_is_not(form, scale):
    y = (X, Y, Z)
    assert invariant(form, y, scale * TURN)
    assert invariant(sp.expand(form), y, scale * TURN)
    for i, j in ((0, 1), (0, 0), (2, 1)):
        off = TURN.copy()
        off[i, j] += R(1, 1000)
        assert not invariant(form, y, scale * off)


#: Forms that do not change where the first two are scaled, and the third one is scaled back.
SCALED = {
    "a length": Z * sp.sqrt(X**2 + Y**2),
    "an angle": sp.atan(X / Y) * sp.exp(Z * X),
    "a quotient": (X + Y) / (X**2 + Y**2) / Z + sp.log(Z**2 * X * Y),
    "a root within": sp.exp(-Z * sp.sqrt(X * Y)) + sp.pi * Z**2 * sp.Abs(Y) * X,
}


@pytest.mark.parametrize("form", SCALED.values(), ids=SCALED)
def test_a_scaling_is_proved_and_one_that_is_off_is_not(form):
    assert invariant(form, (X, Y, Z), sp.diag(1, 1, -1))
    for k in range(3):
        off = sp.diag(1, 1, -1)
        off[k, k] += R(1, 1000)
        assert not invariant(form, (X, Y, Z), off)
    assert not invariant(form + X / 1000, (X, Y, Z), sp.diag(1, 1, -1))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_gradients_in_doubles_are_those_of_symbolic_differentiation(form):
    points = np.random.default_rng(0).normal(size=(4, 2, 3))
    exact = sp.lambdify((X, Y, Z), [sp.diff(form, v) for v in (X, Y, Z)])
    found = numerical_gradient(form, (X, Y, Z))(points)
    for place in np.ndindex(4, 2):
        assert np.allclose(found[place], exact(*points[place]), rtol=DOUBLES, atol=0)


def test_a_form_of_many_terms_has_the_same_law_without_its_common_factors(monkeypatch):
    case = (3 * X**4 + 6 * Y**4, [X, Y], {X: 0, Y: 0})
    with_factors = late_time_law(*case)
    monkeypatch.setattr(reduction, "MANY", 0)
    without = late_time_law(*case)
    assert sp.expand(with_factors.form - without.form) == 0
    assert with_factors.laws[0].constant_exact == without.laws[0].constant_exact
