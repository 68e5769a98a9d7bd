"""``popflow law``: how the loss goes to its limit, derived."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.command import FlowCommand
from flows.cli.options import OF_RUNS, flow_options, refuse
from flows.cli.runs import integrated, loaded, solver
from flows.cli.subject import SavedRun, subject_of
from flows.core.errors import InputError
from flows.core.options import Options, chosen

if TYPE_CHECKING:
    from flows.runs.late_law import LateLaw
    from flows.runs.law_bounds import Bound
    from flows.runs.trajectory import Trajectory
    from symbolic.asymptotics.law import Law
    from symbolic.evidence.derivation import Derivation

# Numbers of a start that a note shows.
SHOWN = 8


@click.command(cls=FlowCommand, epilog=examples.LAW)
@arguments.subject
@click.option(
    "--at",
    metavar="FILE|X=..",
    help="Minimiser: .npy or JSON lists of neurons along the teacher, means, layers; of a loss of"
    " your own also numbers by name, such as x=1,y=0.",
)
@click.option(
    "--confined",
    is_flag=True,
    help="The law of flows that share the conserved quantities of the minimiser, such as balanced"
    " layers, also where nearby flows pass by. For a run in a file, the run decides.",
)
@partial(flow_options, refused=OF_RUNS)
@click.option("--latex", metavar="FILE", help="Write the derivation as a LaTeX document.")
@arguments.force
@arguments.as_json
def law(
    subject: str,
    at: str | None,
    confined: bool,
    latex: str | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Derive how fast the loss goes to its limit, and the constant of that law.

    The law is that of SYSTEM beside the minimiser in --at, from which n and d are read; without
    --at, beside the system's own minimiser, if it has only one. Of a run, in a file or of a loss of
    your own from its start, it is the law beside the minimiser that the run tends to.

    Exit code 3: there is no law of this kind, and why.
    """
    from flows.core.files import check_output, write_file
    from symbolic.evidence.derivation import Document

    check_output(latex, force)
    found = _derived(subject, at, confined, options)
    if latex is not None and found.derivation is not None:
        text = Document(f"late-time law of {found.system}", (_named(found.derivation),)).latex()
        write_file(latex, lambda part: Path(part).write_text(text, encoding="utf-8"))
    if as_json:
        output.print_json(found.to_json())
    elif found.laws:
        _show(found)
    if not found.laws:
        click.echo(f"popflow: no law: {found.reason}", err=True)
        return 3
    return 0


def _derived(subject: str, at: str | None, confined: bool, options: dict[str, Any]) -> LateLaw:
    found = subject_of(subject)
    from flows.runs.find_law import late_time_law  # takes long: what is no subject is refused

    asked = {"confined": confined or None, "max_seconds": solver(options)["max_seconds"]}
    if isinstance(found, SavedRun):
        run = loaded(found, {**options, "max_seconds": None})
        if at is not None:
            raise InputError("--at does not apply to a result file; leave it out")
        return late_time_law(run, **asked)
    if not found.shipped and at is None and not found.problem(options)[0].no_law:
        run = integrated(found, options)
        of_run = late_time_law(run, **asked)
        note = f"the run that the law is read off: {_start(run, options)}, to t = {run.t[-1]:.6g}"
        return replace(of_run, notes=(*of_run.notes, note))
    refuse(options, (*OF_RUNS, "start"), "a minimiser has none, only a run has")
    found.check(options)
    place = "start" if at is not None and "=" in at else "initial"
    system, where = found.build({**options, place: at}, False)
    return late_time_law(system, None if at is None else where, **asked)


def _start(run: Trajectory, options: Options) -> str:
    """Where a run began, and who chose it."""
    numbers = run.state_at(0).ravel()
    shown = ", ".join(f"{x:.6g}" for x in numbers[:SHOWN]) + ", ..." * (len(numbers) > SHOWN)
    if options["start"] is not None or options["initial"] is not None:
        return f"from the start that you gave, [{shown}]"
    scale, seed = chosen(options, "scale"), chosen(options, "seed")
    return f"from a random start, [{shown}], with --scale {scale:g} --seed {seed}"


def _named(derivation: Derivation) -> Derivation:
    """Derivation in the names of the user's blocks, where the steps have no other use for them."""
    from symbolic.language.blocks import as_written

    steps = derivation.steps
    symbols = {s for step in steps for side in (step.lhs, step.rhs) for s in side.free_symbols}
    taken = {s.name for s in symbols}
    names = {s: s.func(as_written(s.name), **s.assumptions0) for s in symbols}
    names = {s: name for s, name in names.items() if name.name not in taken}
    return replace(
        derivation,
        steps=tuple(
            replace(step, lhs=step.lhs.xreplace(names), rhs=step.rhs.xreplace(names))
            for step in steps
        ),
    )


def evidence(law: Law) -> str:
    """Evidence of the steps; what a run decides stands apart, in words."""
    levels = dict(law.evidence)
    read = levels.pop("this run", None)
    said = ", ".join(sorted({str(level) for level in levels.values()}))
    return said if read is None else f"{said}; that this run follows it: {read}, at its end"


def _in_n(bound: Bound) -> str:
    """Power of n that a bound states, and that of the law for equal shares."""
    if bound.n_claimed is None:
        return ""
    return f"n^{bound.n_claimed}, law n^{bound.n_derived}"


def _show(found: LateLaw) -> None:
    from flows.cli.derivation import derivation_lines

    rows = []
    for k, one in enumerate(found.laws):
        rows.append(
            (
                "this run" if k == found.chosen and len(found.laws) > 1 else "",
                str(one),
                list(one.gamma),
                f"{one.share:.0%}",
                evidence(one),
            )
        )
    tables: list[Any] = [
        output.table(
            ("", f"late-time law of {found.system}", "gamma", "share of starts", "evidence"), rows
        )
    ]
    if bounds := found.bounds():
        said = [
            (b.claim, b.outcome, f"t^{b.slack}" if b.slack else "", _in_n(b), str(b.source))
            for b in bounds
        ]
        tables.append(output.table(("theorem", "by the law", "room", "in n", "source"), said))
    if found.derivation is not None:
        tables.append(["", *derivation_lines(_named(found.derivation))])
    output.show(*tables)
    for note in (*found.derived.notes, *found.notes):
        click.echo(f"  {note}")
