"""From the options of the command line to a system, a start and a run; or to a run in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flows.cli.options import MAX_SECONDS, METHOD, RTOL, T_END, check_given, flag, given, options_of
from flows.core.errors import InputError, nearest
from flows.core.options import Options
from flows.systems.registry import SYSTEMS

if TYPE_CHECKING:
    from flows.core.system import System
    from flows.runs.trajectory import Trajectory
    from potentials import Statements


def problem(name: str, options: Options) -> tuple[System, Any]:
    """System and start that the options ask for.

    Raises
    ------
    InputError
        For options that exclude each other, are another system's, or have bad values.
    """
    check_given(name, options)
    return SYSTEMS[name].from_options(options)


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

    check_given(name, options)
    if options["t_end"] is None:
        raise InputError("--t-end: expected a time to integrate to, got none; give --t-end 1e9")
    system, start = SYSTEMS[name].from_options(options)
    return integrate(
        system,
        start,
        t_end=options["t_end"],
        t_eval=options["t_eval"],
        **solver(options),
        progress=sys.stderr.isatty() if progress is None else progress,
    )


def solver(options: Options) -> dict[str, Any]:
    """Method, tolerance and budget of time, as given or by default."""
    defaults = {"method": METHOD, "rtol": RTOL, "max_seconds": MAX_SECONDS}
    return {k: v if options[k] is None else options[k] for k, v in defaults.items()}


def loaded_or_integrated(
    subject: str, options: Options, examine: Callable[[Statements], object]
) -> Trajectory:
    """Run of a result file, or of a system to ``T_END`` unless the options say otherwise.

    Parameters
    ----------
    subject : str
        Name of a system or of a file.
    options : mapping
        Options of `FLOW` and of the systems; none may be given with a file.
    examine : callable
        Gets the system's statements before anything is integrated, to refuse what does not fit.

    Raises
    ------
    InputError
        For a subject that is neither, a damaged file, and bad options.
    """
    if subject in SYSTEMS:
        from potentials import statements

        examine(statements(subject))
        t_end = T_END if options["t_end"] is None else options["t_end"]
        return integrated(subject, {**options, "t_end": t_end})
    result_file(subject, options)
    from flows.runs.load import load

    run = load(subject)
    examine(run.statements)
    return run


def result_file(subject: str, options: Options) -> str:
    """Name of a result file, with which no option may be given.

    Raises
    ------
    InputError
        For a name that is neither a system's nor a file's, and for options.
    """
    if not (subject.endswith(".nc") or os.path.exists(subject)):
        near = nearest(subject, SYSTEMS)
        hint = f" did you mean {near}?" if near else ""
        raise InputError(
            f"unknown system or file {subject!r};{hint} expected {', '.join(SYSTEMS)}, or a file"
            " that popflow run --out wrote"
        )
    if names := given(options):
        raise InputError(f"{flag(names[0])} does not apply to a result file; leave it out")
    return subject


def written_out(name: str, options: Options) -> dict[str, Any]:
    """Options of a system after a check, with the numbers of files in place of their names.

    Raises
    ------
    InputError
        For options of another system, and files that cannot be used.
    """
    check_given(name, options)
    written = {key: options[key] for key in given(options)}
    known = options_of(name)
    files = [key for key in written if known[key].kind == "array"]
    if files:
        import json

        import numpy as np

        from flows.core.arrays import plain

        system, start = SYSTEMS[name].from_options(options)
        for key in files:
            value = start if key == "initial" else np.array(getattr(system, key))
            written[key] = json.dumps(plain(value))
    return written
