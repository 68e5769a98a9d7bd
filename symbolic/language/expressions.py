"""The one way from a value to an expression."""

from __future__ import annotations

from typing import Any

import sympy as sp

__all__ = ["as_expression"]


def as_expression(value: Any) -> Any:
    """Return a number or an object of SymPy's as an expression.

    Text is refused with a ``SympifyError``: without ``strict`` SymPy evaluates it, as code.

    Examples
    --------
    >>> as_expression(2)
    2
    >>> as_expression("2")
    Traceback (most recent call last):
        ...
    sympy.core.sympify.SympifyError: SympifyError: '2'
    """
    return sp.sympify(value, strict=True)
