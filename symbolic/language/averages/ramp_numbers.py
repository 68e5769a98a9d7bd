"""Means of ramps in doubles and balls, by Owen's function."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from symbolic.language.averages.ramps import RampMean, RampPairMean, Ramps, upwards

__all__ = ["BALLS", "in_balls", "in_doubles", "pair_in_doubles"]

# Probabilities that are kept: the results of one gradient share them.
KEPT = 256
# Below the first, terms of the recursion upwards cancel: downwards it has all digits from so many
# terms on; below the second, doubles end.
FAR, LAST, FIRST = -2.0, -40.0, 100
ROOT = math.sqrt(2 * math.pi)
# Forms are nearly parallel where the square of their sine is less than the first number. Below the
# second one they are taken as parallel: second derivatives differ from those by the sine, and sums
# of densities, which are as large as its inverse, would leave more than that of their rounding.
NEARLY, PARALLEL = 1e-8, 1e-16
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

    def powers(b: Any, variance: Any, p: int) -> Any:
        with np.errstate(all="ignore"):
            h, b = standard(b, variance), np.asarray(b, dtype=float)
            s = np.sqrt(np.asarray(variance, dtype=float))
            found = upwards(ndtr(h), b, variance, s * np.exp(-(h**2) / 2) / ROOT, p)
            far = (h < FAR) & (s > 0)
            if p == 0 or not np.any(far):
                return found
            return np.where(far, s**p * beyond(np.clip(h, LAST, FAR), p), found)

    def beyond(h: Any, p: int) -> Any:
        """`K(p)` of a number of variance one by its recursion downwards (Miller)."""
        above, found, wanted = 0.0, np.ones_like(h), 0.0
        for k in range(FIRST, 0, -1):
            above, found = found, k * above - h * found
            wanted = found if k == p + 2 else wanted
        return np.exp(-(h**2) / 2) / ROOT * wanted / found

    def density(b: Any, variance: Any) -> Any:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            h, size = standard(b, variance), np.asarray(variance, dtype=float)
            height = np.exp(-(h**2) / 2) / (ROOT * np.sqrt(np.where(size == 0, 1.0, size)))
            return np.where(size == 0, 0.0, height)

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
            # Parallel forms: the smaller one decides, or both share the line.
            shared = np.where(k < 0, ndtr(k) - ndtr(-h), ndtr(h) - ndtr(-k))
            shared = np.maximum(shared, 0.0)
            found = np.where(area == 0, np.where(cross > 0, ndtr(np.minimum(h, k)), shared), found)
            # One form is a number.
            flat = (np.asarray(first) == 0) | (np.asarray(second) == 0)
            return np.where(flat, ndtr(h) * ndtr(k), found)

    return Ramps(powers, density, both, given, over)


def pair_in_doubles(*law: Any) -> Any:
    """Mean of two ramps; where forms are nearly parallel, both turn at one place beside rounding.

    There `V = (D b - B U)/A` has the rounding of `U`, and what cancels in derivatives does so.
    """
    import numpy as np

    b, _, first, cross, second, area, up, other_up, p, q = law
    with np.errstate(all="ignore"):
        near = np.asarray(area < NEARLY * first * second)
        along = (area * b - cross * up) / np.where(near, first, 1.0)
        other_up = np.where(near, along, other_up)
        area = np.where(np.asarray(area <= PARALLEL * first * second), 0.0, area)
    return in_doubles().pair((*law[:5], area, up, other_up), p, q)


@functools.cache
def in_balls() -> Ramps:
    """Of balls; the probability of two positive numbers is a rigorous integral."""
    from flint import arb, ctx

    HALF, EITHER = arb(0.5), arb(0.5, 0.5)

    def step(b: Any, variance: Any) -> Any:
        if variance.is_zero():
            return arb(1) if b > 0 else arb(0) if b < 0 else HALF if b.is_zero() else EITHER
        if variance > 0:
            return (-b / (2 * variance).sqrt()).erfc() / 2
        if b.contains(0):
            return EITHER
        rest = arb(0).union((b.abs_lower() / root(2 * variance).abs_upper()).erfc() / 2)
        return 1 - rest if b > 0 else rest

    def root(x: Any) -> Any:
        """Of a number that is not negative, though its ball may be."""
        return x.sqrt() if x > 0 else arb(0).union(x.abs_upper().sqrt())

    def powers(b: Any, variance: Any, p: int) -> Any:
        # `A` times the density, where the form may be without a slope.
        most = (-b * b / (2 * variance)).exp() if not variance.contains(0) else arb(0.5, 0.5)
        spread = arb(0) if variance.is_zero() else most * root(variance / (2 * arb.pi()))
        return upwards(step(b, variance), b, variance, spread, p)

    def density(b: Any, variance: Any) -> Any:
        if variance.is_zero() and (b.is_zero() or not b.contains(0)):
            return arb(0)
        if variance > 0:
            return (-b * b / (2 * variance)).exp() / (2 * arb.pi() * variance).sqrt()
        # It rises with the variance, as long as that is below the square of the mean.
        near, most = b.abs_lower(), variance.abs_upper()
        return arb(0).union(density(near, most)) if most < near * near else arb.nan()

    def both(*law: Any) -> Any:
        b, c, first, cross, second, area, *_ = law
        if first.is_zero() or second.is_zero():
            return step(b, first) * step(c, second)
        if area.is_zero():  # parallel forms: the smaller one decides, or both share the line
            one, other = step(b, first), step(c, second)
            least, shared = one.min(other), (one + other - 1).max(arb(0))
            return least if cross > 0 else shared if cross < 0 else least.union(shared)
        if not all(x.is_finite() for x in law):
            return arb.nan()
        return joint(ctx.prec, *map(_exact, law))

    @functools.lru_cache(maxsize=KEPT)
    def joint(bits: int, *parts: Any) -> Any:
        """Probability by Owen's function; a gradient asks for it several times."""
        b, c, first, cross, second, area, up, other_up = (arb(*part) for part in parts)
        across, quarter = root(area), arb(1) / 4
        if b.is_zero() and c.is_zero():
            return quarter + arb.atan2(cross, across) / (2 * arb.pi())
        h, k = b / first.sqrt(), c / second.sqrt()
        found = (normal(h) + normal(k)) / 2
        for mean, of, above, beside in ((b, h, up, c), (c, k, other_up, b)):
            if not mean.is_zero():
                found -= turn(of, above, mean, across)
            else:
                found -= quarter if beside > 0 else -quarter if beside < 0 else arb(0, 0.25)
        both_sides = b * c if not (b.is_zero() or c.is_zero()) else b + c
        if both_sides > 0:
            return found
        return found - (2 * quarter if both_sides < 0 else arb(0.25, 0.25))

    def turn(h: Any, above: Any, mean: Any, across: Any) -> Any:
        """Owen's function of a quotient, from its limit where that may be infinite."""
        if across > 0:
            return _owen(h, above / (mean * across), normal)
        if above.contains(0) or mean.contains(0):
            return arb(0, 0.25)
        left = (mean * across / above).abs_upper() / (2 * arb.pi())
        found = normal(-abs(h)) / 2 - arb(0).union(left)
        return found if (above > 0) == (mean > 0) else -found

    def normal(h: Any) -> Any:
        return (-h / arb(2).sqrt()).erfc() / 2

    def given(first: Any, second: Any, c: Any, area: Any, up: Any) -> tuple[Any, Any]:
        return (c, second) if first.is_zero() else (up / first, area / first)

    return Ramps(powers, density, both, given, lambda x, y: x if x.is_zero() else x / y)


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
    if whole < least:
        return arb(0, (whole / 4).abs_upper())
    if not (h.is_finite() and a < WIDE and whole.rad() < whole.mid()):  # it is below a quarter
        return arb(0, 0.25)
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
