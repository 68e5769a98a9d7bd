"""Comparisons along a whole enclosed trajectory, decided on the boxes of its cover.

Boxes are halved where a comparison is not certain, or where the extremum of a ratio may lie.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import Any

import sympy as sp
from flint import arb

from flows.certificates.cover import UNKNOWN, Cover, Stretch
from flows.certificates.decision import (
    Decision,
    Proof,
    compared,
    conditions,
    down,
    interval_end,
    up,
)
from flows.certificates.ever import for_ever
from potentials.claim import Claim, Comparison, Hypothesis, Mark
from potentials.notation import FROZEN, symbol, total_derivative
from symbolic.language.lower import NoBall

Ball = Any  # flint.arb

#: Boxes of a comparison at most, and the narrowest that are halved.
BUDGET, NARROWEST = 4_000, 2.0**-40
#: Once a time is open a proof is not to be had, and a refutation is looked for on boxes like this.
COARSE = 2.0**-3
#: A tightest constant is enclosed to this relative width, if so many halvings achieve it.
SHARP, SHARPENING = 1e-2, 1_000


def hypothesis(cover: Cover, h: Hypothesis, claim: Claim) -> Proof:
    """Decide a hypothesis in the claim's window; once and for all if nothing in it moves."""
    relation: Any = h.relation[0] + "="
    names = {s.name for s in h.lhs.free_symbols | h.rhs.free_symbols}
    # With a proof for ever a window does not end with the pieces.
    endless = cover.later or cover.open
    enclosure, marks = cover.enclosure, ("_0",) if endless else tuple(FROZEN)
    known = {*enclosure.constants, *(() if endless else enclosure.frozen)}
    if all(name.endswith(marks) or name in known for name in names):
        return _once(cover, h)
    decisions = [
        decide(
            cover,
            Comparison(h.lhs, relation, h.rhs, sp.S.One, c.where, h.over),
            strict="=" not in h.relation,
        )
        for c in claim.comparisons
        if c.over in ("state", h.over)
    ]
    proofs = [
        Proof.UNDECIDED if endless and d.proof is Proof.PROVED and not d.forever else d.proof
        for d in decisions
    ]
    if Proof.REFUTED in proofs:
        return Proof.REFUTED
    return Proof.PROVED if proofs and set(proofs) == {Proof.PROVED} else Proof.UNDECIDED


def _once(cover: Cover, h: Hypothesis) -> Proof:
    try:
        sides = cover.enclosure.frozen["0"].at((h.lhs, h.rhs), h.over)
    except (*UNKNOWN, KeyError, NoBall):  # a side is not defined, or not enclosed
        return Proof.UNDECIDED
    proofs = {compared(a, h.relation[0] + "=", b, "=" not in h.relation) for a, b in sides}
    if Proof.REFUTED in proofs:
        return Proof.REFUTED
    return Proof.UNDECIDED if Proof.UNDECIDED in proofs else Proof.PROVED


def decide(cover: Cover, c: Comparison, strict: bool = False) -> Decision:
    """Decide a comparison, or enclose its open constant."""
    if c.relation == "==":
        message = "balls do not decide an identity; popflow derive proves it"
        return Decision(Proof.UNDECIDED, 0, message)
    try:
        found = _tightest(cover, c) if c.constant is None else _everywhere(cover, c, strict)
        if cover.open:
            return replace(found, message=f"{found.message}; {cover.open}")
        return found if cover.later is None else for_ever(cover.later, c, strict, found)
    except KeyError as missing:
        return Decision(Proof.UNDECIDED, 0, f"{missing.args[0]}: not reached or not enclosed")
    except NoBall as refused:
        return Decision(Proof.UNDECIDED, 0, str(refused))


def _everywhere(cover: Cover, c: Comparison, strict: bool) -> Decision:
    """Decide a comparison with an explicit constant."""
    sides = (c.lhs, c.constant * c.rhs)
    # The start by itself too: some claims are about nothing else.
    stack, seen, met = [cover.start, *cover.stretches()][::-1], 0, False
    still_open: Stretch | None = None
    while stack:
        place = stack.pop()
        seen += 1
        inside = _inside(cover, place, c)
        if not any(x is not False for x in inside):
            continue
        met = True
        values = cover.values(place, sides, c.over) or [_UNBOUNDED] * len(inside)
        open_ = False
        for within, (left, right) in zip(inside, values, strict=True):
            if within is False:
                continue
            proof = compared(left, c.relation, right, strict)
            if proof is Proof.PROVED:
                continue
            if within and proof is Proof.REFUTED:
                return Decision(Proof.REFUTED, seen, f"fails at t = {cover.time(place)}")
            open_ = True
        if open_:
            narrowest = NARROWEST if still_open is None else COARSE
            if place.width < narrowest or seen + len(stack) > BUDGET:
                still_open = still_open or place
                continue
            stack += place.halves()[::-1]
    if not met:
        return Decision(Proof.UNDECIDED, seen, "the claim selects no time", empty=True)
    if still_open:
        before = "" if still_open[:2] == cover.start[:2] else ", proved before"
        return Decision(Proof.UNDECIDED, seen, f"open at t = {cover.time(still_open)}{before}")
    return Decision(Proof.PROVED, seen, "holds on every box")


def _tightest(cover: Cover, c: Comparison) -> Decision:
    """Enclose the tightest constant: the supremum of ``lhs/rhs``, or the infimum for ``>=``."""
    sign = 1 if c.relation == "<=" else -1
    heap: list[tuple[float, int, Stretch]] = []
    number, seen, least = itertools.count(), 0, arb.neg_inf()

    def look(place: Stretch) -> None:
        nonlocal seen, least
        seen += 1
        inside = _inside(cover, place, c)
        if all(x is False for x in inside):
            return
        values, direct = _ratios(cover, place, c)
        top = arb.neg_inf()
        for within, ratio in zip(inside, values, strict=True):
            if within is not False:
                bound = (sign * ratio).upper() if ratio.is_finite() else arb.pos_inf()
                top = top.max(bound)
            if within and direct and ratio.is_finite():
                least = least.max((sign * ratio).lower())
        heapq.heappush(heap, (-up(top), next(number), place))

    for place in cover.stretches():
        look(place)
    if not heap:
        return Decision(Proof.UNDECIDED, seen, "the claim selects no time", empty=True)
    for _ in range(SHARPENING):
        top, place = -heap[0][0], heap[0][2]
        if top - down(least) <= SHARP * abs(top) or place.width < NARROWEST:
            break
        heapq.heappop(heap)
        for half in place.halves():
            look(half)
    top, place = -heap[0][0], heap[0][2]
    if not arb(top).is_finite() or not least.is_finite():
        return Decision(Proof.UNDECIDED, seen, f"unbounded at t = {cover.time(place)}")
    low, high = (down(least), top) if sign == 1 else (-top, -down(least))
    text = f"[{interval_end(low, ROUND_FLOOR)}, {interval_end(high, ROUND_CEILING)}]"
    best = "smallest" if sign == 1 else "largest"
    message = f"{best} constant in {text}, attained near t = {cover.time(place)}"
    return Decision(Proof.ENCLOSED, seen, message, text, (low, high))


def _inside(cover: Cover, place: Stretch, c: Comparison) -> list[bool | None]:
    """Whether the conditions hold: surely, surely not, or None, at each index."""
    asked, strict = conditions(c.where)
    values = cover.values(place, asked, c.over)
    if values is None:
        return [None] * cover.enclosure.count[c.over]
    found: list[bool | None] = []
    for row in values:
        tests = [
            (x > 0 if s else x >= 0, x <= 0 if s else x < 0)
            for x, s in zip(row, strict, strict=True)
        ]
        fails = any(no for _, no in tests)
        found.append(False if fails else True if all(yes for yes, _ in tests) else None)
    return found


def _ratios(cover: Cover, place: Stretch, c: Comparison) -> tuple[list[Ball], bool]:
    """``lhs/rhs`` at each index, and whether they are so; else balls that serve as bounds.

    Where both sides vanish at a mark, Cauchy's mean value theorem has the ratio of the slopes
    somewhere between the mark and here: on this stretch or on another that meets the mark.
    """
    values = cover.values(place, (_ratio(c),), c.over) or []
    ratios = [ratio for (ratio,) in values]
    if values and all(r.is_finite() for r in ratios):
        return ratios, True
    slopes = _slopes(c, cover.enclosure.marks) if c.over == "state" else None
    if slopes:
        try:
            return [a / b for a, b in cover.values(place, slopes, c.over) or [_UNBOUNDED]], False
        except KeyError:
            pass  # no slope is enclosed: the ratio is not known here
    return [arb.nan()] * cover.enclosure.count[c.over], False


@functools.cache
def _ratio(c: Comparison) -> sp.Expr:
    """``lhs/rhs`` as one expression: a power of time in a denominator is then a factor."""
    return c.lhs / c.rhs


@functools.cache
def _slopes(c: Comparison, marks: tuple[Mark, ...]) -> tuple[sp.Expr, ...] | None:
    """Rates of both sides, if both are zero, as expressions, at the mark where the claim begins."""
    for mark in marks:
        time = symbol(mark.name)
        if symbol("t") - time in c.where:
            at = {symbol("t"): time, symbol("loss"): symbol(f"loss_{mark.name}")}
            sides = (c.lhs, c.rhs)
            vanish = all(sp.simplify(x.subs(at)) == 0 for x in sides)
            return tuple(total_derivative(x) for x in sides) if vanish else None
    return None


_UNBOUNDED = (arb.nan(), arb.nan())
