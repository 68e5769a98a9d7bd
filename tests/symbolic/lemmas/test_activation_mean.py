"""Closed forms of expectations with activations, against the definition."""

import mpmath
import numpy as np
import pytest
import scipy.special
import sympy as sp
from scipy.stats import qmc

from symbolic import kernels
from symbolic.language.primitives import definition
from symbolic.lemmas.activation_mean import activation_mean

# Shifted Sobol rules, and their points.
SHIFTS, POINTS = 16, 2**14
# Standard errors, of sixteen means: fifty tests pass by chance in all but one of 100 000 runs.
MOST = 8.0
# Part of the value that all cases see as wrong.
WRONG = 0.02
X = sp.symbols("x1:4", real=True)
W, V = sp.symbols("w1:4", real=True), sp.symbols("v1:4", real=True)
POINT = dict(zip((*W, *V), (0.7, -0.4, 1.1, 0.2, 0.9, -0.5), strict=True))
U = sp.Add(*(a * b for a, b in zip(W, X, strict=True)))
T = sp.Add(*(a * b for a, b in zip(V, X, strict=True)))


@pytest.fixture(scope="module")
def normals():
    rules = (qmc.Sobol(3, seed=seed).random(POINTS) for seed in range(SHIFTS))
    return np.stack([scipy.special.ndtri(rule).T for rule in rules], axis=1)


def sampled(integrand, normals):
    """Mean of the definition by randomised quasi-Monte Carlo, and its standard error."""
    f = sp.lambdify((*POINT, *X), integrand, [{"erf": scipy.special.erf}, "numpy"])
    means = f(*POINT.values(), *normals).mean(axis=-1)
    return means.mean(), means.std(ddof=1) / np.sqrt(SHIFTS)


CASES = [
    sp.erf(U) * sp.erf(T),
    (sp.erf(U) - sp.erf(T)) ** 2,
    sp.Max(0, U) * sp.Max(0, T),
    (sp.Max(0, U) - sp.Max(0, X[0])) ** 2 / 2,
    sp.Max(U, U / 5) * sp.Max(T, T / 5),
    sp.Piecewise((U, U > 0), (U / 5, True)) * sp.Piecewise((T / 5, T <= 0), (T, True)),
    sp.Max(0, U) ** 2 * sp.Max(0, T) ** 2,
    sp.Abs(U) * sp.Abs(T),
    sp.Heaviside(U) * sp.Heaviside(T),
    sp.Max(0, U) * (X[0] ** 2 * X[1] + X[2]),
    sp.erf(U) * (X[0] ** 3 - X[1]),
    sp.Max(0, U) * sp.Heaviside(U) * X[0],
    sp.Min(U, 2 * U) * X[1],
    sp.Max(0, U + 1) + sp.Heaviside(1 - 2 * U) * X[1] ** 2,
    sp.Max(U, T, 1),
    sp.sign(U - 1) * sp.sign(T) * X[0],
    sp.Abs(U - 1) * sp.Max(0, T + sp.Rational(1, 2)) ** 2,
    sp.Min(1, sp.Max(-1, U)) * T,
    sp.Max(0, 1 - sp.sign(T) * U),
    sp.Piecewise((U, U > 1), (0, True)),
    sp.Piecewise((U, T > 0), (X[1], U <= 1), (1, True)),
]


@pytest.mark.parametrize("integrand", CASES, ids=str)
def test_closed_form_is_the_mean_of_the_definition(integrand, normals):
    value = float(definition(activation_mean(integrand, X)).subs(POINT))
    mean, error = sampled(integrand, normals)
    assert abs(mean - value) < MOST * error
    assert abs(mean - (1 + WRONG) * value) > MOST * error


@pytest.mark.parametrize(
    "integrand",
    [
        sp.tanh(U),
        sp.erf(U + 1),
        sp.Max(0, U * T),
        sp.tanh(sp.Abs(U)),
        sp.Heaviside(U) * sp.Heaviside(T) * sp.Heaviside(X[0]),
        sp.Piecewise((U, T**2 > 1), (0, True)),
        sp.erf(U) * sp.erf(T) * sp.erf(X[0]),
        sp.erf(U) * sp.Max(0, T),
        sp.erf(U) * sp.erf(T) * X[0],
        sp.erf(U) ** 3,
        sp.erf(U**2),
        sp.exp(X[0]) * sp.erf(U),
    ],
    ids=str,
)
def test_anything_else_has_no_closed_form_here(integrand):
    assert activation_mean(integrand, X) is None


@pytest.mark.parametrize("make", [kernels.relu, kernels.erf, kernels.quadratic])
def test_kernels_are_homogeneous_or_bounded_and_symmetric(make):
    a, b = (sp.Rational(1, 2), 2, 0), (1, sp.Rational(-1, 3), 1)
    value = [definition(make(*pair)).evalf(30) for pair in ((a, b), (b, a))]
    assert abs(value[0] - value[1]) < 1e-28


def test_hermite_coefficients_sum_to_the_kernel():
    # E s(a.x) s(b.x) = sum_k c_k^2 (a.b)^k of unit vectors: the series of erf falls like (2/3)^k.
    u = sp.Symbol("u", real=True)
    c = kernels.hermite_coefficients(sp.erf(u), u, 41)
    cosine = sp.Rational(1, 3)
    series = sum(e**2 * cosine**k for k, e in enumerate(c)).evalf(30)
    a, b = (1, 0), (cosine, sp.sqrt(1 - cosine**2))
    assert abs(series - kernels.erf(a, b).evalf(30)) < 1e-20


def test_hermite_coefficient_by_quadrature_agrees_with_the_exact_one():
    u = sp.Symbol("u", real=True)
    exact = kernels.hermite_coefficients(u**3 * sp.erf(u), u, 2)[2]
    with mpmath.workdps(40):
        again = mpmath.quad(
            lambda t: t**3 * mpmath.erf(t) * (t**2 - 1) * mpmath.npdf(t), [-14, -7, 0, 7, 14]
        ) / mpmath.sqrt(2)
        again = mpmath.nstr(again, 35)
    assert abs(exact.evalf(30) - sp.Float(again, 30)) < 1e-25


def test_unknown_kernel_and_foreign_symbols_are_refused_in_one_line():
    u = sp.Symbol("u", real=True)
    with pytest.raises(ValueError, match="expected one of relu"):
        kernels.derivation("gelu")
    with pytest.raises(ValueError, match="expected a function of u"):
        kernels.hermite_coefficients(sp.erf(W[0] * u), u, 2)
