"""Look at a run in a browser: its interactive figures and verdicts, as one page without network."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path

from flows.core.card import described
from flows.core.errors import InputError
from flows.pages import html
from flows.pages.late_laws import beside
from flows.pages.run_page import derivation_values, run_values
from flows.runs.trajectory import Trajectory
from flows.systems.field.flow import FieldFlow
from flows.systems.own.recorded import RecordedSystem
from flows.systems.own.system import OwnSystem

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
    path = html.page_path(out, force, "run.html")
    title = f"Run of {described(run.parameters)}"
    values = {"derivations": (), **run_values(run)}
    if isinstance(run.system, (OwnSystem, RecordedSystem, FieldFlow)):
        title = f"Run of {run.system.name}"  # its formula may be long, and stands below
        values |= derivation_values(run.system)
    if values["derivations"]:
        values["r"] = {"law": beside(run), "stated": values["stated"]}
    html.write_page(
        path, html.render("inspection.html", title=title, command="", bokeh=html.bokeh(), **values)
    )
    if browser:
        webbrowser.open(path.resolve().as_uri())
    return path
