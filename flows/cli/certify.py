"""``popflow certify`` and ``popflow verify``: rigorous enclosures, and their independent check."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, endless, examples, output, theorem_files
from flows.cli.command import FlowCommand
from flows.cli.late_states import prove_late
from flows.cli.layout import counted
from flows.cli.options import flow_options, one_of, refuse
from flows.cli.runs import solver
from flows.cli.subject import asked_of, system_of
from flows.core.errors import InputError
from flows.core.options import Options
from flows.systems.registry import SYSTEMS

if TYPE_CHECKING:
    from flows.certificates.certificate import Certificate
    from flows.certificates.verdicts import Proven, RigorousVerdict
    from flows.certificates.verifier.verify import Verification
    from flows.core.system import System
    from flows.runs.trajectory import Trajectory

# Decimal digits of a ball that are printed.
DIGITS = 20
# The latest finite end that can be proved.
LATEST = 1e18
# Options that say nothing about the problem.
SHOWN = ("t_end", "t_eval")
# Options of a solver, which a proof has not; with those of long work, which a check has not.
OF_STEPS, OF_WORK = ("rtol", "method"), ("rtol", "method", "max_seconds")
NONE = "a certificate has none"

_claim = click.option(
    "--claim", metavar="ID", shell_complete=arguments.claim_names, help="Decide only this claim."
)


@click.command(cls=FlowCommand, epilog=examples.CERTIFY)
@arguments.system
@partial(flow_options, refused=OF_STEPS, t_end="Prove to this time; inf: for all times.")
@click.option(
    "--digits",
    metavar="D",
    type=int,
    default=None,
    help="Aim at an error of about 10^-D [default: 30; to infinity 24, beyond three neurons 14].",
)
@click.option(
    "--radius",
    metavar="R",
    type=float,
    default=0.0,
    help="Prove it of every start within this distance.",
)
@click.option(
    "--late-states",
    metavar="[SIZE=V,..]",
    is_flag=False,
    flag_value="",
    help="Without a start: of all late states of two neurons [reach=0.05,across=0.5,along=0.1,"
    "apart=0.5].",
)
@click.option("--out", metavar="CERT.json", help="Write the certificate.")
@_claim
@arguments.force
@arguments.as_json
def certify(
    system: str,
    digits: int | None,
    radius: float,
    late_states: str | None,
    out: str | None,
    claim: str | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Prove where the flow of SYSTEM goes, and decide its claims on the way.

    A loss of your own, or of a system without proofs of its own, can be certified where its
    expectations have closed forms. LOSS.json holds a loss as data, name, blocks, and terms or
    steps, as docs/howto/own_certificates.md says.

    Loss and local exponent t L'/L are enclosed at the times of --t-eval and at --t-end. Of a claim:
    PROVED or REFUTED along this flow; ENCLOSED where it leaves a constant open; HYPOTHESIS_NOT_MET
    where its conclusion fails, and a hypothesis fails, too; UNDECIDED.

    Exit code 1: a claim is REFUTED; 3: the one of --claim is UNDECIDED; 4: no proof to --t-end was
    found.
    """
    from flows.certificates.certify import Uncertified
    from flows.certificates.certify import certify as prove
    from flows.core.files import check_output
    from flows.core.progress import time_bar

    if late_states is not None:
        asked = {**options, "digits": digits, "radius": radius or None, "claim": claim}
        return prove_late(system, late_states, asked, out, force, as_json)
    subject = system_of(system)
    one_of("claim", claim, (c.id for c in subject.statements(options).claims))
    refuse(options, OF_STEPS, NONE)
    if options["t_end"] is None:
        raise InputError("--t-end: expected a time to prove to, got none; give --t-end 1e9")
    forever = options["t_end"] == math.inf
    if not forever and not 0 < options["t_end"] <= LATEST:
        raise InputError(
            f"--t-end: expected a time in (0, {LATEST:g}], or inf for all times, got"
            f" {options['t_end']:g}; give another"
        )
    check_output(out, force)
    asked = {**options, "t_end": None} if forever else options
    made, start = subject.problem(asked)
    times, seconds = _times(options["t_eval"], options["t_end"]), solver(options)["max_seconds"]
    try:
        with time_bar(sys.stderr.isatty() and not forever, options["t_end"]) as show:
            certificate = prove(made, start, options["t_end"], digits, show, radius, seconds)
    except Uncertified as reason:
        click.echo(f"popflow: {reason}", err=True)
        return 4
    if out is not None:
        certificate.save(out, force=force)
    return _show(certificate, times, claim, as_json)


@click.command(cls=FlowCommand, epilog=examples.VERIFY)
@click.argument("path", metavar="CERT.json")
@partial(flow_options, refused=OF_WORK)
@_claim
@arguments.as_json
def verify(path: str, claim: str | None, as_json: bool, **options: Any) -> int:
    """Check a certificate from its file alone, by code that uses nothing of its maker.

    If it is accepted, the system and the start that were verified are shown, and what it says of
    the claims. With options of a flow, it must be about that flow: start, teacher and --t-end.

    Exit code 1: refused, or a claim is REFUTED; 3: the one of --claim is UNDECIDED.
    """
    from flows.certificates.certificate import certifiable, load_certificate
    from flows.certificates.verifier.verify import verify as checked
    from potentials import claims

    one_of("claim", claim, (c.id for system in certifiable() for c in claims(system)))
    refuse(options, OF_WORK, NONE)
    other = theorem_files.checked(path, claim, options, as_json)
    if other is not None:
        return other
    asked = any(value is not None for key, value in options.items() if key not in SHOWN)
    made, start = _asked(load_certificate(path).system, options) if asked else (None, None)
    found = checked(path, made, start, options["t_end"])
    if not found.accepted:
        if as_json:
            output.print_json({"checked": _summary(found)})
        else:
            click.echo(f"REFUSED: {found.refused}")
        return 1
    certificate = load_certificate(path)
    times = _times(options["t_eval"], certificate.t_end)
    return _show(certificate, times, claim, as_json, found)


def _asked(system: System, options: Options) -> tuple[System, Any]:
    """System and start of the options, of the kind that a certificate is about."""
    return asked_of(system).problem(options)


def certified(path: str, run: Trajectory, claim: Any) -> Proven:
    """Check a certificate of the start of a run, and return its verdicts on the claims."""
    if not isinstance(claim, str | None):
        raise InputError("--certificate: it decides claims, and no relation; leave it out")
    if run.system.certified_form()[0] is None:
        raise InputError(f"--certificate: none decides claims of {run.system.name}; leave it out")
    from flows.certificates.certificate import load_certificate
    from flows.certificates.verdicts import Proven, verdicts
    from flows.certificates.verifier.verify import verify as checked

    found = checked(path, run.system, run.start)
    if not found.accepted:
        raise InputError(
            f"{path}: REFUSED: {found.refused}; make it with popflow certify for this start"
        )
    certificate = load_certificate(path, run.system)
    return Proven(certificate.t_end, certificate.error, tuple(verdicts(certificate, claim)))


def _times(asked: Sequence[float] | None, end: float) -> list[float]:
    """Times at which enclosures are shown."""
    times = [*(asked or ()), end]
    for t in times:
        if not 0 <= t <= end:
            raise InputError(f"--t-eval: expected times in [0, {end:g}], got {t:g}")
    return sorted({t for t in times if t > 0})


def _show(
    certificate: Certificate,
    times: Sequence[float],
    claim: str | None,
    as_json: bool,
    checked: Verification | None = None,
) -> int:
    """Print what a certificate says, and what was checked of it; return the exit code."""
    from flows.certificates.decision import Proof
    from flows.certificates.verdicts import refutes, verdicts
    from flows.core.arrays import plain

    found = verdicts(certificate, claim)
    times = sorted({min(t, certificate.t_end) for t in times})
    enclosures = [
        {
            "t": t,
            "loss": certificate.loss(t).str(DIGITS),
            "local_exponent": certificate.local_exponent(t).str(DIGITS),
        }
        for t in times
    ]
    if as_json:
        output.print_json(
            {
                "system": certificate.system.name,
                "parameters": certificate.system.parameters,
                "start": plain(certificate.start),
                **({"radius": certificate.radius} if certificate.radius else {}),
                "starts": {
                    "dimension": _dimension(certificate.start),
                    "volume": certificate.volume,
                },
                "t_end": certificate.t_end,
                "error": certificate.error,
                "final_error": certificate.final_error,
                "pieces": len(certificate.pieces),
                "enclosures": enclosures,
                "verdicts": [v.to_json() for v in found],
                "checked": None if checked is None else _summary(checked),
                **({} if certificate.infinity is None else {"infinity": endless.data(certificate)}),
            }
        )
    else:
        output.show(*_tables(certificate, enclosures, found, checked))
    if claim is not None and found[0].verdict is Proof.UNDECIDED:
        return 3
    return int(refutes(found))


def _summary(checked: Verification) -> dict[str, Any]:
    """What the checker found, and the problem that it verified; no problem if it refused."""
    from flows.core.arrays import plain

    return {
        "accepted": checked.accepted,
        "refused": checked.refused or None,
        "pieces": checked.pieces,
        "system": checked.system or None,
        "parameters": checked.parameters,
        "start": None if checked.start is None else plain(checked.start),
        **({"radius": checked.radius} if checked.radius else {}),
        "t_end": checked.t_end if checked.accepted else None,
        **({} if checked.endless is None else {"infinity": endless.bounds(checked.endless)}),
    }


def _tables(
    certificate: Certificate,
    enclosures: Sequence[dict[str, Any]],
    found: Sequence[RigorousVerdict],
    checked: Verification | None,
) -> list[Any]:
    from flows.core.arrays import plain

    parameters, start = _about(certificate.system), certificate.start
    if checked is not None:  # as the checker read them
        parameters, start = checked.about or {}, checked.start
    rows = [
        ("parameters", ", ".join(f"{name} = {value}" for name, value in parameters.items())),
        ("start", str(plain(start))),
        *(_ball(certificate) if checked is None or checked.accepted else []),
        (
            "flow enclosed",
            f"to t = {certificate.t_end:g}, {counted(len(certificate.pieces), 'piece')}",
        ),
        (
            "distance from the polynomial",
            f"at most {certificate.error:.3g} at every time,"
            f" {certificate.final_error:.3g} at the end",
        ),
        *endless.rows(certificate, checked),
        ("independent check", _checked(certificate, checked)),
    ]
    return [
        output.table(("certificate", certificate.system.name), rows),
        output.table(
            ("t", "loss", "local exponent"),
            [(e["t"], e["loss"], e["local_exponent"]) for e in enclosures],
        ),
        *([_claims(found)] if found else []),
    ]


def _ball(certificate: Certificate) -> list[tuple[str, str]]:
    """Which other starts all is proved of, and what is their measure."""
    if not certificate.radius:
        return []
    space = f"a ball of R^{_dimension(certificate.start)} of the volume {certificate.volume:.3g}"
    return [("and every start", f"within {certificate.radius!r} of it: {space}")]


def _dimension(start: Any) -> int:
    """Real numbers of a start."""
    return int(start.size * (2 if start.dtype.kind == "c" else 1))


def _claims(found: Sequence[RigorousVerdict]) -> Any:
    rows = [
        (v.claim, f"{v.verdict} for all t" if v.forever else str(v.verdict), v.message, _counted(v))
        for v in found
    ]
    return output.table(("claim", "verdict", "", "hypotheses"), rows)


def _about(system: System) -> dict[str, Any]:
    """Parameters for a person: of an own loss its formula."""
    if system.name in SYSTEMS:
        return system.parameters
    return {"name": system.name, "loss": system.parameters["formula"]}


def _checked(certificate: Certificate, checked: Verification | None) -> str:
    """Whether the independent checker was asked: a proof to infinity is not returned without it."""
    if checked is not None:
        return "accepted"
    if certificate.infinity is not None:
        return "accepted when it was made; popflow verify repeats it"
    return "not made; popflow verify makes it"


def _counted(verdict: RigorousVerdict) -> str:
    """How many hypotheses are proved, refuted and undecided."""
    proofs = [str(proof) for _, proof in verdict.hypotheses]
    return ", ".join(f"{proofs.count(p)} {p}" for p in dict.fromkeys(proofs))
