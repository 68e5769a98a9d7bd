"""A loss as a list of steps: read from a file, differentiated step by step, evaluated in balls.

A step is a word with numbers of earlier steps: ``number p/q``, ``pi``, ``variable i``, ``plus a
b``, ``times a b``, ``power a p/q``, a function of :mod:`.functions`, or ``side a``: ``|a|``, which
has a kink. Derivatives of ``side a`` are ``sign a``, which no file holds. On a branch both have a
sign that is given, so that all is smooth there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.exact import fraction, whole
from flows.certificates.verifier.formula import taken
from flows.certificates.verifier.functions import OF_ONE, OF_TWO, power
from flows.certificates.verifier.reading import require

__all__ = ["Code", "Steps", "read"]

Step = tuple[Any, ...]
# A file that would take hours to check is refused.
MOST_STEPS, MOST_POWER = 20_000, 64
# Steps that take no other.
PLAIN = ("number", "pi", "variable")


def read(stated: Any, size: int) -> list[Step]:
    """Steps of a file, each of which takes what was made before it."""
    fits = isinstance(stated, list) and 0 < len(stated) <= MOST_STEPS
    require(fits, "a loss has no steps, or too many")
    made: list[Step] = []
    for k, step in enumerate(stated):
        require(isinstance(step, list) and step, "a step is no step")
        kind, *rest = step
        if kind == "number":
            (text,) = rest
            made.append((kind, fraction(text)))
        elif kind == "variable":
            (place,) = rest
            made.append((kind, whole(place, size - 1)))
        elif kind == "power":
            base, text = rest
            exponent = fraction(text)
            fits = 0 < abs(exponent) <= MOST_POWER and exponent.denominator <= MOST_POWER
            require(fits, "a power is zero or too large")
            made.append((kind, whole(base, k - 1), exponent))
        else:
            two = kind in ("plus", "times") or kind in OF_TWO
            require(two or kind in OF_ONE or kind in ("pi", "side"), "a step is of no known kind")
            require(len(rest) == (2 if two else kind != "pi"), "a step takes other numbers")
            made.append((kind, *(whole(a, k - 1) for a in rest)))
    return made


class Steps:
    """Steps that grow by those of derivatives; what is made twice is one step."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.lines = list(steps)
        self.known = {line: k for k, line in reversed([*enumerate(steps)])}

    def put(self, *line: Any) -> int:
        """Number of a step."""
        if line not in self.known:
            self.known[line] = len(self.lines)
            self.lines.append(line)
        return self.known[line]

    def number(self, value: Any) -> int:
        """A number."""
        return self.put("number", Fraction(value))

    def plus(self, *parts: int) -> int:
        """Sum."""
        zero = self.number(0)
        left = [a for a in parts if a != zero] or [zero]
        total = left[0]
        for a in left[1:]:
            total = self.put("plus", min(total, a), max(total, a))
        return total

    def times(self, *parts: int) -> int:
        """Product."""
        zero, one = self.number(0), self.number(1)
        if zero in parts:
            return zero
        left = [a for a in parts if a != one] or [one]
        total = left[0]
        for a in left[1:]:
            if a == total:
                total = self.power(a, 2)
            else:
                total = self.put("times", min(total, a), max(total, a))
        return total

    def power(self, a: int, k: Any) -> int:
        """Power."""
        exponent = Fraction(k)
        if exponent == 0:
            return self.number(1)
        return a if exponent == 1 else self.put("power", a, exponent)

    def slopes(self, k: int) -> list[tuple[int, int]]:
        """What a step takes, each with the derivative by it."""
        kind, *rest = self.lines[k]
        if kind in PLAIN or kind == "sign":
            return []
        a, one, minus = rest[0], self.number(1), self.number(-1)
        if kind == "plus":
            return [(a, one), (rest[1], one)]
        if kind == "times":
            return [(a, rest[1]), (rest[1], a)]
        if kind == "power":
            return [(a, self.times(self.number(rest[1]), self.power(a, rest[1] - 1)))]
        if kind == "side":
            return [(a, self.put("sign", a))]
        if kind in OF_TWO:
            return self._of_two(kind, a, rest[1])
        square = self.power(a, 2)
        inner = self.plus(one, self.times(minus, square))
        slope = {
            "exp": lambda: k,
            "log": lambda: self.power(a, -1),
            "sin": lambda: self.put("cos", a),
            "cos": lambda: self.times(minus, self.put("sin", a)),
            "tan": lambda: self.plus(one, self.power(k, 2)),
            "tanh": lambda: self.plus(one, self.times(minus, self.power(k, 2))),
            "sinh": lambda: self.put("cosh", a),
            "cosh": lambda: self.put("sinh", a),
            "atan": lambda: self.power(self.plus(one, square), -1),
            "asin": lambda: self.power(inner, Fraction(-1, 2)),
            "acos": lambda: self.times(minus, self.power(inner, Fraction(-1, 2))),
            "erf": lambda: self.times(
                self.number(2),
                self.power(self.put("pi"), Fraction(-1, 2)),
                self.put("exp", self.times(minus, square)),
            ),
        }[kind]
        return [(a, slope())]

    def _of_two(self, kind: str, s: int, c: int) -> list[tuple[int, int]]:
        """Derivatives in forms that are sharp at ``s = 0``."""
        minus, square = self.number(-1), self.power(s, 2)
        inverse = self.power(self.plus(square, self.power(c, 2)), -1)
        if kind == "angle":
            return [(s, self.times(c, inverse)), (c, self.times(minus, s, inverse))]
        if kind == "bent":
            around = self.times(minus, self.put("flat", s, c))
            return [(s, self.times(square, inverse)), (c, around)]
        both = self.times(self.number(2), square, self.power(inverse, 2))
        return [(s, self.times(both, c)), (c, self.times(minus, both, s))]

    def shares(self, result: int) -> dict[int, int]:
        """Derivatives of a result by each step that it is made of, found backwards."""
        found: dict[int, int] = {result: self.number(1)}
        for k in range(result, -1, -1):
            if k in found:
                for a, slope in self.slopes(k):
                    part = self.times(found[k], slope)
                    found[a] = self.plus(found[a], part) if a in found else part
        return found

    def rates(self, results: Sequence[int], moving: int) -> list[int]:
        """Derivatives of results by one step, found forwards."""
        found, zero = {moving: self.number(1)}, self.number(0)
        for k in range(moving + 1, max(results) + 1):
            if any(a in found for a in taken(self.lines[k][0], self.lines[k][1:])):
                slopes = self.slopes(k)
                parts = (self.times(slope, found[a]) for a, slope in slopes if a in found)
                found[k] = self.plus(*parts)
        return [found.get(k, zero) for k in results]


class Code(NamedTuple):
    """Steps that some results need, and no more.

    Parameters
    ----------
    lines : tuple
        Steps that take each other by their places, each a word and two operands or None.
    results : tuple of int
        Places of the results.
    sides : dict of int to int
        Place of a kink of the loss, by the place of what stands within it.
    """

    lines: tuple[Step, ...]
    results: tuple[int, ...]
    sides: dict[int, int]

    @classmethod
    def of(cls, steps: Steps, results: Sequence[int], sides: Sequence[int]) -> Code:
        """Those of results; ``sides`` are what stands within the kinks of the loss, in order."""
        needed, left = set[int](), list(results)
        while left:
            if (k := left.pop()) not in needed:
                needed.add(k)
                left += taken(steps.lines[k][0], steps.lines[k][1:])
        place = {k: i for i, k in enumerate(sorted(needed))}
        lines = []
        for k in place:
            kind, *rest = steps.lines[k]
            parts = taken(kind, rest)
            first, second = [*(place[a] for a in parts), *rest[len(parts) :], None, None][:2]
            if kind == "number":
                first = fmpq(rest[0].numerator, rest[0].denominator)
            lines.append((kind, first, second))
        kinks = {place[a]: i for i, a in enumerate(sides) if a in place}
        return cls(tuple(lines), tuple(place[k] for k in results), kinks)

    def run(self, x: Any, signs: Sequence[Any], of_two: Mapping[str, Any] = OF_TWO) -> list[Any]:
        """Results at a state of balls or boxes.

        Signs are numbers; pairs of what ``side`` and ``sign`` are then; or None, where that of the
        value within counts, and both where it is not certain.
        """
        v: list[Any] = []
        for kind, a, b in self.lines:
            if kind == "plus":
                v.append(v[a] + v[b])
            elif kind == "times":
                v.append(v[a] * v[b])
            elif kind == "power":
                v.append(_each(power, v[a], b))
            elif kind == "variable":
                v.append(x[a])
            elif kind == "number":
                v.append(arb(a))
            elif kind == "pi":
                v.append(arb.pi())
            elif kind in ("side", "sign"):
                given = signs[self.sides[a]]
                if given is None:
                    sign = 1 if v[a] > 0 else -1 if v[a] < 0 else UNIT
                    given = abs(v[a]).nonnegative_part(), arb(sign)
                both = given if isinstance(given, tuple) else (given * v[a], arb(given))
                v.append(both[kind == "sign"])
            elif b is None:
                v.append(_each(OF_ONE[kind], v[a]))
            else:
                v.append(of_two[kind](v[a], v[b]))
        return [v[k] for k in self.results]


def _each(f: Callable[..., Any], x: Any, *more: Any) -> Any:
    """A function of a number, or of all numbers of an array."""
    return np.array([f(z, *more) for z in x]) if isinstance(x, np.ndarray) else f(x, *more)
