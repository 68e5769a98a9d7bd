"""Kinds of compiled numbers, and the names by which a definition uses them.

A definition is a function of an :class:`Arithmetic` ``m``. It calls nothing but functions that
``m`` holds and operators, and imports no NumPy; the kind of its numbers is then a choice of who
compiles it.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call, call-arg"

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from flows.arithmetic.duals import dual
from flows.arithmetic.exponentials import exponential
from flows.arithmetic.functions import (
    root_lanes,
    root_one,
    sine_excess_lanes,
    sine_excess_one,
    turn_lanes,
)
from flows.arithmetic.kept import lean, outer
from flows.arithmetic.matrices import product_of
from flows.arithmetic.memory import SLOPES, memory
from flows.arithmetic.vectors import WIDTH, larger, magnitude, spread, where_less
from symbolic.language import lower

__all__ = ["Arithmetic", "Define", "Sizes", "doubles", "duals", "lanes", "numbers_of"]


@dataclass(frozen=True)
class Arithmetic:
    """Names that a definition may call; numbers are of one kind.

    Parameters
    ----------
    get, put : callable
        ``get(x, i)`` reads number `i` of an array, ``put(x, i, number)`` writes it.
    const : callable
        ``const(x, i)`` reads number `i` of an array of constants, which have no slopes.
    take : callable
        ``take(x, i, number)`` subtracts from number `i`.
    at : callable
        ``at(i, k)`` is one for the index `k`, zero for others.
    zero : callable
        ``zero()``, a number that sums begin with.
    root : callable
        Square root; of zero it is zero, with the slope zero.
    exp : callable
        Exponential, of numbers below 700.
    turn : callable
        ``turn(y, x)``, the angle of the vector ``(x, y)`` in ``[-pi, pi]``.
    sine_excess : callable
        ``sine_excess(t, chord, antichord)``, ``sin t - t`` for ``0 <= t <= pi``, without
        cancellation; the chords are ``2 sin(t/2)`` and ``2 cos(t/2)``.
    pick : callable
        ``pick(a, b, x, y)``: `x` where ``a < b``, else `y`.
    larger, magnitude : callable
        ``larger(x, y)`` and ``magnitude(x)``.
    held : callable
        The number as a constant: without its slopes.
    each, pairs : callable
        ``each(body)`` is ``loop(count, *rest)`` that calls ``body(i, *rest)`` for each `i`,
        ``pairs(body)`` one that calls ``body(i, j, *rest)`` for each ``i < j``.
    product : callable
        ``product(sign, left, right, kept, out, size)`` of matrices, see
        :func:`flows.arithmetic.matrices.product_of`.
    function : callable
        Makes a function of numbers callable from others.
    lowered : callable
        ``lowered(expressions, symbols)``: derived expressions as a function of numbers.
    """

    get: Any
    put: Any
    take: Any
    const: Any
    at: Any
    zero: Any
    root: Any
    exp: Any
    turn: Any
    sine_excess: Any
    pick: Any
    larger: Any
    magnitude: Any
    held: Any
    each: Any
    pairs: Any
    product: Any
    function: Any
    lowered: Any


#: A definition, and how many numbers its state, its slopes and its workspace hold for a shape.
Define = Callable[[Arithmetic], Callable[..., Any]]
Sizes = Callable[[Any], tuple[int, int, int]]


def each(body: Callable[..., None]) -> Any:
    """Compile a loop over ``i``."""
    inside = lean(body)

    @lean
    def loop(count, *rest):
        for i in range(count):
            inside(i, *rest)

    return loop


def pairs(body: Callable[..., None]) -> Any:
    """Compile a loop over ``i < j``."""
    inside = lean(body)

    @lean
    def loop(count, *rest):
        for i in range(count):
            for j in range(i + 1, count):
                inside(i, j, *rest)

    return loop


def lowered(expressions: Sequence[sp.Expr], symbols: Sequence[sp.Symbol]) -> Any:
    """Compile derived expressions, for numbers of any kind."""
    return outer(lower.lower(expressions, symbols, "math"), counts=False)


def _made(get: Any, put: Any, zero: Any, **parts: Any) -> Arithmetic:
    """Arithmetic of compiled numbers, with what all kinds have in common."""

    @lean
    def take(x, i, number):
        put(x, i, get(x, i) - number)

    at = lean(lambda i, place: 1.0 if i == place else 0.0)
    common = {"each": each, "pairs": pairs, "function": lean, "lowered": lowered}
    product = product_of(get, put, zero, lean)
    parts |= {"zero": zero, "take": take, "at": at, "product": product}
    return Arithmetic(get=get, put=put, **common, **parts)


@functools.cache
def doubles() -> Arithmetic:
    """Doubles, of which each takes one place of an array."""
    get, put = memory(1)
    return _made(
        get=get,
        put=put,
        const=get,
        zero=lean(lambda: 0.0),
        root=root_one,
        exp=lean(lambda x: math.exp(x)),
        turn=lean(lambda y, x: math.atan2(y, x)),
        sine_excess=sine_excess_one,
        pick=lean(lambda a, b, x, y: x if a < b else y),
        larger=lean(lambda x, y: x if x > y else y),
        magnitude=lean(lambda x: abs(x)),
        held=lean(lambda x: x),
    )


@functools.cache
def lanes() -> Arithmetic:
    """Vectors of `WIDTH` doubles, one of each of as many problems."""
    get, put = memory(WIDTH)
    return _made(
        get=get,
        put=put,
        const=get,
        zero=lean(lambda: spread(0.0)),
        root=root_lanes,
        exp=exponential,
        turn=turn_lanes,
        sine_excess=sine_excess_lanes,
        pick=lean(lambda a, b, x, y: where_less(a, b, x, y)),
        larger=lean(lambda x, y: larger(x, y)),
        magnitude=lean(lambda x: magnitude(x)),
        held=lean(lambda x: x),
    )


def numbers_of(count: int) -> Arithmetic:
    """Numbers of as many lanes as there are in a vector, or of one."""
    assert count in (1, WIDTH), f"there are 1 or {WIDTH} lanes, not {count}"
    return doubles() if count == 1 else lanes()


@functools.cache
def duals(over: Callable[[], Arithmetic]) -> Arithmetic:
    """Numbers of a kind with their slopes: a double along `WIDTH` directions, a lane along one."""
    base = over()
    width = WIDTH if over is lanes else 1
    get, put = memory(width, SLOPES)
    base_root, base_turn, base_excess, base_exp = base.root, base.turn, base.sine_excess, base.exp
    base_pick, base_zero, base_const = base.pick, base.zero, base.const
    choose = lanes().pick if over is lanes else lean(lambda a, b, x, y: x if a < b else y)

    @lean
    def root(x):
        found = base_root(x.value)
        slope = base_pick(0.0 * found, found, 0.5 / found, 0.0 * found)
        return dual(found, x.slope * slope)

    @lean
    def exp(x):
        found = base_exp(x.value)
        return dual(found, x.slope * found)

    @lean
    def turn(y, x):
        square = x.value * x.value + y.value * y.value
        weight = base_pick(0.0 * square, square, 1.0 / square, 0.0 * square)
        slope = y.slope * (x.value * weight) - x.slope * (y.value * weight)
        return dual(base_turn(y.value, x.value), slope)

    @lean
    def sine_excess(angle, chord, antichord):
        found = base_excess(angle.value, chord.value, antichord.value)
        return dual(found, angle.slope * (-0.5 * chord.value * chord.value))

    @lean
    def pick(a, b, x, y):
        found = base_pick(a.value, b.value, x.value, y.value)
        return dual(found, choose(a.value, b.value, x.slope, y.slope))

    return _made(
        get=get,
        put=put,
        const=base_const,
        zero=lean(lambda: dual(base_zero(), spread(0.0))),
        root=root,
        exp=exp,
        turn=turn,
        sine_excess=sine_excess,
        pick=pick,
        larger=lean(lambda x, y: pick(y, x, x, y)),
        magnitude=lean(lambda x: pick(x, x * 0.0, -x, x)),
        held=lean(lambda x: dual(x.value, x.slope * 0.0)),
    )
