"""Equations in a terminal: readable, as wide as it is, and whole."""

import re

import pytest
import sympy as sp

import symbolic
from symbolic.evidence.unicode import _Line, _on_one_level, equation, expression
from symbolic.language.matrix_calculus import Trace, letters
from symbolic.language.primitives import SafeNorm, SafeRatio, SinMinusArg

THETA, X = sp.symbols("theta x", positive=True)
TERMS = sp.symbols("a:12")
LONG_NAME = sp.Symbol("a" * 30)
NAMES = ("gaussian", "gmm_em", "matrix_factorization", "mixture", "mixture_frame")


def flat(lines):
    return "".join("".join(lines).split())


def test_an_equation_that_fits_is_one_picture_in_unicode():
    lines = equation(sp.sin(THETA) ** 2, "<=", THETA**2 / 2, 60)
    text = "\n".join(lines)
    assert all(sign in text for sign in ("θ", "≤", "─"))
    assert not set("*\\") & set(text)


def test_the_right_side_stands_alone_where_the_left_one_is_that_of_the_line_above():
    assert equation(None, "==", X, 60) == ["= x"]
    assert equation(THETA, "==", X, 60) == ["θ = x"]


def test_a_sum_is_broken_between_its_terms():
    total = sp.Add(*TERMS)
    lines = expression(total, 20)
    assert len(lines) > 1 and max(map(len, lines)) <= 20
    assert all(line.startswith("+ ") for line in lines[1:])
    found = re.findall(r"a[₀-₉]+", "".join(lines))
    assert len(found) == len(set(found)) == len(TERMS)


def test_signs_of_terms_are_kept_where_a_sum_is_broken():
    lines = expression(TERMS[0] - TERMS[1] - TERMS[2] + TERMS[3], 10)
    assert flat(lines) == "a₀-a₁-a₂+a₃"


@pytest.mark.parametrize("columns", [20, 40])
def test_what_is_on_one_level_is_broken_behind_operators_and_whole(columns):
    product = sp.Mul(*(sp.sin(x + sp.Rational(1234567, 1000)) for x in TERMS))
    lines = _on_one_level(product, columns)
    assert max(map(len, lines)) <= columns
    assert flat(lines).replace("⋅", "*") == "".join(_Line().doprint(product).split())
    assert all("1234567" in line or "/" not in line for line in lines)  # no number is cut


def test_a_name_that_is_longer_than_the_line_is_not_cut():
    assert any(LONG_NAME.name in line for line in expression(LONG_NAME * X, 20))


def test_a_matrix_that_does_not_fit_is_listed_by_entries():
    wide = sp.Matrix([[sp.Add(*TERMS), X]])
    assert any("entry (1, 2):" in line for line in expression(wide, 30))
    assert not any("entry" in line for line in expression(wide, 100))


def test_primitives_and_traces_are_textbook_formulas():
    a, b = letters("A B")
    for expr, text in (
        (SinMinusArg(THETA), "(-θ+sin(θ))"),
        (SafeNorm(X, THETA), "|x,θ|"),
        (Trace(a * b), "tr(A⋅B)"),
    ):
        assert flat(expression(expr, 60)).replace("│", "|") == text
        assert flat(_on_one_level(expr, 60)) == text
    assert "SafeRatio" not in flat(expression(SafeRatio(X, THETA), 60))


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("name", NAMES)
def test_every_step_fits_a_terminal_and_names_no_code(name, columns):
    for step in symbolic.derive(name).steps:
        lines = equation(step.lhs, step.relation, step.rhs, columns)
        assert max(map(len, lines)) <= columns
        assert not re.search(r"SinMinus|CosMinus|Safe|Trace", "".join(lines))
