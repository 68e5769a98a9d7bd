"""Check claims on a run: Claim x Trajectory -> Verdict.

How a single comparison is decided stands in :mod:`flows.runs.comparison`. Hypotheses and conclusion
together give the verdict, see `Outcome`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy.logic.boolalg import Boolean

from flows.core.errors import InputError, unknown
from flows.runs.comparison import ComparisonResult, measure, selected
from flows.runs.quantities import Quantities, Run, quantities_of
from flows.runs.regime import Regime, late_regime
from flows.runs.relation import claim_of
from flows.runs.uncertainty import Uncertainty
from flows.runs.verdict import (
    OUTSIDE,
    HypothesisResult,
    Outcome,
    Verdict,
    Verdicts,
    resolution_text,
)
from potentials.claim import Claim, Hypothesis

Mask = NDArray[np.bool_]

__all__ = ["check"]


def check(
    run: Run, claim: Claim | Boolean | str | Sequence[Claim | Boolean | str] | None = None
) -> Verdicts:
    """Check claims on a run.

    Parameters
    ----------
    run : Run
        A trajectory.
    claim : Claim, str, Boolean or a list of such, optional
        Claims, or their ids; by default every claim about the run's system. Or SymPy relations in
        the symbols of quantities: with numbers, ``D(Phi) <= -2*Phi**2``, compared at all output
        times, and with one free constant, ``D(Phi) <= -C*Phi**2``, which is measured; the message
        says from which time on. A relation that holds at the outputs, and that a trend of the late
        regime would break, is INCONCLUSIVE.

    Returns
    -------
    list of Verdict
        One a claim, in their order; it prints one line each.

    Raises
    ------
    InputError
        For an unknown id, for a system without claims, and for a relation with an unknown symbol
        or several free constants.
    """
    quantities_of(run)
    if isinstance(claim, (list, tuple)):
        chosen = [_claim(run, one) for one in claim]
    elif claim is None:
        chosen = list(_known(run).values())
    else:
        chosen = [_claim(run, claim)]
    # One regime for all claims; a run is looked at only if some claim asks.
    regime = late_regime(run) if any(_asks_for_regime(c) for c in chosen) else Regime("")
    uncertainty = Uncertainty(run)
    return Verdicts(_verdict(run, c, regime, uncertainty) for c in chosen)


def _known(run: Run) -> dict[str, Claim]:
    """Claims about the run's system by id."""
    known = {c.id: c for c in run.statements.claims}
    if known:
        return known
    raise InputError(
        f"no claims about {run.parameters['system']} are known; give the system its claims, and"
        " with a file the system: flows.load(path, system=...)"
    )


def _claim(run: Run, given: Any) -> Claim:
    """A claim, that of an id, or that of a relation."""
    if isinstance(given, Claim):
        return given
    if isinstance(given, Boolean):
        return claim_of(run, given)
    if not isinstance(given, str):
        raise InputError(f"claim must be the id of one, or a Claim, got {given!r:.60}")
    known = _known(run)
    if given not in known:
        raise unknown("claim", given, known)
    return known[given]


def _asks_for_regime(claim: Claim) -> bool:
    return any(c.asymptotic or c.at_infinity or c.lasting for c in claim.comparisons)


def _verdict(run: Run, claim: Claim, regime: Regime, uncertainty: Uncertainty) -> Verdict:
    chosen = [selected(run.quantities, c) for c in claim.comparisons]
    times = np.any([mask.reshape(len(run.t), -1).any(axis=1) for mask in chosen], axis=0)
    hypotheses = tuple(_hypothesis(run.quantities, h, times) for h in claim.hypotheses)
    within = all(h.holds for h in hypotheses)

    results = [
        measure(run, claim, k, mask, regime=regime, uncertainty=uncertainty)
        for k, mask in enumerate(chosen)
    ]
    worst = _worst(results)
    exponents = [r.exponent_resolution for r in results if r.exponent_resolution is not None]
    exponent = min(exponents) if worst.holds and exponents else None
    resolved = ""
    if worst.resolution is not None and worst.compared == "sides":
        resolved = f"; {resolution_text(worst.resolution, exponent)}"
    failed = any(not h.holds and h.known for h in hypotheses)
    if worst.holds:
        outcome = Outcome.HOLDS if within else Outcome.HOLDS_BEYOND
    elif failed or not (within or worst.defined):
        outcome = Outcome.HYPOTHESIS_NOT_MET  # whatever becomes of the conclusion
    elif within and worst.holds is False:
        outcome = Outcome.VIOLATED
    else:
        outcome = Outcome.INCONCLUSIVE
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
        message=worst.message
        + resolved
        + _outside(hypotheses)
        + (f"; {claim.reading}" if claim.reading else ""),
        resolution=worst.resolution,
        exponent_resolution=exponent,
        statement=claim.statement,
        reading=claim.reading,
        relation=worst.relation,
        compared=worst.compared,
        conclusion=worst.holds if worst.defined else None,
    )


def _outside(hypotheses: Sequence[HypothesisResult]) -> str:
    """How many hypotheses are not met, and of how many nobody knows."""
    lacking = [h for h in hypotheses if not h.holds]
    failed = sum(h.known for h in lacking)
    counts = {"not met": failed, "not known": len(lacking) - failed}
    said = [f"{k} of {len(hypotheses)} hypotheses {word}" for word, k in counts.items() if k]
    return f"{OUTSIDE}{', '.join(said)}" if said else ""


def _worst(results: Sequence[ComparisonResult]) -> ComparisonResult:
    """Return the result that decides a conjunction: a failure, else a void, else an open one."""

    def rank(result: ComparisonResult) -> tuple[int, float]:
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
    sides = h.lhs, h.rhs, h.lhs if h.value is None else h.value
    rows = times if times.any() else np.arange(len(times)) == 0
    lhs, rhs, seen = (x[rows].ravel() for x in quantities.at(sides, h.over))
    if not len(lhs):
        return HypothesisResult(h.text, True, np.nan, np.nan, h.relation)
    gap = lhs - rhs if h.relation[0] == ">" else rhs - lhs
    # An undefined side fails the hypothesis: NaN must not pass for a small gap.
    worst = int(np.argmin(np.where(np.isnan(gap), -np.inf, gap)))
    holds = bool(gap[worst] > 0 or (gap[worst] == 0 and h.relation.endswith("=")))
    value, needed = float(lhs[worst]), float(rhs[worst])
    unmet = (
        "" if holds else h.failure(float(seen[worst]), _written(quantities, h, rows, worst, needed))
    )
    return HypothesisResult(h.text, holds, value, needed, h.relation, unmet)


def _written(
    quantities: Quantities, h: Hypothesis, rows: Mask, index: int, needed: float
) -> float | str:
    """The right side at one time and index; in digits of its own where doubles have none left."""
    symbols = tuple(sorted(h.rhs.free_symbols, key=str))
    if needed != 0.0 or not symbols:
        return needed
    # What is left may round to zero without being zero, such as exp(-106 n d M0^3).
    values = (float(x[rows].ravel()[index]) for x in quantities.at(symbols, h.over))
    exact = h.rhs.subs(dict(zip(symbols, values, strict=True))).evalf(4)
    return str(exact) if exact.is_Float and exact != 0 else needed
