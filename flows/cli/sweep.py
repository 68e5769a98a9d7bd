"""``popflow sweep``: from options to ensembles over parameters, and their summary."""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from flows.cli import arguments, examples, output
from flows.cli.command import FlowCommand
from flows.cli.options import T_END, below_option, flag, flow_options, workers_option
from flows.cli.runs import solver
from flows.cli.subject import Subject, system_of
from flows.core.errors import InputError, unknown
from flows.core.options import Option, Options, chosen, law_options

if TYPE_CHECKING:
    import xarray

    from flows.core.system import System

# Of a run; what a sweep varies are parameters of the system, and the scale of the start.
OF_RUNS = ("t_end", "t_eval", "rtol", "method", "max_seconds", "seed")
READ = {"size": int, "integer": int, "number": float, "choice": str}


@click.command(cls=FlowCommand, epilog=examples.SWEEP)
@arguments.system
@click.option(
    "--vary",
    metavar="NAME=V1,V2,..",
    multiple=True,
    help="Values of an option of the system, or of scale; may be repeated: all combinations.",
)
@click.option("--size", metavar="N", type=int, help="Random starts of each combination.")
@partial(flow_options, refused=("initial",))
@click.option(
    "--observable",
    "observables",
    metavar="NAME",
    multiple=True,
    help="Keep this too, one number a time; may be repeated.",
)
@below_option
@click.option(
    "--level",
    metavar="P",
    type=float,
    default=0.99,
    show_default=True,
    help="Confidence of the intervals.",
)
@workers_option
@click.option("--out", metavar="DIR", help="Folder for sweep.nc; a result in it is continued.")
@click.option("--figure", metavar="FILE", help="Draw the fractions, .png, .pdf or .svg.")
@click.option("--force", is_flag=True, help="Replace an existing figure.")
@arguments.as_json
def sweep(
    system: str,
    vary: tuple[str, ...],
    size: int | None,
    observables: tuple[str, ...],
    below: float,
    level: float,
    workers: int | None,
    out: str | None,
    figure: str | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Integrate SYSTEM from many starts for every combination of parameters.

    By default each goes to t = 1e9.

    It prints for each combination the fraction of runs whose loss has fallen to --below of what it
    was at the start, with its Clopper-Pearson interval.

    Exit code 4 if some member stops before its end.
    """
    from flows.core.files import check_output
    from flows.ensembles.fractions import sweep_fraction
    from flows.ensembles.sweep import FILE
    from flows.ensembles.sweep import sweep as sweep_over

    subject = system_of(system)
    for name in ("initial", "start"):
        if options[name] is not None:
            raise InputError(f"--{name}: a sweep draws random starts; leave it out")
    values = _varied(subject, vary, options)
    if size is None:
        raise InputError("--size: expected a number of starts, got none; give --size 100")
    for name, value in (("below", below), ("level", level)):
        if not 0 < value < 1:
            raise InputError(f"--{name}: expected a number between 0 and 1, got {value:g}")
    subject.check(options)
    if figure is not None:
        check_output(figure, force)
    data = sweep_over(
        _maker(subject, options),
        values,
        size=size,
        t_end=T_END if options["t_end"] is None else options["t_end"],
        t_eval=options["t_eval"],
        scale=chosen(options, "scale"),
        seed=chosen(options, "seed"),
        start_options=law_options(subject.options, options),
        **solver(options),
        observables=tuple(dict.fromkeys(("loss", *observables))),
        workers=workers,
        out=out,
        progress=sys.stderr.isatty(),
    )
    found = sweep_fraction(data, below, level)
    rows = _rows(data, found, list(values))
    if figure is not None:
        from flows.pages.drawing import save
        from flows.pages.fractions import fraction_figure

        save(fraction_figure(found), figure)
    if as_json:
        output.print_json(
            {
                "system": subject.name,
                "vary": values,
                "members": size,
                "t_end": data.attrs["t_end"],
                "below": below,
                "level": level,
                "combinations": rows,
            }
        )
    else:
        output.show(_table(rows, list(values), below, level))
        written = [*([] if out is None else [f"{out}/{FILE}"]), *([figure] if figure else [])]
        if written:
            click.echo(f"\nwrote {' and '.join(written)}")
    return 0 if bool((data["status"] == "completed").all()) else 4


def _varied(subject: Subject, vary: tuple[str, ...], options: Options) -> dict[str, list[Any]]:
    """Values of each parameter, read as the option of the system says."""
    known = {n: o for n, o in subject.known.items() if n not in (*OF_RUNS, "initial")}
    found: dict[str, list[Any]] = {}
    if not vary:
        raise InputError(
            "--vary: expected a parameter with its values, got none; give --vary d=2,3"
        )
    for text in vary:
        word, equals, values = text.partition("=")
        name = word.strip().replace("-", "_")
        if not equals:
            raise InputError(f"--vary: expected NAME=V1,V2,.., got {text!r}; give --vary d=2,3")
        refused = {o.name: o.refused for o in subject.options if o.refused}
        if name in refused:
            raise InputError(f"--vary: {name} is not an option of {subject.name}; {refused[name]}")
        if name not in known or known[name].kind not in READ or known[name].of_start:
            usable = [n for n, o in known.items() if o.kind in READ and not o.of_start]
            raise unknown("parameter", name, usable)
        if not values.strip():
            raise InputError(f"--vary: expected values of {name}, got none; give --vary {name}=2,3")
        if name in found:
            raise InputError(f"--vary: {name} is given twice; give all its values once")
        if options.get(name) is not None:
            raise InputError(f"--vary: expected no {flag(name)} beside {name}; give one of them")
        found[name] = [_read(known[name], part.strip()) for part in values.split(",")]
    return found


def _read(option: Option, text: str) -> Any:
    """One value of an option."""
    kind = READ[option.kind]
    if option.choices and text not in option.choices:
        raise InputError(
            f"--vary: expected values of {option.name} among {', '.join(option.choices)}, got"
            f" {text!r}"
        )
    try:
        return kind(text)
    except ValueError:
        expected = "integers" if kind is int else "numbers"
        raise InputError(
            f"--vary: expected {expected} separated by commas for {option.name}, got {text!r}"
        ) from None


def _maker(subject: Subject, options: Options) -> Any:
    """Function of the varied parameters that gives the system of the options."""

    def make(**case: Any) -> System:
        return subject.build({**options, **case}, False)[0]

    return make


def _rows(data: xarray.Dataset, found: xarray.Dataset, names: list[str]) -> list[dict[str, Any]]:
    """One row a combination, as plain values."""
    rows = []
    table = found.stack(combination=names)
    status = data["status"].stack(combination=names).transpose("combination", "member")
    for k in range(table.sizes["combination"]):
        one = table.isel(combination=k)
        rows.append(
            {
                "parameters": {n: one[n].item() for n in names},
                **{x: int(one[x]) for x in ("count", "trials")},
                **{x: float(one[x]) for x in ("fraction", "low", "high")},
                "status": dict(Counter(map(str, status.values[k]))),
            }
        )
    return rows


def _table(rows: list[dict[str, Any]], names: list[str], below: float, level: float) -> Any:
    """What a terminal shows."""
    heads = (
        *names,
        "members",
        f"loss(T) <= {below:g} loss(0)",
        f"{100 * level:g}% interval",
        "status",
    )
    return output.table(
        heads,
        [
            (
                *(f"{x:g}" if not isinstance(x, str) else x for x in row["parameters"].values()),
                str(row["trials"]),
                f"{row['count']} = {row['fraction']:.4g}",
                f"{row['low']:.4g} to {row['high']:.4g}",
                ", ".join(f"{count} {word}" for word, count in row["status"].items()),
            )
            for row in rows
        ],
    )
