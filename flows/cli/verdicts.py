"""What `popflow check` prints of each claim: what it says, what was measured, what is not met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flows.cli.layout import labelled, width, wrapped
from flows.runs.verdict import Outcome, not_told_apart

if TYPE_CHECKING:
    from flows.certificates.verdicts import Proven
    from flows.runs.verdict import Verdict

#: What each verdict means, in the order in which they are summed up.
MEANING = {
    Outcome.HOLDS: "the hypotheses and the conclusion hold",
    Outcome.HOLDS_BEYOND: "the conclusion holds, although a hypothesis does not",
    Outcome.HYPOTHESIS_NOT_MET: "the claim says nothing about this start",
    Outcome.VIOLATED: "the hypotheses hold, the conclusion does not",
    Outcome.INCONCLUSIVE: "the run does not decide it",
}


def verdict_lines(verdicts: Sequence[Verdict], proven: Proven | None = None) -> list[str]:
    """Lines about each claim, with what a certificate proves of it, and how many of each verdict.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Of one run.
    proven : Proven, optional
        What a certificate proves of the same claims.
    """
    columns = width()
    found = {v.claim: f"{v.verdict}, {v.message}" for v in proven.verdicts} if proven else {}
    lines = []
    for v in verdicts:
        lines += ["", *wrapped(f"{v.claim}: {v.verdict}", columns)]
        for label, text in _said(v):
            lines += labelled(label, text, columns)
        if proven:
            lines += labelled("certified", f"to t = {proven.t_end:g}: {found[v.claim]}", columns)
        lines += labelled("source", str(v.source), columns)
    counts = Counter(v.verdict for v in verdicts)
    lines.append("")
    for outcome, meaning in MEANING.items():
        if counts[outcome]:
            lines += wrapped(f"{counts[outcome]} {outcome}: {meaning}", columns)
    return lines


def _said(v: Verdict) -> Iterator[tuple[str, str]]:
    """Labels and texts of a verdict."""
    yield "claimed", v.statement
    if v.reading:
        yield "read as", v.reading
    yield "measured", _measured(v)
    if v.constant is not None and v.conclusion:
        at = "" if v.compared == "sides" else f", needed at t = {v.attained_at:.6g}"
        yield "constant", f"{v.constant:.6g} is the sharpest that this run allows{at}"
    if v.resolution is not None:
        yield "resolution", _resolution(v)
    unmet = [str(h) for h in v.hypotheses if not h.holds]
    for k, text in enumerate(dict.fromkeys(unmet)):
        yield "not met" if k == 0 else "", text


def _measured(v: Verdict) -> str:
    """Both sides with their direction, and where it is tightest."""
    if v.measured is None or v.bound is None or not v.relation or v.conclusion is None:
        return v.message.removesuffix(f"; {v.reading}")  # which says why nothing is decided
    error = "" if v.error is None else f"; error {v.error:.1e}"
    relation = v.relation.replace("==", "=")
    if v.compared == "exponents":
        margin = "" if v.error is None else f" ± {v.error:.1e}"
        return f"exponent {v.measured:.6g}{margin}, claimed {relation} {v.bound:.6g}"
    at = f" at t = {v.attained_at:.6g}"
    if not v.conclusion:
        return f"{v.measured:.6g}, not {relation} {v.bound:.6g}{at}, where it fails most{error}"
    return f"{v.measured:.6g} {relation} {v.bound:.6g}{at}, where it is tightest{error}"


def _resolution(v: Verdict) -> str:
    """By how much the claim could be sharper."""
    if v.resolution is None:
        return ""
    if v.compared == "sides":
        return not_told_apart(v.resolution, v.exponent_resolution)
    return f"it would not hold if it were sharper by more than t^{v.resolution:.1e}"
