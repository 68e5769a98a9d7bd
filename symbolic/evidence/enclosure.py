"""Rigorous enclosures of the difference of two sides, by ball arithmetic."""

from __future__ import annotations

import random
from collections import deque
from fractions import Fraction
from typing import Any

import sympy as sp

from symbolic.evidence.sampling import SEED, Domain, Relation, instances
from symbolic.language.lower import NoBall, Undecided, lower
from symbolic.language.primitives import definition

__all__ = ["enclose"]

BITS = 256
# Random boxes of an equality: how many, how wide, and how narrow the difference must be on them.
BOXES = 64
RADIUS_BITS = 128
NARROW = Fraction(1, 10**30)
# Boxes that may be looked at in covering the domain of an inequality.
BUDGET = 20_000


def enclose(
    left: list[sp.Expr], right: list[sp.Expr], domain: Domain, relation: Relation = "=="
) -> str | None:
    """Enclose `left - right` on boxes.

    Parameters
    ----------
    left, right : list of Expr
        The sides, entry by entry.
    domain : tuple of (Symbol, low, high)
        Intervals of the bounded symbols.
    relation : {"==", "<=", ">="}
        What is claimed of the sides.

    Returns
    -------
    str or None
        What is enclosed, in words; None where no enclosure was had. For an inequality, boxes cover
        the whole domain, all of whose symbols must be bounded, and the difference has one sign on
        each. For an equality, the difference contains zero and is narrower than `NARROW` on random
        boxes of relative radius `2**-RADIUS_BITS`: rigorous for these boxes, not for the domain.

    Raises
    ------
    NoBall
        For a function that has no ball arithmetic.
    """
    from flint import ctx

    try:
        with ctx.workprec(BITS):
            differences = [definition(a - b) for a, b in zip(left, right, strict=True)]
            if relation == "==":
                return _narrow_everywhere(differences, domain)
            return _one_sign(differences if relation == ">=" else [-d for d in differences], domain)
    except NoBall:
        raise
    except (Undecided, TypeError, NameError, ValueError, ZeroDivisionError, NotImplementedError):
        return None  # a condition that a box does not decide, a sum that does not end


def _narrow_everywhere(differences: list[sp.Expr], domain: Domain) -> str | None:
    count = 0
    for concrete in instances(differences, domain):
        symbols = sorted(set().union(*(e.free_symbols for e in concrete)), key=str)
        compiled = lower(concrete, symbols, "ball")
        generator = random.Random(SEED)
        for _ in range(BOXES):
            for value in compiled(*(_random_ball(s, domain, generator) for s in symbols)):
                ball = _ball(value)
                if not (ball.contains(0) and ball.rad() < float(NARROW)):
                    return None
            count += 1
    return f"{count} random boxes, difference below {float(NARROW):g} on each" if count else None


def _random_ball(symbol: sp.Symbol, domain: Domain, generator: random.Random) -> Any:
    """A thin ball inside the symbol's interval."""
    from flint import arb

    interval = {s: (lo, hi) for s, lo, hi in domain}.get(symbol)
    if interval is None or interval[1] == sp.oo:
        centre = arb(generator.uniform(0.2, 4.0))
        if interval is not None:
            centre += _ball(lower([interval[0]], [], "ball")()[0])
        elif not symbol.is_nonnegative and generator.random() < 0.5:
            centre = -centre
    else:
        low, high = (_ball(x) for x in lower(interval, [], "ball")())
        centre = low + (high - low) * arb(generator.uniform(0.001, 0.999))
    return arb(centre.mid(), float(abs(centre.mid())) * 2.0**-RADIUS_BITS)


def _one_sign(differences: list[sp.Expr], domain: Domain) -> str | None:
    """Cover the domain by boxes, halved until the differences are not negative on them."""
    from flint import arb

    free = set().union(*(e.free_symbols for e in differences))
    intervals = [(s, lo, hi) for s, lo, hi in domain if s in free]
    if {s for s, _, _ in intervals} != free or any(hi == sp.oo for _, _, hi in intervals):
        return None
    compiled = lower(differences, [s for s, _, _ in intervals], "ball")
    ends = [[_ball(x) for x in lower((lo, hi), [], "ball")()] for _, lo, hi in intervals]
    # Boxes in fractions of the intervals, so that no point of the domain is rounded away.
    waiting = deque([tuple((Fraction(0), Fraction(1)) for _ in ends)])
    done = 0
    while waiting:
        if done + len(waiting) > BUDGET:
            return None
        box = waiting.popleft()
        sides = []
        for (a, b), (low, high) in zip(box, ends, strict=True):
            first, last = (low + (high - low) * arb(f.numerator) / f.denominator for f in (a, b))
            sides.append(first.union(last))
        try:
            certain = all(_ball(value) >= 0 for value in compiled(*sides))
        except Undecided:
            certain = False
        done += 1
        if not certain:
            widest = max(range(len(box)), key=lambda k: box[k][1] - box[k][0])
            a, b = box[widest]
            for part in ((a, (a + b) / 2), ((a + b) / 2, b)):
                waiting.append((*box[:widest], part, *box[widest + 1 :]))
    return f"boxes that cover the domain ({done} looked at), one sign on each"


def _ball(value: Any) -> Any:
    from flint import arb

    return value if isinstance(value, arb) else arb(value)
