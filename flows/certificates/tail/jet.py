r"""Balls with their gradients, and the entire series of the late flow.

A :class:`Jet` is an enclosure of a function on a box, and of each of its partial derivatives there.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb, arb_mat, ctx, fmpq

from flows.core.balls import Singular

Ball = Any  # flint.arb
Row = Any  # flint.arb_mat of one row

#: Terms of a series, and where it is used at most.
TERMS, RADIUS = 24, 0.5


class Jet(NamedTuple):
    """Value and gradient, both enclosed."""

    value: Ball
    slope: Row

    def __add__(self, other: Any) -> Jet:
        """Sum with a jet or a number."""
        if isinstance(other, Jet):
            return Jet(self.value + other.value, self.slope + other.slope)
        return Jet(self.value + other, self.slope)

    def __sub__(self, other: Any) -> Jet:
        """Difference of a jet or a number."""
        if isinstance(other, Jet):
            return Jet(self.value - other.value, self.slope - other.slope)
        return Jet(self.value - other, self.slope)

    def __mul__(self, other: Any) -> Jet:
        """Product with a jet or a number."""
        if isinstance(other, Jet):
            return Jet(
                self.value * other.value, self.slope * other.value + other.slope * self.value
            )
        return Jet(self.value * other, self.slope * other)

    def __truediv__(self, other: Jet) -> Jet:
        """Quotient by what does not vanish."""
        if not abs(other.value) > 0:
            raise Singular("a divisor may vanish")
        ratio = self.value / other.value
        return Jet(ratio, (self.slope - other.slope * ratio) * (1 / other.value))

    def sqrt(self) -> Jet:
        """Square root of what is positive."""
        if not self.value > 0:
            raise Singular("a neuron may be at zero")
        root = self.value.sqrt()
        return Jet(root, self.slope * (1 / (2 * root)))

    def signed_square(self) -> Jet:
        """``|x| x``, whose derivative ``2 |x|`` is continuous."""
        size = _size(self.value)
        return Jet(size * self.value, self.slope * (2 * size))

    def cubed_size(self) -> Jet:
        """``|x|^3``, whose derivative is ``3 |x| x``."""
        size = _size(self.value)
        return Jet(size**3, self.slope * (3 * size * self.value))

    def of(self, series: Series) -> Jet:
        """Value of a series at this argument."""
        value, slope = series(self.value)
        return Jet(value, self.slope * slope)


def constants(values: Sequence[Ball], width: int = 0) -> list[Jet]:
    """Jets that do not move."""
    return [Jet(arb(v), arb_mat(1, width)) for v in values]


def variables(values: Sequence[Ball]) -> list[Jet]:
    """Jets of the variables themselves."""
    width = len(values)
    rows = (arb_mat([[int(j == k) for j in range(width)]]) for k in range(width))
    return [Jet(arb(v), row) for v, row in zip(values, rows, strict=True)]


def dot(a: Sequence[Jet], b: Sequence[Jet]) -> Jet:
    """Inner product."""
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total


def _size(x: Ball) -> Ball:
    return abs(x).nonnegative_part()


class Series:
    """``sum_k a_k Q^k``, with ``|a_(k+1)| <= |a_k|``; balls of value and derivative.

    Beyond ``K`` terms are at most ``|a_K| q^K/(1-q)``, and of the derivative ``|a_K|`` times
    ``K q^(K-1)/(1-q) + q^K/(1-q)^2``, for ``|Q| <= q``.
    """

    def __init__(self, coefficients: Sequence[Any]) -> None:
        self.coefficients = coefficients

    def __call__(self, argument: Ball) -> tuple[Ball, Ball]:
        """Value and derivative, refused beyond ``|Q| <= 1/2``."""
        q = abs(argument).upper()
        if not q <= RADIUS:
            raise Singular("an angle is not small")
        count = 2
        while count < TERMS and not q**count < arb(2) ** -ctx.prec:
            count += 1
        kept, first = self.coefficients[:count], self.coefficients[count]
        value, slope = arb(0), arb(0)
        for k in range(count - 1, -1, -1):
            value = value * argument + kept[k]
            if k:
                slope = slope * argument + k * kept[k]
        rest = abs(arb(first)) * q ** (count - 1) / (1 - q)
        value += arb(0, 1) * rest * q
        slope += arb(0, 1) * rest * (count + q / (1 - q))
        return value, slope


@functools.cache
def _factorial(k: int) -> int:
    return k * _factorial(k - 1) if k else 1


#: ``asin(x)/x``, ``(sin x / x - 1)/x^2`` and ``(sin x - x cos x)/x^3`` of ``Q = x^2``.
ASINC = Series(
    [fmpq(_factorial(2 * k), 4**k * _factorial(k) ** 2 * (2 * k + 1)) for k in range(TERMS + 1)]
)
SINC = Series([fmpq((-1) ** (k + 1), _factorial(2 * k + 3)) for k in range(TERMS + 1)])
ENERGY = Series([fmpq((-1) ** k * (2 * k + 2), _factorial(2 * k + 3)) for k in range(TERMS + 1)])
