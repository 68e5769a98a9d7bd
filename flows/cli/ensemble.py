"""``popflow ensemble``: from options to an ensemble, and its summary."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.command import FlowCommand
from flows.cli.options import T_END, below_option, flow_options, workers_option
from flows.cli.runs import solver
from flows.cli.subject import system_of
from flows.core.errors import InputError
from flows.core.options import Options, chosen, law_options

if TYPE_CHECKING:
    from flows.core.system import System
    from flows.ensembles.result import Ensemble

#: Quantiles that are printed.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
# Rows of failed members that a terminal shows.
SHOWN = 5


@click.command(cls=FlowCommand, epilog=examples.ENSEMBLE)
@arguments.system
@click.option("--size", metavar="N", type=int, help="Number of random starts.")
@flow_options
@click.option(
    "--observable",
    "observables",
    metavar="NAME",
    multiple=True,
    help="Keep this of each member beside the loss; may be repeated.",
)
@click.option(
    "--claim",
    "claims",
    metavar="ID",
    multiple=True,
    help="Check this claim on each member; may be repeated.",
)
@below_option
@workers_option
@click.option("--out", metavar="DIR", help="Folder for the result; a result in it is continued.")
@arguments.as_json
def ensemble(
    system: str,
    size: int | None,
    observables: tuple[str, ...],
    claims: tuple[str, ...],
    below: float,
    workers: int | None,
    out: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Integrate the flow of SYSTEM from many starts, by default to t = 1e9.

    The starts are --size random ones, each with a seed of its own that --seed determines, or those
    of --initial, one along the first axis.

    Exit code 4 if some member stops before its end.
    """
    if not 0 < below < 1:
        raise InputError(f"--below: expected a number between 0 and 1, got {below:g}")
    made, starts = _starts(system, size, options)
    from flows.ensembles.integrate import integrate_ensemble  # takes long: bad input is refused

    names = tuple(dict.fromkeys((made.leading, *observables)))
    result = integrate_ensemble(
        made,
        starts,
        t_end=T_END if options["t_end"] is None else options["t_end"],
        t_eval=options["t_eval"],
        **solver(options),
        observables=names,
        claims=claims,
        workers=workers,
        out=out,
        progress=sys.stderr.isatty(),
    )
    summary = summarise(result, below)
    if as_json:
        output.print_json(summary)
    else:
        output.show(*tables(result, summary))
    return 0 if result.completed == len(result) else 4


def _starts(name: str, size: int | None, options: Options) -> tuple[System, Any]:
    """System and starts that the options ask for."""
    subject = system_of(name)
    if options["initial"] is None and options["start"] is not None:
        raise InputError("--start: expected several starts; give --size or --initial")
    if options["initial"] is None and size is None:
        raise InputError("--size: expected a number of starts, got none; give --size 100")
    if options["initial"] is not None and size is not None:
        raise InputError("--initial: expected no --size beside it; give one of them")
    if size is not None:
        from flows.ensembles.starts import Law

        shape = law_options(subject.options, options)
        law = Law(size, chosen(options, "scale"), chosen(options, "seed"), shape)
        return subject.problem(options)[0], law
    return subject.problem(options, members=True)


def summarise(result: Ensemble, below: float) -> dict[str, Any]:
    """Reductions of an ensemble as plain values."""
    lead = result.system.leading
    ends = result.fraction(lambda c: c[lead][:, -1] <= below * c[lead][:, 0])
    status = result.status
    failed = [k for k in range(len(result)) if status[k] != "completed"]
    message = result["message"]
    scalars = [name for name, shape in result.shapes.items() if shape == ()]
    found: dict[str, Any] = {
        "system": result.system.name,
        "parameters": result.system.parameters,
        "members": len(result),
        "t": result.t.tolist(),
        "status": dict(Counter(status.tolist())),
        "not_completed": [
            {"member": k, "seed": result.seed_of(k), "status": status[k], "message": message[k]}
            for k in failed
        ],
        "below": {
            "ratio": below,
            "count": ends.count,
            "trials": ends.trials,
            "undecided": ends.undecided,
            "fraction": ends.value,
            "low": ends.low,
            "high": ends.high,
            "level": ends.level,
        },
        "quantiles": {
            name: dict(zip(map(str, LEVELS), result.quantiles(name, LEVELS).tolist(), strict=True))
            for name in scalars
        },
        "left_out": {name: result.left_out(name).tolist() for name in scalars},
        "claims": {claim: _claim(result, claim) for claim in result.claims},
        "provenance": result.provenance,
    }
    return found


def _claim(result: Ensemble, claim: str) -> dict[str, Any]:
    verdicts = dict(Counter(v for v in result[f"{claim}_verdict"].tolist() if v))
    try:
        tightest = result.tightest(claim)
    except InputError as reason:
        return {"verdicts": verdicts, "constant": None, "note": str(reason)}
    return {
        "verdicts": verdicts,
        "constant": tightest.constant,
        "member": tightest.member,
        "seed": tightest.seed,
        "attained_at": tightest.attained_at,
        "constants": tightest.count,
    }


def tables(result: Ensemble, summary: dict[str, Any]) -> list[Any]:
    """What a terminal shows."""
    import numpy as np

    ends = summary["below"]
    status = ", ".join(f"{count} {name}" for name, count in summary["status"].items())
    shown = [
        (
            f"member {row['member']}",
            f"{row['status']}: {row['message']}"
            + ("" if row["seed"] is None else f" (seed {row['seed']})"),
        )
        for row in summary["not_completed"][:SHOWN]
    ]
    share = (
        f"{ends['count']} of {ends['trials']} = {ends['fraction']:.4g},"
        f" {ends['level']:.0%} interval [{ends['low']:.4g}, {ends['high']:.4g}]"
    )
    if ends["undecided"]:
        share += f"; {ends['undecided']} undecided, below the numerical error"
    lead = result.system.leading
    without = summary["left_out"][lead][-1]
    known = []
    if without:
        first = int(np.flatnonzero(np.isnan(result[lead][:, -1]))[0])
        why = f"{without}, left out below; member {first}: {result['message'][first]}"
        known = [(f"without a {lead} at the end", why)]
    made = [
        output.table(
            ("ensemble", result.system.name),
            [
                ("members", str(len(result))),
                ("status", status),
                (f"{lead}(T) <= {ends['ratio']:g} {lead}(0)", share),
                *known,
                *shown,
            ],
        )
    ]
    last = len(result.t) - 1
    rows = [*range(0, last, max(1, last // output.ROWS)), last]
    for name, quantiles in summary["quantiles"].items():
        if name == "loss_error" or name.endswith("_exponent"):
            continue
        columns = {f"{name} {float(q):.0%}": values for q, values in quantiles.items()}
        if (slope := summary["quantiles"].get(f"{name}_exponent")) is not None:
            columns["local exponent 50%"] = slope[str(0.5)]
        made.append(
            output.table(
                ("t", *columns),
                [(result.t[row], *(values[row] for values in columns.values())) for row in rows],
            )
        )
    if result.claims:
        made.append(
            output.table(
                ("claim", "verdicts", "tightest constant", "member", "seed", "at t"),
                [
                    (
                        claim,
                        ", ".join(f"{n} {v}" for v, n in one["verdicts"].items()),
                        one["constant"],
                        str(one.get("member", "")),
                        str(one.get("seed") or ""),
                        one.get("attained_at"),
                    )
                    for claim, one in summary["claims"].items()
                ],
            )
        )
    return made
