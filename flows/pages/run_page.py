"""What is shown of a run on a page of the report and in the inspector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flows.core.errors import InputError
from flows.pages.formulas import sentence
from flows.pages.interactive import view
from flows.runs.check import check
from flows.runs.rates import tail_constant
from flows.runs.trajectory import Trajectory
from flows.runs.verdict import Verdict
from potentials.claim import Claim, UpperBound
from symbolic.evidence.step import counted

__all__ = ["derivation_values", "run_values", "verdict_rows"]

#: A limit is shown if its error is at most this part of it: one digit of it is known.
KNOWN = 0.1


def run_values(run: Trajectory, power: float | None = None) -> dict[str, Any]:
    """Values of ``templates/run.html`` for a run.

    Parameters
    ----------
    run : Trajectory
        The run.
    power : float, optional
        The limit of `t^power` times the loss is shown; by default the exponent of the first upper
        bound that has one.
    """
    claims = run.statements.claims
    verdicts = check(run) if claims else []
    exponents = (c.exponent for c in claims if isinstance(c, UpperBound) and c.exponent)
    power = power or next(exponents, 0)
    tail = tail_constant(run, run.leading, float(power))
    return {
        "run": run,
        "power": power,
        "tail": tail if tail.error <= KNOWN * abs(tail.value) else None,
        "verdicts": verdict_rows(claims, verdicts),
        "of": {v.claim: v.verdict for v in verdicts},
        "stated": {c.id: sentence(c.statement.partition("; ")[0]) for c in claims},
        "hypotheses": _hypotheses(verdicts),
        "view": view(run, verdicts),
    }


def derivation_values(system: Any) -> dict[str, Any]:
    """Values of ``templates/derivation.html``; nothing where there are too many entries to read."""
    try:
        document = system.derive().verify()
    except InputError:
        return {"derivations": ()}
    return {"derivations": document.derivations, "counted": counted(document.steps)}


def verdict_rows(
    claims: Iterable[Claim], verdicts: Iterable[Verdict]
) -> list[tuple[Verdict, str, list[float | None]]]:
    """Verdicts, with what they measure and the constants that their claims state, None if open."""
    rows = []
    for claim, verdict in zip(claims, verdicts, strict=True):
        exponent = (
            claim.exponent is not None
            and claim.asymptotic
            and verdict.bound == float(claim.exponent)
        )
        what = "" if verdict.measured is None else "exponents" if exponent else "both sides"
        stated = [None if c.constant is None else float(c.constant) for c in claim.comparisons]
        rows.append((verdict, what, list(dict.fromkeys(stated))))
    return rows


def _hypotheses(verdicts: Sequence[Verdict]) -> list[tuple[Any, str]]:
    """Each hypothesis once with its numbers, and the claims that make it."""
    claims: dict[tuple[str, str], list[Any]] = {}
    for verdict in verdicts:
        for hypothesis in verdict.hypotheses:
            # Two hypotheses may fail by the same number, and one may be read in two windows.
            key = hypothesis.text, str(hypothesis)
            claims.setdefault(key, [hypothesis]).append(verdict.claim)
    return [(first, ", ".join(dict.fromkeys(ids))) for first, *ids in claims.values()]
