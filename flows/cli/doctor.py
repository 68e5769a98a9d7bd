"""``popflow new`` and ``popflow doctor``: a file for a system of one's own, and its faults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.command import FlowCommand
from flows.cli.options import flow_options, refuse
from flows.cli.subject import system_of
from flows.core.errors import InputError
from flows.core.options import Options

if TYPE_CHECKING:
    from flows.cli.patient import Patient

# The file that `popflow new` writes, with this name in place of that of the class.
TEMPLATE, NAME = "system.txt", "Template"
# Parameters of the command that are no options of a flow, and options that a check chooses.
NO_OPTIONS = ("system", "as_json")
OF_RUNS = ("t_end", "t_eval", "rtol", "method", "max_seconds")


@click.command(cls=FlowCommand, epilog=examples.NEW)
@click.argument("name")
@arguments.force
def new(name: str, force: bool) -> int:
    """Write NAME.py, the file of a system of your own, which every verb takes.

    It is the quartic well, with a claim, a potential and a start law: write yours in their places.
    """
    from flows.core.files import check_output, write_file
    from flows.systems.field.names import is_word

    if not is_word(name):
        raise InputError(f"NAME: expected a word, such as linear_attention, got {name!r}")
    path = f"{name}.py"
    check_output(path, force)
    made = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    text = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    text = re.sub(rf"\b{NAME}\b", made, text).replace("FILE.py", path)
    write_file(path, lambda part: Path(part).write_text(text, encoding="utf-8"))
    click.echo(f"wrote {path}; next: popflow doctor {path}")
    return 0


@click.command(cls=FlowCommand, epilog=examples.DOCTOR)
@arguments.system
@flow_options
@arguments.as_json
def doctor(system: str, as_json: bool, **options: Any) -> int:
    """Examine SYSTEM: list working, wrong and missing parts, with lines that mend.

    Gradient and Hessian are compared with differences of the loss, a start goes to the coordinates
    of the run and back, a run is saved and read, and each claim is checked and then broken a
    little, which has to be seen.

    Exit code 1: something is wrong.
    """
    from flows.cli.conformance import CHECKS, looked_at

    patient = _patient(system, options)
    name, found = patient.system.name, looked_at(patient, CHECKS)
    if as_json:
        rows = [{"outcome": f.outcome, "what": f.what, "text": f.text} for f in found]
        output.print_json({"system": name, "findings": rows})
    else:
        rows_shown = [(f.outcome, f.what, f.text) for f in found]
        output.show(output.table(("", name, ""), rows_shown))
    return int(any(f.outcome == "WRONG" for f in found))


def patient_of(words: Sequence[str]) -> Patient:
    """Patient of the words that ``popflow doctor`` takes: a system and its options.

    Raises
    ------
    InputError
        For options that it does not have.
    """
    asked = doctor.make_context("doctor", list(words)).params
    return _patient(asked["system"], {k: x for k, x in asked.items() if k not in NO_OPTIONS})


def _patient(system: str, options: Options) -> Patient:
    from flows.cli.patient import Patient

    refuse(options, OF_RUNS, "the doctor chooses it")
    subject = system_of(system)
    return Patient(*subject.problem(options), subject.definition)
