"""The report page of a loss of one's own: problem, figure, law, verdicts, runs, derivation."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sympy as sp

from flows.core.errors import InputError
from flows.core.system import System
from flows.pages import html
from flows.pages.case import T_END
from flows.pages.figure import loss_figure
from flows.pages.found import found_part
from flows.pages.late_laws import beside
from flows.pages.parts import Picture
from flows.pages.run_page import derivation_values, run_values
from flows.runs.integrate import integrate
from flows.runs.trajectory import Trajectory
from flows.systems.field.flow import FieldFlow
from flows.systems.field.system import ODE
from flows.systems.own.recorded import RecordedSystem
from flows.systems.own.system import OwnSystem
from symbolic.language.blocks import Block, shape

__all__ = ["report"]

# What has a page of its own.
OWN = (OwnSystem, RecordedSystem, FieldFlow)
# A field may be followed for so long without being asked to.
SHORT = 100.0
CAPTION = "The first run, and its local exponent"
# A formula of more signs fills pages.
LONGEST = 2000


def report(
    what: OwnSystem | FieldFlow | Trajectory | Sequence[Trajectory],
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    browser: bool = True,
) -> Path:
    r"""Write the report page of a loss, or a field, of one's own, as of a built-in system.

    .. math:: \dot y = -\nabla L(y)

    Parameters
    ----------
    what : OwnSystem, ODE, Trajectory or sequence of Trajectory
        Runs of one system; of a loss, one run from ``system.initial()`` to t = 1e12, and of a field
        to t = 100.
    out : path, optional
        The page; a temporary file by default. It needs no network and can be sent to others.
    force : bool
        Replace an existing file.
    browser : bool
        Open it in a browser.

    Returns
    -------
    Path
        The page: the loss and its flow in formulas, the loss of the first run as a figure, where
        it ended, what the flow of a polynomial keeps and a potential that proves its rate
        (:func:`flows.find_potential`), all verdicts, each run with its interactive figures and the
        law by which its loss falls, claims, potentials, and the derivation, each step with its
        evidence.

    Raises
    ------
    InputError
        For anything but an own system or runs of one, or a file that exists (without ``force``)
        or cannot be written; before anything is computed.

    Notes
    -----
    A derivation is shown of at most 40 entries. A file has no claims: give
    :func:`flows.load` the system, and its runs have them.

    Examples
    --------
    >>> y = sp.Symbol("y")
    >>> page = report(OwnSystem("quartic", [y], y**4 / 4), browser=False)
    >>> "The problem" in page.read_text("utf-8")
    True
    """
    runs = _runs_of(what)
    path = html.page_path(out, force, "report.html")
    if isinstance(what, (OwnSystem, FieldFlow)):
        runs = (integrate(what, what.initial(), SHORT if isinstance(what, FieldFlow) else T_END),)
    system = runs[0].system
    values = [run_values(run) for run in runs]
    whole = system.rebuilt if isinstance(system, RecordedSystem) else system
    laws = [beside(run) for run in runs]
    text = html.render(
        "own.html",
        name=system.name,
        problem=_problem(whole),
        found=found_part(whole, runs[0], laws[0]),
        picture_of_loss=Picture(html.image(loss_figure(runs[0])), CAPTION, []),
        claims=system.statements.claims,
        marks=system.statements.marks,
        potentials=system.statements.potentials,
        flow=None,
        runs=[
            {**one, "law": law, "title": _title(run)}
            for one, law, run in zip(values, laws, runs, strict=True)
        ],
        bokeh=html.bokeh(),
        **derivation_values(system),
    )
    html.write_page(path, text)
    if browser:
        webbrowser.open(path.resolve().as_uri())
    return path


def _runs_of(what: Any) -> tuple[Any, ...]:
    """Runs of one own system; of a system, none yet."""
    if isinstance(what, (OwnSystem, FieldFlow)):
        return ()
    runs = tuple(what) if isinstance(what, (list, tuple)) and what else (what,)
    for run in runs:
        system = run.system if isinstance(run, Trajectory) else run
        if not (isinstance(run, Trajectory) and isinstance(system, OWN)):
            came = system.name if isinstance(system, System) else f"{system!r:.60}"
            raise InputError(
                f"report shows a loss of one's own (flows.OwnSystem) or runs of one, got {came};"
                " of a built-in system it is: popflow report NAME --out DIR"
            )
    if len({run.system.parameters["fingerprint"] for run in runs}) > 1:
        raise InputError(
            "expected runs of one system, got runs of several; call report for each system"
        )
    return runs


def _problem(system: Any) -> list[tuple[str, str]]:
    """Formulas of the problem, each with what its symbols are."""
    names = [sp.latex(block) for block in system.blocks]
    if isinstance(system, ODE):
        sides = [sp.latex(side) for side in system.field]
        pairs = zip(names, sides, system.blocks, strict=True)
        return [
            (rf"\dot {name} = {side if len(side) <= LONGEST else '..'}", f"{_sized(block)} moves.")
            for name, side, block in pairs
        ]
    loss = sp.latex(system.expression)
    loss = loss if len(loss) <= LONGEST else r"\dots"
    factor = "G^{-1} " if isinstance(system, FieldFlow) else ""
    flow = r" \qquad ".join(rf"\dot {name} = -{factor}\nabla_{{{name}}} L" for name in names)
    return [
        (
            f"L({', '.join(names)}) = {loss}",
            f"The loss. What moves: {', '.join(map(_sized, system.blocks))}.",
        ),
        (flow, f"The flow down its gradient, in time t.{_metric(system)}"),
    ]


def _metric(system: Any) -> str:
    """Rates and metric of a flow in one, in words."""
    parameters = system.parameters if isinstance(system, FieldFlow) else {}
    kinds = ("rates", "metric")
    words = [f"{kind} {parameters[kind]}" for kind in kinds if kind in parameters]
    return f" In the metric: {'; '.join(words)}." if words else ""


def _sized(block: Block) -> str:
    """A block with its shape."""
    size = " x ".join(map(str, shape(block)))
    return f"{block} ({size})" if size else str(block)


def _title(run: Trajectory) -> str:
    """Where a run begins and how far it goes."""
    return f"from entries up to {abs(run.state[0]).max():.3g} to t = {run.t[-1]:.3g}"
