"""What `popflow check` prints of each claim: what it says, what was measured, what is not met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.cli.layout import labelled, width, wrapped
from flows.runs.verdict import Outcome

if TYPE_CHECKING:
    from flows.certificates.verdicts import Proven, RigorousVerdict
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
    found = {v.claim: v for v in proven.verdicts} if proven else {}
    lines = []
    for v in verdicts:
        lines += ["", *wrapped(f"{v.claim}: {v.verdict}", columns)]
        for label, text in v.said():
            lines += labelled(label, text, columns)
        if proven:
            lines += labelled("certified", _certified(proven, found[v.claim]), columns)
        lines += labelled("source", str(v.source), columns)
    counts = Counter(v.verdict for v in verdicts)
    lines.append("")
    for outcome, meaning in MEANING.items():
        if counts[outcome]:
            lines += wrapped(f"{counts[outcome]} {outcome}: {meaning}", columns)
    return lines


def _certified(proven: Proven, found: RigorousVerdict) -> str:
    if found.forever:
        return f"{found.verdict} for all t, {found.message}"
    return f"to t = {proven.t_end:g}: {found.verdict}, {found.message}"
