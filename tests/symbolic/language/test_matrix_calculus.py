"""Traces of words: normal form, differentiation, and numbers for concrete matrices."""

import itertools

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from symbolic.language.matrix_calculus import (
    Trace,
    adjoint,
    differential,
    evaluate,
    gradient,
    inner,
    letters,
    squared_norm,
)

A, B, C, X, H = letters("A B C X H")
s = sp.Symbol("s", real=True)
DIGITS = 60
# Central differences with step 10^-15 in 60 digits: truncation 1e-30, rounding 1e-45.
STEP = mp.mpf("1e-15")
DIFFERENCE_ERROR = mp.mpf("1e-25")
# Sums of a few hundred products of numbers of order one at double precision.
DOUBLE_ERROR = 1e-11
# What is wrong is wrong by order one, in random matrices with entries of order one.
VISIBLE = 1e-3


def matrices(seed, d=3, names=(A, B, C, X, H), field="complex"):
    generator = np.random.default_rng(seed)
    imaginary = 1j if field == "complex" else 0
    return {
        n: generator.normal(size=(d, d)) + imaginary * generator.normal(size=(d, d)) for n in names
    }


def test_adjoint_reverses_products_conjugates_scalars_and_is_an_involution():
    assert adjoint(sp.I * A * B + s * C) == -sp.I * adjoint(B) * adjoint(A) + s * adjoint(C)
    assert adjoint(A * B) != adjoint(A) * adjoint(B)
    assert adjoint(adjoint(A * B**-1)) == A * B**-1
    assert adjoint(A**-1) * adjoint(A) == 1


def test_every_rotation_of_a_word_has_one_normal_form():
    word = [A, adjoint(B), A, A, C**-1, s * X]
    forms = {sp.expand(Trace(sp.Mul(*word[k:], *word[:k]))) for k in range(len(word))}
    assert len(forms) == 1
    form = forms.pop()
    assert sp.expand(form) == form
    others = {sp.expand(Trace(sp.Mul(*word))) for word in itertools.permutations(word)}
    assert len(others) > 10


def test_trace_is_linear_cyclic_and_conjugated_by_the_adjoint():
    assert sp.expand(Trace((A + s * B) ** 2)) == sp.expand(
        Trace(A**2) + 2 * s * Trace(B * A) + s**2 * Trace(B**2)
    )
    assert sp.expand(Trace(A * B * A**-1) - Trace(B)) == 0
    assert sp.expand(Trace(A * B * C) - Trace(A * C * B)) != 0
    assert sp.conjugate(Trace(sp.I * A * B)) == Trace(-sp.I * adjoint(B) * adjoint(A))
    assert sp.expand(squared_norm(A * B) - sp.conjugate(squared_norm(A * B))) == 0
    assert Trace(A - A) == 0


def test_trace_is_a_number_that_commutes_with_letters():
    assert Trace(A) * B == B * Trace(A)
    assert sp.expand((Trace(A) + Trace(B)) ** 2 * A - A * (Trace(A) + Trace(B)) ** 2) == 0
    assert sp.latex(Trace(A) ** 2) == r"\operatorname{tr}^{2}\left(A\right)"


@pytest.mark.parametrize("field", ["real", "complex"])
def test_value_is_that_of_the_matrices(field):
    values = matrices(1, field=field)
    a, b, c = values[A], values[B], values[C]
    expr = A * adjoint(B) ** 2 * C**-2 + sp.sqrt(s) * sp.I * A / 3 + 2 - Trace(adjoint(A) * B) * C
    expected = (
        a @ np.linalg.matrix_power(b.conj().T, 2) @ np.linalg.inv(c @ c)
        + np.sqrt(0.5) * 1j * a / 3
        + 2 * np.eye(3)
        - np.trace(a.conj().T @ b) * c
    )
    found = np.array(evaluate(expr, {**values, s: 0.5}).tolist(), dtype=complex)
    assert abs(found - expected).max() < DOUBLE_ERROR
    without = np.array(evaluate(expr - 2, {**values, s: 0.5}).tolist(), dtype=complex)
    assert abs(without - expected).max() > VISIBLE


def test_trace_of_a_number_counts_the_dimension():
    assert evaluate(Trace(sp.S(5)) + Trace(A * A**-1), matrices(2)) == 18
    assert sp.expand(Trace(3 * s)) == 3 * s * Trace(1)


def test_normal_form_has_the_value_of_what_it_stands_for():
    expr = Trace((A + adjoint(B) * C**-1) ** 2 * (B - sp.I * adjoint(A)) * C) * Trace(B - A) * A
    values = matrices(3)
    difference = evaluate(expr, values) - evaluate(sp.expand(expr), values)
    assert max(map(abs, difference)) < DOUBLE_ERROR * max(map(abs, evaluate(expr, values)))
    wrong = evaluate(expr.subs(C, adjoint(C)), values) - evaluate(sp.expand(expr), values)
    assert max(map(abs, wrong)) > VISIBLE


def moved(values, letter, by):
    return {**values, letter: mp.matrix(values[letter]) + by}


def test_differential_is_the_difference_quotient_along_the_velocity():
    expr = A * X**-2 * adjoint(X) * B + Trace(X * adjoint(A * X) ** 2) * (X + B) ** -1
    values = matrices(4)
    with mp.workdps(DIGITS):
        by = STEP * mp.matrix(values[H])
        forth, back = (evaluate(expr, moved(values, X, sign * by)) for sign in (1, -1))
        quotient = (forth - back) / (2 * STEP)
        right = evaluate(differential(expr, {X: H}), values)
        wrong = evaluate(differential(expr.subs(adjoint(X), X), {X: H}), values)
        size = max(map(abs, right))
        assert max(map(abs, quotient - right)) < DIFFERENCE_ERROR * size
        assert max(map(abs, quotient - wrong)) > VISIBLE * size


def test_differential_is_the_derivative_by_a_scalar_parameter():
    expr = Trace(A * X * B * adjoint(X) + X**3)
    along = expr.subs(X, X + s * H)
    derivative = sp.expand(along).diff(s).subs(s, 0)
    assert sp.expand(derivative - differential(expr, {X: H})) == 0
    assert sp.expand(derivative - differential(expr, {X: adjoint(H)})) != 0


def in_every_direction(function, values, letter, field):
    """Derivatives by real (and i times those by imaginary) parts of the entries, as a matrix."""
    d = values[letter].shape[0]
    result = mp.zeros(d)
    for row, column in itertools.product(range(d), repeat=2):
        for unit in (1, mp.j) if field == "complex" else (1,):
            by = mp.zeros(d)
            by[row, column] = unit * STEP
            forth, back = (function(moved(values, letter, sign * by)) for sign in (1, -1))
            result[row, column] += unit * mp.re(forth - back) / (2 * STEP)
    return result


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize(
    "function",
    [
        squared_norm(A - B * X * C) / 2,
        squared_norm(X * adjoint(X) - adjoint(B) * B) ** 2,
        inner(A, X**2) * Trace(X * adjoint(X)),
        inner(B, X**-1) + sp.Rational(3, 7),
        (2 + 3 * sp.I) * Trace(A * X * B * adjoint(X)) + sp.I * Trace(A * adjoint(X)),
    ],
    ids=["fit", "quartic of a defect", "product of traces", "inverse", "complex coefficients"],
)
def test_gradient_is_that_of_scalar_differentiation(function, field):
    if field == "real" and function.has(sp.I):
        function = Trace(A * X * B * adjoint(X) * C) + Trace(X * A * X)
    values = matrices(5, d=2, field=field)
    with mp.workdps(DIGITS):
        oracle = in_every_direction(lambda v: evaluate(function, v), values, X, field)
        found = gradient(function, X)
        assert max(map(abs, evaluate(found, values) - oracle)) < DIFFERENCE_ERROR
        for mutant in (-found, adjoint(found), found.subs({A: B, B: A}, simultaneous=True)):
            if sp.expand(mutant - found) != 0:
                assert max(map(abs, evaluate(mutant, values) - oracle)) > VISIBLE


def test_flow_down_the_gradient_dissipates_its_squared_norm():
    loss = squared_norm(A - X * B * X) / 2
    slope = gradient(loss, X)
    assert sp.expand(differential(loss, {X: -slope}) + squared_norm(slope)) == 0
    assert sp.expand(differential(loss, {X: -2 * slope}) + squared_norm(slope)) != 0


def test_what_has_no_rule_is_refused():
    with pytest.raises(ValueError, match="not of the matrix"):
        gradient(A * X, X)
    with pytest.raises(NotImplementedError, match="differentiate exp"):
        differential(sp.exp(X), {X: H})
    with pytest.raises(NotImplementedError, match="evaluate exp"):
        evaluate(sp.exp(X), matrices(6))
    with pytest.raises(KeyError):
        evaluate(X, {})
