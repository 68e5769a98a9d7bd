r"""Kinks of an integrand along hyperplanes, written by steps and ramps of affine forms.

.. math:: \mathrm{sign}\, z = 2 H(z) - 1, \quad |z| = 2 R(z) - z, \quad
   \max(u, v) = v + R(u - v), \qquad R(z) = z H(z)

What is left beside the symbols of steps and ramps is smooth. A function of steps takes finitely
many values: `f(H) = H f(1) + (1 - H) f(0)`, so kinks may stand in one another.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

__all__ = ["Kinks", "has_kinks", "kinks_of"]

SHARP = (sp.Max, sp.Min, sp.Abs, sp.sign, sp.Heaviside)
KINKED = (*SHARP, sp.Piecewise)
# Steps in the argument of one function: it is written for all of their values.
MOST_NESTED = 4
RELATIONS = (sp.Gt, sp.Ge, sp.Lt, sp.Le)


@dataclass(frozen=True)
class Kinks:
    """An integrand by steps and ramps.

    Parameters
    ----------
    expression : Expr
        In ``steps``, ``ramps`` and what the integrand is in; smooth where these are variables.
    forms : tuple of Expr
        Affine forms `z` of `x`, no two of which are multiples of one another.
    steps, ramps : tuple of Symbol
        `H(z)` and `R(z)` of each form.
    """

    expression: sp.Expr
    forms: tuple[sp.Expr, ...]
    steps: tuple[sp.Symbol, ...]
    ramps: tuple[sp.Symbol, ...]

    @property
    def resolved(self) -> sp.Expr:
        """The expression with `R = z H`."""
        return self.expression.xreplace(self._ramps)

    def has_jumps(self, x: Sequence[sp.Symbol]) -> bool:
        """Whether it is not seen that both sides of each kink that may move meet there."""
        for k, (form, h, r) in enumerate(zip(self.forms, self.steps, self.ramps, strict=True)):
            if not self.expression.has(h) or form.free_symbols <= set(x):
                continue
            lead = next(s for s in x if form.has(s))
            there = {lead: lead - form / sp.diff(form, lead)}
            sides = (self.expression.xreplace({h: sp.Integer(n), r: sp.S.Zero}) for n in (0, 1))
            one, other = (
                side.xreplace(
                    {
                        ramp: sp.Max(0, sp.cancel(z.xreplace(there)))
                        for j, (ramp, z) in enumerate(zip(self.ramps, self.forms, strict=True))
                        if j != k
                    }
                ).xreplace(there)
                for side in sides
            )
            if sp.expand(one - other) != 0:
                return True
        return False

    @property
    def _ramps(self) -> dict[Any, Any]:
        both = zip(self.ramps, self.forms, self.steps, strict=True)
        return {ramp: form * step for ramp, form, step in both}


def has_kinks(integrand: sp.Expr, x: Sequence[sp.Symbol], pieces: bool = True) -> bool:
    """Whether a function with kinks or jumps depends on `x`; pieces may be smooth together."""
    return any(e.has(*x) for e in integrand.atoms(*(KINKED if pieces else SHARP)))


@functools.lru_cache(maxsize=64)
def kinks_of(integrand: sp.Expr, x: tuple[sp.Symbol, ...]) -> Kinks | None:
    """Write the kinks of an integrand by steps and ramps.

    Parameters
    ----------
    integrand : Expr
        In real symbols `x` and anything else.
    x : tuple of Symbol
        The variables that are averaged over.

    Returns
    -------
    Kinks or None
        None where a kink is no hyperplane, as that of `Abs(x*y)`.

    Examples
    --------
    >>> w, x = sp.symbols("w x", real=True)
    >>> found = kinks_of(sp.Max(0, 1 - w * x) + sp.sign(w * x - 1), (x,))
    >>> found.expression, found.forms
    (-2*h0 + r0 + 1, (-w*x + 1,))
    """
    return _Writer(x).written(integrand)


class _NotFlat(Exception):
    """A kink that is no hyperplane."""


class _Writer:
    """Forms that occurred, and the rules of each function."""

    def __init__(self, x: tuple[sp.Symbol, ...]) -> None:
        self.x = x
        self.rows: list[tuple[sp.Expr, ...]] = []
        self.forms: list[sp.Expr] = []
        self.steps: list[sp.Symbol] = []
        self.ramps: list[sp.Symbol] = []

    def written(self, integrand: sp.Expr) -> Kinks | None:
        try:
            found = self.visit(integrand)
        except _NotFlat:
            return None
        return Kinks(found, tuple(self.forms), tuple(self.steps), tuple(self.ramps))

    def visit(self, e: Any) -> Any:
        if not e.args or not e.has(*self.x):
            return e
        if isinstance(e, sp.Piecewise):
            return self.pieces(e)
        steps = [a for a in e.args if isinstance(a, sp.Heaviside)] if e.is_Mul else []
        if len(steps) == 1:
            (edge,), rest = steps[0].args[:1], sp.Mul(*(a for a in e.args if a is not steps[0]))
            return self.above(self.visit(rest), self.visit(edge))
        args = [self.visit(a) for a in e.args]
        if not isinstance(e, KINKED):
            return e.func(*args)
        return self.split(lambda *parts: self.one(e, *parts), args)

    def pieces(self, e: sp.Piecewise) -> sp.Expr:
        """Pieces by steps of where each begins."""
        (first, condition), *rest = e.args
        if condition == True or not rest:  # noqa: E712 - SymPy's truth is no bool
            return self.visit(first)
        if not isinstance(condition, RELATIONS):
            raise _NotFlat
        edge = self.visit(condition.gts - condition.lts)
        one, other = self.visit(first), self.visit(sp.Piecewise(*rest))
        return other + self.above(one - other, edge)

    def above(self, value: sp.Expr, edge: sp.Expr) -> sp.Expr:
        """A value times the step of an edge: a power of its ramp, where the value is one of it."""
        known = (*self.steps, *self.ramps)
        lead = next((s for s in self.x if edge.has(s)), None)
        if lead is not None and value.is_polynomial(*self.x) and not (value + edge).has(*known):
            polynomial = sp.Poly(value, *self.x)
            power = polynomial.total_degree()
            share = polynomial.coeff_monomial(lead**power) / sp.diff(edge, lead) ** power
            if power and not share.has(*self.x) and sp.expand(value - share * edge**power) == 0:
                return share * self.ramp(edge) ** power
        return value * self.split(self.step, [edge])

    def split(self, function: Any, args: Sequence[sp.Expr]) -> sp.Expr:
        """A function of arguments with steps in them, for all values of these."""
        ramps = {r: z * h for r, z, h in zip(self.ramps, self.forms, self.steps, strict=True)}
        args = [a.xreplace(ramps) for a in args]
        inner = [h for h in self.steps if any(a.has(h) for a in args)]
        if len(inner) > MOST_NESTED:
            raise _NotFlat
        total = []
        for values in itertools.product((sp.S.One, sp.S.Zero), repeat=len(inner)):
            put = dict(zip(inner, values, strict=True))
            share = sp.Mul(*(h if value else 1 - h for h, value in put.items()))
            total.append(share * function(*(a.xreplace(put) for a in args)))
        return sp.Add(*total)

    def one(self, e: sp.Expr, *args: sp.Expr) -> sp.Expr:
        """One function of affine arguments."""
        if isinstance(e, sp.Heaviside):
            return self.step(args[0])
        if isinstance(e, sp.sign):
            return 2 * self.step(args[0]) - 1
        if isinstance(e, sp.Abs):
            return 2 * self.ramp(args[0]) - args[0]
        first, *rest = args
        sign = 1 if isinstance(e, sp.Max) else -1
        for other in rest:
            # The largest so far may have steps in it.
            first = self.split(lambda u, v: u + sign * self.ramp(sign * (v - u)), [first, other])
        return first

    def step(self, z: sp.Expr) -> sp.Expr:
        """`H(z)` by the symbol of its form."""
        if not sp.expand(z).has(*self.x):
            return sp.Heaviside(z, sp.S.Half)
        k, share = self.form(z)
        return self.steps[k] if share > 0 else 1 - self.steps[k]

    def ramp(self, z: sp.Expr) -> sp.Expr:
        """`R(z)` by the symbol of its form."""
        if not sp.expand(z).has(*self.x):
            return sp.Max(0, z)
        k, share = self.form(z)
        return share * (self.ramps[k] if share > 0 else self.forms[k] - self.ramps[k])

    def form(self, z: sp.Expr) -> tuple[int, sp.Expr]:
        """Number of the form that `z` is a multiple of, and by how much."""
        z = sp.expand(z)
        row = [sp.diff(z, s) for s in self.x]
        if any(r.has(*self.x) for r in row):
            raise _NotFlat
        row.append(z.xreplace(dict.fromkeys(self.x, sp.S.Zero)))
        lead = next(k for k, r in enumerate(row) if r != 0)
        for k, other in enumerate(self.rows):
            share = sp.cancel(row[lead] / other[lead]) if other[lead] != 0 else sp.nan
            if share.is_number and all(
                sp.expand(r - share * o) == 0 for r, o in zip(row, other, strict=True)
            ):
                return k, share
        k = len(self.rows)
        self.rows.append(tuple(row))
        self.forms.append(z)
        self.steps.append(sp.Symbol(f"h{k}", real=True))
        self.ramps.append(sp.Symbol(f"r{k}", real=True))
        return k, sp.S.One
