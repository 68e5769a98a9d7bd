"""``popflow prove``: theorems of a system, made by the kernel, and the check of a certificate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.layout import counted
from flows.cli.options import one_of
from flows.cli.subject import NAMES
from flows.core.errors import InputError

if TYPE_CHECKING:
    from symbolic.theorem.proving import Statement

MEGABYTE = 1 << 20
LARGEST = 64 * MEGABYTE


@click.command(epilog=examples.PROVE)
@arguments.one_system
@click.option("--theorem", metavar="NAME", help="Only this theorem, in full.")
@click.option("--trusted", is_flag=True, help="Print the statement of each rule that is used.")
@click.option(
    "--json", "cert", metavar="CERT", help="Write the certificate; print one JSON object."
)
@click.option("--latex", metavar="FILE", help="Write statements and proofs as a LaTeX document.")
@click.option("--check", "checked", metavar="CERT", help="Check a certificate and show it.")
@arguments.force
def prove(
    system: str | None,
    theorem: str | None,
    trusted: bool,
    cert: str | None,
    latex: str | None,
    checked: str | None,
    force: bool,
) -> int:
    """Prove the theorems of SYSTEM by rules of inference alone, and print a line for each.

    A theorem is DERIVED: from its hypotheses, among which the axioms are taken from the system's
    derivations, by rules that --trusted prints. --theorem prints what one rests on. --check reads
    a certificate with a second implementation of the rules and python-flint alone.

    Exit code 2: unknown theorem, or a certificate that is not ours, cut or changed.
    """
    import symbolic
    from flows.core.files import check_output, write_file
    from symbolic.theorem.certificate import certificate, summary

    if checked is not None:
        if system is not None or cert is not None or latex is not None:
            raise InputError(
                "--check: expected at most --theorem beside the file; leave the rest out"
            )
        return _check(checked, theorem)
    if system is None:
        raise InputError("expected a system or --check CERT, got neither; popflow list names them")
    if system in NAMES and system not in symbolic.THEOREMS:
        raise InputError(
            f"{system} has no theorems; those with some: {', '.join(symbolic.THEOREMS)}"
        )
    one_of("system", system, symbolic.THEOREMS)
    for path in (cert, latex):
        check_output(path, force)
    statements = symbolic.theorems(system)
    one_of("theorem", theorem, (s.name for s in statements))
    chosen = [s for s in statements if theorem in (None, s.name)]
    found = [summary(s) for s in chosen]
    if latex is not None:
        from symbolic.theorem.paper import article

        page = article(system, chosen)
        write_file(latex, lambda part: Path(part).write_text(page, encoding="utf-8"))
    if cert is not None:
        text = json.dumps(certificate(system, chosen)) + "\n"
        write_file(cert, lambda part: Path(part).write_text(text, encoding="utf-8"))
        output.print_json({"system": system, "theorems": found})
        return 0
    _print(found, theorem is not None)
    if trusted:
        _trusted(chosen)
    return 0


def _print(found: Sequence[dict[str, Any]], in_full: bool) -> None:
    """Print a table of theorems, or each of them in full."""
    if in_full:
        for each in found:
            _show(each)
        return
    rows = [
        (t["name"], t["title"], str(len(t["hypotheses"])), str(len(t["axioms"])), str(t["steps"]))
        for t in found
    ]
    derived = counted(len(rows), "theorem")
    more = f"{derived} DERIVED from hypotheses and axioms; --theorem NAME shows one in full"
    heads = ("theorem", "what it says", "hypotheses", "axioms", "steps")
    output.show(output.table(heads, rows, more))


def _show(theorem: dict[str, Any]) -> None:
    click.echo(f"{theorem['name']}: {theorem['title']}")
    _lines("statement", [theorem["statement"]])
    _lines("in words", [theorem["says"]])
    _lines("hypotheses", theorem["hypotheses"])
    _lines("axioms", theorem["axioms"] or ["none"])
    given = counted(len(theorem["hypotheses"]), "hypothesis", "hypotheses")
    axioms = counted(len(theorem["axioms"]), "axiom")
    steps = counted(theorem["steps"], "step")
    _lines("outcome", [f"DERIVED ({given}; {axioms}) in {steps}"])
    _lines("rules", [", ".join(theorem["rules"])])
    _lines("source", [theorem["source"]])
    click.echo()


def _lines(name: str, lines: Sequence[str]) -> None:
    for k, line in enumerate(lines):
        click.echo(f"  {name if k == 0 else '':12}{line}")


def _trusted(statements: Sequence[Statement]) -> None:
    from symbolic.theorem import kernel
    from symbolic.theorem.certificate import steps_of

    names = {"pi": "constants"}
    click.echo("trusted rules")
    for rule in sorted({step.rule for s in statements for step in steps_of(s.theorem)}):
        said = " ".join((getattr(kernel, names.get(rule, rule)).__doc__ or "").split())
        click.echo(f"  {rule:15}{said}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; one that says a thing twice would be read otherwise elsewhere."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an entry stands twice")
    return found


def _check(path: str, theorem: str | None) -> int:
    import symbolic
    from symbolic.theorem.certificate import summary
    from symbolic.theorem.checker import Wrong
    from symbolic.theorem.verification import verified

    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: expected a certificate, found no file; check the name")
    if file.stat().st_size > LARGEST:
        raise InputError(f"{path}: expected a certificate, came a larger file; check the name")
    again = "; make it again with popflow prove SYSTEM --json CERT"
    try:
        data = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: expected a certificate, is no whole JSON{again}") from None
    name = data.get("system") if isinstance(data, dict) else None
    known = isinstance(name, str) and name in symbolic.THEOREMS
    stated = {s.name: summary(s) for s in symbolic.theorems(str(name))} if known else {}
    try:
        found = verified(data, stated)
    except (Wrong, RecursionError) as why:
        raise InputError(f"{path}: refused: {why}{again}") from None
    one_of("theorem", theorem, (t["name"] for t in found))
    count = counted(len(found), "theorem")
    click.echo(f"ACCEPTED: {count} of {name}, every step checked again\n")
    _print([t for t in found if theorem in (None, t["name"])], bool(theorem) or len(found) == 1)
    return 0
