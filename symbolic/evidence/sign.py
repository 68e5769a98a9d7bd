"""Proofs that an expression does not change sign on a domain.

A handful of rules from calculus, applied recursively; each is a theorem, so what they conclude is
proved (given that SymPy differentiates, takes limits and compares constants correctly).
"""

from __future__ import annotations

import sympy as sp
from sympy.simplify.fu import TR5, TR6

from symbolic.evidence.sampling import Domain
from symbolic.language.primitives import definition

__all__ = ["sign"]

Known = dict[tuple[sp.Expr, Domain, int], int | None]

# How often a rule may look at a derivative.
DEPTH = 4
# Larger expressions would keep SymPy's factorisation busy for minutes.
SIZE = 200


def sign(expr: sp.Expr, domain: Domain = ()) -> int | None:
    """Return the sign that `expr` is proved to have on the domain, or to be zero.

    Parameters
    ----------
    expr : Expr
        In real symbols.
    domain : tuple of (Symbol, low, high)
        Intervals of the bounded symbols, which are independent of each other; `high` may be `oo`.

    Returns
    -------
    {1, -1, None}
        1: `expr >= 0` throughout, -1: `expr <= 0` throughout, None: neither was proved.

    Notes
    -----
    The rules: the assumptions on symbols; sums of terms and products of factors with a sign;
    `sin` and `cos` where their argument keeps to one sign's interval; monotone: `f(low) >= 0` and
    `f' >= 0` (and its mirror images); concave: `f(low) >= 0`, `f(high) >= 0` and `f'' <= 0`.
    """
    return _sign(expr, domain, DEPTH, {})


def _sign(expr: sp.Expr, domain: Domain, depth: int, known: Known) -> int | None:
    """Sign with `depth` derivatives left; `known` is the memory of one proof, no longer."""
    question = (expr, domain, depth)
    if question not in known:
        known[question] = _prove(expr, domain, depth, known)
    return known[question]


def _prove(expr: sp.Expr, domain: Domain, depth: int, known: Known) -> int | None:
    expr = definition(expr)
    if expr.count_ops() > SIZE:
        return None
    for form in _forms(expr):
        found = _by_structure(form, domain, depth, known)
        if found is not None:
            return found
    if depth == 0:
        return None
    for symbol, low, high in domain:
        if symbol in expr.free_symbols:
            found = _by_calculus(expr, domain, (symbol, low, high), depth - 1, known)
            if found is not None:
                return found
    return None


def _forms(expr: sp.Expr) -> list[sp.Expr]:
    """The expression in shapes that show factors, sines of multiples written out."""
    flat = sp.expand(sp.expand_trig(expr))
    return [expr, *(sp.factor(rule(flat)) for rule in (sp.expand, TR5, TR6))]


def _by_structure(expr: sp.Expr, domain: Domain, depth: int, known: Known) -> int | None:
    """Sign of a number, a bounded symbol, a sum or a product."""
    if expr.is_nonnegative:
        return 1
    if expr.is_nonpositive:
        return -1
    if expr.is_Symbol:
        return next((_of_interval(lo, hi) for s, lo, hi in domain if s == expr), None)
    if isinstance(expr, sp.sin | sp.cos):
        return _of_wave(expr, domain)
    if expr.is_Pow and expr.exp.is_Integer:
        return 1 if expr.exp % 2 == 0 else _by_structure(expr.base, domain, depth, known)
    if expr.is_Pow and expr.exp.is_Rational:
        return 1 if _by_structure(expr.base, domain, depth, known) == 1 else None
    if expr.is_Mul:
        product = 1
        for factor in expr.args:
            # A sum among the factors is smaller than the product: any rule may be tried on it.
            found = (
                _sign(factor, domain, depth, known)
                if factor.is_Add
                else _by_structure(factor, domain, depth, known)
            )
            if found is None:
                return None
            product *= found
        return product
    if expr.is_Add:
        signs = {_by_structure(term, domain, depth, known) for term in expr.args}
        return signs.pop() if len(signs) == 1 else None
    return None


def _of_interval(low: sp.Expr, high: sp.Expr) -> int | None:
    if low.is_nonnegative:
        return 1
    return -1 if high.is_nonpositive else None


def _of_wave(wave: sp.Expr, domain: Domain) -> int | None:
    """Sign of `sin(c s)` or `cos(c s)` where the argument stays within half a period."""
    for symbol, low, high in domain:
        scale = wave.args[0].coeff(symbol)
        if scale.is_positive and wave.args[0] == scale * symbol and high != sp.oo:
            # cos x = sin(x + pi/2); sin has sign (-1)^k between k pi and (k + 1) pi.
            shift = sp.S.Half if isinstance(wave, sp.cos) else sp.S.Zero
            ends = (scale * low / sp.pi + shift, scale * high / sp.pi + shift)
            half_period = sp.floor(ends[0])
            if ends[1] <= half_period + 1:
                return 1 if half_period % 2 == 0 else -1
    return None


def _by_calculus(
    expr: sp.Expr,
    domain: Domain,
    interval: tuple[sp.Symbol, sp.Expr, sp.Expr],
    depth: int,
    known: Known,
) -> int | None:
    """Monotone and concave functions of one bounded symbol."""
    symbol, low, high = interval
    rest = tuple(entry for entry in domain if entry[0] != symbol)
    at_low = _end(expr, symbol, low, "+", rest, depth, known)
    at_high = _end(expr, symbol, high, "-", rest, depth, known)
    if at_low is None and at_high is None:
        return None
    slope = sp.diff(expr, symbol)
    rises = _sign(slope, domain, depth, known)
    for wanted in (1, -1):
        starts, ends = at_low in (0, wanted), at_high in (0, wanted)
        if (starts and rises == wanted) or (ends and rises == -wanted):
            return wanted
        bends = None
        if starts and ends and depth:
            bends = _sign(sp.diff(slope, symbol), domain, depth - 1, known)
        if bends == -wanted:
            return wanted
    return None


def _end(
    expr: sp.Expr,
    symbol: sp.Symbol,
    end: sp.Expr,
    side: str,
    rest: Domain,
    depth: int,
    known: Known,
) -> int | None:
    """Sign at an end of the interval; a value of zero counts as either, returned as 0."""
    value = sp.nan if end == sp.oo else sp.simplify(expr.subs(symbol, end))
    if value.has(sp.nan, sp.zoo, sp.oo):
        value = sp.limit(expr, symbol, end, side)
    if value == 0:
        return 0
    if not value.is_finite and not value.free_symbols:
        return None
    return _sign(value, rest, depth, known)
