"""Output of the command line: JSON and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from flows.cli.layout import Table, width

if TYPE_CHECKING:
    from flows.runs.trajectory import Trajectory

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


def show(*parts: Table | Sequence[str]) -> None:
    """Print tables and lines, as wide as the terminal."""
    columns = width()
    for part in parts:
        for line in part.lines(columns) if isinstance(part, Table) else part:
            click.echo(line)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> Table:
    """Table of these rows; numbers to six digits."""
    cells = tuple(tuple(_text(value) for value in row) for row in rows)
    return Table(tuple(columns), cells, caption)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) for v in value[:5]) + ", ..." * (len(value) > 5) + "]"
    return f"{value + 0:.6g}" if isinstance(value, float | int) else str(value or "")


def run_table(run: Trajectory) -> Table:
    """Parameters, status, end and work of a run."""
    from flows.core.card import described, end_line

    return table(
        ("run", run.system.name),
        [
            ("parameters", described(run.parameters).partition(", ")[2]),
            ("status", f"{run.status}: {run.message}"),
            ("t", float(run.t[-1])),
            (run.leading, end_line(run, run.leading)),
            ("local exponent", exponent_text(run)),
            *((event.kind, f"t = {event.time:.6g}: {event.detail}") for event in run.events),
            ("work", ", ".join(f"{_text(v)} {k.replace('_', ' ')}" for k, v in run.stats.items())),
        ],
    )


def exponent_text(run: Trajectory) -> str:
    """Local exponent at the end of a run, or at the last time at which it is known."""
    import numpy as np

    from flows.runs.rates import local_exponent

    exponents = local_exponent(run, run.leading)
    known = np.flatnonzero(np.isfinite(exponents))
    if not known.any():  # at t = 0 it is zero
        return f"not known, as {run.leading} is zero or not known"
    last = known[-1]
    beyond = f" at t = {run.t[last]:.6g}; beyond, {run.leading} is zero or not known"
    return f"{exponents[last]:.6g}{beyond if last < len(run.t) - 1 else ''}"


def course_table(run: Trajectory, name: str) -> Table:
    """Potential ``name`` and its derivative along the flow, at about `ROWS` times."""
    value, rate = run.potential(name)
    last = len(run.t) - 1
    rows = [*range(0, last, max(1, last // ROWS)), last]
    return table(
        ("t", name, "derivative along the flow"),
        [tuple(x[row].tolist() for x in (run.t, value, rate)) for row in rows],
    )


def wrote(out: str | None) -> None:
    """Say which file was written, if one was."""
    if out is not None:
        click.echo(f"\nwrote {out}")
