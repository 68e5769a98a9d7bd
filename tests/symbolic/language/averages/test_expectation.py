"""Gaussian expectations of polynomials: closed form against quadrature, and its digits."""

import numpy as np
import pytest
import sympy as sp

from symbolic.language.averages.expectation import Expectation, mean, tilted
from symbolic.language.blocks import explicit

A, B, X, Y = sp.symbols("a b x y", real=True)
VECTOR, NOISE = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
POLYNOMIALS = [
    X**6,
    X**5,
    (A * X + B * Y) ** 4,
    (X**2 - A) ** 3 * (Y - B) ** 2,
    A * X**2 * Y**2 - B * X * Y,
    (A * X**2 + B) ** 2 * (Y**4 - 1),
    (X + Y) ** 2 + 3 * A - B * X**4,
]
# Rounding of a Gauss rule of 8 x 8 nodes, exact for these degrees.
QUADRATURE = 1e-13


@pytest.mark.parametrize("integrand", POLYNOMIALS, ids=str)
def test_closed_form_equals_quadrature(integrand):
    values = {A: 0.7, B: -1.3}
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()
    u, v = np.meshgrid(nodes, nodes)
    f = sp.lambdify((X, Y), integrand.subs(values))(u, v) * np.ones_like(u)
    exact = float(mean(integrand, (X, Y)).subs(values))
    assert weights @ f @ weights == pytest.approx(exact, rel=QUADRATURE, abs=QUADRATURE)


def test_the_mean_of_a_square_keeps_its_digits_near_zero():
    closed = mean((A * X**2 - B * X**2) ** 2, (X,))
    gap = 2.0**-40  # exact in doubles, so the value is 3 gap^2 to the last bits
    value = sp.lambdify((A, B), closed)(1.0 + gap, 1.0)
    assert value == pytest.approx(3 * gap**2, rel=1e-12)


def test_expanding_first_loses_them():
    expanded = sp.expand(mean((A * X**2 - B * X**2) ** 2, (X,)))
    gap = 2.0**-40
    value = sp.lambdify((A, B), expanded)(1.0 + gap, 1.0)
    assert abs(value / (3 * gap**2) - 1) > 1e-3


def test_what_is_no_polynomial_has_no_closed_form():
    assert mean(sp.tanh(A * X), (X,)) is None
    assert mean(X**2 / (1 + X**2), (X,)) is None
    assert mean(sp.exp(X**2 / 8), (X,)) is None
    assert mean(sp.exp(A) * X**2, (X,)) == sp.exp(A)


@pytest.mark.parametrize(
    "integrand",
    [
        sp.exp(A * X + B),
        X**2 * sp.exp(A * X - X / 3) * Y,
        (sp.exp(A * X) - X) ** 2,
        X * sp.sinh(A * X) + sp.cosh(B * X - Y),
    ],
    ids=str,
)
def test_exponentials_of_affine_forms_have_the_closed_form_of_their_definition(integrand):
    values = {A: sp.Rational(3, 4), B: sp.Rational(-1, 3)}
    closed = sp.N(mean(integrand, (X, Y)).subs(values), 25)
    x, w = np.polynomial.hermite_e.hermegauss(40)
    w = w / w.sum()
    # An average by another rule, over both numbers.
    f = sp.lambdify((X, Y), integrand.subs(values))
    found = w @ np.broadcast_to(f(x[:, None], x), (40, 40)) @ w
    assert found == pytest.approx(float(closed), rel=1e-12, abs=1e-12)
    assert found != pytest.approx(float(closed) * 1.001 + 1e-3 * (closed == 0), rel=1e-12)


def test_exponentials_are_taken_out_of_the_average_of_anything():
    moved = tilted(sp.exp(A * X + B) * sp.tanh(X + Y) + sp.cos(X), (X, Y))
    assert moved == sp.exp(A**2 / 2 + B) * sp.tanh(A + X + Y) + sp.cos(X)


def test_the_gaussian_variable_is_bound():
    node = Expectation((VECTOR.T * NOISE)[0, 0] ** 2, NOISE)
    assert node.free_symbols == {VECTOR}
    assert "E" in sp.latex(node)
    assert str(node).startswith("E[")


def test_differentiation_passes_under_the_expectation():
    assert sp.diff(Expectation(sp.exp(A * X), X), A) == Expectation(X * sp.exp(A * X), X)


def test_only_a_symbol_or_a_column_can_be_gaussian():
    with pytest.raises(ValueError, match="one column"):
        Expectation(X, sp.MatrixSymbol("m", 2, 2))


def test_expectations_of_one_loss_are_merged():
    loss = 2 * Expectation(sp.tanh(A * X), X) - B * Expectation(sp.cos(A * Y), Y) + A
    form = explicit(loss, (A, B))
    assert form.plain == sp.Symbol("y_a", real=True)
    assert len(form.x) == 1


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Expectation(sp.tanh(A * X), X) ** 2, "linear in its expectations"),
        (A + Y, "blocks and numbers only, got y"),
        (sp.Function("f")(A), "functions that are known, got f"),
        (sp.I * A, "finite real"),
        (sp.MatrixSymbol("m", 2, 2), "got a matrix of shape"),
        (sp.Eq(A, 1), "expected an expression"),
    ],
)
def test_what_cannot_be_a_loss_is_told(loss, message):
    blocks = (A, *(s for s in loss.free_symbols if isinstance(s, sp.MatrixSymbol)))
    with pytest.raises(ValueError, match=message):
        explicit(loss, blocks)


def test_matrices_are_written_out_in_their_entries():
    w = sp.MatrixSymbol("w", 2, 2)
    form = explicit(sp.trace(w.T * w) + sp.Determinant(w) + w[0, 1], (w,))
    a, b, c, d = (sp.Symbol(f"y{i}_{j}_w", real=True) for i in range(2) for j in range(2))
    assert sp.expand(form.plain - (a**2 + b**2 + c**2 + d**2 + a * d - b * c + b)) == 0
