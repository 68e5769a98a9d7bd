"""Sums of squares: found exactly, or not at all."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import arb

from symbolic.evidence.sign import sign
from symbolic.evidence.squares import as_squares, lowest
from symbolic.language.elimination import eliminated

X, Y, Z, V, W = sp.symbols("x y z v w", real=True)
MOTZKIN = X**4 * Y**2 + X**2 * Y**4 - 3 * X**2 * Y**2 + 1
ROBINSON = (
    X**6
    + Y**6
    + Z**6
    + 3 * X**2 * Y**2 * Z**2
    - (X**4 * Y**2 + X**4 * Z**2 + Y**4 * X**2 + Y**4 * Z**2 + Z**4 * X**2 + Z**4 * Y**2)
)
# Each is lowered by so much, and is then negative somewhere.
THOUSANDTH = sp.Rational(1, 1000)
# A few roundings of balls of 53 bits.
ROUNDED = 1e-12

SUMS = {
    "of a positive matrix": 2 * X**4 + 2 * X**3 * Y - X**2 * Y**2 + 5 * Y**4,
    "with a curve of zeros": (X * Y - 1) ** 2 * (X**2 + Y**2) + (X - Y) ** 2 * (X**2 + 1),
    "with zeros at irrational points": (X**2 - 2) ** 2 + (X * Y - 3) ** 2,
    "with factors": (X**2 - X * Y + Y**2) * (Z**2 + Z + 1) * (X - Z) ** 2,
    "of degree four in five variables": (
        (X * Y - Z * W) ** 2
        + (X * Z - V**2) ** 2
        + (X - Y + V) ** 2 * (Z**2 + 1)
        + (W * V - 1) ** 2
    ),
    "of degree six": (X**3 - Y * Z) ** 2 + (X**2 * Y - Z) ** 2 + (X * Y * Z - 1) ** 2,
    "of no factor": sp.expand(MOTZKIN * (X**2 + Y**2 + 1)),
}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_of_squares_is_found_and_equals_the_polynomial(name):
    expanded = sp.expand(SUMS[name])
    for one in (1, -1):
        found = as_squares(one * expanded)
        assert sp.expand(found - one * expanded) == 0
        assert sign(found) == one


@pytest.mark.parametrize("polynomial", [MOTZKIN, ROBINSON])
def test_a_positive_polynomial_that_is_no_sum_of_squares_has_none(polynomial):
    assert as_squares(polynomial) == "no Gram matrix is found"
    assert sign(polynomial) is None
    assert lowest(polynomial) is None


@pytest.mark.parametrize(
    "polynomial", [SUMS["with zeros at irrational points"], MOTZKIN, X**2 + 2 * X * Y + Y**2]
)
def test_a_thousandth_less_than_zero_somewhere_has_no_squares_and_a_point_that_shows_it(polynomial):
    lower = sp.expand(polynomial - THOUSANDTH)
    assert isinstance(as_squares(lower), str)
    point = lowest(lower)
    assert lower.subs({s: sp.Rational(c) for s, c in point.items()}) < 0


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (X**3 + Y, "it takes both signs"),
        (sp.sqrt(2) * X**2 + Y**2, "its coefficients are not rational"),
        (sp.exp(X), "it is no polynomial"),
        (sp.Add(*(s**2 for s in sp.symbols("a:9", real=True))) + 1, "number of variables"),
        (X**14 + X * Y + Y**2 + 1, "its degree"),
    ],
)
def test_what_cannot_be_written_so_has_a_reason(expression, reason):
    assert reason in as_squares(expression)


def test_a_matrix_is_factorised_exactly_where_it_is_semidefinite():
    half = Fraction(1, 2)
    assert list(eliminated([[Fraction(2), Fraction(1)], [Fraction(1), half]])) == [(2, [1, half])]
    # The least change makes an eigenvalue negative: no double sees it.
    tiny = Fraction(1, 2**80)
    _, (pivot, _) = eliminated([[Fraction(2), Fraction(1)], [Fraction(1), half - tiny]])
    assert pivot == -tiny
    assert next(iter(eliminated([[Fraction(0), tiny], [tiny, Fraction(1)]]))) == (0, None)


@pytest.mark.parametrize("kind", [arb, sp.Integer, Fraction], ids=lambda kind: kind.__name__)
def test_terms_give_a_matrix_back_in_every_kind_of_numbers(kind):
    matrix = [[4, 2, -2], [2, 5, 3], [-2, 3, 9]]
    terms = list(eliminated([[kind(c) for c in row] for row in matrix]))
    for i, row in enumerate(matrix):
        for j, c in enumerate(row):
            assert abs(float(sum(d * line[i] * line[j] for d, line in terms)) - c) < ROUNDED
    assert [round(float(d)) for d, _ in terms] == [4, 4, 4]


def test_factors_of_random_matrices_give_them_back():
    generator = np.random.default_rng(0)
    root = generator.integers(-3, 4, size=(5, 3))
    matrix = (root @ root.T).tolist()
    terms = list(eliminated([[Fraction(c) for c in row] for row in matrix]))
    assert len(terms) == 3 and all(d > 0 for d, _ in terms)
    again = sum(np.array([[d * a * b for b in line] for a in line]) for d, line in terms)
    assert again.tolist() == matrix
