"""Command line: reads options, calls the packages, prints; computes nothing.

Every other module is imported inside a command, so that ``popflow --help`` starts at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.activity import activity_line
from flows.cli.arguments import COMPLETION
from flows.cli.certify import certified, certify, verify
from flows.cli.command import FlowCommand
from flows.cli.doctor import doctor, new
from flows.cli.ensemble import ensemble
from flows.cli.find import find
from flows.cli.inspect import inspect
from flows.cli.law import law
from flows.cli.options import NOT_GIVEN, OF_RUNS, flow_options, one_of
from flows.cli.process import start_fast
from flows.cli.prove import prove
from flows.cli.runs import integrated, loaded_or_integrated
from flows.cli.stationary import stationary
from flows.cli.subject import NAMES, system_of
from flows.cli.sweep import sweep
from flows.core.errors import InputError

if TYPE_CHECKING:
    from potentials import Statements


class _Commands(click.Group):
    """Commands whose list has the first sentence of each uncut, in as many lines as it needs."""

    command_class = FlowCommand

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command; its first paragraph is what the list says."""
        cmd.short_help = " ".join((cmd.help or "").partition("\n\n")[0].split())
        super().add_command(cmd, name)


@click.group(
    cls=_Commands, epilog=examples.POPFLOW, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="popflow")
def commands() -> None:
    """Derive, integrate, check and show population gradient flows."""


@commands.command("list", epilog=examples.LIST)
@arguments.one_system
def list_(system: str | None, **options: Any) -> None:
    """List the systems; with SYSTEM, its potentials and claims, each with its source."""
    from flows.cli.listing import in_full, overview

    asked = NOT_GIVEN | options
    if system is None:
        output.show(overview({name: system_of(name).statements(asked) for name in NAMES}))
        return
    found = system_of(system)
    output.show(in_full(found.name, found.statements(asked)))


@commands.command(epilog=examples.DERIVE)
@click.argument("subject", metavar="SYSTEM", shell_complete=arguments.subjects)
@partial(flow_options, refused=(*OF_RUNS, "max_seconds"))
@click.option(
    "--latex",
    metavar="FILE",
    help="Write it as an appendix in LaTeX: notation, statements, proofs; works in FILE.bib.",
)
@click.option("--controls", is_flag=True, help="Break every step too: is each error seen?")
@arguments.force
@arguments.as_json
def derive(
    subject: str, latex: str | None, controls: bool, force: bool, as_json: bool, **options: Any
) -> int:
    """Derive SYSTEM, or a typed loss, each step with its evidence.

    SYSTEM may also be activations, gaussian or mixture: lemmas that the systems share. With options
    of its size, and of a typed polynomial, what its flow keeps is derived too.

    A step is PROVED by SymPy or a rule of calculus, ENCLOSED by arithmetic with rigorous error
    bounds, SAMPLED where 50 digits agree, which is no proof, or OPEN.

    Exit code 1 if a step is refuted, or an error that --controls puts in is not; 3 if a step is
    OPEN or only SAMPLED.
    """
    from flows.cli.derivation import derivation_lines, document_of
    from flows.core.files import check_output, write_file
    from symbolic.evidence.identity import Evidence
    from symbolic.evidence.step import counted

    works = None if latex is None else str(Path(latex).with_suffix(".bib"))
    check_output(latex, force)
    check_output(works, force)
    document = document_of(subject, options).verify()
    data = document.to_json()
    if latex is not None and works is not None:
        text = document.latex(Path(latex).stem)
        write_file(latex, lambda part: Path(part).write_text(text, encoding="utf-8"))
        cited = document.bibtex()
        write_file(works, lambda part: Path(part).write_text(cited, encoding="utf-8"))
        click.echo(f"wrote {latex} and {works}", err=as_json)
    unseen = []
    if as_json:
        output.print_json(data)
    else:
        output.show(*(derivation_lines(d) for d in document.derivations))
        click.echo(counted(document.steps))
        for step in document.steps:
            if step.reason:
                click.echo(f"  {step.evidence}: {step.rule}: {step.reason}")
    if controls:
        from symbolic.evidence.mutation import controls as broken

        found = broken(document)
        unseen = [c for c in found if not c.caught]
        click.echo(
            f"{len(found) - len(unseen)} of {len(found)} errors put in were refuted", err=as_json
        )
        for c in unseen:
            click.echo(f"  {c.evidence}: {c.derivation}: {c.rule}: {c.mutation}", err=as_json)
    evidence = {step.evidence for step in document.steps}
    if Evidence.REFUTED in evidence or unseen:
        return 1
    return 3 if evidence & {Evidence.OPEN, Evidence.SAMPLED} else 0


@commands.command(epilog=examples.RUN)
@arguments.system
@flow_options
@click.option("--out", metavar="FILE.nc", help="Write the result as NetCDF.")
@arguments.force
@arguments.as_json
def run(system: str, out: str | None, force: bool, as_json: bool, **options: Any) -> int:
    """Integrate the flow of SYSTEM, by default to t = 1e9.

    Exit code 4 if it stops before the end.
    """
    from flows.core.files import check_output

    check_output(out, force)
    result = integrated(system_of(system), options)
    if out is not None:
        result.save(out, force=force)
    if as_json:
        output.print_json(result.to_json())
    else:
        output.show(output.run_table(result))
        output.wrote(out)
    return 0 if result.completed else 4


@commands.command(epilog=examples.CHECK)
@arguments.subject
@flow_options
@click.option(
    "--claim", metavar="ID", shell_complete=arguments.claim_names, help="Check this claim only."
)
@click.option(
    "--certificate",
    metavar="CERT.json",
    help="Check it too, and show its proofs beside each verdict.",
)
@click.option(
    "--theorems",
    is_flag=True,
    help="Show which theorems of `popflow prove` speak of this run, and what a certificate adds.",
)
@click.option("--full", is_flag=True, help="Print every claim in full below its run.")
@arguments.as_json
def check(
    subject: str,
    claim: str | None,
    certificate: str | None,
    theorems: bool,
    full: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Check the claims along a run, by default to t = 1e9, and print a line for each.

    A claim has hypotheses and a conclusion. HOLDS: the run meets both; VIOLATED: the hypotheses
    alone; HOLDS_BEYOND: the conclusion alone; HYPOTHESIS_NOT_MET: the claim says nothing of this
    run; INCONCLUSIVE: the run does not decide.

    Exit code 0: nothing is VIOLATED and nothing INCONCLUSIVE; 1: some VIOLATED, or REFUTED by the
    certificate where the hypotheses are PROVED; 3: some INCONCLUSIVE; 4: the run stopped before its
    end.

    A claim may be a relation of quantities with rates: --claim 'D(loss) <= -C*loss' measures C.
    With --claim or --full it prints what each claim says, its hypotheses, constants and source.
    With --claim and --json it prints the verdict on this claim; with --json alone, the run with all
    verdicts.
    """
    from flows.cli.theorems import theorem_lines, theorems_of
    from flows.cli.verdicts import summary_lines, verdict_lines, verdict_table
    from flows.runs.check import check as verdicts_of
    from flows.runs.verdict import exit_code
    from symbolic.language.text import read_claim

    asked = read_claim(claim) if claim and "=" in claim else claim
    result = loaded_or_integrated(subject, options, partial(_examine, subject, asked))
    proven = certified(certificate, result, asked) if certificate is not None else None
    verdicts = verdicts_of(result, asked)
    applied, always = theorems_of(result, certificate) if theorems else ([], [])
    if as_json:
        certificate_of: dict[str, Any] = {"certificate": proven.to_json()} if proven else {}
        if theorems:
            certificate_of["theorems"] = [m.to_json() for m in applied]
            certificate_of["for_all_times"] = [a.to_json() for a in always]
        if claim is None:
            about = {**result.to_json(), "verdicts": [v.to_json() for v in verdicts]}
        else:
            ended = {"t_end": float(result.t[-1]), "status": str(result.status)}
            about = {"system": result.parameters["system"], **ended, **verdicts[0].to_json()}
        output.print_json({**about, **certificate_of})
    else:
        if full or claim is not None:
            output.show(output.run_table(result), verdict_lines(verdicts, proven))
        else:
            output.show(summary_lines(result, verdicts), verdict_table(verdicts, proven))
        output.show(theorem_lines(applied, always, in_full=full or claim is not None))
    if proven and proven.refutes:
        return 1
    return exit_code(verdicts) if result.completed else 4


@commands.command(epilog=examples.REPORT)
@arguments.systems
@click.option("--out", metavar="DIR", required=True, help="Folder for the pages.")
@click.option(
    "--figures",
    metavar="F1,F2,..",
    default="",
    help="Also write each figure for a paper: pdf, svg, png.",
)
@arguments.force
def report(systems: tuple[str, ...], out: str, figures: str, force: bool, **options: Any) -> int:
    """Derive, integrate, check, draw: one HTML page a system, by default of all.

    Each page can be opened when its name is printed, while the others are made.
    """
    from flows.pages.own_report import report as own_page
    from flows.pages.report import write

    formats = [word.strip() for word in figures.split(",") if word.strip()]
    found = [system_of(name) for name in systems or NAMES]
    own: list[Any] = [x.problem(NOT_GIVEN | options)[0] for x in found if not x.shipped]
    shipped = tuple(one.name for one in found if one.shipped)
    if own and formats:
        raise InputError("--figures: the page of a system of your own has none; leave it out")
    if shipped:
        write(
            shipped,
            out,
            force=force,
            figures=formats,
            progress=sys.stderr.isatty(),
            announce=click.echo,
        )
    for system in own:
        Path(out).mkdir(parents=True, exist_ok=True)
        page = Path(out) / f"{system.name}.html"
        click.echo(own_page(system, out=page, force=force, browser=False))
    return 0


def _examine(subject: str, claim: Any, stated: Statements) -> None:
    """Refuse a claim that is not known, and a system without any, before it is followed."""
    relation = not isinstance(claim, str | None)
    if not (relation or stated.claims or subject.endswith(".nc")):
        raise InputError(f"{subject} has no claims; give one, such as --claim 'loss <= C/t'")
    one_of(
        "claim", claim if stated.claims and not relation else None, (c.id for c in stated.claims)
    )


for _command in (
    inspect,
    ensemble,
    sweep,
    certify,
    verify,
    law,
    find,
    prove,
    stationary,
    new,
    doctor,
):
    commands.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after ``popflow``; the process's own by default.

    Returns
    -------
    int
        Exit code: 0 success, 1 a violated claim or a refuted step, 2 bad input, 3 other verdicts,
        4 a run that stopped before its end, 130 Ctrl-C outside a run.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words and COMPLETION not in os.environ:
        click.echo(examples.NEXT, nl=False)
        return 0
    start_fast()
    try:
        with activity_line():
            return int(commands.main(words, prog_name="popflow", standalone_mode=False) or 0)
    except click.Abort:
        return _fail("stopped by Ctrl-C", 130)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "popflow"
        text = error.format_message().rstrip(".")
        return _fail(f"{text}{' ' if text.endswith(('?', ')')) else '; '}see {command} --help")
    except InputError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail("expected a problem that fits into memory; choose a smaller --n or --d")
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}; choose another")


def _fail(line: str, code: int = 2) -> int:
    click.echo("popflow: error: " + " ".join(line.split()), err=True)
    return code
