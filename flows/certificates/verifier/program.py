r"""A loss as a program of steps: its value with its slopes, as models near a point.

The angle of `(c, s)` is `\arctan(s/c)`, or `\pi/2 - \arctan(c/s)`, as either is not zero at the
point. Where `c + i s` is a product of such numbers whose angles are known already, it is their sum:
so denominators stay those of single variables, which are reciprocals exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from flint import arb, fmpq

from flows.certificates.verifier.formula import taken
from flows.certificates.verifier.models import ORDER, Inexact, Models
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.steps import Step
from flows.certificates.verifier.taylor import AT_ZERO

__all__ = ["Slopes", "run"]


class Slopes(NamedTuple):
    """A polynomial and its derivatives by the variables."""

    value: Any
    slopes: tuple[Any, ...]


def run(models: Models, lines: Sequence[Step]) -> Slopes:
    """Value and slopes of a program: what its last step makes."""
    read = _Run(models)
    made: list[Slopes] = []
    for kind, *rest in lines:
        parts = [made[k] for k in taken(kind, rest)]
        made.append(read.step(kind, parts, rest[len(parts) :]))
    return made[-1]


class _Run:
    """Steps in a ring of models, and the angles that were met."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.angles: list[tuple[Slopes, Slopes, Slopes]] = []

    def step(self, kind: str, parts: Sequence[Slopes], rest: Sequence[Any]) -> Slopes:
        """What a step makes."""
        models = self.models
        if kind == "number":
            return self.number(rest[0])
        if kind == "pi":
            return self.number(0)._replace(value=models.pi)
        if kind == "variable":
            x = models.variables[rest[0]]
            return Slopes(x, tuple(x.derivative(j) for j in range(models.size)))
        if kind == "plus":
            return self.plus(*parts)
        if kind == "times":
            return self.times(*parts)
        if kind == "side":
            return self.times(parts[0], self.number(self.sign(parts[0].value)))
        if kind in ("angle", "bent"):
            angle = self.angle(*parts)
            turned = self.times(parts[1], angle, self.number(-1)) if kind == "bent" else angle
            return self.plus(parts[0], turned) if kind == "bent" else angle
        return self.function(kind, parts[0], *rest)

    def number(self, q: Any) -> Slopes:
        """A number."""
        value = self.models.constant(fmpq(*Fraction(q).as_integer_ratio()))
        return Slopes(value, (self.models.constant(0),) * self.models.size)

    def plus(self, a: Slopes, b: Slopes) -> Slopes:
        """Sum."""
        return Slopes(
            a.value + b.value, tuple(x + y for x, y in zip(a.slopes, b.slopes, strict=True))
        )

    def times(self, a: Slopes, *others: Slopes) -> Slopes:
        """Product."""
        times = self.models.times
        for b in others:
            both = zip(a.slopes, b.slopes, strict=True)
            slopes = tuple(times(x, b.value) + times(a.value, y) for x, y in both)
            a = Slopes(times(a.value, b.value), slopes)
        return a

    def function(self, kind: str, a: Slopes, exponent: Fraction = Fraction(1)) -> Slopes:
        """A function of one number."""
        value, slope = self._function(kind, exponent, a.value)
        return Slopes(value, tuple(self.models.times(slope, x) for x in a.slopes))

    def _function(self, kind: str, exponent: Fraction, a: Any) -> tuple[Any, Any]:
        """A function of one polynomial, with its derivative."""
        models = self.models
        if kind not in ("power", "log", *AT_ZERO):
            raise Inexact(f"{kind} is not known exactly at the point")
        if kind == "power" and exponent.denominator == 1:
            k = int(exponent)
            require(abs(k) <= ORDER, "a power is too large")
            base = a if k > 0 else models.reciprocal(a)
            if base is not None:
                lower = models.power(base, abs(k) - 1 if k > 0 else abs(k) + 1)
                return models.power(base, abs(k)), lower * k
        return models.series(kind, exponent, a)

    def sign(self, p: Any, reason: str = "the loss may have a kink in the box") -> int:
        """1 or -1, as it has one on all of the box; apart from what all its terms share."""
        models, terms, n = self.models, dict(p.terms()), self.models.size
        shared = [min((int(e[i]) for e in terms), default=0) for i in range(n)]
        for two, k in zip(models.two, shared, strict=True):
            require(not two or k % 2 == 0, reason)
        ball = models.ball(
            models.ring.from_dict(
                {
                    (*(int(k) - j for k, j in zip(e, shared, strict=False)), *e[n:]): c
                    for e, c in terms.items()
                }
            )
        )
        require(ball > 0 or ball < 0 or p == 0, reason)
        return -1 if ball < 0 else 1

    def angle(self, s: Slopes, c: Slopes) -> Slopes:
        """Of the point `(c, s)`, between `-pi/2` and `pi`."""
        quarters = self._quarters(s, c)
        jumps = "an angle may jump in the box"
        require(quarters < 2 or self.sign(s.value, jumps) > 0, jumps)
        found = self._of_factors(s, c, quarters)
        if found is None:
            over, under = (c, s) if quarters == 1 else (s, c)
            ratio = self.times(over, self.function("power", under, Fraction(-1)))
            found = self.function("atan", ratio)
            found = self.times(found, self.number(-1)) if quarters == 1 else found
            found = self._turned(found, fmpq(quarters))
            self.angles.append((s, c, found))
        return found

    def _quarters(self, s: Slopes, c: Slopes) -> int:
        """An angle at the point: 0, 1 or 2 quarters of a turn."""
        across, along = (self.models.at_point(part.value) for part in (s, c))
        known = across.is_constant() and along.is_constant() and (across == 0) != (along == 0)
        value = (along if across == 0 else across).leading_coefficient() if known else fmpq(0)
        if not known or (along == 0 and value < 0):
            raise Inexact("an angle is not known exactly at the point")
        return 1 if along == 0 else 0 if value > 0 else 2

    def _turned(self, a: Slopes, quarters: Any) -> Slopes:
        return a._replace(value=a.value + self.models.pi * (quarters / 2))

    def _of_factors(self, s: Slopes, c: Slopes, quarters: int) -> Slopes | None:
        """An angle by those of factors of `c + i s` that were met, if it has no others."""
        total, here = self.number(0), (s.value, c.value)
        for across, along, angle in self.angles:
            for sign in (1, -1):
                part = across.value * sign, along.value
                while (rest := _divided(here, part)) is not None:
                    total, here = self.plus(total, self.times(angle, self.number(sign))), rest
        if not all(x.is_constant() for x in here) or (here[0] != 0) == (here[1] != 0):
            return None
        at = self.models.at_point(total.value)
        begin = at.leading_coefficient() * 2 if at != 0 else fmpq(0)
        total = self._turned(total, quarters - begin)
        require(-1 < 2 * self.models.ball(total.value) / arb.pi() < 3, "an angle may jump")
        return total


def _divided(whole: tuple[Any, Any], part: tuple[Any, Any]) -> tuple[Any, Any] | None:
    """The quotient of two complex numbers `(s, c)` that are polynomials, if it is one of those."""
    (s, c), (b, a) = whole, part
    size = a * a + b * b
    if size.is_constant():
        return None
    across, left = divmod(s * a - c * b, size)
    along, over = divmod(c * a + s * b, size)
    return (across, along) if left == 0 and over == 0 else None
