"""A comparison with an explicit constant: its margin against its numerical error.

They are compared at every selected time and index; a margin below its error decides nothing. The
error is propagated from those of exactly the quantities in it, at that time
(:mod:`flows.runs.uncertainty`). A point at which both sides are below the error has no digits and
is left out, and so is one at which two sides that shall be equal are not known to a thousandth; the
message counts them. Something said of all times takes some. It fails between two of them, too,
where the larger side surely vanishes and the smaller one is positive (:mod:`flows.runs.between`).

What holds has as its *resolution* the error, relative to both sides: a constant that is sharper
than the tightest one by more is refuted. Where the claim has an exponent, the smallest change of it
that the run refutes is found as well.
"""

from __future__ import annotations

import math

import numpy as np

from flows.core.arrays import Array
from flows.runs.between import Gap, vanishing
from flows.runs.quantities import Run
from flows.runs.sides import FEWEST, ROUNDING, ComparisonResult, Mask, Sides, has_exponent, moving
from flows.runs.uncertainty import Uncertainty
from potentials.claim import EXPONENT, Claim, Comparison

__all__ = ["CLOSELY", "decide_stated"]

#: Two sides are compared for equality where their error is below this part of them.
RESOLVED = 1e-3
#: Changes of an exponent that are tried; between two of them it is looked more closely.
CHANGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
#: ... to this factor.
CLOSELY = 1.05


# Errors of zero and infinite ones leave quotients undefined where they are not looked at.
@np.errstate(all="ignore")
def decide_stated(
    run: Run, claim: Claim, place: int, sides: Sides, uncertainty: Uncertainty
) -> ComparisonResult:
    """Compare the margin with its error at every selected point that has digits."""
    c = claim.comparisons[place]
    lhs, rhs, error, chosen = sides.lhs, sides.rhs, sides.error, sides.chosen
    times = np.broadcast_to(run.quantities["t"].reshape(-1, *[1] * (lhs.ndim - 1)), lhs.shape)
    equal = c.relation == "=="
    size = np.maximum(np.abs(lhs), np.abs(rhs))
    margin = _margin(c, lhs, rhs)
    violated = chosen & (margin < -error)
    resolved = chosen & (error < (RESOLVED if equal else 1.0) * size)
    undecided = resolved & (margin <= error) & (not equal)
    count = np.count_nonzero(resolved.reshape(len(resolved), -1).any(axis=1))

    holds, looked, urgency = None, undecided, margin / error
    if violated.any():
        holds, reason, looked = False, "fails", violated
    elif not resolved.any():
        reason, looked, urgency = "both sides are below their error", chosen, size / error
    elif undecided.any():
        reason = "margin below its error"
    else:
        looked, urgency = resolved, margin / (error if equal else size)
        gap = _between(run, c, sides, uncertainty)
        if gap is not None:
            holds, reason = False, f"fails, as {gap}; at the outputs it holds"
        elif count >= FEWEST or sides.once:
            holds, reason = True, "holds"
        else:
            reason = f"too few output times to tell: {count}, at least {FEWEST}"
    urgency = np.where(looked & ~np.isnan(urgency), urgency, np.inf)
    worst = np.unravel_index(int(np.argmin(urgency)), lhs.shape)
    tightest = None
    kept = resolved if resolved.any() else chosen
    stated = rhs[kept] / float(c.constant)  # type: ignore[arg-type]
    if not equal and ((stated > 0).all() or (stated < 0).all()):
        upper = (c.relation == "<=") == bool(stated[0] > 0)
        tightest = float((lhs[kept] / stated).max() if upper else (lhs[kept] / stated).min())
    left = np.count_nonzero(chosen & ~resolved)
    note = f" (without {left} of {np.count_nonzero(chosen)} points, below their error)"
    # Two numbers of the whole run, such as the last loss and the first, belong to no time.
    timeless = sides.once and not moving(c.lhs, c.rhs)
    message = (
        f"{reason}{'' if timeless else f', tightest at t = {times[worst]:.4g}'}: "
        f"{lhs[worst]:.6g} {c.relation} {rhs[worst]:.6g}{note if left and resolved.any() else ''}"
    )
    size = max(abs(lhs[worst]), abs(rhs[worst]))
    resolution = float(error[worst] / size) if holds else None
    exponent = _exponent_resolution(claim, place, resolved, uncertainty) if holds else None
    return ComparisonResult(
        holds,
        True,
        float(lhs[worst]),
        float(rhs[worst]),
        float(error[worst]),
        tightest,
        None if timeless else float(times[worst]),
        message,
        resolution,
        exponent,
        c.relation,
        "sides",
    )


def _between(run: Run, c: Comparison, sides: Sides, uncertainty: Uncertainty) -> Gap | None:
    """Find where the larger side surely vanishes between output times, and the smaller does not."""
    if c.relation == "==" or c.over != "state" or sides.once:
        return None
    large, small = (c.rhs, c.lhs) if c.relation == "<=" else (c.lhs, c.rhs)
    least = sides.lhs if c.relation == "<=" else sides.rhs
    needed = sides.chosen & (run.quantities["t"] > 0) & (least > sides.error)
    gap = vanishing(run, uncertainty, large / small, needed)
    return gap if gap is not None and gap.certain else None


def _margin(c: Comparison, lhs: Array, rhs: Array) -> Array:
    """By how much a comparison holds."""
    if c.relation == "==":
        return -np.abs(lhs - rhs)
    return rhs - lhs if c.relation == "<=" else lhs - rhs


def _exponent_resolution(
    claim: Claim, place: int, resolved: Mask, uncertainty: Uncertainty
) -> float | None:
    """Find the smallest change of the exponent that fails somewhere; None without an exponent."""
    stated, c = claim.conclusions[place], claim.comparisons[place]
    if not has_exponent(claim, place):
        return None
    p = float(claim.exponent)  # type: ignore[arg-type]

    def fails(change: float) -> bool:
        for exponent in (p + change, max(p - change, p / 2)):  # a power stays one
            put = {EXPONENT.name: exponent}
            lhs, rhs, error = uncertainty.compared(stated.lhs, c.constant * stated.rhs, c.over, put)
            error = error + ROUNDING * (np.abs(lhs) + np.abs(rhs))
            if (resolved & (_margin(c, lhs, rhs) < -error)).any():
                return True
        return False

    high = next((x for x in CHANGES if fails(x)), math.inf)
    low = high / 10
    while low * CLOSELY < high and math.isfinite(high):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fails(middle) else (middle, high)
    return high
