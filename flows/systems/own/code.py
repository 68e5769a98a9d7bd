"""Programs of sums, products, quotients and elementary functions as data, for compiled loops.

One loop evaluates the program of any loss (:mod:`symbolic.language.program`), so that nothing is
compiled for a loss.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from flint import arb
from numpy.typing import NDArray
from sympy.codegen.cfunctions import expm1, log1p

from flows.core.axis_field import Code
from flows.core.balls import precision, split
from flows.expectations.changed_functions import ErrorFunction, Magnitude, Sign
from symbolic.language.lower import lower

__all__ = ["BITS", "Builder", "beginning", "coded", "valued"]

#: Bits before the rounding to two doubles.
BITS = 200


# Operations, as the loop numbers them; the angle of (y, x) is that at which the point (x, y) is.
# The last five are `e^x - 1`, `log(1 + x)`, `|x|`, the sign of `x` and the error function.
ADD, MULTIPLY, DIVIDE, ROOT, ANGLE, EXPONENTIAL, LOGARITHM, SINE, COSINE, EXPM1, LOG1P = range(11)
MAGNITUDE, SIGN, ERF = 11, 12, 13
FUNCTIONS = {sp.exp: EXPONENTIAL, sp.log: LOGARITHM, sp.sin: SINE, sp.cos: COSINE}
FUNCTIONS |= {expm1: EXPM1, log1p: LOG1P, Magnitude: MAGNITUDE, Sign: SIGN, ErrorFunction: ERF}


class _Unknown(Exception):
    """A function that two doubles do not compute."""


class Builder:
    """A program that grows: each method returns the register of its result.

    What was computed is not computed again. Registers of variables count from 0, those of steps
    from there on, and constants from -1 downwards.

    Parameters
    ----------
    size : int
        Variables.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._constants: dict[Hashable, int] = {}
        self._values: list[Any] = []
        self._made: dict[tuple[int, int, int], int] = {}
        self._lines: list[tuple[int, int, int]] = []
        self.zero, self.one = self.constant(sp.S.Zero), self.constant(sp.S.One)
        self.negative = self.constant(sp.S.NegativeOne)

    def constant(self, number: Any) -> int:
        """Register of a number: an expression, a ball, or a tuple of doubles whose sum it is."""
        with precision(BITS):
            if isinstance(number, sp.Basic):
                value = valued(number)
            else:
                parts = number if isinstance(number, tuple) else (number,)
                value = sum((arb(x) for x in parts), arb(0))
        finite = value.is_finite()
        key = (*value.mid().man_exp(), *value.rad().man_exp()) if finite else ()
        return self._copied(key, value)

    def step(self, operation: int, a: int, b: int) -> int:
        """One operation."""
        if operation in (ADD, MULTIPLY) and a > b:
            a, b = b, a
        key = (operation, a, b)
        if key not in self._made:
            self._made[key] = self._size + len(self._lines)
            self._lines.append(key)
        return self._made[key]

    def add(self, *terms: int) -> int:
        """Sum."""
        left = [x for x in terms if x != self.zero] or [self.zero]
        return functools.reduce(lambda a, b: self.step(ADD, a, b), left)

    def multiply(self, *factors: int) -> int:
        """Product."""
        if self.zero in factors:
            return self.zero
        left = [x for x in factors if x != self.one] or [self.one]
        return functools.reduce(lambda a, b: self.step(MULTIPLY, a, b), left)

    def minus(self, a: int) -> int:
        """The number with the opposite sign; a number that is a negative already gives its own."""
        operation, x, y = self._lines[a - self._size] if a >= self._size else (ADD, a, a)
        if operation == MULTIPLY and x == self.negative:
            return y
        return self.multiply(self.negative, a)

    def dot(self, x: Sequence[int], y: Sequence[int]) -> int:
        """Inner product."""
        return self.add(*(self.multiply(a, b) for a, b in zip(x, y, strict=True)))

    def divide(self, a: int, b: int) -> int:
        """Quotient."""
        return self.zero if a == self.zero else self.step(DIVIDE, a, b)

    def root(self, a: int) -> int:
        """Square root."""
        return self.step(ROOT, a, a)

    def angle(self, y: int, x: int) -> int:
        """Angle of a point, from `-pi` to `pi`."""
        return self.step(ANGLE, y, x)

    def function(self, operation: int, a: int) -> int:
        """Function of one number."""
        return self.step(operation, a, a)

    def power(self, base: int, exponent: int) -> int:
        """Power with a whole exponent, 1 or more."""
        found, square = None, base
        while exponent:
            if exponent & 1:
                found = square if found is None else self.step(MULTIPLY, found, square)
            exponent >>= 1
            square = self.step(MULTIPLY, square, square) if exponent else square
        assert found is not None
        return found

    def expression(self, e: Any, known: dict[Any, int]) -> int:
        """Value of an expression in known numbers; values found on the way are kept.

        Raises
        ------
        _Unknown
            For a function that two doubles do not compute.
        """
        if e in known:
            return known[e]
        if e.is_number:
            found = self.constant(e)
        elif e.is_Add or e.is_Mul:
            parts = [self.expression(x, known) for x in e.args]
            found = self.add(*parts) if e.is_Add else self.multiply(*parts)
        elif e.is_Pow and (2 * e.exp).is_Integer:
            twice = abs(int(2 * e.exp))
            base = self.expression(e.base, known)
            base = self.root(base) if twice % 2 else base
            found = self.power(base, twice if twice % 2 else twice // 2)
            found = self.divide(self.one, found) if e.exp < 0 else found
        elif isinstance(e, sp.asin):
            (sine,) = e.args
            cosine = self.expression(sp.sqrt(1 - sine**2), known)
            found = self.angle(self.expression(sine, known), cosine)
        elif isinstance(e, sp.atan2):
            found = self.angle(*(self.expression(x, known) for x in e.args))
        elif isinstance(e, sp.atan):
            found = self.angle(self.expression(e.args[0], known), self.one)
        elif e.func in FUNCTIONS:
            found = self.function(FUNCTIONS[e.func], self.expression(e.args[0], known))
        elif isinstance(e, sp.tanh):  # 2/(1 + e^-2x) - 1
            raised = self.expression(
                sp.exp(sp.Mul(-2, e.args[0], evaluate=False), evaluate=False), known
            )
            half = self.divide(self.one, self.add(self.one, raised))
            found = self.add(self.add(half, half), self.negative)
        elif isinstance(e, sp.cosh | sp.sinh):
            found = self.expression(e.rewrite(sp.exp), known)
        elif e.is_Pow:
            found = self.expression(sp.exp(e.exp * sp.log(e.base), evaluate=False), known)
        else:
            raise _Unknown
        known[e] = found
        return found

    def rates(self, results: Sequence[int]) -> Code | None:
        """Program of the rates of results along a direction, which follows on the variables."""
        whole = Builder(2 * self._size)
        values: list[int] = list(range(self._size))
        moved: list[int] = list(range(self._size, 2 * self._size))
        kept = {key: whole._copied(key, self._values[-1 - k]) for key, k in self._constants.items()}
        constants = {k: kept[key] for key, k in self._constants.items()}

        def value(k: int) -> int:
            return constants[k] if k < 0 else values[k]

        def rate(k: int) -> int:
            return whole.zero if k < 0 else moved[k]

        def inverse(k: int) -> int:
            # Rates may be zero, and quotients of zero are not taken.
            return whole.divide(whole.one, k)

        for operation, a, b in self._lines:
            x, y, p, q = value(a), value(b), rate(a), rate(b)
            if operation == ADD:
                found, turned = whole.add(x, y), whole.add(p, q)
            elif operation == MULTIPLY:
                found = whole.multiply(x, y)
                turned = whole.add(whole.multiply(x, q), whole.multiply(y, p))
            elif operation == DIVIDE:
                found = whole.divide(x, y)
                change = whole.add(p, whole.minus(whole.multiply(found, q)))
                turned = whole.multiply(change, inverse(y))
            elif operation == ROOT:
                found = whole.root(x)
                turned = whole.multiply(p, inverse(whole.add(found, found)))
            elif operation != ANGLE:
                found = whole.function(operation, x)
                turned = whole.multiply(whole._slope(operation, x, found), p)
            else:
                found = whole.angle(x, y)
                across = whole.add(whole.multiply(y, p), whole.minus(whole.multiply(x, q)))
                square = whole.add(whole.multiply(x, x), whole.multiply(y, y))
                turned = whole.multiply(across, inverse(square))
            values.append(found)
            moved.append(turned)
        return whole.code([rate(k) for k in results])

    def _slope(self, operation: int, x: int, value: int) -> int:
        """Derivative of a function of one number, whose value is known."""
        if operation in (SINE, COSINE):
            across = self.function(SINE + COSINE - operation, x)
            return across if operation == SINE else self.minus(across)
        if operation in (LOGARITHM, LOG1P):
            below = x if operation == LOGARITHM else self.add(self.one, x)
            return self.divide(self.one, below)
        if operation in (MAGNITUDE, SIGN):
            return self.zero if operation == SIGN else self.function(SIGN, x)
        if operation == ERF:
            bell = self.function(EXPONENTIAL, self.minus(self.multiply(x, x)))
            return self.multiply(self.constant(2 / sp.sqrt(sp.pi)), bell)
        return value if operation == EXPONENTIAL else self.add(self.one, value)

    def _needed(self, results: Sequence[int]) -> set[int]:
        """All registers that these are made of."""
        needed, stack = set[int](), list(results)
        while stack:
            k = stack.pop()
            if k not in needed:
                needed.add(k)
                stack += self._lines[k - self._size][1:] if k >= self._size else ()
        return needed

    def _copied(self, key: Hashable, value: Any) -> int:
        if key not in self._constants:
            self._constants[key] = -1 - len(self._values)
            self._values.append(value)
        return self._constants[key]

    def code(self, results: Sequence[int], first: Sequence[int] = ()) -> Code | None:
        """Program of results, and of no more; None where a constant is no number.

        The steps that the ``first`` results take come before all others.
        """
        needed, early = self._needed(results), self._needed(first)
        constants = [k for k in range(-1, -1 - len(self._values), -1) if k in needed]
        steps = [k for k in range(self._size, self._size + len(self._lines)) if k in needed]
        steps.sort(key=lambda k: k not in early)
        where = {k: self._size + place for place, k in enumerate([*constants, *steps])}
        where |= {k: k for k in range(self._size)}
        with precision(BITS):
            values = np.array([split(self._values[-1 - k]) for k in constants]).reshape(-1, 3)
        if not np.isfinite(values).all():
            return None
        lines = [self._lines[k - self._size] for k in steps]
        table = np.array([(o, where[a], where[b]) for o, a, b in lines], dtype=np.int64)
        table = table.reshape(-1, 3)
        return Code(
            table[:, 0].copy(),
            table[:, 1:].copy(),
            values,
            np.array([where[k] for k in results], dtype=np.int64),
        )


def coded(
    variables: Sequence[sp.Symbol],
    steps: Sequence[tuple[sp.Symbol, sp.Expr]],
    results: Sequence[sp.Expr],
    late: int = 0,
) -> Code | None:
    """Code as data; None where it takes functions that two doubles do not compute.

    Steps that no result needs are left out. Steps that only the first ``late`` results need come
    behind all others.
    """
    wanted = set().union(*(e.free_symbols for e in results))
    needed = []
    for symbol, expression in reversed(steps):
        if symbol in wanted:
            wanted |= expression.free_symbols
            needed.append((symbol, expression))
    builder = Builder(len(variables))
    known: dict[Any, int] = {x: k for k, x in enumerate(variables)}
    try:
        for symbol, expression in reversed(needed):
            known[symbol] = builder.expression(expression, known)
        found = [builder.expression(e, known) for e in results]
        return builder.code(found, found[late:])
    except _Unknown:
        return None


def beginning(code: Code, variables: int, results: NDArray[np.int64]) -> Code:
    """Program of results whose steps come first in another one; registers are the same."""
    behind = variables + len(code.constants)
    steps = max(0, int(results.max()) + 1 - behind)
    return Code(code.operation[:steps], code.operands[:steps], code.constants, results)


def valued(number: sp.Expr) -> Any:
    """A constant as a ball; NaN where it is not real."""
    try:
        (value,) = lower([number], (), "ball")()
        return arb(value)
    except (ValueError, TypeError):
        return arb("nan")
