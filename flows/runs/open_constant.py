"""A comparison whose constant is left open: whether one constant goes on serving.

On a finite run some constant always serves; the tightest one is reported. Decided is whether it
goes on serving: the slope of `log(lhs/rhs)` against `log t` must not be positive for `<=` (negative
for `>=`) as `t` grows; where the right side is negative, the other way round. That has a meaning in
the late regime only (:mod:`flows.runs.regime`); before it, nothing is decided. The slope is taken
from the state where the rates of both sides are known, and from the values otherwise, in the two
halves of the last stretch of the late regime; the interval for its limit continues the change
between the halves three times (a slope that dies out: to zero), widened by the numerical error. A
slope of the wrong sign that stands still is none that dies out: then nothing holds, and a smaller
one refutes. To refute takes two decades of the late regime, or a loss that has fallen to the end of
doubles. Values and rates must agree.

What holds has as its *resolution* a power of time: what is claimed does not hold if it is sharper
by a larger one.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.runs.quantities import Quantities, Run
from flows.runs.rates import FIT_DECADES, FLOOR
from flows.runs.regime import Regime
from flows.runs.sides import FEWEST, ComparisonResult, Sides, waiting
from potentials.claim import Claim, Comparison
from potentials.notation import rate_symbol

__all__ = ["STILL", "decide_open"]

Index = NDArray[np.intp]

#: Exponents of papers are fractions; a slope below this is that of a constant.
RESOLUTION = 0.01
#: A slope above this, over at least so many steady decades, refutes a constant.
REFUTATION = 0.05
REFUTATION_DECADES = 2.0
#: ... and a smaller one, if all that is known of it lies within this part of it.
REFUTATION_STILL = 0.02
STILL = 0.1
#: How many times the change between two half-windows is continued towards infinity.
CONTINUATION = 3.0
#: Fewer output times than this in the window decide nothing.
POINTS = 6
#: Relative error of the trapezoidal rule on output times, eight a decade, for an exponential.
SAMPLING = 0.05


def decide_open(
    run: Run, claim: Claim, c: Comparison, sides: Sides, regime: Regime
) -> ComparisonResult:
    """Decide whether one constant goes on serving, and find the tightest one of this run."""
    t, lhs, rhs, chosen = run.quantities["t"], sides.lhs, sides.rhs, sides.chosen
    signs = np.sign(rhs[chosen])
    if (signs > 0).any() and (signs < 0).any():
        return ComparisonResult(None, True, message="the right side changes its sign")
    # lhs <= C rhs with rhs < 0 says lhs/rhs >= C.
    upper = (c.relation == "<=") == (not (signs < 0).any())
    sense = 1.0 if upper else -1.0
    ratio = np.divide(lhs, rhs, out=np.full_like(lhs, np.nan), where=rhs != 0)
    needless = np.where(
        rhs == 0, (lhs <= 0) if c.relation == "<=" else (lhs >= 0), upper & (ratio <= 0)
    )
    if needless[chosen].all():
        if np.count_nonzero(chosen) < FEWEST:
            return ComparisonResult(None, True, message="too few output times")
        return ComparisonResult(
            True, True, message="holds trivially: every positive constant serves"
        )
    usable = chosen & np.isfinite(ratio)
    extreme = int(np.argmax(np.where(usable, sense * ratio, -np.inf)))
    constant, attained_at = float(ratio[extreme]), float(t[extreme])
    result = ComparisonResult(None, True, constant=constant, attained_at=attained_at)
    wrong = usable & ~upper & (ratio < 0) & (np.abs(lhs) > sides.error)
    if wrong.any():
        first = int(np.argmax(wrong))
        message = (
            f"no positive constant serves at t = {t[first]:.4g}, where the ratio of the sides is"
            f" {ratio[first]:.4g}"
        )
        return replace(result, holds=False, attained_at=float(t[first]), message=message)
    if not regime.begun:
        return replace(result, message=waiting(regime))

    tail = np.flatnonzero(usable & (ratio > 0) & (t > 0))
    if len(tail):
        first = max(t[tail[-1]] / 10**FIT_DECADES, min(regime.since, t[tail[-1]] / 10))
        tail = tail[t[tail] >= first]
    if len(tail) < POINTS or t[tail[-1]] < 2 * t[tail[0]]:
        return replace(result, message="too few output times in the late regime")

    lhs_slope, rhs_slope = _slopes(run.quantities, c, tail, lhs, rhs)
    slope = lhs_slope - rhs_slope
    half = len(tail) // 2
    # Above zero, the ratio leaves every constant behind.
    early, late = sense * slope[:half].mean(), sense * slope[half:].mean()
    if not _consistent(slope, np.log(t[tail]), np.log(ratio[tail])):
        return replace(result, message="values and rates of the run disagree: it is not resolved")
    width = np.log(t[tail[-1]] / t[tail[half]])
    noise = 2 * np.max(sides.error[tail] / np.maximum(np.abs(lhs[tail]), np.abs(rhs[tail]))) / width
    further = late + CONTINUATION * (late - early)
    if further * late < 0 and early * late > 0:
        further = 0.0  # a slope that dies out ends at zero
    low, high = min(late, further) - noise, max(late, further) + noise
    change = CONTINUATION * abs(late - early) + 2 * noise
    still = late > 0 and change <= STILL * late
    holds = True if high <= RESOLUTION and not still else None
    # With a slope that is larger by this it does not hold, whatever the change between the halves.
    unseen = min(RESOLUTION - noise, change / STILL) - late
    # A transient can look like anything: to refute takes two decades, or an exponential that was
    # followed until doubles are exhausted.
    settled = (
        regime.settled
        and regime.kind != "exponential"
        and t[tail[-1]] >= 10**REFUTATION_DECADES * t[tail[0]]
    )
    if low > (REFUTATION_STILL if still else REFUTATION) and (
        settled or run.quantities["loss"][-1] <= FLOOR
    ):
        holds = False
    found = {
        True: "one constant serves",
        False: "no constant goes on serving",
        None: "the trend is not settled",
    }[holds]
    message = (
        f"{found}: the ratio of the sides goes like t^{sense * late:+.4g} "
        f"on [{t[tail[0]]:.3g}, {t[tail[-1]]:.3g}], "
        f"tightest constant {constant:.6g} at t = {attained_at:.4g}"
    )
    if holds:
        message += f"; it would not hold if it were sharper by more than t^{unseen:.1e}"
        result = replace(result, resolution=float(unseen))
    if claim.exponent is None:
        return replace(result, holds=holds, message=message)
    # rhs is a power x^p: where lhs goes like x^q, the slopes are to each other like q to p.
    p, base = float(claim.exponent), rhs_slope[half:].mean()
    # Where the right side falls, an upper bound asks for a larger power.
    relation = ">=" if sense * base * p < 0 else "<="
    measured = p * lhs_slope[half:].mean() / base
    if regime.kind == "exponential":
        # Both slopes grow with time: their quotient tells, and may have a limit all the same.
        quotients = p * lhs_slope / rhs_slope
        ends = quotients[:half].mean(), quotients[half:].mean()
        spread = CONTINUATION * abs(ends[1] - ends[0]) + 2 * abs(p / base) * noise
        if spread > STILL * abs(ends[1]):
            spread = math.nan
            message += "; the exponent has no limit, and so no error: the loss falls exponentially"
    else:
        spread = abs(p * (high - low) / base)
    return replace(
        result,
        holds=holds,
        exponent_resolution=float(abs(p / base) * unseen) if holds else None,
        measured=float(measured),
        bound=p,
        error=float(spread),
        message=message,
        relation=relation,
        compared="exponents",
    )


def _slopes(
    quantities: Quantities, c: Comparison, tail: Index, lhs: Array, rhs: Array
) -> tuple[Array, Array]:
    """Local slopes of `log lhs` and `log rhs` against `log t`, from the state if it is known."""
    lhs, rhs, log_t = lhs[tail], rhs[tail], np.log(quantities["t"][tail])
    try:
        return _log_slope(quantities, c.lhs, tail) / lhs, _log_slope(quantities, c.rhs, tail) / rhs
    except InputError:  # the rate of a rate is not known: slopes of the values themselves
        return np.gradient(np.log(np.abs(lhs)), log_t), np.gradient(np.log(np.abs(rhs)), log_t)


def _log_slope(quantities: Quantities, expression: sp.Expr, tail: Index) -> Array:
    """Differentiate by `log t`, as `sum_x (x d/dx) (t x_dot/x)`, where powers do not overflow."""
    total = np.zeros(len(tail))
    for x in sorted(expression.free_symbols, key=str):
        if rate := rate_symbol(x.name):
            weight, velocity = quantities.at((x * sp.diff(expression, x), rate / x), "state")
            total = total + weight[tail] * (quantities["t"][tail] * velocity[tail])
    return total


def _consistent(slope: Array, log_t: Array, log_ratio: Array) -> bool:
    """Whether slopes from the state add up to the change of the values, an independent number."""
    steps = np.diff(log_t)
    change = log_ratio[-1] - log_ratio[0]
    doubt = abs(np.sum(steps * (slope[1:] + slope[:-1]) / 2) - change)
    return bool(doubt <= RESOLUTION * steps.sum() + SAMPLING * abs(change))
