"""Programs of sums, products, quotients and square roots as data, for compiled loops.

One loop evaluates the program of any loss (:mod:`symbolic.language.program`), so that nothing is
compiled for a loss.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from flows.core.axis_field import Code
from flows.core.balls import precision
from symbolic.language.lower import lower

__all__ = ["ADD", "BITS", "MULTIPLY", "coded", "split"]

#: Bits of what is then rounded to two doubles.
BITS = 200
# Radii are rounded to nearest.
UPWARD = 1 + 2.0**-40


# Operations, as the loop numbers them.
ADD, MULTIPLY, DIVIDE, ROOT = range(4)


class _Unknown(Exception):
    """A function that two doubles do not compute."""


def coded(
    variables: Sequence[sp.Symbol],
    steps: Sequence[tuple[sp.Symbol, sp.Expr]],
    results: Sequence[sp.Expr],
) -> Code | None:
    """Code as data; None where it takes other functions than sums, products and square roots.

    What no result needs is left out.
    """
    wanted = set().union(*(e.free_symbols for e in results))
    needed = []
    for symbol, expression in reversed(steps):
        if symbol in wanted:
            wanted |= expression.free_symbols
            needed.append((symbol, expression))
    constants: dict[Any, int] = {}
    # Constants are numbered from -1 downwards until it is known how many there are.
    known: dict[Any, int] = {x: k for k, x in enumerate(variables)}
    made: dict[tuple[int, int, int], int] = {}
    lines: list[tuple[int, int, int]] = []
    first = len(variables)

    def constant(e: Any) -> int:
        return constants.setdefault(e, -1 - len(constants))

    def step(operation: int, a: int, b: int) -> int:
        if operation in (ADD, MULTIPLY) and a > b:
            a, b = b, a
        key = (operation, a, b)
        if key not in made:
            made[key] = first + len(lines)
            lines.append(key)
        return made[key]

    def fold(operation: int, parts: Sequence[int]) -> int:
        return functools.reduce(lambda a, b: step(operation, a, b), parts)

    def power(base: int, exponent: int) -> int:
        found, square = None, base
        while exponent:
            if exponent & 1:
                found = square if found is None else step(MULTIPLY, found, square)
            exponent >>= 1
            square = step(MULTIPLY, square, square) if exponent else square
        assert found is not None
        return found

    def visit(e: Any) -> int:
        if e in known:
            return known[e]
        if e.is_number:
            found = constant(e)
        elif e.is_Add or e.is_Mul:
            found = fold(ADD if e.is_Add else MULTIPLY, [visit(x) for x in e.args])
        elif e.is_Pow and (2 * e.exp).is_Integer:
            twice = abs(int(2 * e.exp))
            base = visit(e.base)
            base = step(ROOT, base, base) if twice % 2 else base
            found = power(base, twice if twice % 2 else twice // 2)
            found = step(DIVIDE, constant(sp.S.One), found) if e.exp < 0 else found
        else:
            raise _Unknown
        known[e] = found
        return found

    try:
        for symbol, expression in reversed(needed):
            known[symbol] = visit(expression)
        computed = [visit(e) for e in results]
    except _Unknown:
        return None
    values = np.array([_doubled(e) for e in constants]).reshape(-1, 3)
    if not np.isfinite(values).all():
        return None
    count = len(values)

    def register(k: Any) -> Any:
        return np.where(k < 0, first - 1 - k, np.where(k < first, k, k + count))

    table = np.array(lines, dtype=np.int64).reshape(-1, 3)
    return Code(
        table[:, 0].copy(),
        register(table[:, 1:]).astype(np.int64),
        values,
        register(np.array(computed)).astype(np.int64),
    )


def _doubled(number: sp.Expr) -> tuple[float, float, float]:
    """Two doubles of a constant, and a bound on what they leave; NaN where it is not real."""
    with precision(BITS):
        try:
            (value,) = lower([number], (), "ball")()
            return split(value)
        except (ValueError, TypeError):
            return math.nan, math.nan, math.nan


def split(value: Any) -> tuple[float, float, float]:
    """High and low double of a ball, and a radius that holds what they leave."""
    high = float(value)
    low = float(value - high) if math.isfinite(high) else 0.0
    off = value - high - low
    return high, low, UPWARD * (abs(float(off)) + float(off.rad()))
