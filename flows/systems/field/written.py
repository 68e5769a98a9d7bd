"""A field as it is written: its expressions in entries and time, and the same compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.systems.field.blocks import REFUSALS, Pairs, closed_form, entries_of
from symbolic.language.blocks import Block, shape, written_out
from symbolic.language.lower import lower
from symbolic.language.program import NotSmooth, program, tangent

__all__ = [
    "TIME",
    "Expressions",
    "Written",
    "components",
    "expressions",
    "in_closed_form",
    "written",
]

#: The time, in fields and potentials that depend on it; symbols of this name stand for it.
TIME = sp.Symbol("t", real=True)
# What plain numbers raise where a function has no value, or one beyond doubles.
NO_VALUE = (ArithmeticError, ValueError, TypeError)


@dataclass(frozen=True)
class Expressions:
    """Field, loss and potentials in the entries `y` and the time.

    Parameters
    ----------
    y : tuple of Symbol
        Entries of the blocks.
    time : Symbol
        The time.
    field : tuple of Expr
        One right side an entry.
    loss : Expr or None
        That of a gradient flow in a metric.
    potentials : tuple of (str, Expr)
        Potentials by name.
    """

    y: tuple[sp.Symbol, ...]
    time: sp.Symbol
    field: tuple[sp.Expr, ...]
    loss: sp.Expr | None
    potentials: Pairs

    @property
    def autonomous(self) -> bool:
        """Whether the field does not depend on the time."""
        return not any(f.has(self.time) for f in self.field)

    @property
    def timeless(self) -> bool:
        """Whether nothing depends on the time."""
        return self.autonomous and not any(e.has(self.time) for _, e in self.potentials)


def components(blocks: Sequence[Block], field: Any) -> tuple[Any, ...]:
    """Right sides in the order of the blocks, of a mapping by block or of a sequence.

    Raises
    ------
    InputError
        For a right side that is missing, or one too many.
    """
    expected = f"field: expected a right side for each of {', '.join(b.name for b in blocks)}"
    if isinstance(field, Mapping):
        by_name = {getattr(key, "name", str(key)): value for key, value in field.items()}
        if set(by_name) != {b.name for b in blocks}:
            raise InputError(f"{expected}, got sides for {', '.join(by_name) or 'none'}")
        return tuple(by_name[b.name] for b in blocks)
    parts = tuple(field) if isinstance(field, (list, tuple)) else (field,)
    if len(parts) != len(blocks):
        raise InputError(f"{expected}, got {len(parts)} of them")
    return parts


@functools.lru_cache(maxsize=64)
def expressions(
    blocks: tuple[Block, ...], field: tuple[Any, ...], loss: Any, potentials: Pairs
) -> Expressions:
    """Write field, loss and potentials out in entries; averages in closed form.

    Raises
    ------
    InputError
        For what cannot be written so, in one line.
    """
    moving = (*blocks, TIME)
    *y, time = entries_of(moving)
    found: list[sp.Expr] = []
    for block, given in zip(blocks, field, strict=True):
        derive = functools.partial(_parts, block, given, moving)
        found += _labelled(f"the right side of {block.name}", derive)
    plain = None if loss is None else in_closed_form("the loss", loss, blocks)
    known = tuple((k, in_closed_form(f"potential {k!r}", e, blocks)) for k, e in potentials)
    return Expressions(tuple(y), time, tuple(found), plain, known)


def in_closed_form(label: str, given: Any, blocks: Sequence[Block]) -> sp.Expr:
    """A number or an expression of the blocks and the time, in entries."""
    found: sp.Expr = _labelled(label, lambda: closed_form((*blocks, TIME), _timed(given)))
    return found


def _labelled(label: str, derive: Callable[[], Any]) -> Any:
    """What is derived, or one line about why it is not."""
    try:
        return derive()
    except InputError:
        raise
    except REFUSALS as problem:
        line = " ".join(str(problem).split())
        raise InputError(f"{label} cannot be used: {line}") from None


def _timed(given: Any) -> Any:
    """An expression with one symbol for the time, whatever was assumed of it."""
    given = sp.ImmutableMatrix(given) if isinstance(given, sp.MatrixBase) else given
    if isinstance(given, (int, float)):
        return sp.sympify(given, strict=True)
    if not isinstance(given, sp.Basic):
        raise ValueError(f"expected a SymPy expression, got {given!r:.60}")
    return given.xreplace({s: TIME for s in given.free_symbols if s.name == TIME.name})


def _parts(block: Block, given: Any, moving: tuple[Block, ...]) -> list[sp.Expr]:
    """Right sides of the entries of a block, row by row."""
    timed, size = _timed(given), shape(block)
    if not size:
        return [closed_form(moving, timed)]
    table = written_out(timed, moving)
    rows = tuple(int(k) for k in getattr(table, "shape", ()))
    if rows != tuple(int(k) for k in block.shape):
        came = f"one of shape {rows}" if rows else "a number"
        raise ValueError(f"expected a matrix of the shape {tuple(block.shape)}, got {came}")
    return [closed_form(moving, entry) for entry in sp.Matrix(table)]


class Written:
    """Field, loss and potentials compiled, for one state at a time or for many.

    Parameters
    ----------
    given : Expressions
        What is compiled.

    Raises
    ------
    InputError
        For a function with kinks, or one that doubles do not compute.
    """

    def __init__(self, given: Expressions) -> None:
        self.given = given
        y, t = given.y, given.time
        directions = tuple(sp.Symbol(f"d{s.name}", real=True) for s in (*y, t))
        self._many = self._compiled("the field", given.field, (*y, t), directions)
        steps = program(given.field)
        self._one = lower(steps.results, (*y, t), "math", steps.steps)
        named = (*(() if given.loss is None else (("loss", given.loss),)), *given.potentials)
        self.observed = {
            name: self._compiled(f"potential {name!r}", (e,), (*y, t), directions)
            for name, e in named
        }

    @functools.cached_property
    def _bent(self) -> Callable[..., Any]:
        """Second derivatives of the loss, entry by entry."""
        y, loss = self.given.y, self.given.loss
        assert loss is not None
        steps = program(list(sp.hessian(loss, y)))
        return lower(steps.results, (*y, self.given.time), "numpy", steps.steps)

    @staticmethod
    def _compiled(
        label: str,
        expressions: Sequence[sp.Expr],
        variables: tuple[sp.Symbol, ...],
        directions: tuple[sp.Symbol, ...],
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Values, and rates in a direction."""
        try:
            forward = program(expressions)
            moved = tangent(forward, variables, directions)
        except NotSmooth as kink:
            raise InputError(f"{label} cannot be used: {kink}") from None
        found = (
            lower(forward.results, variables, "numpy", forward.steps),
            lower(moved.results, (*variables, *directions), "numpy", moved.steps),
        )
        point = [np.full(2, 0.5)] * len(variables)
        try:
            _stacked(found[0], point)
            _stacked(found[1], [*point, *point])
        except (NameError, TypeError, AttributeError, ValueError, ArithmeticError) as problem:
            line = " ".join(str(problem).split())
            raise InputError(
                f"{label} cannot be used: expected functions that doubles compute ({line})"
            ) from None
        return found

    def hessian(self, y: Array) -> Array:
        """Second derivatives of the loss at one state, shape (N, N)."""
        return _stacked(self._bent, [np.full(1, x) for x in (*y.tolist(), 0.0)])[0].reshape(
            len(y), len(y)
        )

    def slope(self, y: Array, t: float) -> Array:
        """Field at one state; NaN where it has no value."""
        try:
            return np.array(self._one(*y.tolist(), t), dtype=float)
        except NO_VALUE:
            return np.full(len(y), np.nan)

    def slopes(self, y: Array, t: Array) -> Array:
        """Field at many states, shape (T, N)."""
        return _stacked(self._many[0], [*y.T, t])

    def jacobian(self, y: Array, t: float) -> Array:
        """Derivatives of the field by the entries, shape (N, N)."""
        size = len(y)
        place = [np.full(size, x) for x in (*y.tolist(), t)]
        return _stacked(self._many[1], [*place, *np.eye(size), np.zeros(size)]).T

    def value(self, name: str, y: Array, t: Array) -> Array:
        """Loss or potential at many states, shape (T,)."""
        return _stacked(self.observed[name][0], [*y.T, t])[:, 0]

    def rate(self, name: str, y: Array, t: Array, slopes: Array) -> Array:
        """Its derivative along the flow, shape (T,): that by the time is part of it."""
        return _stacked(self.observed[name][1], [*y.T, t, *slopes.T, np.ones_like(t)])[:, 0]

    def gradient(self, name: str, y: Array, t: Array) -> Array:
        """Its derivatives by the entries at many states, shape (T, N)."""
        function, zero = self.observed[name][1], np.zeros_like(t)
        axes = np.eye(y.shape[1])
        each = (
            _stacked(function, [*y.T, t, *(zero + x for x in axis), zero])[:, 0] for axis in axes
        )
        return np.stack(list(each), axis=-1)


@functools.lru_cache(maxsize=64)
def written(given: Expressions) -> Written:
    """Expressions compiled, once."""
    return Written(given)


def _stacked(function: Callable[..., Any], arguments: Sequence[Array]) -> Array:
    """Values of a function along a last axis; constants are repeated, and overflow is no error."""
    with np.errstate(all="ignore"):
        values = function(*arguments)
    size = arguments[0].shape
    return np.stack([np.broadcast_to(v, size) for v in values], axis=-1).astype(float)
