"""A loss as a program of steps: its value with its slopes, as models near a point."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from flint import fmpq

from flows.certificates.verifier.exact import fraction, whole
from flows.certificates.verifier.formula import formula
from flows.certificates.verifier.models import ORDER, Models
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.taylor import AT_ZERO

__all__ = ["Slopes", "formula", "run"]


class Slopes(NamedTuple):
    """A polynomial and its derivatives by the variables."""

    value: Any
    slopes: tuple[Any, ...]


def run(models: Models, program: Any) -> Slopes:
    """Value and slopes of a program: what its last step makes."""
    n = models.size
    made: list[Slopes] = []
    nothing = (models.constant(0),) * n
    for step in program:
        kind, *rest = step
        if kind == "number":
            q = fraction(rest[0])
            made.append(Slopes(models.constant(fmpq(q.numerator, q.denominator)), nothing))
            continue
        if kind == "pi":
            made.append(Slopes(models.pi, nothing))
            continue
        if kind == "variable":
            i = whole(rest[0], n - 1)
            x = models.variables[i]
            made.append(Slopes(x, tuple(x.derivative(j) for j in range(n))))
            continue
        a = made[whole(rest[0], len(made) - 1)]
        if kind in ("plus", "times"):
            b = made[whole(rest[1], len(made) - 1)]
            if kind == "plus":
                both = zip(a.slopes, b.slopes, strict=True)
                made.append(Slopes(a.value + b.value, tuple(x + y for x, y in both)))
            else:
                slopes = (
                    models.times(x, b.value) + models.times(a.value, y)
                    for x, y in zip(a.slopes, b.slopes, strict=True)
                )
                made.append(Slopes(models.times(a.value, b.value), tuple(slopes)))
            continue
        value, slope = _function(models, kind, rest[1:], a.value)
        made.append(Slopes(value, tuple(models.times(slope, x) for x in a.slopes)))
    return made[-1]


def _function(models: Models, kind: str, rest: Any, a: Any) -> tuple[Any, Any]:
    """A function of one polynomial, with its derivative."""
    exponent = fraction(rest[0]) if kind == "power" else Fraction(1)
    require(kind in ("power", "log", *AT_ZERO), f"the function {kind!r:.20} is unknown")
    if kind == "power" and exponent.denominator == 1:
        k = int(exponent)
        require(abs(k) <= ORDER, "a power is too large")
        base = a if k > 0 else models.reciprocal(a)
        if base is not None:
            lower = models.power(base, abs(k) - 1 if k > 0 else abs(k) + 1)
            return models.power(base, abs(k)), lower * k
    return models.series(kind, exponent, a)
