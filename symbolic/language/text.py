"""Expressions that a person types, read by a list of allowed functions; nothing is evaluated.

Python's grammar cuts the text into a tree, of which numbers, names, arithmetic, transposes and some
functions are taken; everything else is refused in one line.
"""

from __future__ import annotations

import ast
import contextlib
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from symbolic.language.errors import InputError
from symbolic.language.rate import D

__all__ = ["names_in", "read_claim", "read_expression", "read_relation"]

# A longer text is no formula that a person types.
LONGEST = 1000
# A product without its sign: "x y", "2x", "(x)(y)", "(x + 1) y".
PRODUCT = re.compile(r"[\w)] +[\w(]|\d[A-Za-z_]|\)[\w(]")
# Powers that are written out take that many factors.
MOST_POWER = 64
OF_SYMPY = "exp log sqrt erf erfc sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh"
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(sp, name) for name in OF_SYMPY.split()},
    "abs": sp.Abs,
    "relu": lambda x: sp.Max(0, x),
    "softplus": lambda x: sp.log(1 + sp.exp(x)),
    "sigmoid": lambda x: 1 / (1 + sp.exp(-x)),
}
CONSTANTS = {"pi": sp.pi}
SIGNS: dict[type, Any] = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}
SIGNS[ast.MatMult] = operator.mul
RELATIONS: dict[type, Any] = {ast.Eq: sp.Eq, ast.GtE: sp.Ge, ast.LtE: sp.Le}


def names_in(text: str) -> list[str]:
    """Names of variables in a text, in the order in which they come.

    Raises
    ------
    InputError
        For a text that is no expression.
    """
    found: list[str] = []
    nodes = list(ast.walk(_tree(text)))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = (node for node in nodes if isinstance(node, ast.Name) and node not in calls)
    for node in sorted(names, key=lambda node: (node.lineno, node.col_offset)):
        if node.id not in (*found, *FUNCTIONS, *CONSTANTS):
            found.append(node.id)
    return found


def read_expression(text: str, known: Mapping[str, Any]) -> Any:
    """Expression of a text in known symbols and matrices.

    Parameters
    ----------
    text : str
        At most 1000 characters, such as ``(x*y - 1)**2/2`` or ``W.T*W``; ``^`` is a power too.
    known : mapping of str to Symbol or MatrixSymbol
        Meaning of the names; a function of one argument has a name such as ``D()``.

    Raises
    ------
    InputError
        For everything else.
    """
    return _read(_tree(text), known)


def read_relation(text: str, known: Mapping[str, Any]) -> sp.Basic:
    """Relation of a text with one of ``==``, ``>=`` and ``<=``.

    Raises
    ------
    InputError
        For everything else.
    """
    tree = _tree(text)
    kind = RELATIONS.get(type(tree.ops[0])) if isinstance(tree, ast.Compare) else None
    if kind is None or len(tree.ops) > 1:  # type: ignore[attr-defined]
        raise InputError(f"expected a relation with ==, >= or <=, got {text!r:.60}")
    sides = tree.left, tree.comparators[0]  # type: ignore[attr-defined]
    found: sp.Basic = kind(*(_read(side, known) for side in sides), evaluate=False)
    return found


def read_claim(text: str) -> sp.Basic:
    """Relation of quantities by their names, in which ``D(Phi)`` is the rate of ``Phi``."""
    known = {name: sp.Symbol(name, real=True) for name in names_in(text)}
    return read_relation(text, {"D()": D, **known})


def _tree(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise InputError(f"expected at most {LONGEST} characters, got {len(text)}; use a file")
    try:
        return ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise InputError(
            f"expected a formula such as (x*y - 1)**2/2, got {text!r:.60}{_hint(text, problem)}"
        ) from None


def _hint(text: str, problem: Exception) -> str:
    """Likely cause of a text that is no formula."""
    said = getattr(problem, "msg", "")
    if "closed" in said or "unmatched" in said or "does not match" in said:
        return f": {said}"
    return "; write a product with *, as in 2*x*y" if PRODUCT.search(text) else ""


def _read(node: ast.AST, known: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return sp.Rational(str(node.value))
    if isinstance(node, ast.Name):
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        if node.id not in known:
            raise InputError(f"{node.id} is unknown here; known: {', '.join(known)}")
        return known[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        inside = _read(node.operand, known)
        return -inside if isinstance(node.op, ast.USub) else inside
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return _read(node.value, known).T
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        function = FUNCTIONS.get(node.func.id, known.get(f"{node.func.id}()"))
        if function is not None and not node.keywords:
            return function(_read(node.args[0], known))
    if isinstance(node, ast.Subscript):
        with contextlib.suppress(TypeError, ValueError, IndexError):
            return _read(node.value, known)[ast.literal_eval(node.slice)]
    if isinstance(node, ast.BinOp):
        return _combined(node, _read(node.left, known), _read(node.right, known))
    raise InputError(
        f"{ast.unparse(node):.60} is not read: a formula has numbers, names, + - * / ** and"
        f" {', '.join(FUNCTIONS)}"
    )


def _combined(node: ast.BinOp, left: Any, right: Any) -> Any:
    try:
        if type(node.op) in SIGNS:
            return SIGNS[type(node.op)](left, right)
        if isinstance(node.op, ast.Div) and right != 0:
            return left / right
        if isinstance(node.op, ast.Pow) and right.is_number and abs(right) <= MOST_POWER:
            return left**right
    except (TypeError, ValueError, AttributeError) as problem:
        raise InputError(f"{ast.unparse(node):.60}: {problem}") from None
    wrong = {
        ast.Div: "a quotient by zero",
        ast.Pow: f"a power above {MOST_POWER} or with letters",
    }.get(type(node.op), "a sign other than + - * / **")
    raise InputError(f"{ast.unparse(node):.60} is not read: it has {wrong}")
