"""From the options of the command line to a run; those of one system are in `cli_systems`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from flows.cli.systems import DEFAULTS, SYSTEMS, Command, Options, chosen, comma_separated
from flows.core.errors import InputError, nearest, unknown

if TYPE_CHECKING:
    from flows.runs.trajectory import Trajectory
    from potentials import Statements

T_END = 1e9  # where `check` and `inspect` stop unless told otherwise
SIZE = click.IntRange(1, 10**7)  # far beyond any memory, but n d is a number NumPy can count to


def _option(flag: str, metavar: str, text: str, **more: Any) -> Callable[[Command], Command]:
    default = DEFAULTS.get(flag.removeprefix("--"))
    note = "" if default is None else f" [default: {default}]"
    return click.option(flag, metavar=metavar, help=f"{text}{note}.", **more)


FLOW = {
    "t_end": _option("--t-end", "T", "Integrate to this time", type=float),
    "n": _option("--n", "N", "Number of neurons or components", type=SIZE),
    "d": _option("--d", "D", "Dimension", type=SIZE),
    "scale": _option("--scale", "S", "Size of the random start", type=float),
    "seed": _option("--seed", "K", "Seed of the random start", type=int),
    "initial": _option("--initial", "FILE", "Start, .npy or JSON lists; replaces the four above"),
    "t_eval": _option(
        "--t-eval",
        "T1,T2,..",
        "Output times, else geometric",
        callback=comma_separated("times", "1,10,100"),
    ),
    "rtol": _option("--rtol", "R", "Relative tolerance of a step", type=float),
    "method": _option("--method", "M", "Solver"),
}


def flow_options(command: Command) -> Command:
    """Give a command the options of a flow, then those of each system."""
    own = {name: option for entry in SYSTEMS.values() for name, option in entry.options.items()}
    for decorate in reversed([*FLOW.values(), *own.values()]):
        command = decorate(command)
    return command


def one_of(what: str, name: str | None, known: Iterable[str]) -> None:
    """Refuse a name that is not known.

    Raises
    ------
    InputError
        With the nearest one, and all that are.
    """
    names = list(known)
    if name is not None and name not in names:
        raise unknown(what, name, names)


def integrated(
    name: str, options: Options, progress: bool | Callable[[float], None] | None = None
) -> Trajectory:
    """Run of system ``name`` that the options ask for.

    Parameters
    ----------
    name : str
        The system.
    options : mapping
        Options of `FLOW` and of the systems.
    progress : bool or callable, optional
        As in :func:`flows.integrate`; by default a bar where standard error is a terminal.

    Raises
    ------
    InputError
        For options that exclude each other, are another system's, or have bad values.
    """
    from flows.runs.integrate import integrate

    one_of("system", name, SYSTEMS)
    _check_given(name, _given(options))
    if options["t_end"] is None:
        raise InputError("--t-end: expected a time to integrate to, got none; give --t-end 1e9")
    system, start = SYSTEMS[name].prepare(options)
    return integrate(
        system,
        start,
        t_end=options["t_end"],
        t_eval=options["t_eval"],
        method=chosen(options, "method"),
        rtol=chosen(options, "rtol"),
        progress=sys.stderr.isatty() if progress is None else progress,
    )


def loaded_or_integrated(
    target: str, options: Options, look: Callable[[Statements], object]
) -> Trajectory:
    """Run of a result file, or of a system to ``T_END`` unless the options say otherwise.

    Parameters
    ----------
    target : str
        Name of a system or of a file.
    options : mapping
        Options of `FLOW` and of the systems; none may be given with a file.
    look : callable
        Gets the system's statements before anything is integrated, to refuse what does not fit.

    Raises
    ------
    InputError
        For a target that is neither, a damaged file, and bad options.
    """
    if target in SYSTEMS:
        from potentials import statements

        look(statements(target))
        t_end = T_END if options["t_end"] is None else options["t_end"]
        return integrated(target, {**options, "t_end": t_end})
    result_file(target, options)
    from flows.runs.trajectory import load

    run = load(target)
    look(run.statements)
    return run


def result_file(target: str, options: Options) -> str:
    """Name of a result file, with which no option may be given.

    Raises
    ------
    InputError
        For a name that is neither a system's nor a file's, and for options.
    """
    if not (target.endswith(".nc") or os.path.exists(target)):
        near = nearest(target, SYSTEMS)
        hint = f" did you mean {near}?" if near else ""
        raise InputError(
            f"unknown system or file {target!r};{hint} expected {', '.join(SYSTEMS)}, or a file"
            " that popflow run --out wrote"
        )
    if given := _given(options):
        raise InputError(f"{_flag(given[0])} does not apply to a result file; leave it out")
    return target


def written_out(name: str, options: Options) -> dict[str, Any]:
    """Options of a system after a check, with the numbers of files in place of their names.

    Raises
    ------
    InputError
        For options of another system, and files that cannot be used.
    """
    given = _given(options)
    _check_given(name, given)
    written = {key: options[key] for key in given}
    files = {"initial", "teacher", "target"} & set(given)
    if files:
        import json

        import numpy as np

        from flows.core.arrays import plain

        system, start = SYSTEMS[name].prepare(options)
        for key in files:
            value = start if key == "initial" else np.array(getattr(system, key))
            written[key] = json.dumps(plain(value))
    return written


def _check_given(name: str, given: Iterable[str]) -> None:
    """Refuse options of another system, and two that exclude each other."""
    if foreign := [key for key in given if key not in {*FLOW, *SYSTEMS[name].options}]:
        raise InputError(f"{_flag(foreign[0])} is not an option of {name}; leave it out")
    twice = [key for key in given if key in ("n", "d", "scale", "seed")]
    if "initial" in given and twice:
        raise InputError(f"--initial: expected no {_flag(twice[0])} beside it; give one of them")


def _given(options: Options) -> list[str]:
    return [name for name, value in options.items() if value is not None]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
