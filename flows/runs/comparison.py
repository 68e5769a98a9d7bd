"""Compare two sides along a run: whether the comparison holds, with which margin and constant.

Where, and of which factors, is said here. With an explicit constant the margin is compared with its
numerical error (:mod:`flows.runs.stated_constant`); of an unspecified one it is decided whether it
goes on serving (:mod:`flows.runs.open_constant`). What holds comes with its *resolution*: by how
much sharper a claim the run would refute.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import sympy as sp

from flows.runs.between import turning
from flows.runs.open_constant import decide_open
from flows.runs.quantities import Quantities, Run
from flows.runs.rates import FLOOR
from flows.runs.regime import Regime
from flows.runs.sides import ROUNDING, ComparisonResult, Mask, Sides, has_exponent, moving, waiting
from flows.runs.stated_constant import decide_stated
from flows.runs.uncertainty import Uncertainty
from potentials.claim import Claim, Comparison

__all__ = ["ComparisonResult", "measure", "selected"]

VANISHING = (
    "both sides are zero, or not known, at every output time; compare two quantities that are not"
    " zero, as a^2 and b^2 for a^2 - b^2 = 0"
)


def selected(quantities: Quantities, c: Comparison) -> Mask:
    """Where a comparison is made: shape (T,), (T, n) or (T, pairs).

    A mark lies between two outputs: the comparison is made where it may not be on the other side.
    """
    where = [one for condition in c.where for one in quantities.marked(condition)]
    return np.logical_and.reduce([x >= 0 for x in quantities.at(where, c.over)])


def measure(
    run: Run, claim: Claim, place: int, chosen: Mask, *, regime: Regime, uncertainty: Uncertainty
) -> ComparisonResult:
    """Decide one conclusion of a claim where it is made (:func:`selected`)."""
    c = claim.comparisons[place]
    constant = sp.S.One if c.constant is None else c.constant
    # Factors that do not move only scale an open constant, and can leave the range of doubles.
    (lhs_scale, lhs_moving), (rhs_scale, rhs_moving) = (
        (_split(run, x) if c.asymptotic else (0.0, x)) for x in (c.lhs, constant * c.rhs)
    )
    # What is said of the start, or compares numbers of the whole run, selects the start alone.
    once = not chosen[1:].any()
    lhs, rhs, error = uncertainty.compared(lhs_moving, rhs_moving, c.over)
    # Below FLOOR a run that converges exponentially has lost its digits; that of the loss is known.
    known = (np.abs(lhs) > FLOOR) | (np.abs(rhs) > FLOOR)
    informative = run.quantities.informative(c.over)
    if not c.asymptotic and moving(c.lhs, c.rhs) <= {"loss", "t"}:
        informative = np.ones_like(informative)
    spoken = chosen
    chosen = spoken & known & informative & np.isfinite(lhs) & np.isfinite(rhs)
    if not chosen.any():
        return _nothing(VANISHING if spoken.any() else "the claim speaks of no output time")
    for x in run.quantities.at(c.says, c.over):
        chosen = chosen & (x > 0)
    if not chosen.any():
        return _nothing("the statement is empty, its slack exceeds what it bounds")
    error = error + ROUNDING * (np.abs(lhs) + np.abs(rhs))
    measured = Sides(lhs, rhs, error, chosen, once)
    if not c.asymptotic:
        found = decide_stated(run, claim, place, measured, uncertainty)
        if c.lasting and found.holds:
            margin = c.rhs - c.lhs if c.relation == "<=" else c.lhs - c.rhs
            turned = turning(run, margin, error, chosen)
            if turned is not None:
                where = f"between t = {turned[0]:.4g} and {turned[1]:.4g} its margin turns"
                message = f"{found.message}; {where} and may be negative: ask for more outputs"
                return replace(found, holds=None, message=message)
        if c.lasting and found.holds and regime.begun:
            free = replace(c, constant=None)
            later = decide_open(run, claim, free, measured, regime, uncertainty)
            if later.holds is not True and later.constant is not None:
                return replace(found, holds=None, message=f"{found.message}; {later.message}")
        if c.at_infinity and found.holds and not regime.lasts:
            return replace(
                found,
                holds=None,
                message=waiting(regime),
                resolution=None,
                exponent_resolution=None,
            )
        return found
    open_ = replace(c, lhs=lhs_moving, rhs=rhs_moving)
    found = decide_open(run, claim, open_, measured, regime, uncertainty)
    if not has_exponent(claim, place):
        found = replace(found, exponent_resolution=None)
    if found.constant is None:
        return found
    with np.errstate(over="ignore", under="ignore"):
        return replace(found, constant=float(found.constant * np.exp(lhs_scale - rhs_scale)))


def _nothing(reason: str) -> ComparisonResult:
    """Comparison that is made nowhere."""
    return ComparisonResult(None, False, message=f"nothing to measure: {reason}")


def _split(run: Run, expression: sp.Expr) -> tuple[float, sp.Expr]:
    """Logarithm of the positive factors that do not move along the flow, and the rest."""
    factors = sp.Mul.make_args(expression)
    still = [x for x in factors if x.free_symbols and not moving(x)]
    scale = sp.expand_log(sp.log(sp.Mul(*still)), force=True)
    value = float(run.quantities.at((scale,), "state")[0].flat[0])
    # A negative factor, or one that is not defined on this run, has no logarithm: it stays.
    if not math.isfinite(value):
        return 0.0, expression
    return value, sp.Mul(*(x for x in factors if x not in still))
