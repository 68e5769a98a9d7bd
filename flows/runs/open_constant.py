"""A comparison whose constant is left open: whether one constant goes on serving.

On a finite run some constant always serves; the tightest one is reported. Decided is whether it
goes on serving: the slope of `log(lhs/rhs)` against `log t` must not be positive for `<=` (negative
for `>=`) as `t` grows; where the right side is negative, the other way round. That has a meaning in
the late regime only (:mod:`flows.runs.regime`), in which the state cannot turn any more; before it,
nothing is decided. The slope is taken
from the state where the rates of both sides are known, and from the values otherwise, in the two
halves of the last stretch of the late regime; the interval for its limit continues the change
between the halves three times (a slope that dies out: to zero), widened by the numerical error. A
slope of the wrong sign that stands still is none that dies out: then nothing holds, and a smaller
one refutes. Nor does one that dies out like `1/log t`, with which the ratio grows beyond every
constant (:mod:`flows.runs.trend`). To refute takes two decades of the late regime, or a loss that
has fallen to the end of doubles. Values and rates must agree. No constant serves where the right
side vanishes, also between output times (:mod:`flows.runs.between`).

What holds has as its *resolution* a power of time: what is claimed does not hold if it is sharper
by a larger one.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.runs.between import vanishing
from flows.runs.quantities import Quantities, Run
from flows.runs.rates import FIT_DECADES, FLOOR
from flows.runs.regime import Regime
from flows.runs.sides import FEWEST, ComparisonResult, Sides, waiting
from flows.runs.trend import trend
from flows.runs.uncertainty import Uncertainty
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
#: How finely the resolution is found, and where it is looked for.
FINE, UNSEEN = 1 + 1e-6, 1e-18
#: A slope adds up to a finite number if it falls faster than `1/log t` by such a power of it: one
#: like `1/(log t log log t)` adds up to none, and falls like a power of 1.4 at t = 1e6.
SUMMABLE = 1.6
#: How many times the change between two half-windows is continued towards infinity.
CONTINUATION = 3.0
#: Fewer output times than this in the window decide nothing.
POINTS = 6
#: Relative error of the trapezoidal rule on output times, eight a decade, for an exponential.
SAMPLING = 0.05


def decide_open(
    run: Run, claim: Claim, c: Comparison, sides: Sides, regime: Regime, uncertainty: Uncertainty
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
    # A constant is needed only where the other side is not zero, and of its sign.
    other = (lhs * np.sign(signs.sum()) > sides.error) if upper else (np.abs(rhs) > sides.error)
    quotient = c.rhs / c.lhs if upper else c.lhs / c.rhs
    gap = vanishing(run, uncertainty, quotient, chosen & (t > 0) & other)
    if gap is not None and gap.certain:
        message = f"no positive constant serves: {gap}"
        return replace(result, holds=False, attained_at=gap.since, message=message)
    if not regime.begun:
        return replace(result, message=waiting(regime))

    late = np.flatnonzero(chosen & (t >= t[chosen][-1] / 10))
    if len(late) >= FEWEST and needless[late].all() and gap is None:
        message = f"one constant serves: from t = {t[late[0]]:.4g} on every positive one does"
        return replace(result, holds=True, message=message)
    tail = np.flatnonzero(usable & (ratio > 0) & (t > 0))
    if len(tail):
        first = max(t[tail[-1]] / 10**FIT_DECADES, min(regime.since, t[tail[-1]] / 10))
        tail = tail[t[tail] >= first]
    if len(tail) < POINTS or t[tail[-1]] < 2 * t[tail[0]]:
        return replace(result, message="too few output times in the late regime")

    lhs_slope, rhs_slope = _slopes(run.quantities, c, tail, lhs, rhs)
    slope = lhs_slope - rhs_slope
    half, log_t = len(tail) // 2, np.log(t[tail])
    if not _consistent(slope, log_t, np.log(ratio[tail])):
        return replace(result, message="values and rates of the run disagree: it is not resolved")
    width = log_t[-1] - log_t[half]
    relative = np.max(sides.error[tail] / np.maximum(np.abs(lhs[tail]), np.abs(rhs[tail])))
    noise = 2 * relative / width
    doubt = max(2 * noise / STILL, relative * max(np.abs(lhs_slope).max(), np.abs(rhs_slope).max()))
    growth = _growth(sense * slope, log_t, noise, doubt)
    holds = True if growth.bounded and gap is None and not regime.turns else None
    # A transient can look like anything: to refute takes two decades, or an exponential that was
    # followed until doubles are exhausted.
    settled = (
        regime.settled
        and not regime.turns
        and regime.kind != "exponential"
        and t[tail[-1]] >= 10**REFUTATION_DECADES * t[tail[0]]
    )
    if growth.low > (REFUTATION_STILL if growth.still else REFUTATION) and (
        settled or run.quantities[run.leading][-1] <= FLOOR
    ):
        holds = False
    found = {
        True: "one constant serves",
        False: "no constant goes on serving",
        None: "the trend is not settled",
    }[holds]
    message = (
        f"{found}: the ratio of the sides goes like t^{sense * growth.late:+.4g} "
        f"on [{t[tail[0]]:.3g}, {t[tail[-1]]:.3g}], "
        f"tightest constant {constant:.6g} at t = {attained_at:.4g}"
    )
    if holds is None and gap:
        message += f"; {gap}"
    elif holds is None and growth.lasts:
        message += "; it still grows, and no more slowly than 1/log t dies out"
    elif holds is None and regime.turns:
        message += f"; {waiting(regime)}"
    if holds:
        unseen = _unseen(sense * slope, log_t, noise, doubt)
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
        # Both slopes grow with time: their quotient decides, and may have a limit all the same.
        quotients = p * lhs_slope / rhs_slope
        ends = quotients[:half].mean(), quotients[half:].mean()
        spread = CONTINUATION * abs(ends[1] - ends[0]) + 2 * abs(p / base) * noise
        if spread > STILL * abs(ends[1]):
            spread = math.nan
            message += "; the exponent has no limit, and so no error: the loss falls exponentially"
    else:
        spread = abs(p * (growth.high - growth.low) / base)
    return replace(
        result,
        holds=holds,
        exponent_resolution=abs(p / base) * result.resolution if result.resolution else None,
        measured=float(measured),
        bound=p,
        error=float(spread),
        message=message,
        relation=relation,
        compared="exponents",
    )


class _Growth(NamedTuple):
    """Slope of the ratio, which leaves constants behind where it is positive, and its future.

    Parameters
    ----------
    late : float
        The slope in the late half of the window.
    low, high : float
        Bounds of its limit.
    still, lasts : bool
        Whether it stands still; whether it falls no faster than `1/log t`.
    """

    late: float
    low: float
    high: float
    still: bool
    lasts: bool

    @property
    def bounded(self) -> bool:
        """Whether one constant serves."""
        return self.high <= RESOLUTION and not (self.still or self.lasts)


def _growth(slope: Array, log_t: Array, noise: float, doubt: float) -> _Growth:
    """Continue a slope towards infinity; one above `doubt` is seen."""
    half = len(slope) // 2
    early, late = float(slope[:half].mean()), float(slope[half:].mean())
    further = late + CONTINUATION * (late - early)
    if further * late < 0 and early * late > 0:
        further = 0.0  # a slope that dies out ends at zero
    low, high = min(late, further) - noise, max(late, further) + noise
    change = CONTINUATION * abs(late - early) + 2 * noise
    at_end = trend(slope, log_t, doubt)
    lasts = at_end.resolved and at_end.last > 0 and not at_end.dies_out(SUMMABLE)
    return _Growth(late, low, high, late > 0 and change <= STILL * late, lasts)


def _unseen(slope: Array, log_t: Array, noise: float, doubt: float) -> float:
    """Smallest power of time by which the ratio could grow faster, so that nothing holds."""
    low, high = UNSEEN, 2 * (RESOLUTION + float(np.abs(slope).max()))
    while high > FINE * low:
        middle = math.sqrt(low * high)
        bounded = _growth(slope + middle, log_t, noise, doubt).bounded
        low, high = (middle, high) if bounded else (low, middle)
    return high


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
        if rate := rate_symbol(x):
            weight, velocity = quantities.at((x * sp.diff(expression, x), rate / x), "state")
            total = total + weight[tail] * (quantities["t"][tail] * velocity[tail])
    return total


def _consistent(slope: Array, log_t: Array, log_ratio: Array) -> bool:
    """Whether slopes from the state add up to the change of the values, an independent number."""
    steps = np.diff(log_t)
    change = log_ratio[-1] - log_ratio[0]
    doubt = abs(np.sum(steps * (slope[1:] + slope[:-1]) / 2) - change)
    return bool(doubt <= RESOLUTION * steps.sum() + SAMPLING * abs(change))
