r"""How large an integrand is far out: ``|f| <= p e^(q r)`` at real inputs, ``r = sum |x_i|``.

Of each step ``z`` is known, where it can be,

- ``size = (p, q)``: ``|z| <= p e^(q r)``;  ``line = (p, q)``: ``|z| <= p + q r``;
- ``least = (p, q)``: ``z >= p e^(-q r)``, ``p >= 0``;  ``top``: ``z <= top``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from flint import arb, fmpq

from flows.certificates.verifier.functions import OF_ONE, power
from flows.certificates.verifier.reading import require

__all__ = ["Size", "sizes"]

Pair = tuple[arb, arb]
ZERO, ONE = arb(0), arb(1)
UNKNOWN = "how an integrand grows far out is not known"
# An affine step is at most so many times its slope, times an exponential.
WIDE = 4


class Size(NamedTuple):
    """What is known of a step; None where nothing is. Of one that no input moves, its value."""

    size: Pair
    line: Pair | None = None
    least: Pair | None = None
    top: arb | None = None
    value: Any = None


def sizes(lines: Sequence[Any], x: Sequence[arb]) -> list[Size]:
    """Of each step, where variables are in these balls and all others are inputs."""
    found: list[Size] = []
    for kind, a, b in lines:
        if kind == "variable":
            found.append(_number(x[a]) if a < len(x) else _affine(ZERO, ONE))
        elif kind in ("number", "pi"):
            found.append(_number(arb.pi() if kind == "pi" else arb(a)))
        elif kind in ("plus", "times"):
            found.append((_plus if kind == "plus" else _times)(found[a], found[b]))
        else:
            require(kind == "power" or kind in OF_ONE, UNKNOWN)
            found.append(_power(found[a], b) if kind == "power" else _of_one(kind, found[a]))
    return found


def _number(v: arb) -> Size:
    pair = v.abs_upper(), ZERO
    return Size(pair, pair, (v.lower(), ZERO) if v >= 0 else None, v.upper(), v)


def _affine(p: arb, q: arb, **more: Any) -> Size:
    """Of ``|z| <= p + q r``, which is at most ``a e^(q r/a)`` for every ``a >= p``."""
    a = p.max(WIDE * q) if q > 0 else p
    return Size((a, (q / a).upper() if q > 0 else ZERO), (p, q), **more)


def _bounded(p: arb, q: arb, **more: Any) -> Size:
    """Of ``|z| <= p e^(q r)``."""
    return Size((p, q), (p, ZERO) if q == 0 else None, **{"top": p if q == 0 else None, **more})


def _plus(a: Size, b: Size) -> Size:
    if a.value is not None and b.value is not None:
        return _number(a.value + b.value)
    size = a.size[0] + b.size[0], a.size[1].max(b.size[1])
    line = (a.line[0] + b.line[0], a.line[1] + b.line[1]) if a.line and b.line else None
    top = None if a.top is None or b.top is None else a.top + b.top
    least = None
    if a.least and b.least:
        (p, q), (s, t) = a.least, b.least
        least = (p + s, q) if q == t else a.least if p > 0 and (q < t or not s > 0) else b.least
    return Size(size, line, least, top)


def _times(a: Size, b: Size) -> Size:
    if a.value is not None and b.value is not None:
        return _number(a.value * b.value)
    a, b = (b, a) if b.value is not None else (a, b)
    least = (a.least[0] * b.least[0], a.least[1] + b.least[1]) if a.least and b.least else None
    if a.value is None:
        return _bounded(a.size[0] * b.size[0], a.size[1] + b.size[1], least=least)
    much, up, down = a.size[0], a.value >= 0, a.value <= 0
    line = (much * b.line[0], much * b.line[1]) if b.line else None
    top = a.value * b.top if up and b.top is not None else None
    if down and b.least:
        top = a.value * b.least[0] if b.least[1] == 0 else ZERO
    if down and b.top is not None and b.top <= 0:
        least = a.value * b.top, ZERO
    return Size((much * b.size[0], b.size[1]), line, least, None if top is None else top.upper())


def _power(a: Size, k: Fraction) -> Size:
    if a.value is not None:
        return _number(power(a.value, k))
    if k.denominator == 1 and k > 0:
        made = functools.reduce(_times, [a] * int(k))
        return made._replace(least=(ZERO, ZERO)) if k % 2 == 0 and not made.least else made
    require(a.least and a.least[0] > 0, UNKNOWN)
    assert a.least
    n, ends = arb(fmpq(abs(k.numerator), k.denominator)), (a.size, a.least)
    (p, q), (s, t) = ends if k > 0 else ((1 / x, y) for x, y in reversed(ends))
    return _bounded(p**n, q * n, least=(s**n, t * n))


def _of_one(kind: str, a: Size) -> Size:
    if a.value is not None:
        return _number(OF_ONE[kind](a.value))
    if kind == "log":
        require(a.least and a.least[0] > 0, UNKNOWN)
        assert a.least
        (p, q), (s, t) = a.size, a.least
        low = s.log() if t == 0 else -ONE
        more = {"least": (low, ZERO)} if low >= 0 else {}
        return _affine(abs(p.log()).max(abs(s.log())), q.max(t), **more)
    if kind in ("exp", "sinh", "cosh"):
        if kind == "exp" and a.top is not None:
            far = ((-a.line[0]).exp(), a.line[1]) if a.line else (ZERO, ZERO)
            return _bounded(a.top.exp(), ZERO, least=far)
        require(a.line, UNKNOWN)
        assert a.line
        p, q = a.line
        least = {"exp": ((-p).exp(), q), "cosh": (ONE, ZERO)}.get(kind)
        return _bounded(p.exp(), q, least=least)
    require(kind in ("tanh", "erf", "sin", "cos", "atan"), UNKNOWN)
    return _bounded(arb.pi() / 2 if kind == "atan" else ONE, ZERO)
