"""A loss written in Python's arithmetic, and the steps that it takes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from flows.certificates.verifier.steps import Step, Steps

__all__ = ["Recorded", "recorded"]


class Recorded:
    """A number that writes down how it is made of others, and of fractions."""

    def __init__(self, steps: Steps, place: int) -> None:
        self.steps, self.place = steps, place

    def _other(self, other: Any) -> int:
        return other.place if isinstance(other, Recorded) else self.steps.number(other)

    def __add__(self, other: Any) -> Recorded:
        """Sum."""
        return Recorded(self.steps, self.steps.plus(self.place, self._other(other)))

    def __mul__(self, other: Any) -> Recorded:
        """Product."""
        return Recorded(self.steps, self.steps.times(self.place, self._other(other)))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Recorded:
        """Minus it."""
        return self * -1

    def __sub__(self, other: Any) -> Recorded:
        """Difference."""
        return self + -other

    def __rsub__(self, other: Any) -> Recorded:
        """Difference of a fraction and it."""
        return -self + other

    def __pow__(self, exponent: Any) -> Recorded:
        """Power."""
        return Recorded(self.steps, self.steps.power(self.place, exponent))


def recorded(text: Callable[[Any], Any], size: int) -> list[Step]:
    """Steps of a function of so many variables, the last of which is its value."""
    steps = Steps([])
    x = np.array([Recorded(steps, steps.put("variable", k)) for k in range(size)], dtype=object)
    value = text(x)
    if value.place < len(steps.lines) - 1:
        steps.lines.append(("plus", value.place, steps.number(Fraction(0))))
    return steps.lines
