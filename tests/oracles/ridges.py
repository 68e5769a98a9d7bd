r"""Losses with ridges and saddles, and starts beside these, whose flow is known with many digits.

A curved valley with two floors and a ridge between, of different heights,

.. math:: \ell(p, q) = -a p + \frac b4 (u^2 - 1)^2 + d u, \qquad u = q - c p^2

and a saddle whose stable manifold is `q = 0`,

.. math:: \ell(p, q) = \frac b2 (a (q^2 - p^2) - 1)^2

are turned by a matrix of fractions, scaled in place and height. A start beside the curved ridge is
where the flow came from that is a part of its width beside it later; it is rounded to doubles, from
which the flow is computed anew. Flows that came from infinity are followed back for half that time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, ctx

from oracles.taylor import BITS, Infinite, flow

SIDES = [(3, 4, 5), (5, 12, 13), (1, 0, 1), (0, 1, 1), (20, 21, 29)]


def curved(a: Any, b: Any, c: Any, d: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Value and gradient of the curved valley, of numbers of any kind."""

    def value(p: Any, q: Any) -> Any:
        u = q - c * p * p
        return -a * p + b * (u * u - 1) ** 2 / 4 + d * u

    def gradient(z: list[Any]) -> list[Any]:
        p, q = z
        u = q - c * p * p
        across = b * (u * u - 1) * u + d
        return [-a - across * 2 * c * p, across]

    return value, gradient


def saddle(a: Any, b: Any, c: Any, d: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Value and gradient of the loss with a saddle; two numbers are not used."""

    def value(p: Any, q: Any) -> Any:
        return b * (a * (q * q - p * p) - 1) ** 2 / 2

    def gradient(z: list[Any]) -> list[Any]:
        p, q = z
        off = 2 * a * b * (a * (q * q - p * p) - 1)
        return [-off * p, off * q]

    return value, gradient


@dataclass(frozen=True)
class Case:
    """A loss in `x` and `y`, a start, output times, and what the loss is there."""

    loss: sp.Expr
    start: list[float]
    times: list[float]
    truth: list[float]

    @property
    def symbols(self) -> list[sp.Symbol]:
        """The entries."""
        return list(sp.symbols("x y", real=True))


def case(seed: int) -> Case:
    """One of the family."""
    rng = np.random.default_rng(seed)
    part = curved if rng.random() < 0.6 else saddle
    a, b, c, d = (
        Fraction(int(rng.integers(low, high)), 20)
        for low, high in ((10, 40), (10, 60), (1, 8), (-1, 2))
    )
    if part is curved:
        early = min(float(rng.uniform(3, 15) / b), 3.5 / float(a))
        p = float(rng.uniform(0, 2) + float(a) * early / 3)
        u = float(rng.uniform(0.1, 0.4) * rng.choice([-1, 1]))
        climb = part(*map(_ball, (a, b, c, d)))[1]
        later = [arb(p), arb(u) + _ball(c) * arb(p) * arb(p)]
        try:
            back = flow(lambda z: [-g for g in climb(z)], later, [early])[0]
        except Infinite as at:
            early = at.args[0] / 2
            back = flow(lambda z: [-g for g in climb(z)], later, [early])[0]
        z = [Fraction(float(x)) for x in back]
        end = early * float(rng.uniform(0.9, 2.0))
    else:
        beside = 10.0 ** -rng.uniform(2, 14) * rng.choice([-1, 1])
        z = [Fraction(float(0.3 + abs(rng.normal()))), Fraction(float(beside))]
        end = float(rng.uniform(1, 20) / (a * b))
    first, second, third = SIDES[rng.integers(len(SIDES))]
    cosine, sine = Fraction(first, third), Fraction(second, third)
    plain = rng.random() < 0.5
    size, height = (
        Fraction(1) if plain else Fraction(10) ** int(k) for k in rng.integers(-3, 4, size=2)
    )
    start = [
        float(size * (cosine * z[0] - sine * z[1])),
        float(size * (sine * z[0] + cosine * z[1])),
    ]
    x, y = sp.symbols("x y", real=True)
    scaled = [
        (_exact(cosine) * x + _exact(sine) * y) / _exact(size),
        (-_exact(sine) * x + _exact(cosine) * y) / _exact(size),
    ]
    loss = _exact(height) * part(*map(_exact, (a, b, c, d)))[0](*scaled)
    clock = height / size**2
    times = (np.linspace(1 / 8, 1, 8) if rng.random() < 0.6 else np.ones(1)) * end / float(clock)
    given = [Fraction(v) for v in start]
    inner = [
        (cosine * given[0] + sine * given[1]) / size,
        (cosine * given[1] - sine * given[0]) / size,
    ]
    return Case(
        loss, start, times.tolist(), _truth(part, (a, b, c, d), inner, clock, height, times)
    )


def _truth(
    part: Any, numbers: Any, start: Any, clock: Fraction, height: Fraction, times: Any
) -> list[float]:
    """Losses at times."""
    before, ctx.prec = ctx.prec, BITS
    try:
        value, gradient = part(*map(_ball, numbers))
        rate = _ball(clock)
        states = flow(lambda z: [rate * g for g in gradient(z)], list(map(_ball, start)), times)
        return [float(_ball(height) * value(*z)) for z in states]
    finally:
        ctx.prec = before


def _ball(x: Fraction) -> Any:
    return arb(x.numerator) / arb(x.denominator)


def _exact(x: Fraction) -> Any:
    return sp.Rational(x.numerator, x.denominator)
