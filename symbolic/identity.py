"""Evidence that two expressions are equal.

A numerical refutation is tried first, because it is cheap and comes with a counterexample; then a
proof. What is neither refuted nor proved is `SAMPLED` if numbers could be compared, `OPEN` if not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from symbolic.lower import lower
from symbolic.primitives import definition

__all__ = ["Domain", "Evidence", "Finding", "equals", "examine"]

Domain = tuple[tuple[sp.Symbol, Any, Any], ...]

WORKING_DIGITS = 80
# Sides that agree to 50 digits are called equal; 30 digits stay for cancellation near alignment.
AGREEMENT = 50
# How near to an end of its domain a bounded symbol is sampled, besides at random inside.
NEAR_END = "1e-6"
RANDOM_POINTS = 4
# Differences with more operations than this are only sampled: SymPy's rules would run for minutes.
PROOF_SIZE = 400


class Evidence(StrEnum):
    """How well an equality is known."""

    PROVED = "PROVED"
    SAMPLED = "SAMPLED"
    REFUTED = "REFUTED"
    OPEN = "OPEN"


@dataclass(frozen=True)
class Finding:
    """Evidence, and for `REFUTED` the point and the two values that differ there.

    Parameters
    ----------
    evidence : Evidence
        The level reached.
    counterexample : tuple of (str, str)
        Symbol and value pairs, then `("lhs", ...)` and `("rhs", ...)`; empty unless refuted.
    """

    evidence: Evidence
    counterexample: tuple[tuple[str, str], ...] = ()


def examine(lhs: Any, rhs: Any, domain: Domain = ()) -> Finding:
    """Look for evidence that `lhs` equals `rhs` on the domain.

    Parameters
    ----------
    lhs, rhs : Expr or Matrix
        The sides; unevaluated derivatives and limits are evaluated, integrals are done numerically
        for the sampling and symbolically for the proof.
    domain : tuple of (Symbol, low, high)
        Open intervals of the bounded symbols.

    Returns
    -------
    Finding
        `PROVED`: SymPy reduces the difference to zero. `SAMPLED`: equal to 50 digits at random
        points and at points near the ends of the domain. `REFUTED`: with a counterexample.
        `OPEN`: nothing could be evaluated.
    """
    left, right = _entries(lhs), _entries(rhs)
    stand_ins = _stand_ins([*left, *right])
    left, right = ([e.xreplace(stand_ins) for e in side] for side in (left, right))
    if len(left) != len(right):
        return Finding(
            Evidence.REFUTED, (("lhs", f"{len(left)} entries"), ("rhs", f"{len(right)} entries"))
        )
    sampled = _sample(left, right, domain)
    if isinstance(sampled, tuple):
        return Finding(Evidence.REFUTED, sampled)
    if all(_reduces_to_zero(a - b) for a, b in zip(left, right, strict=True)):
        return Finding(Evidence.PROVED)
    return Finding(Evidence.SAMPLED if sampled else Evidence.OPEN)


def equals(lhs: Any, rhs: Any, domain: Domain = ()) -> bool | None:
    """Return True if the equality is proved, False if refuted, None if it stays open.

    Parameters
    ----------
    lhs, rhs, domain
        As in `examine`.

    Returns
    -------
    bool or None
        Sampling alone never gives True.
    """
    evidence = examine(lhs, rhs, domain).evidence
    return {Evidence.PROVED: True, Evidence.REFUTED: False}.get(evidence)


def _entries(side: Any) -> list[sp.Expr]:
    entries = list(side) if isinstance(side, sp.MatrixBase) else [sp.sympify(side, strict=True)]
    return [e.doit(integrals=False) for e in entries]


def _stand_ins(entries: list[sp.Expr]) -> dict[sp.Expr, sp.Symbol]:
    """Symbols for undefined functions and their derivatives, so that these can be sampled."""
    functions = set().union(*(e.atoms(AppliedUndef) for e in entries))
    rates = set().union(*(e.atoms(sp.Derivative) for e in entries))
    found = [*sorted(rates, key=str), *sorted(functions, key=str)]
    return {f: sp.Symbol(str(f), positive=f.is_positive, real=True) for f in found}


def _points(symbols: list[sp.Symbol], domain: Domain) -> list[list[Any]]:
    """Random points (fixed seed), then points with every bounded symbol near one of its ends."""
    from mpmath import mp, mpf

    generator = random.Random(20230210)
    bounds = {s: (lo, hi) for s, lo, hi in domain}

    def draw(symbol: sp.Symbol, near: str = "") -> Any:
        if symbol in bounds:
            lo, hi = (mpf(str(sp.N(e, WORKING_DIGITS))) for e in bounds[symbol])
            if near == "low":
                return lo + (hi - lo) * mpf(NEAR_END) * (1 + mpf(generator.random()))
            if near == "high":
                return hi - (hi - lo) * mpf(NEAR_END) * (1 + mpf(generator.random()))
            return lo + (hi - lo) * mpf(generator.uniform(0.02, 0.98))
        if symbol.is_nonnegative:
            return mp.exp(mpf(generator.uniform(-1.5, 1.5)))
        return mpf(generator.uniform(-2.0, 2.0))

    points = [[draw(s) for s in symbols] for _ in range(RANDOM_POINTS)]
    if any(s in bounds for s in symbols):
        points += [[draw(s, near) for s in symbols] for near in ("low", "high")]
    return points


def _sample(
    left: list[sp.Expr], right: list[sp.Expr], domain: Domain
) -> bool | tuple[tuple[str, str], ...]:
    """Return True (equal wherever sampled), False (cannot be sampled) or the counterexample."""
    from mpmath import mp

    both = [*left, *right]
    symbols = sorted(set().union(*(e.free_symbols for e in both)), key=str)
    try:
        with mp.workdps(WORKING_DIGITS):
            compiled = lower(both, symbols, "mpmath")
            for point in _points(symbols, domain):
                values = compiled(*point)
                for a, b in zip(values[: len(left)], values[len(left) :], strict=True):
                    a, b = mp.mpmathify(a), mp.mpmathify(b)
                    if not (mp.isfinite(a) and mp.isfinite(b)):
                        return False
                    slack = mp.mpf(10) ** -AGREEMENT * max(abs(a), abs(b))
                    if abs(a - b) > slack + mp.mpf(10) ** (5 - WORKING_DIGITS):
                        shown = [
                            (str(s), mp.nstr(p, 17)) for s, p in zip(symbols, point, strict=True)
                        ]
                        return (*shown, ("lhs", mp.nstr(a, 17)), ("rhs", mp.nstr(b, 17)))
    except (TypeError, NameError, ValueError, ZeroDivisionError, NotImplementedError):
        return False  # no number at this point (a pole, no rule to evaluate): no evidence from it
    return True


def _reduces_to_zero(difference: sp.Expr) -> bool:
    """Whether SymPy's rules take the difference to zero, cheapest rules first."""
    if difference.count_ops() > PROOF_SIZE:
        return False
    expr = sp.expand(definition(difference.doit()))
    if expr == 0:
        return True
    # A rational function of sines, cosines and symbols is one of exponentials, which expands to 0.
    numerator = sp.fraction(sp.together(expr.rewrite(sp.exp)))[0]
    if sp.expand(numerator) == 0:
        return True
    return bool(sp.simplify(expr) == 0)
