r"""Both sides of a comparison where doubles cancel: there they are evaluated in balls.

A person writes `log(1 + C exp(-2 t))`, or `1/4 + c t^-2 - 1/4`: in doubles that is 0 long before it
is small. Points are looked at anew where some sum is below a thousandth of its terms, or a
logarithm of a sum is that small.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from flows.core.arrays import Array
from flows.core.balls import precision
from symbolic.language.lower import NoBall, Undecided, lower

__all__ = ["cancelled"]

#: A sum that is a smaller part of its terms has lost digits.
LOST = 1e-3
#: Bits that are tried, and the error of the result, relative to it.
BITS, RELATIVE = (100, 400, 1600), 1e-16


def cancelled(
    expressions: Sequence[sp.Expr], values: Mapping[str, Any], found: Sequence[Array]
) -> list[Array]:
    """Values of expressions, those that cancel in doubles evaluated anew.

    Parameters
    ----------
    expressions : sequence of Expr
        What was evaluated.
    values : mapping
        Arrays by the names of its symbols, taken as exact.
    found : sequence of ndarray
        The values in doubles.
    """
    anew = []
    for expression, value in zip(expressions, found, strict=True):
        names = sorted(s.name for s in expression.free_symbols)
        if not names or not (expression.has(sp.Add) and value.ndim):
            anew.append(value)
            continue
        arguments = np.broadcast_arrays(value, *(values[name] for name in names))[1:]
        anew.append(_anew(expression, names, arguments, value))
    return anew


def _anew(expression: sp.Expr, names: list[str], arguments: Sequence[Array], value: Array) -> Array:
    """One of the values, evaluated in balls where it has lost digits."""
    with np.errstate(all="ignore"):
        small, large = _parts(expression)(*arguments)
        lost = np.zeros(value.shape, dtype=bool)
        for part, whole in zip(small, large, strict=True):
            lost |= np.abs(part) < LOST * whole
    lost &= np.logical_and.reduce([np.isfinite(x) for x in arguments])
    exact = _ball(expression)
    if exact is None or not lost.any():
        return value
    anew = np.array(value, dtype=float)
    for index in zip(*np.nonzero(lost), strict=True):
        point = [arb(float(x[index])) for x in arguments]
        for bits in BITS:
            with precision(bits), contextlib.suppress(Undecided, ArithmeticError, ValueError):
                (ball,) = exact(*point)
                if float(ball.rad()) <= RELATIVE * abs(float(ball)):
                    anew[index] = float(ball)
                    break
    return anew


@functools.lru_cache(maxsize=256)
def _parts(expression: sp.Expr) -> Any:
    """Function of the sums and logarithms in an expression, and of what they are compared with."""
    symbols = _symbols(expression)
    sums = [node for node in sp.preorder_traversal(expression) if isinstance(node, sp.Add)]
    logs = [f for f in expression.atoms(sp.log) if f.args[0].has(sp.Add)]
    small = [*sums, *logs]
    large = [*(sp.Add(*map(sp.Abs, node.args)) for node in sums), *(sp.S.One for _ in logs)]
    function, count = lower([*small, *large], symbols, "numpy"), len(small)

    def parts(*arguments: Any) -> tuple[Any, Any]:
        every = function(*arguments)
        return every[:count], every[count:]

    return parts


def _symbols(expression: sp.Expr) -> list[sp.Symbol]:
    return sorted(expression.free_symbols, key=lambda s: str(s.name))


@functools.lru_cache(maxsize=256)
def _ball(expression: sp.Expr) -> Any:
    """The expression in balls, or nothing."""
    try:
        return lower([expression], _symbols(expression), "ball")
    except NoBall:
        return None
