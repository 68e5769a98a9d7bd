r"""Comparisons after the end of a finite certificate, for ever.

What is decided up to that end goes on where it is decided on every box of
:mod:`flows.certificates.late_box`, or where the claim selects no later time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR

import sympy as sp

from flows.certificates.cover import UNKNOWN
from flows.certificates.decision import (
    Decision,
    Proof,
    compared,
    conditions,
    down,
    interval_end,
    up,
)
from flows.certificates.late_box import scaled
from flows.certificates.later import Later
from potentials.claim import Comparison


def for_ever(later: Later, c: Comparison, strict: bool, found: Decision) -> Decision:
    """Go on with what is decided to the end of a finite certificate; else say what hinders."""
    if found.proof is Proof.REFUTED or (found.proof is Proof.UNDECIDED and not found.empty):
        return found
    asked, strictly = conditions(c.where)
    left, right = scaled(c.lhs, c.rhs)
    # The ratio as one expression: a power of time in a denominator is then a factor.
    sides = (left / right, sp.S.One) if c.constant is None else (left, c.constant * right)
    sign = 1 if c.relation == "<=" else -1
    extremes: list[tuple[float, float]] = []
    seen, still_open = found.boxes, ""
    for box in later.boxes:
        inside = box.inside(asked, c.over, strictly)
        if all(x is False for x in inside):
            continue
        seen += 1
        time = f"{float(box.time.mid()):.6g}"
        try:
            values = box.at(sides, c.over)
        except (*UNKNOWN, KeyError) as problem:
            reason = f": {problem.args[0]}" if isinstance(problem, KeyError) else ""
            return replace(
                found, boxes=seen, message=f"{found.message}; open at t = {time}{reason}"
            )
        for within, (below, above) in zip(inside, values, strict=True):
            if within is False:
                continue
            if c.constant is None:
                ratio = sign * below
                known = within and ratio.is_finite()
                high = up(ratio) if ratio.is_finite() else math.inf
                extremes.append((down(ratio) if known else -math.inf, high))
                continue
            proof = compared(below, c.relation, above, strict)
            if within and proof is Proof.REFUTED:
                return Decision(Proof.REFUTED, seen, f"fails at t = {time}", forever=True)
            if proof is not Proof.PROVED:
                still_open = still_open or f"{found.message}; open at t = {time}"
    if still_open:
        return replace(found, boxes=seen, message=still_open)
    if found.empty and seen == found.boxes:
        return found
    if c.constant is not None:
        message = "holds on every box, and at all later times"
        return Decision(Proof.PROVED, seen, message, forever=True)
    if extremes and sign == -1 and _vanishes(later, c):
        message = (
            f"no positive constant serves, as the ratio tends to zero; before, {found.message}"
        )
        return Decision(Proof.REFUTED, seen, message, forever=True)
    return _extended(found, seen, sign, extremes)


def _vanishes(later: Later, c: Comparison) -> bool:
    """Whether ``lhs/rhs`` is proved to tend to zero."""
    rows = later.limit.at(scaled(c.lhs, c.rhs), c.over)
    return any(left == 0 and (right > 0 or right < 0) for left, right in rows)


def _extended(
    found: Decision, seen: int, sign: int, extremes: Sequence[tuple[float, float]]
) -> Decision:
    """Tightest constant of all times: that of the finite part, or a later one."""
    if not extremes:
        return replace(found, forever=True)
    before = [] if found.bounds is None else [found.bounds]
    known = [(low, high) if sign == 1 else (-high, -low) for low, high in before]
    least, most = (max(x[k] for x in (*known, *extremes)) for k in (0, 1))
    if not (math.isfinite(least) and math.isfinite(most)):
        return replace(
            found, boxes=seen, message=f"{found.message}; no bound of all times is found"
        )
    late = not known or most > known[0][1]
    low, high = (least, most) if sign == 1 else (-most, -least)
    text = f"[{interval_end(low, ROUND_FLOOR)}, {interval_end(high, ROUND_CEILING)}]"
    where = "attained later than the pieces" if late else found.message.split(", ")[-1]
    best = "smallest" if sign == 1 else "largest"
    message = f"{best} constant of all times in {text}, {where}"
    return Decision(Proof.ENCLOSED, seen, message, text, (low, high), True)
