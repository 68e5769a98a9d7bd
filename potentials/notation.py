"""Names of measured quantities as SymPy symbols, their rates along the flow, and their LaTeX.

A symbol's name says what is measured. Suffixes: `<name>_dot` is the rate of change along the flow,
`<name>_0` the value at the start, `<name>_end` that at the end,
`<name>_T2` the value at the mark `T2` (see `claim.Mark`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import sympy as sp
from sympy.printing.latex import LatexPrinter

__all__ = [
    "FROZEN",
    "Parameter",
    "is_time",
    "parameter",
    "rate_symbol",
    "symbol",
    "to_latex",
    "to_text",
    "total_derivative",
]

#: Suffixes that freeze a quantity at one time, with the LaTeX of that time.
FROZEN = {"_0": "0", "_end": r"t_{\mathrm{end}}", "_T1": "T_1", "_T2": "T_2"}

#: Times of a run that claims name: its end, and marks such as `T2` and `T_c`.
TIME = re.compile(r"t_end|T(\d+|_\w+)")

#: A letter with an index, over which a dot can stand.
LETTER = re.compile(r"(\\[a-z]+|[A-Za-z])((?:_\w|_\{[^{}]*\})?)")
#: An integer that is read as a power of ten.
POWER = re.compile(r"10{5,}")


def symbol(name: str) -> sp.Symbol:
    """Return the real symbol of a quantity, as it stands in claims and potentials.

    Parameters
    ----------
    name : str
        Name of an observable or a time. `<name>_dot` is its rate along the flow, `<name>_0`
        its value at the start, `<name>_end` at the end, `<name>_T2` at the mark `T2`.

    Returns
    -------
    Symbol
        Equal for equal names.

    Examples
    --------
    >>> symbol("loss_dot") + 2 * symbol("loss")
    2*loss + loss_dot
    """
    return sp.Symbol(name, real=True)


class Parameter(sp.Symbol):
    """Symbol of a number that a system has: a size, a constant. It does not move along the flow."""


def parameter(name: str) -> Parameter:
    """Return the real symbol of a parameter of a system, as it stands in claims and potentials.

    Parameters
    ----------
    name : str
        Name among the parameters of the system.

    Returns
    -------
    Parameter
        Equal for equal names; it differs from the `symbol` of the same name, which may move.

    Examples
    --------
    >>> total_derivative(parameter("d") * symbol("loss"))
    d*loss_dot
    """
    return Parameter(name, real=True)


def is_time(name: str) -> bool:
    """Whether a name is that of a time of a run, such as `t_end` and the mark `T2`."""
    return TIME.fullmatch(name) is not None


def rate_symbol(x: sp.Symbol) -> sp.Expr:
    """Return the rate of a quantity along the flow, zero for one that does not move."""
    if isinstance(x, Parameter) or is_time(x.name) or x.name.endswith(tuple(FROZEN)):
        return sp.S.Zero
    return sp.S.One if x.name == "t" else symbol(f"{x.name}_dot")


@cache
def total_derivative(expression: sp.Expr) -> sp.Expr:
    """Differentiate along the flow: the sum of `d expression / dx` times the rate of `x`.

    Parameters
    ----------
    expression : Expr
        In symbols made by `symbol` and `parameter`.

    Returns
    -------
    Expr
        In the same symbols and their rates `<name>_dot`.
    """
    symbols = sorted(expression.free_symbols, key=str)
    return sp.Add(*(sp.diff(expression, x) * rate_symbol(x) for x in symbols))


def to_latex(expression: sp.Expr, names: Mapping[str, str]) -> str:
    """Return LaTeX, with the quantities written as `names` says.

    Parameters
    ----------
    expression : Expr
        In symbols made by `symbol`.
    names : mapping
        LaTeX of each base name; suffixes are handled here.
    """
    written = {x: _name(x.name, names) for x in expression.free_symbols}
    return str(_Printer({"symbol_names": written}).doprint(expression))


class _Printer(LatexPrinter):
    """SymPy's printer; a sum begins with a term that is not negative, and 1e6 is a power of ten."""

    def _as_ordered_terms(self, expr: sp.Expr, order: str | None = None) -> list[sp.Expr]:
        terms: list[sp.Expr] = super()._as_ordered_terms(expr, order)
        first = next((x for x in terms if not x.could_extract_minus_sign()), terms[0])
        return [first, *(x for x in terms if x is not first)]

    def _print_Integer(self, expr: sp.Integer) -> str:
        digits = str(expr)
        return f"10^{{{len(digits) - 1}}}" if POWER.fullmatch(digits) else digits


def to_text(expression: sp.Expr) -> str:
    """Return plain text, with `x(0)`, `x(t_end)` and `x(T2)` for quantities at one time.

    Parameters
    ----------
    expression : Expr
        In symbols made by `symbol`.

    Examples
    --------
    >>> to_text(symbol("kappa_max_0") ** 2)
    'kappa_max(0)^2'
    """
    times = {suffix: "t_end" if suffix == "_end" else suffix[1:] for suffix in FROZEN}
    put = {
        x: sp.Symbol(f"{x.name[: -len(suffix)]}({time})")
        for x in expression.free_symbols
        for suffix, time in times.items()
        if x.name.endswith(suffix) and not isinstance(x, Parameter) and not is_time(x.name)
    }
    return str(expression.xreplace(put)).replace("**", "^")


def _name(name: str, names: Mapping[str, str]) -> str:
    if name in names:
        return names[name]
    if name.endswith("_dot"):
        base = _name(name[:-4], names)
        # Above a longer formula a dot would seem to belong to the letter below it.
        letter = LETTER.fullmatch(base)
        return rf"\dot{{{letter[1]}}}{letter[2]}" if letter else rf"\frac{{d}}{{dt}} {base}"
    for suffix, time in FROZEN.items():
        if name.endswith(suffix):
            return f"{_name(name[: -len(suffix)], names)}({time})"
    return str(sp.latex(sp.Symbol(name)))
