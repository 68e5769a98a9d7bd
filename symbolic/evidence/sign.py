"""Proofs that an expression does not change sign on a domain.

A handful of rules from calculus, applied recursively; each is a theorem, so what they conclude is
proved (given that SymPy differentiates, takes limits and compares constants correctly).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import sympy as sp
from sympy.simplify.fu import TR5, TR6

from symbolic.evidence.sampling import Domain
from symbolic.language.primitives import definition

__all__ = ["sign"]

# Signs that were looked for, with the number of derivatives that were allowed.
Known = dict[tuple[sp.Expr, Domain], tuple[int, int | None]]

# How often a rule may look at a derivative.
DEPTH = 4
# Larger expressions would keep SymPy's factorisation busy for minutes.
SIZE = 200
# Functions that are real and smooth for every real argument.
SMOOTH = (
    *(sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.asinh, sp.atan),
    *(sp.erf, sp.erfc, sp.erfi),
)
# Functions that are real where they are defined, but jump or bend.
REAL = (*SMOOTH, sp.tan, sp.cot, sp.sec, sp.csc, sp.coth, sp.csch, sp.Abs, sp.sign, sp.Max, sp.Min)
# What is positive where a function of one argument is real and smooth; elsewhere it need not be.
NEEDS: dict[Any, Callable[[sp.Expr], sp.Expr]] = {
    sp.log: lambda x: x,
    sp.loggamma: lambda x: x,
    sp.gamma: lambda x: x,
    sp.asin: lambda x: 1 - x**2,
    sp.acos: lambda x: 1 - x**2,
    sp.atanh: lambda x: 1 - x**2,
    sp.acosh: lambda x: x - 1,
    sp.tan: lambda x: sp.cos(x) ** 2,
    sp.sec: lambda x: sp.cos(x) ** 2,
    sp.cot: lambda x: sp.sin(x) ** 2,
    sp.csc: lambda x: sp.sin(x) ** 2,
    sp.coth: lambda x: x**2,
    sp.csch: lambda x: x**2,
}


def sign(expr: sp.Expr, domain: Domain = ()) -> int | None:
    """Return the sign that `expr` is proved to have on the domain, or to be zero.

    Parameters
    ----------
    expr : Expr
        In real symbols.
    domain : tuple of (Symbol, low, high)
        Open intervals of the bounded symbols, which are independent of each other; `high` may be
        `oo`. An integer symbol takes the integers from low to high.

    Returns
    -------
    {1, -1, None}
        1: `expr >= 0` wherever it is defined, -1: `expr <= 0` there, None: neither was proved, or
        it may take values that are not real.

    Notes
    -----
    The rules: the assumptions on symbols; sums of terms and products of factors with a sign;
    `sin` and `cos` where their argument keeps to one sign's interval; monotone: `f(low) >= 0` and
    `f' >= 0` (and its mirror images); concave: `f(low) >= 0`, `f(high) >= 0` and `f'' <= 0`. The
    last two are for functions that are smooth inside the interval: no pole, jump or kink.
    """
    # Calculus is for real numbers: what holds at integers alone may not enter it.
    whole = {s: _real_twin(s, low) for s, low, _ in domain if s.is_integer}
    twins = tuple((whole.get(s, s), low, high) for s, low, high in domain)
    known: Known = {}
    if not _is_real(expr, domain, known):
        return None
    found = _sign(expr, domain, 0, known) if whole else None
    return found or _sign(expr.xreplace(whole), twins, DEPTH, known)


def _real_twin(symbol: sp.Symbol, low: sp.Expr) -> sp.Symbol:
    """A real symbol in place of one for integers."""
    return sp.Dummy(symbol.name, real=True, nonnegative=low.is_nonnegative or None)


def _is_real(expr: sp.Expr, domain: Domain, known: Known) -> bool:
    """Whether an expression is a real number wherever it is defined."""
    if expr.is_extended_real or expr in [s for s, _, _ in domain]:
        return True
    if not isinstance(expr, sp.Expr) or not expr.args:
        return False
    if not all(_is_real(e, domain, known) for e in _operands(expr)):
        return False
    if expr.is_Add or expr.is_Mul or isinstance(expr, (sp.Piecewise, *REAL)):
        return True
    if expr.is_Pow and expr.exp.is_integer:
        return True
    inside = _inside(expr)
    return inside is not None and _sign(inside, domain, DEPTH, known) == 1


def _operands(expr: sp.Expr) -> list[sp.Expr]:
    return [e for e, _ in expr.args] if isinstance(expr, sp.Piecewise) else list(expr.args)


def _inside(expr: sp.Expr) -> sp.Expr | None:
    """What must be positive for a power or a function to be smooth; None if nothing is known."""
    if expr.is_Pow:
        return expr.base**2 if expr.exp.is_integer else expr.base
    needs = NEEDS.get(expr.func)
    return needs(expr.args[0]) if needs else None


def _is_smooth(expr: sp.Expr, symbol: sp.Symbol, domain: Domain, depth: int, known: Known) -> bool:
    """Whether an expression has all derivatives by the symbol inside the domain."""
    if symbol not in expr.free_symbols or expr == symbol:
        return True
    if not all(_is_smooth(e, symbol, domain, depth, known) for e in expr.args):
        return False
    if expr.is_Add or expr.is_Mul or isinstance(expr, SMOOTH):
        return True
    if expr.is_Pow and expr.exp.is_Integer and expr.exp.is_nonnegative:
        return True
    inside = _inside(expr)
    return inside is not None and _strict(inside, domain, depth, known) == 1


def _strict(expr: sp.Expr, domain: Domain, depth: int, known: Known) -> int | None:
    """Sign of an expression that has no zero inside the domain; None if that is not known."""
    if expr.is_positive:
        return 1
    if expr.is_negative:
        return -1
    if expr.is_Symbol:  # the intervals are open
        return next((_of_interval(lo, hi) for s, lo, hi in domain if s == expr), None)
    if isinstance(expr, sp.sin | sp.cos):
        return _of_wave(expr, domain)
    if expr.is_Pow and expr.exp.is_Rational:
        base = _strict(expr.base, domain, depth, known)
        if expr.exp.is_Integer:
            return base and (base if expr.exp % 2 else 1)
        return 1 if base == 1 else None
    if expr.is_Mul:
        return _product(_strict(factor, domain, depth, known) for factor in expr.args)
    if expr.is_Add:
        for wanted in (1, -1):
            if all(_by_structure(e, domain, 0, known) == wanted for e in expr.args) and any(
                _strict(e, domain, depth, known) == wanted for e in expr.args
            ):
                return wanted
        for interval in domain if depth else ():
            if interval[0] in expr.free_symbols:
                found = _strictly_monotone(expr, domain, interval, depth - 1, known)
                if found is not None:
                    return found
    return None


def _strictly_monotone(
    expr: sp.Expr,
    domain: Domain,
    interval: tuple[sp.Symbol, sp.Expr, sp.Expr],
    depth: int,
    known: Known,
) -> int | None:
    """Strict sign of what leaves zero, or a sign, at an end of the interval with a strict slope."""
    symbol, low, high = interval
    if not _is_smooth(expr, symbol, domain, depth, known):
        return None
    slope = _strict(sp.diff(expr, symbol), domain, depth, known)
    rest = tuple(entry for entry in domain if entry[0] != symbol)
    if slope and _end(expr, symbol, low, "+", rest, depth, known) in (0, slope):
        return slope
    if slope and _end(expr, symbol, high, "-", rest, depth, known) in (0, -slope):
        return -slope
    return None


def _sign(expr: sp.Expr, domain: Domain, depth: int, known: Known) -> int | None:
    """Sign with `depth` derivatives left; `known` is the memory of one proof, no longer."""
    tried, found = known.get((expr, domain), (-1, None))
    # What was found holds, and what was not found with more derivatives is not found with fewer.
    if found is None and tried < depth:
        found = _prove(expr, domain, depth, known)
        known[expr, domain] = (depth, found)
    return found


def _prove(expr: sp.Expr, domain: Domain, depth: int, known: Known) -> int | None:
    expr = definition(expr)
    if expr.count_ops() > SIZE:
        return _by_structure(expr, domain, 0, known)  # a sum of squares may be long
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


def _forms(expr: sp.Expr) -> Iterator[sp.Expr]:
    """The expression in shapes that show factors, sines of multiples written out."""
    yield expr
    flat = sp.expand(sp.expand_trig(expr))
    for shape in dict.fromkeys((flat, TR5(flat), TR6(flat))):
        yield sp.factor(shape)


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
        return 1  # it is real, so its base is not below zero
    if expr.is_Mul:
        # A sum among the factors is smaller than the product: any rule may be tried on it.
        return _product(
            _sign(factor, domain, depth, known)
            if factor.is_Add
            else _by_structure(factor, domain, depth, known)
            for factor in expr.args
        )
    if expr.is_Add:
        signs = {_by_structure(term, domain, depth, known) for term in expr.args}
        return signs.pop() if len(signs) == 1 else None
    return None


def _product(signs: Iterable[int | None]) -> int | None:
    """Sign of a product; the factors after one of unknown sign are not looked at."""
    product = 1
    for sign in signs:
        if sign is None:
            return None
        product *= sign
    return product


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
            if (half_period + 1 - ends[1]).is_nonnegative:
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
    if not _is_smooth(expr, symbol, domain, depth, known):
        return None
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
    try:
        value = sp.nan if end == sp.oo else sp.simplify(expr.subs(symbol, end))
        if value.has(sp.nan, sp.zoo, sp.oo, sp.AccumBounds):
            value = sp.limit(expr, symbol, end, side)
    except (NotImplementedError, TypeError, ValueError):  # SymPy's, for limits that it cannot take
        return None
    if value.has(sp.AccumBounds):
        return None
    if value == 0:
        return 0
    if not value.is_finite and not value.free_symbols:
        return None
    return _sign(value, rest, depth, known)
