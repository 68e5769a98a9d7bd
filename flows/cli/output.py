"""What the command line prints: JSON and tables."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from flows.certificates.verdicts import Proven
    from flows.runs.trajectory import Trajectory
    from flows.runs.verdict import Verdict
    from symbolic.evidence.derivation import Derivation

DERIVATION_WIDTH = 92  # of rule and equation: with evidence and time, 120 columns
ROWS = 16  # of a table that shows a function of time


def print_json(value: Any) -> None:
    """Print one JSON object; a number that is not finite becomes null, which JSON has."""
    import json  # not at the top: a help text is there at once

    click.echo(json.dumps(_plain(value), allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def console() -> Console:
    """Console that prints text as it is; wide where there is no terminal to ask."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 132
    return Console(width=width, markup=False, highlight=False, emoji=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Table of these rows; numbers to six digits."""
    from rich import box
    from rich.table import Table

    made = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        made.add_row(*(_text(value) for value in row))
    return made


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) for v in value[:5]) + ", ..." * (len(value) > 5) + "]"
    return f"{value:.6g}" if isinstance(value, float | int) else str(value or "")


def _short(value: float | None) -> str:
    """Two digits of an error."""
    return "" if value is None else f"{value:.1e}"


def derivation_table(derivation: Derivation) -> Table:
    """One row a step: rule and equation, evidence, seconds."""
    made = table(
        ("", derivation.name, "evidence", "s"),
        [
            (
                str(number),
                f"{step.rule}\n{shortened(f'{step.lhs} {step.relation} {step.rhs}')}",
                step.to_json()["evidence"],
                f"{step.seconds:.2f}",
            )
            for number, step in enumerate(derivation.steps, 1)
        ],
    )
    made.caption, made.caption_justify = derivation.source, "left"
    made.columns[1].width = DERIVATION_WIDTH
    return made


def run_table(run: Trajectory) -> Table:
    """Parameters, status, end and work of a run."""
    from flows.runs.rates import local_exponent

    parameters = run.system.parameters.items()
    return table(
        ("run", run.system.name),
        [
            ("parameters", ", ".join(f"{name} = {_text(value)}" for name, value in parameters)),
            ("status", f"{run.status}: {run.message}"),
            ("t", float(run.t[-1])),
            ("loss", float(run["loss"][-1])),
            ("local exponent", float(local_exponent(run, "loss")[-1])),
            *((event.kind, f"t = {event.time:.6g}: {event.detail}") for event in run.events),
            ("work", ", ".join(f"{_text(v)} {k.replace('_', ' ')}" for k, v in run.stats.items())),
        ],
    )


def verdict_table(verdicts: Sequence[Verdict], proven: Proven | None = None) -> Table:
    """One row a verdict, with what a certificate proves of the same claim."""
    heading = ("claim", "verdict", "measured", "bound", "error", "resolution", "constant", "at t")
    rows = [
        (
            v.claim,
            str(v.verdict),
            *(v.measured, v.bound, _short(v.error), _short(v.resolution), v.constant),
            v.attained_at,
        )
        for v in verdicts
    ]
    if proven is None:
        return table(heading, rows)
    found = {v.claim: str(v.verdict) for v in proven.verdicts}
    return table(
        (*heading[:2], "certified", *heading[2:]),
        [(*row[:2], found[str(row[0])], *row[2:]) for row in rows],
    )


def proof_table(proven: Proven) -> Table:
    """What a certificate says of each claim, in words."""
    return table(
        ("claim", f"certified to t = {proven.t_end:g}"),
        [(v.claim, v.message) for v in proven.verdicts],
    )


def unmet_table(verdicts: Sequence[Verdict]) -> Table:
    """Hypotheses that the start does not meet, each with its numbers and the claims it is for."""
    unmet: dict[str, list[str]] = {}
    for verdict in verdicts:
        for hypothesis in verdict.hypotheses:
            if not hypothesis.holds:
                unmet.setdefault(str(hypothesis), []).append(verdict.claim)
    rows = [(hypothesis, ", ".join(claims)) for hypothesis, claims in unmet.items()]
    return table(("hypothesis not met", "of"), rows)


def course_table(run: Trajectory, name: str) -> Table:
    """Potential ``name`` and its derivative along the flow, at about `ROWS` times."""
    value, rate = run.potential(name)
    last = len(run.t) - 1
    rows = [*range(0, last, max(1, last // ROWS)), last]
    return table(
        ("t", name, "derivative along the flow"),
        [tuple(x[row].tolist() for x in (run.t, value, rate)) for row in rows],
    )


def shortened(text: str, width: int = 160) -> str:
    """Text for one line of a terminal; ``--latex`` and ``--json`` have the whole of it."""
    return text if len(text) <= width else f"{text[: width - 4]} ..."
