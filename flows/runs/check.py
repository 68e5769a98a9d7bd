"""Check claims on a run: Claim x Trajectory -> Verdict.

How a conclusion is decided:

*Explicit constant*: the margin is compared with its numerical error at every selected time and
index. The error is propagated from the run's relative error through the derivatives of both sides.

*Unspecified constant*: on a finite run some constant always serves, the tightest one is reported.
Decided is whether it goes on serving: the slope of `log(lhs/rhs)` against `log t` must not be
positive for `<=` (negative for `>=`) as `t` grows; where the right side is negative, the other way
round. That has a meaning in the late regime only (:mod:`flows.runs.regime`); before it, nothing is
decided. The slope is taken from the state where the rates of both sides are known, and from the
values otherwise, in the two halves of the last stretch of the late regime; the interval for its
limit continues the change between the halves three times (a slope that dies out: to zero), widened
by the numerical error. To refute takes two decades of the late regime, or a loss that has fallen to
the end of doubles. Values and rates must agree.

Hypotheses and conclusion together give the verdict, see `Outcome`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError, unknown
from flows.runs.quantities import Quantities, Run
from flows.runs.rates import FIT_DECADES, FLOOR
from flows.runs.regime import Regime, late_regime
from flows.runs.verdict import HypothesisResult, Outcome, Verdict
from potentials.claim import Claim, Comparison, Hypothesis
from potentials.notation import CONSTANTS, rate_symbol, symbol

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

__all__ = ["check", "selected"]

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
class _ComparisonResult:
    """One comparison measured: `holds` is None if undecided; `defined` is False if it is void."""

    holds: bool | None
    defined: bool
    measured: float | None = None
    bound: float | None = None
    error: float | None = None
    constant: float | None = None
    attained_at: float | None = None
    message: str = ""


def check(run: Run, claim: Claim | str | None = None) -> list[Verdict]:
    """Check claims on a run.

    Parameters
    ----------
    run : Run
        A trajectory.
    claim : Claim or str, optional
        One claim, or its id; by default every claim about the run's system.

    Returns
    -------
    list of Verdict
        One a claim, in the order of `run.statements.claims`.

    Raises
    ------
    InputError
        For an unknown id, and for a system without claims.
    """
    known = {c.id: c for c in run.statements.claims}
    if not known and not isinstance(claim, Claim):
        name = run.parameters["system"]
        raise InputError(
            f"no claims about {name} are known; give the system its claims, and with a"
            " file the system: flows.load(path, system=...)"
        )
    if isinstance(claim, str) and claim not in known:
        raise unknown("claim", claim, known)
    one = known[claim] if isinstance(claim, str) else claim
    chosen = list(known.values()) if one is None else [one]
    # One regime for all claims; a run is looked at only if some claim asks.
    regime = late_regime(run) if any(_asks_for_regime(c) for c in chosen) else Regime("")
    return [_verdict(run, c, regime) for c in chosen]


def _asks_for_regime(claim: Claim) -> bool:
    return any(c.asymptotic or c.at_infinity for c in claim.comparisons)


def _verdict(run: Run, claim: Claim, regime: Regime) -> Verdict:
    chosen = [selected(run.quantities, c) for c in claim.comparisons]
    times = np.any([mask.reshape(len(run.t), -1).any(axis=1) for mask in chosen], axis=0)
    hypotheses = tuple(_hypothesis(run.quantities, h, times) for h in claim.hypotheses)
    met = all(h.holds for h in hypotheses)

    worst = _worst(
        [
            _measure(run, claim, c, mask, regime)
            for c, mask in zip(claim.comparisons, chosen, strict=True)
        ]
    )
    if not worst.defined:
        outcome = Outcome.INCONCLUSIVE if met else Outcome.HYPOTHESIS_NOT_MET
    elif worst.holds is None:
        outcome = Outcome.INCONCLUSIVE
    elif met:
        outcome = Outcome.HOLDS if worst.holds else Outcome.VIOLATED
    else:
        outcome = Outcome.HOLDS_BEYOND if worst.holds else Outcome.HYPOTHESIS_NOT_MET
    missing = sum(not h.holds for h in hypotheses)
    note = f"; outside the theorem: {missing} of {len(hypotheses)} hypotheses not met"
    return Verdict(
        claim=claim.id,
        verdict=outcome,
        measured=worst.measured,
        bound=worst.bound,
        error=worst.error,
        hypotheses=hypotheses,
        source=claim.source,
        constant=worst.constant,
        attained_at=worst.attained_at,
        message=worst.message + (note if missing else ""),
    )


def _worst(results: Sequence[_ComparisonResult]) -> _ComparisonResult:
    """Return the result that decides a conjunction: a failure, else a void, else an open one."""

    def rank(result: _ComparisonResult) -> tuple[int, float]:
        if result.defined and result.holds is False:
            return 0, 0.0
        if not result.defined:
            return 1, 0.0
        if result.holds is None:
            return 2, 0.0
        scale = abs(result.bound or 0.0)
        return 3, abs(scale - abs(result.measured or 0.0)) / scale if scale else math.inf

    return min(results, key=rank)


def _hypothesis(quantities: Quantities, h: Hypothesis, times: Mask) -> HypothesisResult:
    """Compare at the times that the claim selects, at the start if it selects none."""
    lhs, rhs = quantities.at((h.lhs, h.rhs), h.over)
    rows = times if times.any() else np.arange(len(times)) == 0
    lhs, rhs = lhs[rows].ravel(), rhs[rows].ravel()
    if not len(lhs):
        return HypothesisResult(h.text, True, np.nan, np.nan, h.relation)
    gap = lhs - rhs if h.relation[0] == ">" else rhs - lhs
    # An undefined side fails the hypothesis: NaN must not pass for a small gap.
    worst = int(np.argmin(np.where(np.isnan(gap), -np.inf, gap)))
    holds = bool(gap[worst] > 0 or (gap[worst] == 0 and h.relation.endswith("=")))
    return HypothesisResult(h.text, holds, float(lhs[worst]), float(rhs[worst]), h.relation)


def selected(quantities: Quantities, c: Comparison) -> Mask:
    """Where a comparison is made: shape (T,), (T, n) or (T, pairs)."""
    conditions = quantities.at(c.where, c.over)
    return np.logical_and.reduce([x >= 0 for x in conditions])


def _measure(
    run: Run, claim: Claim, c: Comparison, chosen: Mask, regime: Regime
) -> _ComparisonResult:
    constant = sp.S.One if c.constant is None else c.constant
    # Factors that do not move only scale an open constant, and can leave the range of doubles.
    (lhs_scale, lhs_moving), (rhs_scale, rhs_moving) = (
        (_split(x) if c.asymptotic else (sp.S.One, x)) for x in (c.lhs, constant * c.rhs)
    )
    sides = lhs_moving, rhs_moving
    lhs, rhs, noise = run.quantities.at((*sides, _noise(lhs_moving - rhs_moving)), c.over)
    # Below FLOOR a run that converges exponentially has lost its digits.
    known = (np.abs(lhs) > FLOOR) | (np.abs(rhs) > FLOOR)
    informative = run.quantities.at((symbol("loss"),), c.over)[0] > FLOOR
    chosen = chosen & known & informative & np.isfinite(lhs) & np.isfinite(rhs)
    if not chosen.any():
        return _ComparisonResult(
            None, False, message="nothing to measure: the claim selects no output time"
        )
    error = run.error("loss") * noise + ROUNDING * (np.abs(lhs) + np.abs(rhs))
    measured = _Sides(lhs, rhs, error, chosen)
    if not c.asymptotic:
        found = _pointwise(run, c, measured)
        if c.at_infinity and found.holds and not regime.begun:
            return replace(found, holds=None, message=_waiting(regime))
        return found
    found = _asymptotic(run, claim, replace(c, lhs=lhs_moving, rhs=rhs_moving), measured, regime)
    (scale,) = run.quantities.at(
        (sp.expand_log(sp.log(lhs_scale / rhs_scale), force=True),), "state"
    )
    if found.constant is None:
        return found
    with np.errstate(over="ignore", under="ignore"):
        return replace(found, constant=float(found.constant * np.exp(scale[0])))


def _split(expression: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Positive factors that are frozen or constant, and the rest, which moves along the flow."""
    fixed, moving = sp.S.One, sp.S.One
    for factor in sp.Mul.make_args(expression):
        still = not sp.sympify(_moving(factor), strict=True)
        if still and factor.free_symbols and not factor.could_extract_minus_sign():
            fixed *= factor
        else:
            moving *= factor
    return fixed, moving


def _moving(expression: sp.Expr) -> bool:
    """Whether an expression changes along the flow."""
    return any(x.name == "t" or rate_symbol(x.name) != 0 for x in expression.free_symbols)


def _waiting(regime: Regime) -> str:
    """Why a claim about later times is not decided."""
    when = f"; not before t = {regime.not_before:.3g}" if np.isfinite(regime.not_before) else ""
    return f"the late regime has not begun: {regime.reason}{when}"


def _noise(expression: sp.Expr) -> sp.Expr:
    """Sum of `|x d expression/dx|`: what a relative error one of all quantities moves it by."""
    moving = [x for x in expression.free_symbols if x.name not in CONSTANTS and x.name != "t"]
    return sp.Add(*(sp.Abs(x * sp.diff(expression, x)) for x in moving))


def _pointwise(run: Run, c: Comparison, sides: _Sides) -> _ComparisonResult:
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
    return _ComparisonResult(
        holds,
        True,
        float(lhs[worst]),
        float(rhs[worst]),
        float(error[worst]),
        tightest,
        float(t[worst]),
        message,
    )


def _asymptotic(
    run: Run, claim: Claim, c: Comparison, sides: _Sides, regime: Regime
) -> _ComparisonResult:
    """Decide whether one constant goes on serving, and find the tightest one of this run."""
    t, lhs, rhs, chosen = run.quantities["t"], sides.lhs, sides.rhs, sides.chosen
    signs = np.sign(rhs[chosen])
    if (signs > 0).any() and (signs < 0).any():
        return _ComparisonResult(None, True, message="the right side changes its sign")
    # lhs <= C rhs with rhs < 0 says lhs/rhs >= C.
    upper = (c.relation == "<=") == (not (signs < 0).any())
    sense = 1.0 if upper else -1.0
    ratio = np.divide(lhs, rhs, out=np.full_like(lhs, np.nan), where=rhs != 0)
    needless = np.where(
        rhs == 0, (lhs <= 0) if c.relation == "<=" else (lhs >= 0), upper & (ratio <= 0)
    )
    if needless[chosen].all():
        return _ComparisonResult(
            True, True, message="holds trivially: every positive constant serves"
        )
    usable = chosen & np.isfinite(ratio)
    extreme = int(np.argmax(np.where(usable, sense * ratio, -np.inf)))
    constant, attained_at = float(ratio[extreme]), float(t[extreme])
    result = _ComparisonResult(None, True, constant=constant, attained_at=attained_at)
    wrong = usable & ~upper & (ratio < 0) & (np.abs(lhs) > sides.error)
    if wrong.any():
        first = int(np.argmax(wrong))
        message = (
            f"no positive constant serves at t = {t[first]:.4g}: lhs/rhs is {ratio[first]:.4g}"
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
    # A transient can look like anything: to refute takes two decades, or an exponential that was
    # followed until doubles are exhausted.
    settled = (
        regime.settled
        and regime.kind != "exponential"
        and t[tail[-1]] >= 10**REFUTATION_DECADES * t[tail[0]]
    )
    if low > REFUTATION and (settled or run.quantities["loss"][-1] <= FLOOR):
        holds = False
    found = {
        True: "one constant serves",
        False: "no constant goes on serving",
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
