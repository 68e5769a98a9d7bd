"""``popflow find``: the potential that proves a rate, with its best constant."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.command import FlowCommand
from flows.cli.options import OF_RUNS, flow_options, refuse
from flows.cli.subject import system_of

if TYPE_CHECKING:
    from flows.runs.found import FoundPotential

# A degree up to which invariants are listed without being asked for.
USUAL = 2
MAX_SECONDS = 60.0
# Options of the search itself.
ASKED = ("rate", "level", "degree", "coordinates", "template", "keep", "lower", "free")
POLYNOMIAL = ("template", "degree", "coordinates", "free")
NONE = "NOT_FOUND: no potential has a constant that converges; keep more, or give a slower rate"


@click.command(cls=FlowCommand, epilog=examples.FIND)
@click.argument("subject", metavar="SYSTEM", shell_complete=arguments.subjects)
@click.option(
    "--rate",
    default="law",
    metavar="R",
    help="2 for t^-2, 3/2, ..; exp; law: as runs from random starts fall [default].",
)
@click.option(
    "--level",
    metavar="C[;C2..]",
    help="Only starts with L <= C, such as 1/8; levels in turn: 2/5;1/50.",
)
@click.option("--degree", type=int, help="Degree of the proof [default: 0, 4, 6, .. in turn].")
@click.option(
    "--coordinates",
    metavar="E1;E2;..",
    help='Functions, or symmetric matrices such as "W.T*W", in which the flow is closed.',
)
@click.option("--template", metavar="D|E1;E2;..", help="Span of potentials: a degree, or these.")
@click.option("--keep", metavar="R1;R2;..", help='Conditions on starts, such as "a**2 == b**2".')
@click.option(
    "--at",
    metavar="x=P;..",
    help="Near this minimum, of a loss that need be no polynomial, proved with balls.",
)
@click.option("--propose", is_flag=True, help="What states with a small loss allow: no proof.")
@click.option("--free", is_flag=True, help="The span need not be above the loss.")
@click.option("--lower", is_flag=True, help="A bound from below: how slowly it falls at least.")
@partial(flow_options, refused=OF_RUNS, max_seconds="Budget of time [default: 60].")
@click.option("--out", metavar="FILE.json", help="Write the proof; popflow verify checks it.")
@click.option("--latex", metavar="FILE", help="Write theorem and proof.")
@arguments.force
@arguments.as_json
def find(
    subject: str, out: str | None, latex: str | None, force: bool, as_json: bool, **options: Any
) -> int:
    """Find a potential that falls at a rate, with the best constant, and prove it.

    The loss of SYSTEM is a polynomial, such as "(x*y - 1)**2/2". What the flow keeps is listed too:
    conserved quantities, invariant sets, clocks. With --at, the loss is any function that is
    analytic at that minimum. With --propose, it is any formula whose least value is zero.

    Exit code 3: nothing is proved, and why; that disproves nothing.
    """
    from flows.core.files import check_output, write_file
    from flows.runs.find import find_potential
    from symbolic.language.text import read_expression, read_relation

    at, propose = options.pop("at"), options.pop("propose")
    for path in (out, latex):
        check_output(path, force)
        if propose and (path or at):
            raise click.UsageError("--propose proves nothing: leave out --at, --out and --latex")
    refuse(options, (*OF_RUNS, "start"), "a potential is of no run")
    seconds = options["max_seconds"]
    system, _ = system_of(subject).problem(
        {name: x for name, x in options.items() if name not in ASKED} | {"max_seconds": None}
    )
    options = {name: options[name] for name in ASKED}
    known: dict[str, Any] = {block.name: block for block in system.formula[0]}
    template = options.pop("template")
    asked = {
        **options,
        "max_seconds": MAX_SECONDS if seconds is None else seconds,
        "coordinates": [read_expression(x, known) for x in _parts(options["coordinates"])],
        "keep": [read_relation(x, known) for x in _parts(options["keep"])],
        "template": int(template)
        if template is not None and template.isdecimal()
        else [read_expression(x, _Any(known)) for x in _parts(template)] or None,
    }
    if len(several := _parts(options["level"])) > 1:
        asked["level"] = several
    if propose:
        proposed = _of_any_loss(system, None, asked)
        if as_json:
            output.print_json({"proposed": [one.to_json() for one in proposed]})
        else:
            output.show([*map(str, proposed)] or [NONE])
        return 3
    found = find_potential(system, **asked) if at is None else _of_any_loss(system, at, asked)
    if found.proved and out is not None:
        found.save(out, force=force)
    if found.proved and latex is not None:
        text = found.latex()
        write_file(latex, lambda part: Path(part).write_text(text, encoding="utf-8"))
    kept = None if at is not None else str(system.invariants(USUAL)).splitlines()
    if as_json:
        output.print_json(found.to_json() | ({} if kept is None else {"invariants": kept}))
    else:
        _show(found, kept)
    return 0 if found.proved else 3


def _of_any_loss(system: Any, at: str | None, asked: dict[str, Any]) -> Any:
    """What is proved near a minimum, or what states propose; options of polynomials do not fit."""
    from flows.certificates.minimum.find import find_potential_near
    from flows.certificates.minimum.propose import propose_potential
    from flows.core.errors import InputError
    from symbolic.language.text import read_expression

    flag = "--propose" if at is None else "--at"
    template, degree, *others = (asked.pop(name) for name in POLYNOMIAL)
    if degree is not None or any(others) or isinstance(template, int):
        raise InputError(f"{flag}: degree, coordinates and free are of polynomials; leave them out")
    if asked["level"] is None or asked["rate"] == "law":
        raise InputError(f"{flag}: expected --level and --rate beside it, such as 1/1000 and 3")
    if at is None:
        return propose_potential(system, terms=template, **asked)
    known = {block.name: block for block in system.formula[0]}
    point = {}
    for part in _parts(at):
        name, equal, value = part.partition("=")
        if not equal:
            raise InputError(f"--at: expected parts such as x=1/2, got {part!r}")
        point[read_expression(name, known)] = value.strip()
    return find_potential_near(system, point, template=template or (), **asked)


class _Any(dict[str, Any]):
    """Names of blocks, and any others: coordinates have names of their own."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        import sympy as sp

        return sp.Symbol(name, real=True)


def _parts(text: str | None) -> list[str]:
    return [part for part in (text or "").split(";") if part.strip()]


def _show(found: FoundPotential, kept: list[str] | None) -> None:
    rows = [("verdict", found.verdict)]
    if found.proved:
        best = f"{found.constant} (best {found.best:.9g}; possible {found.possible:.9g})"
        rate = "exp" if found.exponent is None else f"t^(-{found.exponent})"
        rows += [("potential", str(found.V)), ("rate", rate), ("constant", best)]
        rows += [("theorem", found.statement)]
        rows += [] if kept is None else [("degree", str(found.degree))]
    else:
        rows += [("reason", found.reason)]
    output.show(output.table(("", "potential"), rows))
    if kept is not None:
        output.show(["", "kept by the flow, to degree 2:"], [f"  {line}" for line in kept])
