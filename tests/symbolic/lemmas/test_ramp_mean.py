"""Closed means of ramps and steps of one number, parallel forms among them, against panels."""

import numpy as np
import pytest
import sympy as sp

from symbolic.language.lower import lower
from symbolic.lemmas.ramp_mean import ramp_mean

X, A, B, C = sp.symbols("x a b c", real=True)
Z, ONE = A * X + B, sp.Max(0, C * X - B)
MEANS = [
    sp.Max(0, Z) + 3 * sp.Max(0, -Z) ** 2,
    sp.Max(0, Z) * sp.Max(0, 1 - Z) * X,
    sp.sign(Z) * sp.Heaviside(2 * Z + 1) * X**2,
    sp.Max(0, Z) * ONE,
    sp.sign(Z) * ONE**2 * X,
    sp.Abs(X) * sp.Heaviside(-Z) * (1 + X),
    sp.Min(Z, 1) ** 2 - sp.Max(Z, -Z / 3) * X,
    sp.Piecewise((Z, Z > 0), (Z / 2, True)) * sp.sign(C * X),
]
PLACES = [(0.8, -0.3, -1.3), (-0.7, 0.9, 0.6), (2.0, 1.1, 3.0)]
# Rounding of panels and of closed forms; what a thousandth would be is far above.
ROUNDED, OFF = 1e-12, 1e-3


@pytest.mark.parametrize("whole", MEANS, ids=str)
def test_a_closed_mean_is_the_average_between_its_kinks(whole):
    mean = ramp_mean(whole, (X,))
    function, closed = sp.lambdify((X, A, B, C), whole), lower([mean], (A, B, C))
    for a, b, c in PLACES:
        kinks = [-b / a, (1 - b) / a, (-0.5 - b) / a, b / c, 0.0]
        ends = np.unique([*range(-12, 13), *kinks])
        t, w = np.polynomial.legendre.leggauss(30)
        half = np.diff(ends) / 2
        x = ((ends[1:] + ends[:-1])[:, None] / 2 + half[:, None] * t).ravel()
        density = (half[:, None] * w).ravel() * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        expected = density @ function(x, a, b, c)
        (found,) = closed(a, b, c)
        assert abs(found - expected) < ROUNDED
        assert expected == 0 or abs((1 + OFF) * found - expected) > ROUNDED


def test_three_forms_have_no_closed_mean_unless_their_distances_are_numbers():
    strip = sp.Max(0, X) * sp.Heaviside(1 - X) * sp.Heaviside(X + 3)
    assert ramp_mean(strip, (X,)) is not None
    assert ramp_mean(strip * sp.Heaviside(X - B), (X,)) is None
