"""Compare two sides along a run: whether the comparison holds, with which margin and constant.

*Explicit constant*: the margin is compared with its numerical error at every selected time and
index. The error is propagated from the run's relative error through the derivatives of both sides.

*Unspecified constant*: on a finite run some constant always serves, the tightest one is reported.
Decided is whether it serves for ever: the slope of `log(lhs/rhs)` against `log t` must not be
positive for `<=` (negative for `>=`) as `t` grows. The slope is taken from the state where the
rates of both sides are known, and from the values otherwise, in the two halves of the asymptotic
window; the interval for its limit continues the change between the halves three times (a slope
that dies out: to zero), widened by the numerical error. To refute, the window must be steady for
two decades, or the loss exponential down to the end of doubles. Values and rates must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.runs.quantities import Quantities, Run
from flows.runs.rates import FIT_DECADES, FLOOR, asymptotic_window
from potentials.claim import Claim, Comparison
from potentials.notation import CONSTANTS, rate_symbol, symbol

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

__all__ = ["ComparisonResult", "measure", "selected"]

#: Exponents of papers are fractions; a slope below this is that of a constant.
RESOLUTION = 0.01
#: A slope above this, over at least so many steady decades, refutes a constant.
REFUTATION = 0.05
REFUTATION_DECADES = 2.0
#: How many times the change between two half-windows is continued towards infinity.
CONTINUATION = 3.0
#: Fewer output times than this in the window decide nothing.
POINTS = 6
#: Relative error of the trapezoidal rule on output times, eight a decade, for an exponential.
SAMPLING = 0.05
#: Rounding of an expression in doubles, relative to its terms.
ROUNDING = 1e-13


@dataclass(frozen=True)
class _Sides:
    """Both sides of a comparison, the error of their difference, and where they are compared."""

    lhs: Array
    rhs: Array
    error: Array
    chosen: Mask


@dataclass(frozen=True)
class ComparisonResult:
    """One comparison measured: `holds` is None if undecided; `defined` is False if it is void."""

    holds: bool | None
    defined: bool
    measured: float | None = None
    bound: float | None = None
    error: float | None = None
    constant: float | None = None
    attained_at: float | None = None
    message: str = ""


def selected(quantities: Quantities, c: Comparison) -> Mask:
    """Where a comparison is made: shape (T,), (T, n) or (T, pairs)."""
    conditions = quantities.at(c.where, c.over)
    return np.logical_and.reduce([x >= 0 for x in conditions])


def measure(run: Run, claim: Claim, c: Comparison, chosen: Mask) -> ComparisonResult:
    """Decide one comparison of a claim where it is made (:func:`selected`)."""
    constant = sp.S.One if c.constant is None else c.constant
    sides = c.lhs, constant * c.rhs
    lhs, rhs, noise = run.quantities.at((*sides, _noise(c.lhs - constant * c.rhs)), c.over)
    # Below FLOOR a run that converges exponentially has lost its digits.
    known = (np.abs(lhs) > FLOOR) | (np.abs(rhs) > FLOOR)
    informative = run.quantities.at((symbol("loss"),), c.over)[0] > FLOOR
    chosen = chosen & known & informative & np.isfinite(lhs) & np.isfinite(rhs)
    if not chosen.any():
        return ComparisonResult(
            None, False, message="nothing to measure: the claim selects no output time"
        )
    error = run.error("loss") * noise + ROUNDING * (np.abs(lhs) + np.abs(rhs))
    measured = _Sides(lhs, rhs, error, chosen)
    return _asymptotic(run, claim, c, measured) if c.asymptotic else _pointwise(run, c, measured)


def _noise(expression: sp.Expr) -> sp.Expr:
    """Sum of `|x d expression/dx|`: what a relative error one of all quantities moves it by."""
    moving = [x for x in expression.free_symbols if x.name not in CONSTANTS and x.name != "t"]
    return sp.Add(*(sp.Abs(x * sp.diff(expression, x)) for x in moving))


def _pointwise(run: Run, c: Comparison, sides: _Sides) -> ComparisonResult:
    """Compare the margin with its error at every selected point."""
    lhs, rhs, error = (x[sides.chosen] for x in (sides.lhs, sides.rhs, sides.error))
    times = run.quantities["t"].reshape(-1, *[1] * (sides.lhs.ndim - 1))
    t = np.broadcast_to(times, sides.lhs.shape)[sides.chosen]
    if c.relation == "==":
        margin = error - np.abs(lhs - rhs)
        worst = int(np.argmin(margin / np.maximum(error, FLOOR)))
        holds: bool | None = bool(margin[worst] >= 0)
    else:
        margin = rhs - lhs if c.relation == "<=" else lhs - rhs
        worst = int(np.argmin(margin / np.maximum(np.abs(lhs), np.abs(rhs))))
        violated, decided = margin < -error, margin > error
        holds = False if violated.any() else (True if decided.all() else None)
        if violated.any():
            worst = int(np.argmin(np.where(violated, margin / error, np.inf)))
    tightest = None
    if c.relation != "==" and (rhs > 0).all():
        ratios = lhs / rhs * float(c.constant)  # type: ignore[arg-type]
        tightest = float(ratios.max() if c.relation == "<=" else ratios.min())
    found = {True: "holds", False: "fails", None: "margin below its error"}[holds]
    message = (
        f"{found}, tightest at t = {t[worst]:.4g}: {lhs[worst]:.6g} {c.relation} {rhs[worst]:.6g}"
    )
    return ComparisonResult(
        holds,
        True,
        float(lhs[worst]),
        float(rhs[worst]),
        float(error[worst]),
        tightest,
        float(t[worst]),
        message,
    )


def _asymptotic(run: Run, claim: Claim, c: Comparison, sides: _Sides) -> ComparisonResult:
    """Decide whether one constant serves for ever, and find the tightest one of this run."""
    t, lhs, rhs = run.quantities["t"], sides.lhs, sides.rhs
    ratio = np.divide(lhs, rhs, out=np.full_like(lhs, np.nan), where=rhs != 0)
    sense = 1.0 if c.relation == "<=" else -1.0
    needless = (lhs <= 0) & (rhs >= 0) if sense > 0 else (lhs >= 0) & (rhs == 0)
    if needless[sides.chosen].all():
        return ComparisonResult(
            True, True, message="holds trivially: every positive constant serves"
        )
    usable = sides.chosen & np.isfinite(ratio)
    extreme = int(np.argmax(np.where(usable, sense * ratio, -np.inf)))
    constant, attained_at = float(ratio[extreme]), float(t[extreme])
    result = ComparisonResult(None, True, constant=constant, attained_at=attained_at)
    if run.status != "completed":
        return replace(result, message=f"the run ended early ({run.status})")

    tail = np.flatnonzero(usable & (ratio > 0) & (t > 0))
    window = asymptotic_window(run)
    if len(tail):
        first = t[tail[-1]] / 10**FIT_DECADES
        if window.steady:
            first = max(first, min(window.t_start, t[tail[-1]] / 10))
        else:
            first = t[tail[-1]] / 10
        tail = tail[t[tail] >= first]
    if len(tail) < POINTS or t[tail[-1]] < 2 * t[tail[0]]:
        return replace(result, message="too few output times in the asymptotic window")

    lhs_slope, rhs_slope = _slopes(run.quantities, c, tail, lhs, rhs)
    slope = lhs_slope - rhs_slope
    half = len(tail) // 2
    early, late = slope[:half].mean(), slope[half:].mean()
    if not _consistent(slope, np.log(t[tail]), np.log(ratio[tail])):
        return replace(result, message="values and rates of the run disagree: it is not resolved")
    width = np.log(t[tail[-1]] / t[tail[half]])
    noise = 2 * np.max(sides.error[tail] / np.maximum(np.abs(lhs[tail]), np.abs(rhs[tail]))) / width
    further = late + CONTINUATION * (late - early)
    if further * late < 0 and early * late > 0:
        further = 0.0  # a slope that dies out ends at zero
    low, high = min(late, further) - noise, max(late, further) + noise
    low, high = (low, high) if sense > 0 else (-high, -low)
    holds = True if high <= RESOLUTION else None
    # A transient can look like anything: to refute takes two steady decades, or an exponential
    # that was followed until doubles are exhausted.
    settled = window.steady and t[tail[-1]] >= 10**REFUTATION_DECADES * t[tail[0]]
    if low > REFUTATION and (settled or run.quantities["loss"][-1] <= FLOOR):
        holds = False
    found = {
        True: "one constant serves",
        False: "no constant serves for ever",
        None: "the trend is not settled",
    }[holds]
    message = (
        f"{found}: lhs/rhs goes like t^{late:+.4g} on [{t[tail[0]]:.3g}, {t[tail[-1]]:.3g}], "
        f"tightest constant {constant:.6g} at t = {attained_at:.4g}"
    )
    if claim.exponent is None:
        return replace(result, holds=holds, message=message)
    # rhs is a power x^p: where lhs goes like x^q, the slopes are to each other like q to p.
    p, base = float(claim.exponent), rhs_slope[half:].mean()
    measured = p * lhs_slope[half:].mean() / base
    spread = abs(p * (high - low) / base)
    return replace(
        result,
        holds=holds,
        measured=float(measured),
        bound=p,
        error=float(spread),
        message=message,
    )


def _slopes(
    quantities: Quantities, c: Comparison, tail: Index, lhs: Array, rhs: Array
) -> tuple[Array, Array]:
    """Local slopes of `log lhs` and `log rhs` against `log t`, from the state if it is known."""
    lhs, rhs, log_t = lhs[tail], rhs[tail], np.log(quantities["t"][tail])
    try:
        return _log_slope(quantities, c.lhs, tail) / lhs, _log_slope(quantities, c.rhs, tail) / rhs
    except KeyError:  # the rate of a rate is not known: slopes of the values themselves
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
