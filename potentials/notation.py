"""Names of measured quantities as SymPy symbols, their rates along the flow, and their LaTeX.

A symbol's name says what is measured. Suffixes: `<name>_dot` is the rate of change along the flow,
`<name>_0` the value at the start, `<name>_end` that at the end,
`<name>_T2` the value at the mark `T2` (see `claim.Mark`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import sympy as sp

__all__ = [
    "CONSTANTS",
    "FROZEN",
    "rate_symbol",
    "symbol",
    "to_latex",
    "to_text",
    "total_derivative",
]

#: Quantities that do not move along the flow; `T1` and `T2` are marks.
CONSTANTS = frozenset(
    {
        "T1",
        "T2",
        "d",
        "depth",
        "is_complex",
        "n",
        "noise_time",
        "regularization",
        "sigma_max",
        "sigma_min",
        "t_end",
        "target_norm",
        "teacher_norm",
        "weight_min",
    }
)

#: Suffixes that freeze a quantity at one time, with the LaTeX of that time.
FROZEN = {"_0": "0", "_end": r"t_{\mathrm{end}}", "_T1": "T_1", "_T2": "T_2"}


def symbol(name: str) -> sp.Symbol:
    """Return the real symbol of a quantity, as it stands in claims and potentials.

    Parameters
    ----------
    name : str
        Name of an observable or a constant. `<name>_dot` is its rate along the flow, `<name>_0`
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


def rate_symbol(name: str) -> sp.Expr:
    """Return the rate of the quantity `name` along the flow, zero for one that does not move."""
    if name in CONSTANTS or name.endswith(tuple(FROZEN)):
        return sp.S.Zero
    return sp.S.One if name == "t" else symbol(name + "_dot")


@cache
def total_derivative(expression: sp.Expr) -> sp.Expr:
    """Differentiate along the flow: the sum of `d expression / dx` times the rate of `x`.

    Parameters
    ----------
    expression : Expr
        In symbols made by `symbol`.

    Returns
    -------
    Expr
        In the same symbols and their rates `<name>_dot`.
    """
    symbols = sorted(expression.free_symbols, key=str)
    return sp.Add(*(sp.diff(expression, x) * rate_symbol(x.name) for x in symbols))


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
    return str(sp.latex(expression, symbol_names=written))


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
        if x.name.endswith(suffix) and x.name not in CONSTANTS
    }
    return str(expression.xreplace(put)).replace("**", "^")


def _name(name: str, names: Mapping[str, str]) -> str:
    if name in names:
        return names[name]
    if name.endswith("_dot"):
        return rf"\dot{{{_name(name[:-4], names)}}}"
    for suffix, time in FROZEN.items():
        if name.endswith(suffix):
            return f"{_name(name[: -len(suffix)], names)}({time})"
    return str(sp.latex(sp.Symbol(name)))
