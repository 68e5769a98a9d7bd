"""Numbers for both sides of a relation, at points that include the hard ones.

What SymPy cannot turn into a number by itself becomes concrete here: integer symbols take the
values that the domain lists, sums are written out, entries of indexed objects, undefined functions
and their derivatives become independent random reals, norms random ones that are not negative, and
non-commuting symbols random matrices.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator
from typing import Any, Literal

import sympy as sp
from sympy.core.function import AppliedUndef

from symbolic.language.lower import lower
from symbolic.language.matrices import SquaredNorm

__all__ = ["Counterexample", "Domain", "Relation", "evaluated", "instances", "sample"]

Domain = tuple[tuple[sp.Symbol, Any, Any], ...]
Relation = Literal["==", "<=", ">="]
Counterexample = tuple[tuple[str, str], ...]

WORKING_DIGITS = 80
# Sides that agree to 50 digits are called equal; 30 digits stay for cancellation near alignment.
AGREEMENT = 50
# How near to an end of its domain a bounded symbol is sampled, besides at random inside.
NEAR_END = "1e-6"
# An identity that is false fails almost everywhere, an inequality perhaps in a corner only.
RANDOM_POINTS = {"==": 4, "<=": 64, ">=": 64}
# Of an inequality, how many points have each bounded symbol near one of its ends.
CORNERS = 32
# Instances of the integer symbols that are tried.
INSTANCES = 6
MATRIX_SIZE = 3
SEED = 20230210


@functools.lru_cache(maxsize=4096)
def evaluated(part: sp.Expr, integrals: bool = False) -> sp.Expr:
    """``part.doit(integrals=integrals)``, once for a part that steps and their mutants share."""
    if isinstance(part, sp.Add | sp.Mul | sp.Pow | sp.exp):
        return part.func(*(evaluated(x, integrals) for x in part.args))
    return part.doit(integrals=integrals)


def instances(expressions: list[sp.Expr], domain: Domain) -> Iterator[list[sp.Expr]]:
    """Yield the expressions with integer symbols put in, sums done, and stand-ins for the rest.

    Parameters
    ----------
    expressions : list of Expr
        Both sides of a relation, entry by entry.
    domain : tuple of (Symbol, low, high)
        For an integer symbol, all values from low to high.

    Yields
    ------
    list of Expr
        In ordinary symbols; one list for each combination of integers, at most `INSTANCES`.
    """
    integers = {s: range(int(lo), int(hi) + 1) for s, lo, hi in domain if s.is_integer}
    combinations = list(itertools.product(*integers.values()))
    random.Random(SEED).shuffle(combinations)
    for values in combinations[:INSTANCES]:
        put = dict(zip(integers, values, strict=True))
        concrete = [evaluated(e.subs(put)) if put else e for e in expressions]
        substitutes = _substitutes(concrete)
        yield [e.xreplace(substitutes) for e in concrete]


def _substitutes(entries: list[sp.Expr]) -> dict[sp.Expr, sp.Symbol]:
    """Symbols for derivatives, functions, norms and indexed entries, outermost first.

    What depends on a variable of integration or summation is no constant and gets none.
    """
    kinds = (sp.Subs, sp.Derivative, AppliedUndef, SquaredNorm, sp.Indexed)
    free = set().union(*(e.free_symbols for e in entries))
    found = [
        a
        for kind in kinds
        for a in sorted(set().union(*(e.atoms(kind) for e in entries)), key=str)
        if a.free_symbols <= free
    ]
    return {
        a: sp.Symbol(
            str(a), positive=a.is_positive, nonnegative=a.is_nonnegative or None, real=True
        )
        for a in found
    }


def _points(symbols: list[sp.Symbol], domain: Domain, random_points: int) -> list[list[Any]]:
    """Random points (fixed seed), then points with bounded symbols near their ends."""
    from mpmath import mp, mpf

    generator = random.Random(SEED)
    ends = {s: (lo, hi) for s, lo, hi in domain if s in symbols}
    bounds = {
        s: [mpf("inf") if e == sp.oo else mpf(str(sp.N(e, WORKING_DIGITS))) for e in both]
        for s, both in ends.items()
    }

    def draw(symbol: sp.Symbol, near: str = "") -> Any:
        if symbol in bounds and mp.isinf(bounds[symbol][1]):
            lo = bounds[symbol][0]
            return lo + (mpf(NEAR_END) if near else mp.exp(mpf(generator.uniform(-3, 5))))
        if symbol in bounds:
            lo, hi = bounds[symbol]
            if near == "low":
                return lo + (hi - lo) * mpf(NEAR_END) * (1 + mpf(generator.random()))
            if near == "high":
                return hi - (hi - lo) * mpf(NEAR_END) * (1 + mpf(generator.random()))
            return lo + (hi - lo) * mpf(generator.uniform(0.02, 0.98))
        if symbol.is_nonnegative:
            return mp.exp(mpf(generator.uniform(-1.5, 1.5)))
        return mpf(generator.uniform(-2.0, 2.0))

    points = [[draw(s) for s in symbols] for _ in range(random_points)]
    if any(s in bounds for s in symbols):
        points += [[draw(s, near) for s in symbols] for near in ("low", "high")]
    if random_points > RANDOM_POINTS["=="]:  # corners, where one symbol is small and another large
        for _ in range(CORNERS):
            points.append([draw(s, generator.choice(("low", "high"))) for s in symbols])
    return points


def sample(
    left: list[sp.Expr], right: list[sp.Expr], domain: Domain, relation: Relation = "=="
) -> int | Counterexample:
    """Compare both sides in numbers.

    Parameters
    ----------
    left, right : list of Expr
        The sides, entry by entry.
    domain : tuple of (Symbol, low, high)
        Open intervals of the bounded symbols, values of the integer ones.
    relation : {"==", "<=", ">="}
        What is claimed of them.

    Returns
    -------
    int or tuple
        At how many points it holds, if it holds wherever sampled; 0 if no number could be had.
        Otherwise the point at which it fails with the values of both sides.
    """
    if any(not s.is_commutative for e in (*left, *right) for s in e.free_symbols):
        return _sample_matrices(left, right)
    counts = []
    for both in instances([*left, *right], domain):
        sides = tuple(both[: len(left)]), tuple(both[len(left) :])
        outcome = _sample_instance(*sides, domain, relation)
        if isinstance(outcome, tuple):
            return outcome
        counts.append(outcome)
    return sum(counts) if all(counts) else 0


@functools.lru_cache(maxsize=4096)
def _sample_instance(
    left: tuple[sp.Expr, ...], right: tuple[sp.Expr, ...], domain: Domain, relation: Relation
) -> int | Counterexample:
    """Compare both sides; a lemma that stands in several documents is compared once."""
    from mpmath import mp

    both = [*left, *right]
    if any(e.has(sp.zoo, sp.nan) for e in both):
        return 0
    symbols = sorted(set().union(*(e.free_symbols for e in both)), key=str)
    try:
        with mp.workdps(WORKING_DIGITS):
            # An integral without parameters is the same number at every point.
            fixed = sorted(_constant_integrals(both), key=str)
            numbers = lower(fixed, (), "mpmath")() if fixed else ()
            substitutes = {whole: sp.Dummy(real=True) for whole in fixed}
            compiled = lower(
                [e.xreplace(substitutes) for e in both], (*symbols, *substitutes.values()), "mpmath"
            )
            points = _points(symbols, domain, RANDOM_POINTS[relation])
            for point in points:
                values = [mp.mpmathify(v) for v in compiled(*point, *numbers)]
                for a, b in zip(values[: len(left)], values[len(left) :], strict=True):
                    if not (mp.isfinite(a) and mp.isfinite(b)):
                        return 0
                    slack = mp.mpf(10) ** -AGREEMENT * max(abs(a), abs(b))
                    slack += mp.mpf(10) ** (5 - WORKING_DIGITS)
                    excess = {"==": abs(a - b), "<=": a - b, ">=": b - a}[relation]
                    if excess > slack:
                        shown = [
                            (str(s), mp.nstr(p, 17)) for s, p in zip(symbols, point, strict=True)
                        ]
                        return (*shown, ("lhs", mp.nstr(a, 17)), ("rhs", mp.nstr(b, 17)))
    except (TypeError, NameError, ValueError, ZeroDivisionError, NotImplementedError):
        return 0  # no number at this point (a pole, no rule to evaluate): no evidence from it
    return len(points)


def _constant_integrals(entries: list[sp.Expr]) -> set[sp.Integral]:
    """Integrals that are numbers, the outermost ones."""
    found = set().union(*(e.atoms(sp.Integral) for e in entries))
    fixed = {whole for whole in found if not whole.free_symbols}
    inside = set().union(*(x.atoms(sp.Integral) for whole in fixed for x in whole.args))
    return fixed - inside


def _sample_matrices(left: list[sp.Expr], right: list[sp.Expr]) -> int | Counterexample:
    """Compare with random complex matrices for non-commuting symbols, random reals for others."""
    from mpmath import mp, mpc, mpf

    from symbolic.language import matrix_calculus

    generator = random.Random(SEED)
    symbols = sorted(set().union(*(e.free_symbols for e in (*left, *right))), key=str)

    def matrix() -> Any:
        entries = [
            [mpc(generator.uniform(-1, 1), generator.uniform(-1, 1)) for _ in range(MATRIX_SIZE)]
            for _ in range(MATRIX_SIZE)
        ]
        return mp.matrix(entries)

    with mp.workdps(WORKING_DIGITS):
        values = {
            s: mpf(generator.uniform(0.1, 2)) if s.is_commutative else matrix() for s in symbols
        }
        for a, b in zip(left, right, strict=True):
            first, second = (matrix_calculus.evaluate(e, values) for e in (a, b))
            size = 1 + _magnitude(first) + _magnitude(second)
            if _magnitude(first - second) > mp.mpf(10) ** -AGREEMENT * size:
                shown = [(f"{MATRIX_SIZE} x {MATRIX_SIZE} matrices", f"random, seed {SEED}")]
                return (*shown, ("lhs", mp.nstr(first, 6)), ("rhs", mp.nstr(second, 6)))
    return 1


def _magnitude(value: Any) -> Any:
    """Largest absolute value of a matrix or a number."""
    from mpmath import mp

    return max(map(abs, value)) if isinstance(value, mp.matrix) else abs(value)
