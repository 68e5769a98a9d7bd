"""Taylor coefficients of functions: exactly at a fraction, and over a ball around it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flint import arb, arb_series, ctx, fmpq, fmpq_series

from flows.certificates.verifier.reading import require

__all__ = ["AT_ZERO", "coefficients", "raised"]

# A ball is covered by so many for the remainder of a function.
PARTS = 64
# Functions that are known at zero, where their coefficients are fractions.
AT_ZERO = ("exp", "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh")


def raised(x: arb, k: int) -> arb:
    """Power of a ball, as narrow as it is."""
    if k == 0:
        return arb(1)
    ends = (x.lower() ** k).union(x.upper() ** k)
    return ends.union(0) if k % 2 == 0 and x.contains(0) else ends


def coefficients(
    name: str, exponent: Fraction, at: fmpq, v: arb, order: int
) -> tuple[list[fmpq], list[arb]]:
    """Of the Taylor series at a number, exactly; two from the order on over a ball."""
    old, ctx.cap = ctx.cap, order + 2
    try:
        if name == "power":
            p, root = fmpq(exponent.numerator, exponent.denominator), _root(at, exponent)
            exact = [root]
            for k in range(order + 1):
                exact.append(exact[-1] * (p - k) / (k + 1) / at)
            factor = arb(exact[order] / root), arb(exact[order + 1] / root)
            near = [
                (arb(at) + part) ** arb(p) * raised(arb(at) / (arb(at) + part), order)
                for part in _parts(v)
            ]
            slope = [
                a * arb(at) / (arb(at) + part) for a, part in zip(near, _parts(v), strict=True)
            ]
            return exact, [factor[0] * _hull(near), factor[1] * _hull(slope)]
        made = getattr(fmpq_series([at, 1]), name)()
        over = [_series(name, arb(at) + part) for part in _parts(v)]
        last = [_hull([one[k] for one in over]) for k in (order, order + 1)]
        return [made[k] for k in range(order + 2)], last
    finally:
        ctx.cap = old


def _series(name: str, at: arb) -> Any:
    """Series of a function at a ball."""
    x = arb_series([at, 1])
    if name not in ("sinh", "cosh", "tanh"):
        return getattr(x, name)()
    grown, fallen = x.exp(), (-x).exp()
    up, down = (grown - fallen) / 2, (grown + fallen) / 2
    return {"sinh": up, "cosh": down, "tanh": up / down}[name]


def _parts(v: arb) -> list[arb]:
    """Balls that cover a ball: coefficients of wide balls are far too wide."""
    low, width = v.lower(), (v.upper() - v.lower()) / PARTS
    ends = [low + width * k for k in range(PARTS + 1)]
    return [a.union(b) for a, b in itertools.pairwise(ends)]


def _hull(balls: Sequence[arb]) -> arb:
    return functools.reduce(lambda a, b: a.union(b), balls)


def _root(at: fmpq, exponent: Fraction) -> fmpq:
    """A power of a positive fraction that is a fraction itself."""
    parts = []
    for number in (int(at.p), int(at.q)):
        root = round(number ** (1 / exponent.denominator))
        require(root**exponent.denominator == number, "a power is not known exactly here")
        parts.append(root)
    found = fmpq(parts[0], parts[1]) ** abs(exponent.numerator)
    return found if exponent.numerator >= 0 else 1 / found
