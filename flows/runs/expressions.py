"""Expressions in quantities by name, evaluated in doubles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.errors import InputError
from symbolic.language.lower import lower

__all__ = ["evaluate_expressions"]

#: Largest exact number that becomes a double, and largest denominator that Python writes.
LARGEST, WRITTEN = sp.Float("1e300"), sp.Integer(10) ** 4000


@cache
def _lowered(expressions: tuple[sp.Expr, ...]) -> tuple[tuple[str, ...], Any]:
    for x in set().union(*(e.atoms(sp.Rational) for e in expressions)):
        if abs(x) > LARGEST or x.q > WRITTEN:
            raise InputError("expected numbers up to 1e300, and fractions of such; scale it")
    symbols = sorted(set().union(*(e.free_symbols for e in expressions)), key=str)
    try:
        return tuple(s.name for s in symbols), lower(expressions, symbols, "numpy")
    except NotImplementedError:  # SymPy has no code for a function
        raise _no_values(expressions) from None


def _no_values(expressions: Iterable[sp.Expr]) -> InputError:
    """One line about expressions with a function that has no values here."""
    parts = set().union(*(e.atoms(sp.Function, sp.Derivative, sp.Integral) for e in expressions))
    came = ", ".join(sorted({type(x).__name__ for x in parts}))[:60] or "larger numbers"
    known = "expected functions with values in doubles, such as exp, log, sqrt, erf, Abs and Max"
    return InputError(f"{known}, got {came}; write it with those")


def evaluate_expressions(
    expressions: Sequence[sp.Expr], values: Mapping[str, Any]
) -> tuple[Array, ...]:
    """Evaluate expressions on arrays that are found by the names of their symbols.

    Parameters
    ----------
    expressions : sequence of Expr
        In symbols whose names `values` knows.
    values : mapping
        Arrays that broadcast against each other.

    Returns
    -------
    tuple of ndarray
        Undefined operations (0/0, log 0) give NaN or infinity without a warning.

    Raises
    ------
    InputError
        For a function without values in doubles, or a number beyond 1e300.
    """
    names, function = _lowered(tuple(expressions))
    try:
        with np.errstate(all="ignore"):
            return tuple(np.asarray(x, dtype=float) for x in function(*(values[k] for k in names)))
    except (NameError, TypeError, OverflowError):  # no such function, no number, too large
        raise _no_values(expressions) from None
