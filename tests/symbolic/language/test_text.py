"""Formulas that a person types are read by a list; nothing is evaluated."""

import os

import pytest
import sympy as sp

from symbolic.language.errors import InputError
from symbolic.language.text import names_in, read_expression, read_relation

x, y = sp.symbols("x y", real=True)
W = sp.MatrixSymbol("W", 2, 3)
KNOWN = {"x": x, "y": y, "W": W}
RAN = "TEXT_HAS_RUN"


@pytest.mark.parametrize(
    "text, meant",
    [
        ("(x*y - 1)**2/2", (x * y - 1) ** 2 / 2),
        ("-x + +y", y - x),
        ("0.1*x", x / 10),
        ("x**-2", x**-2),
        ("exp(-x)*sqrt(y)", sp.exp(-x) * sp.sqrt(y)),
        ("pi*atan(x/y) - cosh(x)*tan(y)", sp.pi * sp.atan(x / y) - sp.cosh(x) * sp.tan(y)),
        ("W.T*W", W.T * W),
        ("W@W.T", W * W.T),
        ("(x*y - 1)^2/2", (x * y - 1) ** 2 / 2),
        ("erf(x) - erfc(y)", sp.erf(x) - sp.erfc(y)),
        ("relu(x)*abs(y)", sp.Max(0, x) * sp.Abs(y)),
        ("softplus(x) + asinh(y)", sp.log(1 + sp.exp(x)) + sp.asinh(y)),
        ("sigmoid(-x)", 1 / (1 + sp.exp(x))),
    ],
)
def test_a_formula_is_read_as_it_is_written(text, meant):
    assert read_expression(text, KNOWN) == meant


def test_names_come_in_their_order():
    assert names_in("exp(b)*a + (c - a)**2/pi") == ["b", "a", "c"]


def test_what_is_called_is_no_variable_however_often_it_is_asked():
    assert all(names_in("foo(x) + bar(x*y)") == ["x", "y"] for _ in range(100))


@pytest.mark.parametrize("text, kind", [("x == y", sp.Eq), ("x >= 2", sp.Ge), ("x <= y/2", sp.Le)])
def test_a_relation_has_one_sign(text, kind):
    assert isinstance(read_relation(text, KNOWN), kind)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x / 0", "it has a quotient by zero$"),
        ("x ** 65", "it has a power above 64"),
        ("x ** y", "with letters$"),
        ("x // 2", "it has a sign other than"),
    ],
)
def test_an_operation_that_is_not_read_is_named(text, reason):
    with pytest.raises(ValueError, match=reason):
        read_expression(text, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        f"__import__('os').environ.__setitem__('{RAN}', '1')",
        "x.__class__",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "x if y else 1",
        "open('file')",
        "exp(x, y)",
        "exp(*x)",
        "z + 1",
        "x ** y",
        "x ** 65",
        "x / 0",
        "x // 2",
        "'x'",
        "True",
        "1j*x",
        "x +",
        "",
        "W + x",
        "x" * 1001,
        "(" * 300 + "x" + ")" * 300,
    ],
)
def test_everything_else_is_refused_in_one_line(text):
    with pytest.raises(InputError) as refused:
        read_expression(text, KNOWN)
    assert "\n" not in str(refused.value)
    assert RAN not in os.environ


@pytest.mark.parametrize("text", ["x", "x < y", "x <= y <= 1", "x != y"])
def test_what_is_no_relation_is_refused(text):
    with pytest.raises(InputError):
        read_relation(text, KNOWN)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("(x y - 1)^2", "; write a product with *, as in 2*x*y"),
        ("2x + 1", "; write a product with *, as in 2*x*y"),
        ("log(1 + exp(x)", ": '(' was never closed"),
        ("(x*y))", ": unmatched ')'"),
        ("x +", ""),
    ],
)
def test_a_text_that_is_no_formula_is_refused_with_its_likely_cause(text, hint):
    with pytest.raises(InputError) as refused:
        read_expression(text, KNOWN)
    assert str(refused.value) == (f"expected a formula such as (x*y - 1)**2/2, got {text!r}{hint}")
