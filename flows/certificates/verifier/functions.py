"""Functions of real balls and of complex boxes, each refused where it may not be analytic.

On a real ball a function has to be smooth, on a complex box it has to be analytic: one formula for
all of the box. What has poles alone needs no condition, since a box with a pole has no finite
value. With ``s >= 0`` and a cosine up to the same factor,

- ``angle(s, c)`` is the angle of the point ``(c, s)``, continued across ``s = 0``: on the plane
  without the ray ``c = 0, s <= 0``, which is simply connected;
- ``bent(s, c) = s - c angle(s, c)`` and ``flat(s, c) = angle(s, c) - s c/(s^2 + c^2)``.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import acb, arb, fmpq

from flows.certificates.verifier.reading import require

__all__ = ["ANYWHERE", "OF_ONE", "OF_TWO", "power"]

# Balls of a larger radius have their ends looked at.
WIDE = 2.0**-10
APART = "a function may not be smooth there"


def power(x: Any, k: Fraction) -> Any:
    """Power; a whole one of a real ball is as narrow as it is."""
    if k.denominator == 1:
        return _whole(x if k.numerator > 0 else 1 / x, abs(k.numerator))
    require(_right(x) > 0, APART)
    root = x.sqrt() if k.denominator == 2 else x ** arb(fmpq(1, k.denominator))
    return power(root, Fraction(k.numerator))


def _whole(x: Any, n: int) -> Any:
    """Power, of what may contain zero too."""
    if isinstance(x, arb) and x.contains(0):  # even ones have their least value there
        ends = [arb(0)] if n % 2 == 0 else [x.lower() ** n, x.upper() ** n]
        return ends[0].union(x.abs_upper() ** n if n % 2 == 0 else ends[1])
    if n == 2:
        return x * x
    found = x**n
    if not found.is_finite():  # as of a box around zero
        found = x
        for _ in range(n - 1):
            found = found * x
    return found


def _right(x: Any) -> Any:
    """Real part."""
    return x.real if isinstance(x, acb) else x


def _log(x: Any) -> Any:
    require(_right(x) > 0, APART)
    return x.log()


def _between(x: Any, f: Callable[[Any], Any]) -> Any:
    """A function whose cuts are the real numbers from 1 on, and up to -1."""
    off = isinstance(x, acb) and (x.imag > 0 or x.imag < 0)
    require(off or abs(_right(x)) < 1, APART)
    return f(x)


def _atan(x: Any) -> Any:
    """Its cuts are the imaginary numbers from i on, and up to -i."""
    if isinstance(x, acb):
        require(x.real > 0 or x.real < 0 or abs(x.imag) < 1, APART)
    return x.atan()


def _tanh(x: Any) -> Any:
    """Of a box ``(sinh 2a + i sin 2b)/(cosh 2a + cos 2b)``, whose bounds end at its poles only."""
    if not isinstance(x, acb):
        wide = float(x.rad()) > WIDE
        return arb(x.lower()).tanh().union(arb(x.upper()).tanh()) if wide else x.tanh()
    a, b = 2 * x.real, 2 * x.imag
    small = (1 / a.abs_lower().cosh()).union(1 / a.abs_upper().cosh())
    below = 1 + b.cos() * small
    return acb(_tanh(a) / below, b.sin() * small / below)


def angle(s: Any, c: Any) -> Any:
    """Angle of a sine and a cosine up to a factor."""
    aside, above = _right(c) > 0 or _right(c) < 0, _right(s) > 0
    require(aside or above, APART)
    flat = aside and not (above and abs(_right(c).mid()) < abs(_right(s).mid()))
    turned = _atan(s / c if flat else c / s)
    if not flat:
        return arb.pi() / 2 - turned
    return turned if _right(c) > 0 else turned + arb.pi()


def bent(s: Any, c: Any) -> Any:
    """``s - c angle(s, c)``, which is ``s^3/(3 c^2)`` for small ``s/c``."""
    return s - c * angle(s, c)


def flat(s: Any, c: Any) -> Any:
    """``angle(s, c) - s c/(s^2 + c^2)``."""
    return angle(s, c) - s * c / (power(s, Fraction(2)) + power(c, Fraction(2)))


def _anywhere(s: Any, c: Any) -> Any:
    """An angle from 0 to pi, or of a point to the right, where it may jump too."""
    require(s >= 0 or c > 0, APART)
    return angle(s, c) if s > 0 or c > 0 or c < 0 else arb.pi() * arb(0).union(1)


#: Functions by their names in a file.
OF_ONE: dict[str, Callable[[Any], Any]] = {
    "log": _log,
    "tanh": _tanh,
    "atan": _atan,
    "asin": lambda x: _between(x, lambda z: z.asin()),
    "acos": lambda x: _between(x, lambda z: z.acos()),
    **{
        name: lambda x, name=name: getattr(x, name)()  # type: ignore[misc]
        for name in ("exp", "erf", "sin", "cos", "tan", "sinh", "cosh")
    },
}
OF_TWO: dict[str, Callable[[Any, Any], Any]] = {"angle": angle, "bent": bent, "flat": flat}
#: The same on real balls that may hold the point zero, as bounds of their values.
ANYWHERE: dict[str, Callable[[Any, Any], Any]] = {
    "angle": _anywhere,
    "bent": lambda s, c: s - c * _anywhere(s, c),
    "flat": lambda s, c: _anywhere(s, c) - s * c / (power(s, Fraction(2)) + power(c, Fraction(2))),
}
