"""Compare two sides along a run: whether the comparison holds, with which margin and constant.

*Explicit constant*: the margin is compared with its numerical error at every selected time and
index; a margin below it decides nothing. The error is propagated from those of exactly the
quantities in it, at that time (:mod:`flows.runs.uncertainty`). A point at which both sides are
below the error has no digits and is left out, and so is one at which two sides that shall be equal
are not known to a thousandth; the message counts them. Something said of all times takes some.

*Unspecified constant*: on a finite run some constant always serves, the tightest one is reported.
Decided is whether it goes on serving: the slope of `log(lhs/rhs)` against `log t` must not be
positive for `<=` (negative for `>=`) as `t` grows; where the right side is negative, the other way
round. That has a meaning in the late regime only (:mod:`flows.runs.regime`); before it, nothing is
decided. The slope is taken from the state where the rates of both sides are known, and from the
values otherwise, in the two halves of the last stretch of the late regime; the interval for its
limit continues the change between the halves three times (a slope that dies out: to zero), widened
by the numerical error. A slope of the wrong sign that stands still is none that dies out: then
nothing holds, and a smaller one refutes. To refute takes two decades of the late regime, or a loss
that has fallen to the end of doubles. Values and rates must agree.

What holds comes with its *resolution*. With an open constant it is a power of time: what is claimed
does not hold if it is sharper by a larger one. With an explicit constant it is the error, relative
to both sides: a constant that is sharper than the tightest one by more is refuted. Where the claim
has an exponent, the smallest change of it that the run refutes is found as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.runs.quantities import Quantities, Run
from flows.runs.rates import FIT_DECADES, FLOOR
from flows.runs.regime import Regime
from flows.runs.uncertainty import Uncertainty
from potentials.claim import EXPONENT, Claim, Comparison
from potentials.notation import rate_symbol, symbol

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

__all__ = ["ComparisonResult", "measure", "selected"]

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
#: ... and fewer than this show nothing about all times.
FEWEST = 4
#: Two sides are compared for equality where their error is below this part of them.
RESOLVED = 1e-3
#: Relative error of the trapezoidal rule on output times, eight a decade, for an exponential.
SAMPLING = 0.05
#: Changes of an exponent that are tried; between two of them it is looked more closely.
CHANGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
#: ... to this factor.
CLOSELY = 1.05
#: Rounding of an expression in doubles, relative to its terms.
ROUNDING = 1e-13


@dataclass(frozen=True)
class _Sides:
    """Both sides of a comparison, the error of their difference, and where they are compared.

    `once` says that they are to be compared at the start alone.
    """

    lhs: Array
    rhs: Array
    error: Array
    chosen: Mask
    once: bool


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
    resolution: float | None = None
    exponent_resolution: float | None = None
    relation: str = ""
    compared: Literal["sides", "exponents", ""] = ""


def selected(quantities: Quantities, c: Comparison) -> Mask:
    """Where a comparison is made: shape (T,), (T, n) or (T, pairs)."""
    conditions = quantities.at(c.where, c.over)
    return np.logical_and.reduce([x >= 0 for x in conditions])


def measure(
    run: Run,
    claim: Claim,
    place: int,
    chosen: Mask,
    *,
    regime: Regime,
    uncertainty: Uncertainty,
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
    informative = run.quantities.at((symbol("loss"),), c.over)[0] > FLOOR
    if not c.asymptotic and _moves(c.lhs, c.rhs) <= {"loss", "t"}:
        informative = np.ones_like(informative)
    chosen = chosen & known & informative & np.isfinite(lhs) & np.isfinite(rhs)
    if not chosen.any():
        return _nothing("the claim speaks of no output time")
    for x in run.quantities.at(c.says, c.over):
        chosen = chosen & (x > 0)
    if not chosen.any():
        return _nothing("the statement is empty, its slack exceeds what it bounds")
    error = error + ROUNDING * (np.abs(lhs) + np.abs(rhs))
    measured = _Sides(lhs, rhs, error, chosen, once)
    if not c.asymptotic:
        found = _pointwise(run, claim, place, measured, uncertainty)
        if c.at_infinity and found.holds and not regime.begun:
            return replace(
                found,
                holds=None,
                message=_waiting(regime),
                resolution=None,
                exponent_resolution=None,
            )
        return found
    found = _asymptotic(run, claim, replace(c, lhs=lhs_moving, rhs=rhs_moving), measured, regime)
    if not _has_exponent(claim, place):
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
    still = [x for x in factors if x.free_symbols and not _moves(x)]
    scale = sp.expand_log(sp.log(sp.Mul(*still)), force=True)
    value = float(run.quantities.at((scale,), "state")[0].flat[0])
    # A negative factor, or one that is not defined on this run, has no logarithm: it stays.
    if not math.isfinite(value):
        return 0.0, expression
    return value, sp.Mul(*(x for x in factors if x not in still))


def _moves(*expressions: sp.Expr) -> set[str]:
    """What changes along the flow in expressions."""
    names = {x.name for e in expressions for x in e.free_symbols}
    return {name for name in names if name == "t" or rate_symbol(name) != 0}


def _waiting(regime: Regime) -> str:
    """Why a claim about later times is not decided."""
    when = f"; not before t = {regime.not_before:.3g}" if np.isfinite(regime.not_before) else ""
    return f"the late regime has not begun: {regime.reason}{when}"


# Errors of zero and infinite ones leave quotients undefined where they are not looked at.
@np.errstate(all="ignore")
def _pointwise(
    run: Run, claim: Claim, place: int, sides: _Sides, uncertainty: Uncertainty
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
        if count >= FEWEST or sides.once:
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
    timeless = sides.once and not _moves(c.lhs, c.rhs)
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


def _margin(c: Comparison, lhs: Array, rhs: Array) -> Array:
    """By how much a comparison holds."""
    if c.relation == "==":
        return -np.abs(lhs - rhs)
    return rhs - lhs if c.relation == "<=" else lhs - rhs


def _has_exponent(claim: Claim, place: int) -> bool:
    """Whether a conclusion depends on the exponent of its claim."""
    sides = claim.conclusions[place].lhs, claim.conclusions[place].rhs
    return claim.exponent is not None and any(x.has(EXPONENT) for x in sides)


def _exponent_resolution(
    claim: Claim, place: int, resolved: Mask, uncertainty: Uncertainty
) -> float | None:
    """Find the smallest change of the exponent that fails somewhere; None without an exponent."""
    stated, c = claim.conclusions[place], claim.comparisons[place]
    if not _has_exponent(claim, place):
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


def _asymptotic(
    run: Run, claim: Claim, c: Comparison, sides: _Sides, regime: Regime
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
        return replace(result, message=_waiting(regime))

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
