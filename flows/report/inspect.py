"""Look at a run in a browser: its interactive figures and verdicts, as one page without network."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from flows.core.card import described
from flows.core.errors import InputError
from flows.core.files import checked_path
from flows.report import html
from flows.report.headings import OWN_HEADINGS
from flows.report.late_laws import beside
from flows.report.run_page import run_values
from flows.runs.trajectory import Trajectory
from flows.systems.own.recorded import RecordedSystem
from flows.systems.own.system import OwnSystem
from symbolic.evidence.derivation import counted

__all__ = ["inspect"]


def inspect(
    run: Trajectory,
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    browser: bool = True,
) -> Path:
    """Show a run in a browser: loss, potentials with their rates, verdicts, where parameters are.

    Parameters
    ----------
    run : Trajectory
        Of any system, with potentials of one's own or without.
    out : path, optional
        The page; a temporary file by default. It needs no network and can be sent to others.
    force : bool
        Replace an existing file.
    browser : bool
        Open it in a browser.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If `run` is no trajectory, or the file exists (without ``force``) or cannot be written.

    Notes
    -----
    The page of a run of an own system of at most 40 entries ends with the law by which the loss
    falls and with its derivation, each step with its evidence. ``popflow inspect`` serves the same
    for runs that one chooses in a form.
    """
    if not isinstance(run, Trajectory):
        raise InputError(f"inspect shows a run, got {run!r:.60}; make one with flows.integrate")
    if out is None:
        path = Path(tempfile.mkdtemp(prefix="popflow-")) / "run.html"
    else:
        path = checked_path(out)
        if path.exists() and not force:
            raise InputError(f"{path} exists; choose another name or force the overwrite")
    title = f"Run of {described(run.parameters)}"
    values = {"derivations": (), **run_values(run)}
    if isinstance(run.system, (OwnSystem, RecordedSystem)):
        values |= _derived(run, run.system)
    html.write_page(
        path,
        html.render("inspection.html", title=title, command="", bokeh=html.bokeh(), **values),
    )
    if browser:
        webbrowser.open(path.resolve().as_uri())
    return path


def _derived(run: Trajectory, system: OwnSystem | RecordedSystem) -> dict[str, Any]:
    """Values of a derivation and a law; none where there are too many entries to read."""
    try:
        document = system.derive().verify()
    except InputError:
        return {}
    return {
        "derivations": document.derivations,
        "counted": counted(document.steps),
        "headings": OWN_HEADINGS,
        "r": {"law": beside(run), "stated": {}},
    }
