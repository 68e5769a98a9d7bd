"""Numbers of plain Python in lists: a definition runs on them without being compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from flows.arithmetic.matrices import product_of
from flows.arithmetic.numbers import Arithmetic, Define, Sizes
from symbolic.language import lower
from symbolic.language.primitives import SinMinusArg

__all__ = ["balls", "decimals", "field_of", "floats"]


def _each(body: Callable[..., None]) -> Any:
    def loop(count: int, *rest: Any) -> None:
        for i in range(count):
            body(i, *rest)

    return loop


def _pairs(body: Callable[..., None]) -> Any:
    def loop(count: int, *rest: Any) -> None:
        for i in range(count):
            for j in range(i + 1, count):
                body(i, j, *rest)

    return loop


def _put(x: Any, i: int, number: Any) -> None:
    x[i] = number


def _take(x: Any, i: int, number: Any) -> None:
    x[i] = x[i] - number


def _numbers(backend: lower.Backend, zero: Any, root: Any, exp: Any, turn: Any) -> Arithmetic:
    """Arithmetic of numbers with this zero, root, exponential and angle."""
    t = sp.Symbol("t")
    excess = lower.lower((SinMinusArg(t),), (t,), backend)
    read, function = (lambda x, i: x[i]), (lambda text: text)
    return Arithmetic(
        get=read,
        put=_put,
        take=_take,
        const=lambda x, i: x[i],
        at=lambda i, place: int(i == place),
        zero=lambda: zero,
        root=lambda x: root(x) if x > 0 else zero,
        exp=exp,
        turn=turn,
        sine_excess=lambda angle, chord, antichord: excess(angle)[0],
        pick=lambda a, b, x, y: x if a < b else y,
        larger=lambda x, y: x if x > y else y,
        magnitude=lambda x: -x if x < 0 else x,
        held=lambda x: x,
        each=_each,
        pairs=_pairs,
        product=product_of(read, _put, lambda: zero, function),
        function=function,
        lowered=lambda expressions, symbols: lower.lower(expressions, symbols, backend),
    )


def floats() -> Arithmetic:
    """Doubles, one operation after the other: to look at what a definition does."""
    return _numbers("numpy", 0.0, math.sqrt, math.exp, math.atan2)


def decimals() -> Arithmetic:
    """Numbers of mpmath with as many digits as are set where the definition runs."""
    from mpmath import mp

    return _numbers("mpmath", mp.zero, mp.sqrt, mp.exp, mp.atan2)


def balls() -> Arithmetic:
    """Balls of python-flint, thin ones: many digits, five times as fast as by mpmath.

    Where a ball does not decide which of two values to pick, it is the second: on wide balls that
    is no enclosure.
    """
    from flint import arb

    return _numbers("ball", arb(0), lambda x: arb(x).sqrt(), lambda x: arb(x).exp(), arb.atan2)


def field_of(define: Define, sizes: Sizes, m: Arithmetic) -> Callable[..., list[Any]]:
    """Field ``field(x, weights, shape)`` of a definition, a list of slopes.

    Parameters
    ----------
    define, sizes : callable
        Of the definition.
    m : Arithmetic
        One of this module.
    """
    field = define(m)

    def found(x: Sequence[Any], weights: Sequence[Any], shape: Sequence[int]) -> list[Any]:
        size, rows, room = sizes(shape)
        out = [m.zero()] * rows
        field(list(x), weights, shape, out, [m.zero()] * room)
        return out[:size]

    return found
