"""An expression of a user's, differentiated and compiled; what doubles cannot compute of it.

The program of the gradient is derived backwards, that of its directional derivative forwards
(:mod:`symbolic.language.program`); both cost a few evaluations of the loss, whatever the number of
entries.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.axis_field import Code
from flows.expectations.changes import Tape, taped
from flows.systems.own.code import coded
from symbolic.language.blocks import as_written
from symbolic.language.lower import lower
from symbolic.language.program import Program, composed, gradient, tangent

__all__ = [
    "AtNodes",
    "Numeric",
    "at_nodes",
    "between_kinks",
    "check_doubles",
    "check_pieces",
    "compiled",
    "numeric",
    "program_of",
    "quietly",
    "rates_code",
    "stacked",
    "steps_of",
    "tape_of",
]

# Numbers of an expression lie between these: nothing is 0 or infinite that should not be.
SMALLEST, LARGEST = 1e-300, 1e300

# Two pieces meet where they differ by no more than this.
SPECIAL = 1e-12


class Numeric(NamedTuple):
    """One expression compiled: `value(*y, *x)`, and with its gradient, and a direction's rates.

    Parameters
    ----------
    value, both, rates : callable
        `both` gives the value and `N` derivatives; `rates(*y, *dy, *x)` the derivatives of these
        `1 + N` numbers in the direction `dy`. They broadcast.
    """

    value: Callable[..., Any]
    both: Callable[..., Any]
    rates: Callable[..., Any]


@functools.lru_cache(maxsize=64)
def numeric(
    expression: sp.Expr,
    y: tuple[sp.Symbol, ...],
    x: tuple[sp.Symbol, ...] = (),
    backend: Any = "numpy",
) -> Numeric:
    """Differentiate and compile an expression.

    Raises
    ------
    symbolic.NotSmooth
        For an expression with kinks.
    """
    return compiled(*_derived(expression, y), y, x, backend)


def compiled(
    forward: Program,
    moved: Program,
    directions: tuple[sp.Symbol, ...],
    y: tuple[sp.Symbol, ...],
    x: tuple[sp.Symbol, ...],
    backend: Any = "numpy",
) -> Numeric:
    """Compile the programs of a gradient and of its rates."""
    value = forward.results[:1]
    return Numeric(
        lower(value, (*y, *x), backend, forward.steps),
        lower(forward.results, (*y, *x), backend, forward.steps),
        lower(moved.results, (*y, *directions, *x), backend, moved.steps),
    )


def between_kinks(
    function: Program, x: Sequence[sp.Symbol], nodes: Program, y: tuple[sp.Symbol, ...]
) -> tuple[Program, Program, tuple[sp.Symbol, ...]]:
    """Programs of a density times what a program gives, and of its rates where nodes move.

    Parameters
    ----------
    function : Program
        A function of `x` and `y`, and its gradient by `y` alone.
    x, y : sequence of Symbol
        The numbers that are averaged over, and the entries.
    nodes : Program
        The density of a node, and `x` there.
    """
    weight = sp.Dummy(real=True)
    placed = Program(function.steps, tuple(weight * result for result in function.results))
    forward = composed(nodes, (weight, *x), placed)
    directions = tuple(sp.Symbol(f"d{s.name}", real=True) for s in y)
    return forward, tangent(forward, y, directions), directions


class AtNodes(NamedTuple):
    """An integrand compiled in balls: ``still(x)`` is computed once at each node.

    Parameters
    ----------
    still : callable
        Steps without entries that others are made of.
    both, rates : callable
        As of :class:`Numeric`, with the numbers of ``still`` behind the node.
    """

    still: Callable[..., Any]
    both: Callable[..., Any]
    rates: Callable[..., Any]


@functools.lru_cache(maxsize=64)
def at_nodes(expression: sp.Expr, y: tuple[sp.Symbol, ...], x: tuple[sp.Symbol, ...]) -> AtNodes:
    """Differentiate and compile an integrand in balls."""
    forward, moved, directions = _derived(expression, y)
    fixed, known = {}, set(x)
    for symbol, step in (*forward.steps, *moved.steps):
        if step.free_symbols <= known:
            fixed[symbol] = step
            known.add(symbol)
    still = tuple(fixed)

    def code(variables: tuple[sp.Symbol, ...], program: Program) -> Callable[..., Any]:
        rest = [(symbol, step) for symbol, step in program.steps if symbol not in fixed]
        return lower(program.results, (*variables, *x, *still), "ball", rest)

    return AtNodes(
        lower(still, x, "ball", list(fixed.items())),
        code(y, Program(forward.steps, forward.results)),
        code((*y, *directions), moved),
    )


@functools.lru_cache(maxsize=64)
def _derived(
    expression: sp.Expr, y: tuple[sp.Symbol, ...]
) -> tuple[Program, Program, tuple[sp.Symbol, ...]]:
    """Programs of the gradient and of its rates, and the symbols of a direction."""
    forward = gradient(expression, y)
    directions = tuple(sp.Symbol(f"d{s.name}", real=True) for s in y)
    return forward, tangent(forward, y, directions), directions


def program_of(expression: sp.Expr, y: tuple[sp.Symbol, ...]) -> Program:
    """Program of a value and its gradient."""
    return _derived(expression, y)[0]


@functools.lru_cache(maxsize=64)
def tape_of(expression: sp.Expr, y: tuple[sp.Symbol, ...]) -> Tape | None:
    """Program of a value and its gradient, whose changes and rounding are known; or None."""
    return taped(program_of(expression, y), y)


def steps_of(expression: sp.Expr, y: tuple[sp.Symbol, ...]) -> int:
    """Steps of the program of a gradient."""
    forward = program_of(expression, y)
    return len(forward.steps) + len(forward.results)


@functools.lru_cache(maxsize=64)
def rates_code(expression: sp.Expr, y: tuple[sp.Symbol, ...]) -> Code | None:
    """Program of the rates of the gradient as data; None where a compiled loop has no such one."""
    _, moved, directions = _derived(expression, y)
    return coded((*y, *directions), moved.steps, moved.results[1:])


def check_doubles(expression: sp.Expr, compiled: Numeric, entries: int, averaged: int = 0) -> None:
    """Evaluate an expression and its derivatives once, or tell what doubles cannot compute.

    Parameters
    ----------
    expression : Expr
        The expression.
    compiled : Numeric
        The same, compiled.
    entries, averaged : int
        Numbers of its entries and of its Gaussian numbers.

    Raises
    ------
    ValueError
        For a number out of the range of doubles, or a function that is not known for arrays.
    """
    constants = (e for e in expression.atoms(sp.Number, sp.Pow, sp.Function) if e.is_number)
    for number in sorted(constants, key=sp.default_sort_key):
        size = abs(number.evalf(5))
        if size.is_Float and not (size == 0 or SMALLEST <= size <= LARGEST):
            raise ValueError(f"expected numbers that are doubles, got one of size {size.n(3)}")
    point = [np.full(2, 0.5)] * (entries + averaged)
    try:
        stacked(quietly(compiled.both, *point), (2,))
        stacked(quietly(compiled.rates, *point[:entries], *point), (2,))
    except (NameError, TypeError, AttributeError, ValueError, ArithmeticError) as problem:
        unknown = sorted({str(f.func) for f in expression.atoms(sp.Function) if not _computed(f)})
        expected = "expected functions that doubles compute"
        reason = f"{expected}, got {', '.join(unknown)}" if unknown else str(problem)
        raise ValueError(reason) from None


def check_pieces(expression: sp.Expr) -> None:
    """Refuse two pieces whose values, or slopes, differ where one condition ends, if it is linear.

    Where they meet is solved for one entry; the others have values with nothing special about them.
    """
    for pieces in expression.atoms(sp.Piecewise):
        for (one, condition), (other, _) in itertools.pairwise(pieces.args):
            if not isinstance(condition, (sp.Gt, sp.Ge, sp.Lt, sp.Le)):
                continue
            edge, jump = condition.lhs - condition.rhs, one - other
            symbols = edge.free_symbols
            linear = (x for x in symbols if edge.diff(x).is_number)
            x = min(linear, key=str, default=None)
            if x is None:
                continue
            where = x - edge / edge.diff(x)
            rest = sorted(jump.free_symbols | edge.free_symbols - {x}, key=str)
            usual = {y: sp.Rational(2 * k + 3, k + 7) for k, y in enumerate(rest) if y != x}
            gaps = [gap.subs(x, where).subs(usual) for gap in (jump, jump.diff(x))]
            if any(gap.is_number and abs(gap.evalf()) > SPECIAL for gap in gaps):
                shown = edge.xreplace({s: sp.Symbol(as_written(s.name)) for s in symbols})
                raise ValueError(f"Piecewise has kinks where {shown} = 0: take smooth pieces")


def _computed(function: sp.Expr) -> bool:
    """Whether a function can be evaluated on arrays, whatever its arguments are."""
    names = [a if a.is_number else sp.Symbol(f"a{k}") for k, a in enumerate(function.args)]
    symbols = [a for a in names if isinstance(a, sp.Symbol)]
    try:
        quietly(lower([function.func(*names)], symbols), *[np.full(2, 0.5)] * len(symbols))
    except (NameError, TypeError, AttributeError, ValueError, ArithmeticError):
        return False
    return True


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """Overflow in a solver's trial step is infinite and no warning."""
    with np.errstate(all="ignore"):
        return function(*args)


def stacked(values: Sequence[Any], shape: tuple[int, ...]) -> Array:
    """Values along a last axis; constants are repeated."""
    if not shape:
        return np.array(values, dtype=float)
    found = np.empty((*shape, len(values)))
    for place, value in enumerate(values):
        found[..., place] = value
    return found
