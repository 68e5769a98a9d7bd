"""Straight-line programs: an expression as a list of small steps, and its exact derivatives.

Differentiating a large expression by each of `N` variables gives `N` large expressions. As a list
of small steps it is differentiated once, backwards, and the gradient costs a few times as much as
the expression whatever `N` is (reverse accumulation); the derivative of that in a direction,
forwards, gives a Hessian times a vector. Sums and products are differentiated here, everything else
by SymPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.core.function import Application

__all__ = ["NotSmooth", "Program", "composed", "gradient", "program", "tangent"]

# What derivatives of functions with kinks are made of.
_STEPS = (sp.DiracDelta, sp.Heaviside, sp.sign)
_KINKS = (*_STEPS, sp.Derivative, sp.Subs)
# A compiler that reads a sum of thousands of terms runs out of its stack.
_LONG = 256


class NotSmooth(ValueError):
    """An expression without the derivatives that a flow and its Jacobian need."""


@dataclass(frozen=True)
class Program:
    """Steps `symbol = expression` in order, and results in their symbols.

    Parameters
    ----------
    steps : tuple of (Symbol, Expr)
        Each expression is in variables and symbols of earlier steps.
    results : tuple of Expr
        What is computed.
    """

    steps: tuple[tuple[sp.Symbol, sp.Expr], ...]
    results: tuple[sp.Expr, ...]

    @property
    def expressions(self) -> tuple[sp.Expr, ...]:
        """The results written out in the variables."""
        known: dict[Any, Any] = {}
        for symbol, step in self.steps:
            known[symbol] = step.xreplace(known)
        return tuple(result.xreplace(known) for result in self.results)


def program(expressions: Sequence[sp.Expr]) -> Program:
    """Take expressions apart into steps of one operation; what occurs twice is one step.

    Parameters
    ----------
    expressions : sequence of Expr
        What the program computes.

    Returns
    -------
    Program
        Its results are symbols of steps, variables or numbers.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> len(program([(x + 1) ** 2, (x + 1) ** 3]).steps)
    3
    """
    known: dict[Any, Any] = {}
    steps: list[tuple[sp.Symbol, sp.Expr]] = []

    def visit(e: Any) -> Any:
        if not e.args:
            return e
        if e not in known:
            args = [visit(x) for x in e.args]
            step = _total(args, "t", steps) if e.is_Add else e.func(*args)
            # A condition is not a number, and a number needs no step.
            is_step = isinstance(e, sp.Expr) and step.free_symbols
            known[e] = _next("s", steps) if is_step else step
            if is_step:
                steps.append((known[e], step))
        return known[e]

    results = tuple(visit(e) for e in expressions)
    return Program(tuple(steps), results)


def composed(first: Program, symbols: Sequence[sp.Symbol], then: Program) -> Program:
    """Program of one whose variables ``symbols`` are the results of another.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> composed(program([x + 1]), (y,), gradient(y**2, (y,))).expressions
    ((x + 1)**2, 2*x + 2)
    """
    known: dict[Any, Any] = dict(zip(symbols, first.results, strict=True))
    steps = list(first.steps)
    for symbol, step in then.steps:
        known[symbol] = _named(step.xreplace(known), "p", steps)
    return Program(tuple(steps), tuple(result.xreplace(known) for result in then.results))


def gradient(expression: sp.Expr, variables: Sequence[sp.Symbol]) -> Program:
    """Program of an expression and its partial derivatives.

    Parameters
    ----------
    expression : Expr
        What is differentiated.
    variables : sequence of Symbol
        By what.

    Returns
    -------
    Program
        Results: the expression, then one derivative a variable.

    Raises
    ------
    NotSmooth
        For a function with kinks, such as `Abs` or `Max`.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> gradient(sp.exp(x * y), (x, y)).expressions
    (exp(x*y), y*exp(x*y), x*exp(x*y))
    """
    forward = program([expression])
    steps = list(forward.steps)
    (value,) = forward.results
    shares: dict[Any, list[Any]] = {value: [sp.S.One]}
    known = _functions(steps)
    for symbol, step in reversed(forward.steps):
        share = _named(_total(shares.get(symbol, ()), "t", steps), "b", steps)
        for part, partial in _partials(step):
            slope = _shared(partial, steps, known)
            shares.setdefault(part, []).append(share * slope)
    slopes = [_total(shares.get(x, ()), "t", steps) for x in variables]
    return Program(tuple(steps), (value, *slopes))


def tangent(
    of: Program, variables: Sequence[sp.Symbol], directions: Sequence[sp.Symbol]
) -> Program:
    """Program of the derivatives of all results in a direction.

    Parameters
    ----------
    of : Program
        What is differentiated.
    variables, directions : sequence of Symbol
        The direction's entries, one a variable.

    Returns
    -------
    Program
        One result for each of `of`.

    Raises
    ------
    NotSmooth
        For a function with kinks.

    Examples
    --------
    >>> x, dx = sp.symbols("x dx")
    >>> tangent(gradient(x**3, (x,)), (x,), (dx,)).expressions
    (3*dx*x**2, 6*dx*x)
    """
    rates: dict[Any, Any] = dict(zip(variables, directions, strict=True))
    # All values first: a rate may call a function whose value a later step has.
    steps = list(of.steps)
    known = _functions(steps)

    def rate(step: sp.Expr) -> sp.Expr:
        moving = ((x, d) for x, d in _partials(step) if rates.get(x, 0) != 0)
        terms = [rates[part] * _shared(partial, steps, known) for part, partial in moving]
        return _total(terms, "t", steps)

    for symbol, step in of.steps:
        rates[symbol] = _named(rate(step), "d", steps)
    results = [rate(result) for result in of.results]
    return Program(tuple(steps), tuple(results))


def _partials(step: sp.Expr) -> list[tuple[sp.Symbol, sp.Expr]]:
    """Derivative by each symbol in the order of their names; of a sum, term by term."""
    found: dict[sp.Symbol, list[sp.Expr]] = {}
    for term in sp.Add.make_args(step):
        for part in term.free_symbols:
            found.setdefault(part, []).append(_partial(term, part))
    return [(part, sp.Add(*found[part])) for part in sorted(found, key=lambda s: s.name)]


def _partial(term: sp.Expr, part: sp.Symbol) -> sp.Expr:
    """Derivative of a product by the rule, of anything else by SymPy."""
    if term == part:
        return sp.S.One
    if term.is_Mul:
        moving = [k for k, x in enumerate(term.args) if part in x.free_symbols]
        return sp.Add(
            *(
                sp.Mul(*term.args[:k], _partial(term.args[k], part), *term.args[k + 1 :])
                for k in moving
            )
        )
    found = sp.diff(term, part)
    if found.has(*_KINKS):
        steps = found.has(*_STEPS) or isinstance(term, (sp.floor, sp.ceiling, sp.frac))
        why = "kinks: its derivative is not a function" if steps else "no derivative that is known"
        raise NotSmooth(f"{type(term).__name__} has {why}")
    return found


def _functions(steps: Sequence[tuple[sp.Symbol, sp.Expr]]) -> dict[sp.Expr, sp.Symbol]:
    """Steps that are values of functions, such as `exp(s)` but not `s + 1`, which costs nothing."""
    return {step: symbol for symbol, step in steps if isinstance(step, Application)}


def _shared(
    slope: sp.Expr, steps: list[tuple[sp.Symbol, sp.Expr]], known: dict[sp.Expr, sp.Symbol]
) -> sp.Expr:
    """A derivative whose functions are steps, each computed once: that of `exp` is `exp` again."""
    # Conditions are no numbers, and the variable of an integral means nothing outside of it.
    calls = (e for e in slope.atoms(Application) if isinstance(e, sp.Expr))
    free = [e for e in calls if e.free_symbols <= slope.free_symbols]
    for call in sorted(free, key=lambda e: (sp.count_ops(e), str(e))):
        bare = call.xreplace(known)
        if bare not in known:
            known[bare] = _named(bare, "f", steps)
        known[call] = known[bare]
    return slope.xreplace(known)


def _named(expression: sp.Expr, letter: str, steps: list[tuple[sp.Symbol, sp.Expr]]) -> Any:
    """Symbol of a new step, unless the expression is one already."""
    if not expression.args:
        return expression
    symbol = _next(letter, steps)
    steps.append((symbol, expression))
    return symbol


def _total(
    terms: Sequence[sp.Expr], letter: str, steps: list[tuple[sp.Symbol, sp.Expr]]
) -> sp.Expr:
    """Sum; a long one in parts, each of them a step."""
    while len(terms) > _LONG:
        parts = (terms[k : k + _LONG] for k in range(0, len(terms), _LONG))
        terms = [_named(sp.Add(*part), letter, steps) for part in parts]
    return sp.Add(*terms)


def _next(letter: str, steps: list[tuple[sp.Symbol, sp.Expr]]) -> sp.Symbol:
    return sp.Symbol(f"_{letter}{len(steps)}", real=True)
