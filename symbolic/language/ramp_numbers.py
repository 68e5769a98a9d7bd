"""Means of ramps in doubles and in balls (:mod:`symbolic.language.ramps`), by Owen's function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from symbolic.language.ramps import RampMean, RampPairMean, Ramps

__all__ = [
    "BALLS",
    "in_balls",
    "in_doubles",
]

# Probabilities that are kept: the results of one gradient share them.
KEPT = 256
# Owen's series is taken for balls of its second argument up to here.
WIDE = 1.5


@functools.cache
def in_doubles() -> Ramps:
    """Of arrays; a form without a slope is a number, and its density is zero away from zero."""
    import numpy as np
    from scipy.special import ndtr, owens_t

    def over(above: Any, below: Any) -> Any:
        """Quotient, zero where what is divided is zero."""
        above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
        return np.where(above == 0, 0.0, above / np.where(above == 0, 1.0, below))

    def standard(b: Any, variance: Any) -> Any:
        b = np.asarray(b, dtype=float)
        return np.where(b == 0, 0.0, b / np.sqrt(np.where(b == 0, 1.0, variance)))

    def step(b: Any, variance: Any) -> Any:
        with np.errstate(divide="ignore"):
            return ndtr(standard(b, variance))

    def density(b: Any, variance: Any) -> Any:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            h = standard(b, variance)
            return over(np.exp(-(h**2) / 2), np.sqrt(2 * np.pi * np.asarray(variance, float)))

    def given(first: Any, second: Any, c: Any, area: Any, up: Any) -> tuple[Any, Any]:
        flat = np.asarray(first) == 0
        safe = np.where(flat, 1.0, first)
        return np.where(flat, c, up / safe), np.where(flat, second, area / safe)

    def both(*law: Any) -> Any:
        b, c, first, cross, second, area, up, other_up = law
        with np.errstate(all="ignore"):
            h, k, across = standard(b, first), standard(c, second), np.sqrt(area)
            below = np.where((h * k > 0) | ((h * k == 0) & (h + k >= 0)), 0.0, 0.5)

            def turn(h: Any, b: Any, up: Any) -> Any:
                return owens_t(h, np.where(up == 0, 0.0, up / (b * across)))

            found = (ndtr(h) + ndtr(k)) / 2 - turn(h, b, up) - turn(k, c, other_up) - below
            angle = 0.25 + np.arctan2(cross, across) / (2 * np.pi)
            found = np.where((h == 0) & (k == 0), angle, found)
            # One form is a number.
            flat = (np.asarray(first) == 0) | (np.asarray(second) == 0)
            return np.where(flat, ndtr(h) * ndtr(k), found)

    return Ramps(step, density, both, given, over)


@functools.cache
def in_balls() -> Ramps:
    """Of balls; the probability of two positive numbers is a rigorous integral."""
    from flint import arb, ctx

    def step(b: Any, variance: Any) -> Any:
        if variance.is_zero() and not b.contains(0):
            return arb(1) if b > 0 else arb(0)
        return (-b / (2 * variance).sqrt()).erfc() / 2

    def density(b: Any, variance: Any) -> Any:
        if variance.is_zero() and not b.contains(0):
            return arb(0)
        return (-b * b / (2 * variance)).exp() / (2 * arb.pi() * variance).sqrt()

    def both(*law: Any) -> Any:
        b, c, first, cross, second, area, *_ = law
        one, other = step(b, first), step(c, second)
        if first.is_zero() or second.is_zero():
            return one * other
        if area.is_zero():  # parallel forms: the smaller one decides, or both share the line
            least, shared = one.min(other), (one + other - 1).max(arb(0))
            return least if cross > 0 else shared if cross < 0 else least.union(shared)
        if not all(x.is_finite() for x in law):
            return arb.nan()
        return joint(ctx.prec, *map(_exact, law))

    @functools.lru_cache(maxsize=KEPT)
    def joint(bits: int, *parts: Any) -> Any:
        """Probability by Owen's function; a gradient asks for it several times."""
        b, c, first, cross, second, area, up, other_up = (arb(*part) for part in parts)
        across, quarter = area.sqrt(), arb(1) / 4
        if b.is_zero() and c.is_zero():
            return quarter + arb.atan2(cross, across) / (2 * arb.pi())
        h, k = b / first.sqrt(), c / second.sqrt()
        found = (normal(h) + normal(k)) / 2
        for mean, of, above, beside in ((b, h, up, c), (c, k, other_up, b)):
            if not mean.is_zero():
                found -= _owen(of, above / (mean * across), normal)
            else:
                found -= quarter if beside > 0 else -quarter if beside < 0 else arb(0, 0.25)
        both_sides = b * c if not (b.is_zero() or c.is_zero()) else b + c
        if both_sides > 0:
            return found
        return found - (2 * quarter if both_sides < 0 else arb(0.25, 0.25))

    def normal(h: Any) -> Any:
        return (-h / arb(2).sqrt()).erfc() / 2

    def given(first: Any, second: Any, c: Any, area: Any, up: Any) -> tuple[Any, Any]:
        return (c, second) if first.is_zero() else (up / first, area / first)

    return Ramps(step, density, both, given, lambda x, y: x if x.is_zero() else x / y)


def _owen(h: Any, a: Any, normal: Callable[[Any], Any]) -> Any:
    r"""Owen's function of balls by its series (Owen 1956), which alternates and falls.

    .. math:: T(h, a) = \frac{1}{2\pi} \Big(\arctan a - \sum_j \frac{(-1)^j a^{2j+1}}{2j+1}
       P(N > j)\Big), \qquad N \sim \mathrm{Poisson}(h^2/2), \quad 0 \leq a \leq 1
    """
    from flint import arb, ctx

    if a < 0:
        return -_owen(h, -a, normal)
    h = abs(h)
    if a > 1:
        up, far = normal(h), normal(a * h)
        return (up + far) / 2 - up * far - _owen(a * h, 1 / a, normal)
    mean, least = h * h / 2, arb(2) ** -ctx.prec
    whole = (-mean).exp()
    if not (h.is_finite() and a < WIDE and whole.rad() < whole.mid()):  # it is below a quarter
        return arb(0, 0.25)
    if whole < least:
        return arb(0, (whole / 4).abs_upper())
    share, below, power = whole, whole, a
    total, square, most, j, sign = a.atan(), a * a, mean.abs_upper(), 0, 1
    while j < 4 * most or not (share < least):
        total -= sign * power * (1 - below) / (2 * j + 1)
        j, sign = j + 1, -sign
        share = share * mean / j
        below, power = below + share, power * square
    # Chances fall by four at least, so far out: the terms fall, and the first one bounds the rest.
    total += arb(0, (power * share).abs_upper())
    return total / (2 * arb.pi())


def _exact(x: Any) -> tuple[Any, Any]:
    """Middle and radius of a ball as what can be a key."""
    return tuple(x.mid().man_exp()), tuple(x.rad().man_exp())


#: Means of ramps as functions of balls, also of whole numbers as balls.
BALLS: dict[Any, Callable[..., Any]] = {
    RampMean: lambda b, variance, p: in_balls().one(b, variance, int(float(p))),
    RampPairMean: lambda *law: in_balls().pair(law[:8], *(int(float(p)) for p in law[8:])),
}
