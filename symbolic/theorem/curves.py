"""The kernel's questions to SymPy: curves of one variable on an interval, and bounds of pi."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp

from symbolic.evidence.identity import Evidence, examine
from symbolic.theorem.terms import Poly, Refused, atoms, names

__all__ = ["pi_between", "prove"]


def pi_between(least: Fraction, most: Fraction) -> bool:
    """Whether `least < pi < most`."""
    return bool(sp.Rational(least) < sp.pi) and bool(sp.pi < sp.Rational(most))


def prove(e: Poly, name: str, low: Poly, high: Poly) -> None:
    """Refuse a curve of x, sin and cos that is not PROVED to be at least 0 on an open interval."""
    if not names(e) <= {name, "pi"} or name in ("n", "t", "pi"):
        raise Refused("more than one name")
    if not names(low) | names(high) <= {"pi"}:
        raise Refused("the ends must be numbers")
    if any(a[0] not in ("s", "sin", "cos") for a in atoms(e)):
        raise Refused("only x, sin and cos")
    x, (ends, f) = sp.Symbol(name, real=True), ([_sympy(low), _sympy(high)], _sympy(e))
    if not ends[0] < ends[1]:
        raise Refused("the interval is empty")
    finding = examine(f, sp.S.Zero, ((x, *ends),), ">=")
    if finding.evidence is not Evidence.PROVED:
        raise Refused(f"not PROVED: {finding.reason}")


def _sympy(p: Poly) -> sp.Expr:
    def one(a: Any) -> sp.Expr:
        if a[0] == "s":
            return sp.pi if a[1] == "pi" else sp.Symbol(a[1], real=True)
        return {"sin": sp.sin, "cos": sp.cos}[a[0]](_sympy(a[1]))

    return sp.Add(*(sp.Rational(c) * sp.Mul(*(one(a) for a in m)) for m, c in p.terms))
