"""The arithmetic of JAX: numbers are entries of arrays, and loops are index arrays.

A loop body runs once, with the array of all indices in the place of one, so that the traced program
does not grow with their number.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flows.arithmetic.functions import SINE, SWITCH
from flows.arithmetic.matrices import Part
from flows.arithmetic.numbers import Arithmetic, Define, Sizes
from symbolic.language import lower

__all__ = ["field_of", "traced", "value_of"]


class Cells:
    """An array that is written; an index may be an array of places, also the same ones."""

    def __init__(self, count: int) -> None:
        self.array: Any = jnp.zeros(count)

    def __getitem__(self, i: Any) -> Any:
        return self.array[i]


def _put(x: Cells, i: Any, number: Any) -> None:
    x.array = x.array.at[i].set(number)


def _take(x: Cells, i: Any, number: Any) -> None:
    x.array = x.array.at[i].add(-number)


def _root(x: Any) -> Any:
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


def _turn(y: Any, x: Any) -> Any:
    none = (y == 0) & (x == 0)
    return jnp.where(none, 0.0, jnp.arctan2(y, jnp.where(none, 1.0, x)))


def _sine_excess(angle: Any, chord: Any, antichord: Any) -> Any:
    near = jnp.minimum(angle, SWITCH)
    square: Any = near * near
    total: Any = float(SINE[-1])
    for c in SINE[-2::-1]:
        total = float(c) + square * total
    return jnp.where(angle < SWITCH, near * square * total, 0.5 * chord * antichord - angle)


def _each(body: Callable[..., None]) -> Any:
    return lambda count, *rest: body(np.arange(count), *rest) if count else None


def _pairs(body: Callable[..., None]) -> Any:
    return lambda count, *rest: body(*np.triu_indices(count, 1), *rest) if count > 1 else None


def _matrix(part: Part, d: int, c: int) -> Any:
    numbers = part.array[part.first : part.first + c * d * d].reshape(d, d, c)
    found = numbers[..., 0] if c == 1 else jax.lax.complex(numbers[..., 0], numbers[..., 1])
    return found.conj().T if part.turned else found


def _product(sign: Any, left: Part, right: Part, kept: bool, out: Part, size: Any) -> None:
    d, c = size
    found = sign * (_matrix(left, d, c) @ _matrix(right, d, c))
    parts = found if c == 1 else jnp.stack([found.real, found.imag], axis=-1)
    place, cells = slice(out.first, out.first + c * d * d), out.array
    before = cells.array[place] if kept else 0.0
    cells.array = cells.array.at[place].set(before + parts.ravel())


@functools.cache
def traced() -> Arithmetic:
    """Entries of arrays that JAX traces."""
    return Arithmetic(
        get=lambda x, i: x[i],
        put=_put,
        take=_take,
        const=lambda x, i: x[i],
        at=lambda i, place: (np.asarray(i) == place) * 1.0,
        zero=lambda: 0.0,
        root=_root,
        exp=jnp.exp,
        turn=_turn,
        sine_excess=_sine_excess,
        pick=lambda a, b, x, y: jnp.where(a < b, x, y),
        larger=jnp.maximum,
        magnitude=jnp.abs,
        held=jax.lax.stop_gradient,
        each=_each,
        pairs=_pairs,
        product=_product,
        function=lambda text: text,
        lowered=lambda expressions, symbols: lower.lower(expressions, symbols, "jax"),
    )


@functools.cache
def field_of(define: Define, sizes: Sizes, shape: tuple[int, ...]) -> Callable[[Any, Any], Any]:
    """Field ``field(x, weights)`` of one shape: always the same function, which compiles once."""
    field, (size, rows, room) = define(traced()), sizes(shape)

    def raw(x: Any, weights: Any) -> Any:
        out = Cells(rows)
        field(x, weights, shape, out, Cells(room))
        return out.array[:size]

    return raw


@functools.cache
def value_of(define: Define, sizes: Sizes, shape: tuple[int, ...]) -> Callable[[Any, Any], Any]:
    """Value ``value(x, weights)`` of a definition of one number, see :func:`field_of`."""
    value, (_, rows, room) = define(traced()), sizes(shape)

    def found(x: Any, weights: Any) -> Any:
        return value(x, weights, shape, Cells(rows), Cells(room))

    return found
