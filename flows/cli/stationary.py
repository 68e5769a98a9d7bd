"""``popflow stationary``: critical points, their spectrum, and the proof of their kind."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.command import FlowCommand
from flows.cli.layout import width, wrapped
from flows.cli.options import flow_options, refuse
from flows.cli.runs import integrated
from flows.cli.subject import system_of
from flows.core.errors import InputError

if TYPE_CHECKING:
    from flows.certificates.stationary.point import StationaryPoint
    from flows.certificates.stationary.proof import Proof
    from flows.certificates.verifier.stationary import Point

# The flow of a random start is followed to this time.
T_END = 1e3
# Options of a flow that say nothing about a point.
OF_RUNS = ("t_eval", "rtol", "method")
# Eigenvalues and digits that a table shows.
SHOWN, DIGITS = 5, 30


@click.command(cls=FlowCommand, epilog=examples.STATIONARY)
@arguments.system
@partial(flow_options, refused=OF_RUNS)
@click.option(
    "--size",
    metavar="N",
    type=click.IntRange(1),
    help="Follow N random starts: at which points they end, and how often.",
)
@click.option(
    "--certify", is_flag=True, help="Prove that it is a strict local minimum, or a saddle."
)
@click.option("--out", metavar="CERT.json", help="Write the proof; popflow verify checks it.")
@arguments.force
@arguments.as_json
def stationary(
    system: str,
    size: int | None,
    certify: bool,
    out: str | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Find a critical point of SYSTEM: its loss, its spectrum, whether it is a minimum.

    Newton's method begins at --initial, or after the flow of a start up to --t-end, by default 1e3
    for a random start.

    Exit code 3: no proof was found, 4: no critical point; the reason is printed.
    """
    from flows.core.files import check_output

    if out is not None and not certify:
        raise InputError("--out: expected --certify beside it, since it writes a proof; give both")
    refuse(options, OF_RUNS, "a point has none")
    if size is not None:
        for name, value in (
            ("initial", options["initial"]),
            ("start", options["start"]),
            ("out", out),
        ):
            if value is not None:
                raise InputError(f"--size: expected no --{name} beside it; give one of them")
        return _many(system, size, certify, as_json, options)
    check_output(out, force)
    found = _near(system, options)
    proof, unproved = _proof(found) if certify and found.found else (None, "")
    if proof is not None and out is not None:
        proof.save(out, force=force)
    if as_json:
        output.print_json(found.to_json(proof))
    else:
        said = f"{found.system.name}: {found.sentence()}"
        output.show(
            wrapped(said, width()), _table(found), *([] if proof is None else [_proved(proof)])
        )
        output.wrote(out if proof is not None else None)
    if not found.found:
        click.echo(f"popflow: no critical point: {found.reason}", err=True)
        return 4
    if unproved:
        click.echo(f"popflow: no proof: {unproved}", err=True)
        return 3
    return 0


def _near(system: str, options: dict[str, Any]) -> StationaryPoint:
    """Critical point near a start, or near the end of its flow."""
    from flows.certificates.stationary.point import stationary as critical

    subject = system_of(system)
    given_start = options["initial"] is not None or options["start"] is not None
    if options["t_end"] is None and given_start:
        made, near = subject.problem(options)
        return critical(made, near)
    end = T_END if options["t_end"] is None else options["t_end"]
    run = integrated(subject, {**options, "t_end": end})
    return critical(run.system, _ended(run))


def _ended(run: Any) -> Any:
    """Last state of a run, unless it was ended on its way."""
    from flows.core.problem import STOPPED

    if run.status in STOPPED:
        raise InputError(
            f"the flow did not come to its end: {run.message}; give a smaller --t-end"
            " or more --max-seconds"
        )
    return run.state[-1]


def _proof(found: StationaryPoint) -> tuple[Proof | None, str]:
    """Proof of a point, or why there is none."""
    from flows.certificates.stationary.prove import Unproved

    try:
        return found.certify(), ""
    except Unproved as reason:
        return None, str(reason)


def _many(system: str, size: int, certify: bool, as_json: bool, options: dict[str, Any]) -> int:
    """Print where the flows of random starts end, one seed after the other."""
    from flows.certificates.stationary.many import stationary_ensemble

    first = options["seed"] or 0
    subject = system_of(system)
    drawn = [subject.problem({**options, "seed": first + k, "t_end": None}) for k in range(size)]
    end = T_END if options["t_end"] is None else options["t_end"]
    families = stationary_ensemble(drawn[0][0], [start for _, start in drawn], end)
    proofs = [_proof(f.point) if certify and f.point.found else (None, "") for f in families]
    if as_json:
        data = [
            {
                "count": len(family.members),
                "share": family.share,
                "interval": list(family.interval()),
                "seeds": [first + k for k in family.members],
                **family.point.to_json(proof),
                "unproved": reason,
            }
            for family, (proof, reason) in zip(families, proofs, strict=True)
        ]
        output.print_json({"system": subject.name, "size": size, "t_end": end, "families": data})
        return 0
    rows = []
    for family, (proof, reason) in zip(families, proofs, strict=True):
        point, (low, high) = family.point, family.interval()
        proved = f"proved: {proof.kind}" if proof is not None else reason
        rows.append(
            (
                f"{point.kind} {point.reason}".strip(),
                str(point.index),
                f"{point.loss:.10g}",
                float(point.eigenvalues[0]),
                f"{len(family.members)} of {size}",
                f"{low:.2%} to {high:.2%}",
                first + family.members[0],
                *([proved] if certify else []),
            )
        )
    heads = ("kind", "index", "loss", "least eigenvalue", "ends", "95 %", "a seed")
    output.show(output.table((*heads, *(["proof"] if certify else [])), rows))
    return 0


def _table(found: StationaryPoint) -> Any:
    values = found.eigenvalues
    near_zero = int((abs(values) <= found.resolution).sum())
    rows = [
        ("kind", found.kind),
        ("loss", f"{found.loss:.15g}"),
        ("|grad L|", found.gradient_norm),
        ("eigenvalues", values[:SHOWN].tolist()),
        ("the largest", float(values[-1])),
        ("negative", str(found.index)),
        ("indistinguishable from zero", f"{near_zero}, below {found.resolution:.3g}"),
        ("distance from the start of Newton's method", found.distance),
        ("state", _rows(found.state)),
    ]
    return output.table(("critical point", found.system.name), rows)


def _rows(state: Any) -> str:
    """State to six digits, a row after the other; all of them are in the JSON."""
    if state.ndim == 0:
        return f"{state:.6g}"
    return "[" + ", ".join(map(_rows, state)) + "]"


def _proved(proof: Proof) -> Any:
    summary = proof.summary()
    n, r = len(proof.centre), summary["dimensions"]
    low, across = summary["hessian_lower"], proof.across
    bound = f">= {low:.10g}" if low is not None else f"an eigenvalue <= {proof.within.least:.10g}"
    space = f"R^({n} x d)" if not proof.setting.trained else f"R^({n} x (d + 1))"
    size = sum(map(len, proof.centre)) - len(proof.held)
    where = f"d = {r}" if across is None else f"every d >= {r}"
    beyond = across and f"{across.least:.10g}, index {across.index}"
    rows = [
        ("proved", f"{proof.kind}, in {space} for {where}"),
        *([("up to", text)] if (text := proof.up_to) else []),
        ("loss", f"{summary['loss']['value']} +- {summary['loss']['radius']:.2g}"),
        (f"Hessian in {size} coordinates", f"{bound}, index {proof.within.index}"),
        ("in each further dimension", beyond or "nothing is said"),
        ("no other critical point", f"within {proof.radius:.6g}, in each coordinate"),
    ]
    return output.table(("proof", "in ball arithmetic"), rows)


def verified(point: Point) -> Any:
    """Table of a critical point that the independent check accepted."""
    rows = [
        ("accepted", point.statement),
        ("loss", point.loss.str(DIGITS)),
        ("students", str(point.students.tolist())),
        ("teachers", str(point.teachers.tolist())),
        ("activation", f"{point.activation}, slope {point.slope!r} of negative arguments"),
        ("output weights", str(point.output_weights.tolist())),
        ("teacher weights", str(point.teacher_weights.tolist())),
    ]
    return output.table(("critical point", "two layers"), rows)


def point_json(point: Point | None) -> dict[str, Any]:
    """What was verified, as JSON values; nothing if it was refused."""
    if point is None:
        return {}
    across = point.across
    return {
        "statement": point.statement,
        "kind": point.kind,
        "loss": {"value": float(point.loss.mid()), "radius": float(point.loss.rad())},
        "hessian": {"index": point.hessian.index, "least": point.hessian.least},
        "across": across and {"index": across.index, "least": across.least},
        "unique_radius": point.radius,
        "activation": point.activation,
        "slope": point.slope,
        "train_outputs": point.trained,
        "students": point.students.tolist(),
        "teachers": point.teachers.tolist(),
    }
