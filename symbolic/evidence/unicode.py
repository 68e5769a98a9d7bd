"""Equations as Unicode text of a given width: two-dimensional where they fit, never cut.

What is too wide is broken where a mathematician would break it: before the relation, between the
terms of a sum, between the entries of a matrix. A single term that is still too wide stands on
one level, broken after an operator or a bracket and never inside a number or a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import sympy as sp
from sympy.printing.pretty.pretty import PrettyPrinter
from sympy.printing.pretty.pretty_symbology import pretty_symbol
from sympy.printing.pretty.stringpict import prettyForm
from sympy.printing.str import StrPrinter

from symbolic.evidence.identity import Relation

__all__ = ["equation", "expression"]

SIGNS: dict[Relation, str] = {"==": "=", "<=": "≤", ">=": "≥"}
#: What a line on one level consists of: it may end behind each of these.
PARTS = re.compile(r"[^\s⋅(),\[\]]*[\s⋅(),\[\]]*")


def _textbook(expr: Any) -> sp.Expr:
    """Formula that a safe primitive stands for, as it is written."""
    t = expr.args[0]
    match type(expr).__name__:
        case "SinMinusArg":
            terms = sp.sin(t), -t
        case "SinMinusArgCos":
            terms = sp.sin(t), sp.Mul(-1, t, sp.cos(t), evaluate=False)
        case _:
            terms = sp.cos(t), sp.S.NegativeOne
    return sp.Add(*terms, evaluate=False)


class _Pretty(PrettyPrinter):
    """SymPy's printer, with Greek indexed symbols and the primitives as textbook formulas."""

    def _print_SinMinusArg(self, expr: Any) -> Any:
        return prettyForm(*self._print(_textbook(expr)).parens())

    _print_SinMinusArgCos = _print_CosMinusOne = _print_SinMinusArg

    def _print_SafeRatio(self, expr: Any) -> Any:
        above, below = (self._print(x) for x in expr.args)
        return prettyForm(*above.parens()) / prettyForm(*below.parens())

    def _print_SafeNorm(self, expr: Any) -> Any:
        return prettyForm(*self._print_seq(expr.args, delimiter=", ").parens("|", "|"))

    def _print_Expectation(self, expr: Any) -> Any:
        inner = self._print(expr.integrand)
        if expr.density is not None:
            inner = prettyForm(*inner.right(f", {expr.x} ~ {expr.density}"))
        return prettyForm(*prettyForm(*inner.parens("[", "]")).left("E"))

    def _print_Trace(self, expr: Any) -> Any:
        inner = prettyForm(*self._print(expr.args[0]).parens())
        return prettyForm(*inner.left("tr"))

    def _print_Indexed(self, expr: Any) -> Any:
        indices = self._print_seq(expr.indices, delimiter=", ")
        inner = prettyForm(*indices.parens("[", "]"))
        return prettyForm(*inner.left(pretty_symbol(str(expr.base.label))))


class _Line(StrPrinter):
    """The same on one level."""

    def _print_Symbol(self, expr: Any) -> str:
        return str(pretty_symbol(expr.name))

    def _print_Pi(self, expr: Any) -> str:
        return "π"

    def _print_SinMinusArg(self, expr: Any) -> str:
        return f"({self._print(_textbook(expr))})"

    _print_SinMinusArgCos = _print_CosMinusOne = _print_SinMinusArg

    def _print_SafeRatio(self, expr: Any) -> str:
        above, below = (self._print(x) for x in expr.args)
        return f"({above})/({below})"

    def _print_SafeNorm(self, expr: Any) -> str:
        return f"|{self.stringify(expr.args, ', ')}|"

    def _print_Trace(self, expr: Any) -> str:
        return f"tr({self._print(expr.args[0])})"


def _form(expr: Any) -> Any:
    return _Pretty({"use_unicode": True, "wrap_line": False})._print(expr)


def _picture(form: Any) -> list[str]:
    return [line.rstrip() for line in str(form).split("\n")]


def _on_one_level(expr: Any, columns: int) -> list[str]:
    """Lines of the expression on one level, broken behind operators and brackets."""
    text = _Line().doprint(expr).replace("**", "^").replace("*", "⋅")
    lines = [""]
    for part in PARTS.findall(text):
        if lines[-1] and len((lines[-1] + part).rstrip()) > columns:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _terms(total: Any) -> Iterator[tuple[str, Any]]:
    """Terms of a sum with their signs, in SymPy's order."""
    for term in total.as_ordered_terms():
        negative = term.could_extract_minus_sign()
        yield ("-", -term) if negative else ("+", term)


def _sum(total: Any, columns: int) -> Iterator[list[str]]:
    """Pictures one below the other, each of as many terms as fit."""
    row: Any = None
    for sign, term in _terms(total):
        form = _form(term)
        if term.is_Add:
            form = prettyForm(*form.parens())
        if form.width() > columns - 2:
            if row is not None:
                yield _picture(row)
                row = None
            first, *rest = _on_one_level(term, columns - 2)
            yield [f"{sign} {first}", *(f"  {line}" for line in rest)]
            continue
        signed = prettyForm(*form.left(f"{sign} "))
        if row is None:
            row = signed
        elif row.width() + 1 + signed.width() <= columns:
            row = prettyForm(*row.right(" ", signed))
        else:
            yield _picture(row)
            row = signed
    if row is not None:
        yield _picture(row)


def _rows(pictures: list[list[str]]) -> list[str]:
    """The pictures of a sum, the first without its plus, set apart where they have exponents."""
    first, *rest = pictures
    lines = [re.sub(r"^\+ ", "  ", line) for line in first]
    gap = [""] if any(len(picture) > 1 for picture in pictures) else []
    for picture in rest:
        lines += [*gap, *picture]
    return lines


def expression(expr: Any, columns: int) -> list[str]:
    """Lines of an expression or matrix.

    Parameters
    ----------
    expr : Expr or Matrix
        What is printed.
    columns : int
        Width; only a name or number that is longer than this goes beyond it.

    Returns
    -------
    list of str
        The whole of it.
    """
    form = _form(expr)
    if form.width() <= columns:
        return _picture(form)
    if isinstance(expr, sp.MatrixBase):
        lines = []
        for i in range(expr.rows):
            for j in range(expr.cols):
                place = f"({i + 1}, {j + 1})" if expr.cols > 1 else f"{i + 1}"
                lines += [f"entry {place}:"]
                lines += [f"  {line}" for line in expression(expr[i, j], columns - 2)]
        return lines
    if expr.is_Add:
        return _rows(list(_sum(expr, columns)))
    return _on_one_level(expr, columns)


def equation(lhs: Any, relation: Relation, rhs: Any, columns: int) -> list[str]:
    """Lines of `lhs relation rhs`; the relation and the right side alone where `lhs` is None.

    Parameters
    ----------
    lhs, rhs : Expr or Matrix
        The two sides; a left side of None stands for the right side of the line above.
    relation : {"==", "<=", ">="}
        How they compare.
    columns : int
        Width.

    Returns
    -------
    list of str
        One picture where both sides fit beside each other, else one below the other.
    """
    sign = SIGNS[relation]
    right = prettyForm(*_form(rhs).left(f"{sign} "))
    if lhs is not None:
        left = prettyForm(*_form(lhs).right(" "))
        if left.width() + right.width() <= columns:
            return _picture(prettyForm(*left.right(right)))
        return [*expression(lhs, columns), *equation(None, relation, rhs, columns)]
    if right.width() <= columns:
        return _picture(right)
    return [sign, *(f"  {line}" for line in expression(rhs, columns - 2))]
