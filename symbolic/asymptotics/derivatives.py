r"""Value, gradient and Hessian of a form, in each kind of numbers by one text.

A polynomial is taken by its terms, a sum of powers of quadratic forms by its matrices, anything
else by programs of SymPy's derivatives. Signs are constant nearby: a kink of degree above two is
twice differentiable, with the derivatives of the form in which its sign is a number.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.numbers import BALLS, DOUBLES, EXACT, Kind
from symbolic.asymptotics.powers import Powers
from symbolic.asymptotics.signs import Signed
from symbolic.asymptotics.terms import Terms, seconds
from symbolic.language.program import gradient, tangent

__all__ = ["BALLS", "DOUBLES", "EXACT", "Derivatives", "derivatives"]

# Far below the square of any entry.
TINY = sp.Float(1e-200)


@dataclass(frozen=True)
class Derivatives:
    """Functions of the variables.

    Parameters
    ----------
    first : callable
        Value, and gradient.
    second : callable
        Hessian, in rows.
    """

    first: Callable[[Any], tuple[Any, Any]]
    second: Callable[[Any], Any]


@functools.lru_cache(maxsize=32)
def derivatives(form: sp.Expr, z: tuple[sp.Symbol, ...], kind: Kind) -> Derivatives:
    """Derivatives of a form in one kind of numbers.

    Parameters
    ----------
    form : Expr
        Homogeneous of a degree above two, without other symbols than `z`.
    z : tuple of Symbol
        The variables.
    kind : Kind
        The numbers.
    """
    terms = Terms.of(form, z)
    if terms is not None and kind is not DOUBLES:
        return Derivatives(*terms.functions(kind))
    if terms is not None and (arrays := seconds(terms)) is not None:
        return Derivatives(arrays.first, arrays.second)
    if (powers := Powers.of(form, z)) is None:
        return _programmed(form, z, kind)
    if kind is DOUBLES:
        return Derivatives(lambda at: powers.evaluated(at)[:2], lambda at: powers.evaluated(at)[2])
    return Derivatives(*powers.functions(kind))


def _programmed(form: sp.Expr, z: tuple[sp.Symbol, ...], kind: Kind) -> Derivatives:
    signed = Signed.of(_lifted(form) if kind is DOUBLES else form)
    slope = gradient(signed.expression, z)
    arguments, steps = (*z, *signed.signs), tuple(sp.Symbol(f"d{v.name}", real=True) for v in z)
    signs = signed.compiled(z, kind)
    values = kind.compiled(slope.results, arguments, slope.steps)

    @functools.cache
    def rates() -> Callable[..., Any]:
        bend = tangent(slope, z, steps)
        return kind.compiled(bend.results[1:], (*arguments, *steps), bend.steps)

    def first(at: Sequence[Any]) -> tuple[Any, Any]:
        with np.errstate(all="ignore"):
            value, *found = values(*at, *signs(*at))
        return (float(value), np.array(found, dtype=float)) if kind is DOUBLES else (value, found)

    def second(at: Sequence[Any]) -> Any:
        with np.errstate(all="ignore"):
            return kind.along(rates(), (*at, *signs(*at)), len(z))

    return Derivatives(first, second)


def _lifted(form: sp.Expr) -> sp.Expr:
    """Form whose roots have derivatives in doubles where they vanish: 0 instead of 0/0."""
    return form.replace(
        lambda e: e.is_Pow and e.exp.is_Rational and not e.exp.is_Integer and e.base.free_symbols,
        lambda e: (e.base + TINY) ** e.exp,
    )
