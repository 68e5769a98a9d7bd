"""What `popflow check` prints: a table with a line for each claim, and each claim in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.cli.layout import GAP, Table, labelled, width, wrapped
from flows.cli.output import exponent_text, table
from flows.core.card import described
from flows.runs.verdict import Outcome

if TYPE_CHECKING:
    from flows.certificates.verdicts import Proven, RigorousVerdict
    from flows.runs.trajectory import Trajectory
    from flows.runs.verdict import Verdict

#: What each verdict means, in the order in which they are summed up.
MEANING = {
    Outcome.VIOLATED: "the hypotheses hold, the conclusion does not",
    Outcome.INCONCLUSIVE: "the run does not decide it",
    Outcome.HOLDS: "the hypotheses and the conclusion hold",
    Outcome.HOLDS_BEYOND: "the conclusion holds, although a hypothesis does not",
    Outcome.HYPOTHESIS_NOT_MET: "the claim says nothing about this start",
}
#: Characters of the narrowest column in which a claim's numbers stand in one line.
NUMBERS = 34


def summary_lines(run: Trajectory, verdicts: Sequence[Verdict]) -> list[str]:
    """Lines about the run and how many of its verdicts there are of each kind.

    Parameters
    ----------
    run : Trajectory
        What was checked.
    verdicts : sequence of Verdict
        Of its claims.
    """
    columns = width()
    ended = run.status if run.completed else f"{run.status} ({run.message})"
    ended_at = f"{run.leading} {float(run[run.leading][-1]):.6g}"
    counts = Counter(v.verdict for v in verdicts)
    found = ", ".join(f"{counts[o]} {o}" for o in MEANING if counts[o]) or "no claims"
    about = f"{described(run.parameters)}: {ended} at t = {run.t[-1]:.6g}"
    return [
        *wrapped(f"{about}, {ended_at}, local exponent {exponent_text(run)}", columns),
        *wrapped(found, columns),
    ]


def verdict_table(verdicts: Sequence[Verdict], proven: Proven | None = None) -> Table:
    """Table with a line for each claim: its verdict and the numbers that decide.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Of one run.
    proven : Proven, optional
        What a certificate proves of the same claims.
    """
    heads = ("claim", "verdict", "found")
    ids = max(len(x) for x in (heads[0], *(v.claim for v in verdicts)))
    outcomes = max(len(x) for x in (heads[1], *(v.verdict for v in verdicts)))
    room = max(NUMBERS, width() - ids - outcomes - 2 - 2 * GAP)
    rows: list[tuple[str, ...]] = [(v.claim, str(v.verdict), v.brief(room)) for v in verdicts]
    more = "--full shows every claim with its hypotheses, constant and source, --claim ID one"
    if proven is None:
        return table(heads, rows, more)
    found = {v.claim: v for v in proven.verdicts}
    cells = [f"{found[v.claim].verdict}{' for all t' * found[v.claim].forever}" for v in verdicts]
    rows = [(*row, cell) for row, cell in zip(rows, cells, strict=True)]
    return table((*heads, f"certified to t = {proven.t_end:g}"), rows, more)


def verdict_lines(verdicts: Sequence[Verdict], proven: Proven | None = None) -> list[str]:
    """Lines about each claim in full, with what a certificate proves of it, and the sums.

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
