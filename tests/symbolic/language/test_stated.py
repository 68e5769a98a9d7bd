"""Expressions as plain data: what comes back is what was stated, and nothing else is built."""

import json

import pytest
import sympy as sp

from symbolic import Expectation
from symbolic.language.stated import restated, stated

A, B, Z = sp.Symbol("a"), sp.Symbol("b", positive=True), sp.Symbol("z")
W, X = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("x", 3, 1)
GAP = W.T * W - sp.diag(1, 0, 2)

KNOWN = [
    (A - 1) ** 4 / 4 + 3,
    sp.sqrt(2) * A / B + 0.1 * A + sp.Float("0.1", 40),
    sp.trace(GAP.T * (GAP + sp.Identity(3))) + W[0, 1] ** 2,
    Expectation(((W * X)[0, 0] - X[0, 0]) ** 2, X) / 2,
    Expectation(sp.Max(0, A * Z) * sp.erf(B * Z), Z),
    sp.exp(-1 / A**2) + sp.log(1 + sp.exp(A)) + sp.pi**A,
]


@pytest.mark.parametrize("expression", KNOWN, ids=str)
def test_what_comes_back_from_json_is_what_was_stated(expression):
    nodes = json.loads(json.dumps(stated([expression, A, B])))
    assert restated(nodes) == (expression, A, B)
    assert sp.srepr(restated(nodes)[0]) == sp.srepr(expression)


@pytest.mark.parametrize(
    "unknown", [sp.I * A, sp.Integral(A, A), sp.Function("f")(A), sp.oo], ids=str
)
def test_what_is_not_known_is_not_stated(unknown):
    assert stated([unknown]) is None


@pytest.mark.parametrize(
    "nodes",
    [
        None,
        [],
        [["all", 0]],
        [["symbol", "a", {}], ["all", 1]],
        [["symbol", "a", {}], ["Add", 1, 0], ["all", 1]],
        [["symbol", "__import__('os')", {}], ["all", 0]],
        [["symbol", "a", {}], ["eval", 0], ["all", 1]],
        [["whole", "1 + 1"], ["all", 0]],
        [["whole", True], ["all", 0]],
        [["whole", 10], ["whole", 10**12], ["Pow", 0, 1], ["all", 2]],
        [["whole", 10**60], ["whole", 60], ["Pow", 0, 1], ["all", 2]],
        [["table", 10**6, 10**6], ["all", 0]],
        [["matrix", "W", 0, 3], ["all", 0]],
        [["matrix", "W", 10**6, 10**6], ["all", 0]],
        [["identity", 10**9], ["all", 0]],
        [["symbol", "a", {}], "all"],
        [7, ["all", 0]],
        [["constant", "tau"], ["all", 0]],
        [["whole"], ["all", 0]],
    ],
    ids=repr,
)
def test_other_data_is_refused(nodes):
    with pytest.raises(ValueError):
        restated(nodes)


@pytest.mark.parametrize("expression", KNOWN, ids=str)
def test_text_in_place_of_any_number_or_name_is_refused_and_not_parsed(expression, monkeypatch):
    from sympy.parsing import sympy_parser

    parsed = []
    monkeypatch.setattr(sympy_parser, "parse_expr", lambda text, *a, **k: parsed.append(text))
    sp.sympify("1 + 1")
    assert parsed == ["1 + 1"]  # control: this is how text would be seen
    nodes = stated([expression])
    for row, node in enumerate(nodes):
        for column in range(len(node)):
            changed = [list(other) for other in nodes]
            changed[row][column] = "__import__('os').getpid()"
            with pytest.raises(ValueError):
                restated(changed)
    assert len(parsed) == 1
