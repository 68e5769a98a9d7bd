"""Expressions as plain data, which a file can carry: nothing in it is code or text to be parsed.

An expression is a list of nodes, each a list: a kind and numbers, names, or positions of earlier
nodes. Only the kinds below are known, so that reading builds sums, products and the like, and
nothing else; what is built is kept small.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sympy as sp

from symbolic.language.averages.expectation import Expectation
from symbolic.language.averages.gaussian import Gaussian
from symbolic.language.averages.mixture import Mixture
from symbolic.language.averages.rows import Rows
from symbolic.language.averages.uniform import Cube, Rademacher, Sphere

__all__ = ["MOST_NODES", "restated", "stated"]

#: Nodes of all expressions of a file.
MOST_NODES = 20_000
# Bits of whole numbers, and powers of numbers; entries of a matrix.
MOST_BITS, MOST_POWER, MOST_ENTRIES = 2000, 64, 10_000
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# What is made of other expressions, by name.
OPERATIONS = {
    kind.__name__: kind
    for kind in (
        *(sp.Add, sp.Mul, sp.Pow, sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.asin, sp.acos),
        *(sp.atan, sp.sinh, sp.cosh, sp.tanh, sp.asinh, sp.erf, sp.erfc, sp.Abs, sp.Max, sp.Min),
        *(sp.Heaviside, sp.sign, sp.MatAdd, sp.MatMul, sp.MatPow, sp.Transpose, sp.Inverse),
        *(sp.Trace, sp.HadamardProduct, Expectation, sp.Tuple),
        *(Cube, Gaussian, Mixture, Rademacher, Rows, Sphere),
    )
}
CONSTANTS = {"pi": sp.pi, "E": sp.E, "EulerGamma": sp.EulerGamma}


def stated(expressions: Sequence[Any]) -> list[list[Any]] | None:
    """Nodes of expressions, the last ones those of the expressions; None for what is not known."""
    nodes: list[list[Any]] = []
    places: dict[Any, int] = {}

    def visit(e: Any) -> int:
        if e not in places:
            node = _node(e, visit)
            places[e] = len(nodes)
            nodes.append(node)
            if len(nodes) > MOST_NODES:
                raise ValueError
        return places[e]

    try:
        nodes.append(["all", *[visit(e) for e in expressions]])
        return nodes if restated(nodes) == tuple(expressions) else None
    except (ValueError, RecursionError):
        return None


def _node(e: Any, visit: Any) -> list[Any]:
    if isinstance(e, sp.Integer):
        return ["whole", int(e)]
    if isinstance(e, sp.Rational):
        return ["ratio", int(e.p), int(e.q)]
    if isinstance(e, sp.Float):
        sign, mantissa, exponent, _ = e._mpf_
        return ["decimal", int(sign), int(mantissa), int(exponent), int(e._prec)]
    for name, value in CONSTANTS.items():
        if e == value:
            return ["constant", name]
    if isinstance(e, sp.Symbol):
        assumed = {k: v for k, v in e._assumptions_orig.items() if isinstance(v, bool)}
        return ["symbol", e.name, assumed]
    if isinstance(e, sp.MatrixSymbol):
        return ["matrix", e.name, *map(int, e.shape)]
    if isinstance(e, sp.Identity):
        return ["identity", int(e.shape[0])]
    if isinstance(e, sp.matrices.expressions.matexpr.MatrixElement):
        return ["entry", visit(e.parent), int(e.i), int(e.j)]
    if isinstance(e, sp.ImmutableDenseMatrix):
        return ["table", *map(int, e.shape), *[visit(x) for x in e]]
    if type(e).__name__ in OPERATIONS and OPERATIONS[type(e).__name__] is type(e):
        return [type(e).__name__, *[visit(x) for x in e.args]]
    raise ValueError


def restated(nodes: Any) -> tuple[Any, ...]:
    """Expressions of their nodes.

    Raises
    ------
    ValueError
        For nodes that :func:`stated` does not make.
    """
    if not isinstance(nodes, list) or not 0 < len(nodes) <= MOST_NODES + 1:
        raise ValueError("no list of nodes, or one that is too long")
    made: list[Any] = []
    try:
        for node in nodes[:-1]:
            made.append(_built(node, made))
        kind, *last = nodes[-1]
        if kind != "all":
            raise ValueError("the last node does not say which are the expressions")
        return tuple(made[_place(k, made)] for k in last)
    except (
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        NotImplementedError,
    ) as problem:
        raise ValueError(f"nodes of no expression: {problem}") from None


def _built(node: Any, made: list[Any]) -> Any:
    kind, *given = node
    if kind == "whole":
        return sp.Integer(_whole(given[0]))
    if kind == "ratio":
        return sp.Rational(_whole(given[0]), _whole(given[1], 1))
    if kind == "decimal":
        sign, mantissa, exponent, bits = (_whole(x) for x in given)
        if not (sign in (0, 1) and 0 < bits <= MOST_BITS and abs(exponent) <= MOST_BITS):
            raise ValueError("a decimal number out of range")
        return sp.Float((sign, mantissa, exponent), precision=bits)
    if kind == "constant":
        return CONSTANTS[str(given[0])]
    if kind == "symbol":
        assumed = {str(k): v for k, v in given[1].items() if isinstance(v, bool)}
        return sp.Symbol(_word(given[0]), **assumed)
    if kind == "matrix":
        return sp.MatrixSymbol(_word(given[0]), *_sizes(given[1], given[2]))
    if kind == "identity":
        return sp.Identity(_sizes(given[0], given[0])[0])
    if kind == "entry":
        return made[_place(given[0], made)][_whole(given[1], 0), _whole(given[2], 0)]
    parts = [made[_place(k, made)] for k in (given[2:] if kind == "table" else given)]
    if kind == "table":
        return sp.ImmutableDenseMatrix(*_sizes(given[0], given[1]), parts)
    if kind not in OPERATIONS:
        raise ValueError(f"an operation that is not known: {kind!r}")
    # Powers of numbers are evaluated when they are built.
    if kind in ("Pow", "MatPow") and parts[1].is_number and not abs(parts[1]) <= MOST_POWER:
        raise ValueError("a power that is too large")
    found = OPERATIONS[kind](*parts)
    if isinstance(found, sp.Rational):
        _whole(int(found.p)), _whole(int(found.q))
    return found


def _sizes(rows: Any, columns: Any) -> tuple[int, int]:
    if _whole(rows, 1) * _whole(columns, 1) > MOST_ENTRIES:
        raise ValueError("a matrix that is too large")
    return rows, columns


def _place(k: Any, made: list[Any]) -> int:
    if type(k) is not int or not 0 <= k < len(made):
        raise ValueError("a node that is not there")
    return k


def _whole(x: Any, least: int | None = None) -> int:
    if type(x) is not int or x.bit_length() > MOST_BITS or (least is not None and x < least):
        raise ValueError("a number that is not whole, or too large")
    return x


def _word(name: Any) -> str:
    if not (isinstance(name, str) and WORD.fullmatch(name)):
        raise ValueError("a name that is no word")
    return name
