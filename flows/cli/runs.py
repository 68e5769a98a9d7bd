"""From the options of the command line to a run, of a system or in a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flows.cli.options import MAX_SECONDS, METHOD, RTOL, T_END, flag, given
from flows.cli.subject import SavedRun, Subject, subject_of
from flows.core.errors import InputError
from flows.core.options import Options

if TYPE_CHECKING:
    from flows.runs.trajectory import Trajectory
    from potentials import Statements


def integrated(
    subject: Subject, options: Options, progress: bool | Callable[[float], None] | None = None
) -> Trajectory:
    """Run that the options ask for, by default to ``T_END``.

    Parameters
    ----------
    subject : Subject
        What is followed.
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

    subject.check(options)
    system, start = subject.problem(options)
    return integrate(
        system,
        start,
        t_end=T_END if options["t_end"] is None else options["t_end"],
        t_eval=options["t_eval"],
        **solver(options),
        progress=sys.stderr.isatty() if progress is None else progress,
    )


def solver(options: Options) -> dict[str, Any]:
    """Method, tolerance and budget of time, as given or by default."""
    defaults = {"method": METHOD, "rtol": RTOL, "max_seconds": MAX_SECONDS}
    return {k: v if options[k] is None else options[k] for k, v in defaults.items()}


def loaded_or_integrated(
    text: str, options: Options, examine: Callable[[Statements], object]
) -> Trajectory:
    """Run of a result file, or of a system.

    Parameters
    ----------
    text : str
        The argument SYSTEM, or the name of a file.
    options : mapping
        Options of `FLOW` and of the systems; none may be given with a file.
    examine : callable
        Gets the system's statements before anything is integrated, to refuse what does not fit.

    Raises
    ------
    InputError
        For a text that is neither, a damaged file, and bad options.
    """
    subject = subject_of(text)
    if isinstance(subject, SavedRun):
        run = loaded(subject, options)
        examine(run.statements)
        return run
    examine(subject.statements(options))
    return integrated(subject, options)


def loaded(saved: SavedRun, options: Options) -> Trajectory:
    """Run in a file, with which no option may be given.

    Raises
    ------
    InputError
        For options, and a file that is damaged or no run.
    """
    from flows.runs.load import load

    if names := given(options):
        raise InputError(f"{flag(names[0])} does not apply to a result file; leave it out")
    return load(saved.path)


def written_out(subject: Subject, options: Options) -> dict[str, Any]:
    """Options of a system after a check, with the numbers of files in place of their names.

    Raises
    ------
    InputError
        For options of another system, and files that cannot be used.
    """
    subject.check(options)
    written = {key: options[key] for key in given(options)}
    files = [key for key in written if subject.known[key].kind == "array"]
    if files:
        import json

        import numpy as np

        from flows.core.arrays import plain

        system, start = subject.problem(options)
        for key in files:
            value = start if key == "initial" else np.array(getattr(system, key))
            written[key] = json.dumps(plain(value))
    return written
