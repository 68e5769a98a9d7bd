"""What the flow of a polynomial loss keeps, and a potential that proves its rate, for its page."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from matplotlib.figure import Figure

from flows.core.system import System
from flows.pages import html
from flows.pages.drawing import BLACK, COLOURS, styled
from flows.pages.late_laws import Beside
from flows.pages.parts import Picture
from flows.runs.find import find_potential
from flows.runs.found import FoundPotential
from flows.runs.trajectory import Trajectory
from potentials.search.exact import simplest

__all__ = ["FoundPart", "found_part", "kept_formulas"]

# Of more entries nothing is sought, since a page is not kept waiting.
MOST_ENTRIES = 3
# Degrees of proofs that take a fraction of a second.
DEGREES = (0, 8)
# Level sets are these parts of the loss above its least value at the start.
PARTS = (0.9, 0.25, 0.05)
# The plane has this room around the path, in units of its size, and so many points a side.
ROOM = 0.6
GRID = 160
CAPTION = "Levels of the loss, the set of starts of the theorem (shaded), and the path of the run"


@dataclass(frozen=True)
class FoundPart:
    """A section of a page.

    Parameters
    ----------
    kept : tuple of (str, str)
        Formulas of what the flow keeps, each with words.
    theorem : tuple of (str, str)
        The potential and its rate; empty where none was found.
    statement : str
        The theorem in a line, or why there is none.
    picture : Picture, optional
        In the plane of two entries.
    """

    kept: tuple[tuple[str, str], ...]
    theorem: tuple[tuple[str, str], ...]
    statement: str
    picture: Picture | None


def found_part(system: Any, run: Trajectory, law: Beside) -> FoundPart | None:
    """What is kept, and a potential with the rate of the run's law; None of no polynomial."""
    shown = kept_formulas(system)
    if shown is None:
        return None
    size = system.moving.flow.size
    found, level = _search(system, run, law) if size <= MOST_ENTRIES else (None, None)
    if found is None:
        return FoundPart(shown, (), "", None) if shown else None
    picture = None
    if size == 2:
        picture = Picture(html.image(_plane(system, run, level)), CAPTION, [])
    return FoundPart(shown, _theorem(found), found.statement, picture)


def kept_formulas(system: System) -> tuple[tuple[str, str], ...] | None:
    """Formulas of what the flow of a small polynomial keeps, each with words; else None."""
    kept = system.kept()
    if kept is None:
        return None
    shown = [(rf"{sp.latex(p)} = \text{{const}}", "Conserved.") for p in kept.conserved]
    shown += [
        (
            rf"\frac{{d}}{{dt}} \left({sp.latex(p)}\right) ="
            rf" \left({sp.latex(rate)}\right) \left({sp.latex(p)}\right)",
            "Its zeros and its sign stay.",
        )
        for p, rate in kept.darboux
    ]
    shown += [
        (rf"\frac{{d}}{{dt}} {sp.latex(p)} = 1", "A clock: an exact law for every start.")
        for p in kept.clocks
    ]
    return tuple(shown)


def _theorem(found: FoundPotential) -> tuple[tuple[str, str], ...]:
    """Potential and rate as formulas."""
    if found.exponent is None:
        rate = rf"\dot V \le -{sp.latex(found.constant)}\, V"
    else:
        rate = rf"V(t) \le {sp.latex(found.constant)}\, t^{{-{found.exponent}}}"
    best = f"The best constant of this degree is about {found.best:.6g}."
    return (rf"V = {sp.latex(found.V)}", "The potential."), (rate, best)


def _search(system: Any, run: Trajectory, law: Beside) -> tuple[FoundPotential | None, Any]:
    """A potential for all starts, or else for a level set, as large as one is found."""
    chosen = law.law.laws[law.law.chosen] if law.law.chosen is not None else None
    if importlib.util.find_spec("clarabel") is None or chosen is None:
        return None, None
    if chosen.kind == "logarithmic" or chosen.log_exponent:
        return None, None
    rate = "exp" if chosen.kind == "exponential" else str(chosen.exponent)
    limit = law.law.derived.limit
    for level in (None, *_levels(run, math.nan if limit is None else float(limit))):
        for degree in DEGREES:
            found = find_potential(system, rate, level, degree, sharp=False)
            if found.proved:
                return found, level
    return None, None


def _levels(run: Trajectory, least: float) -> Iterator[Fraction]:
    """Simple fractions between the least loss and that of the start."""
    above = float(run["loss"][0]) - least
    if not (above > 0 and math.isfinite(above)):
        return
    for part in PARTS:
        yield simplest(Fraction(least + 0.7 * part * above), Fraction(least + part * above))


@styled
def _plane(system: Any, run: Trajectory, level: Fraction | None) -> Figure:
    """Levels of the loss in the plane, with a level set and a path."""
    figure = Figure(figsize=(4.4, 3.8), layout="constrained")
    axes = figure.subplots()
    path = run.state
    low, high = path.min(0), path.max(0)
    room = ROOM * max(float((high - low).max()), float(np.abs(path).max()), 1e-3)
    sides = [np.linspace(a - room, b + room, GRID) for a, b in zip(low, high, strict=True)]
    grid = np.meshgrid(*sides)
    loss = np.array([system.loss(x) for x in np.stack(grid, -1).reshape(-1, 2)]).reshape(GRID, GRID)
    least = np.nanmin(loss)
    heights = np.geomspace(1e-3, 1.0, 9) * (np.nanmax(loss) - least) + least
    axes.contour(*grid, loss, levels=heights, colors=COLOURS[5], linewidths=0.6)
    if level is not None:
        axes.contourf(
            *grid, loss, levels=[least - 1.0, float(level)], colors=[COLOURS[2]], alpha=0.3
        )
    axes.plot(*path.T, color=BLACK)
    axes.plot(*path[0], "o", color=BLACK)
    names = [str(x) for x in system.polynomial.flow.symbols]
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    return figure
