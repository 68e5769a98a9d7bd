"""HTML report: derive, integrate, check, draw; one self-contained page a system, and an index.

A page needs no network: its mathematics is MathML, its static figures are vector images inside it,
its interactive ones are drawn by BokehJS, which is inside it too. Beside the pages lie the static
figures as files for a paper.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import potentials
import symbolic
from flows.core.errors import InputError, unknown
from flows.core.files import check_output
from flows.report import html, paper
from flows.report.case import Case
from flows.report.cases import registry
from flows.report.figure import potential_figure
from flows.report.run_page import run_values, verdict_rows
from flows.runs.check import check
from flows.runs.integrate import integrate
from flows.runs.trajectory import Trajectory
from flows.systems.registry import SYSTEMS
from symbolic.evidence.derivation import counted, distinct

__all__ = ["FIGURES", "Page", "page", "write"]

#: Folder of the static figures, beside the pages.
FIGURES = "figures"


@dataclass(frozen=True)
class Page:
    """A system's page, and what the index says of it.

    Parameters
    ----------
    name : str
        The system.
    about : str
        The system in one line.
    text : str
        The page as HTML.
    papers : tuple of str
        Where its claims are stated.
    picture, caption : str
        A figure, as a data address.
    evidence, verdicts : dict
        Distinct steps of the derivation by their evidence, verdicts by their outcome.
    runs : int
        Number of runs.
    """

    name: str
    about: str
    text: str
    papers: tuple[str, ...]
    picture: str
    caption: str
    evidence: Mapping[str, int]
    verdicts: Mapping[str, int]
    runs: int


def write(
    names: Sequence[str],
    out: str | Path,
    *,
    force: bool = False,
    announce: Callable[[Path], object] = lambda path: None,
) -> list[Path]:
    """Write one page a system, an ``index.html``, and the static figures below ``figures/``.

    Parameters
    ----------
    names : sequence of str
        Systems.
    out : path
        Folder, made if it does not exist.
    force : bool
        Replace existing pages and figures.
    announce : callable
        Called with each page when it is written; a system takes up to a minute.

    Returns
    -------
    list of Path
        The pages, the index last.

    Raises
    ------
    InputError
        For an unknown system, a folder that cannot be used, or existing pages without ``force``;
        before anything is computed.
    """
    for name in names:
        if name not in registry.CASES:
            raise unknown("system", name, registry.CASES)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"{out}: expected a folder ({problem.strerror}); choose another") from None
    chosen = tuple(dict.fromkeys(names))
    paths = [folder / f"{stem}.html" for stem in (*chosen, "index")]
    for path in paths:
        check_output(str(path), force)
    pages = []
    for name, path in zip(chosen, paths, strict=False):
        pages.append(page(name, folder=folder))
        html.write_page(path, pages[-1].text)
        announce(path)
    html.write_page(paths[-1], html.render("index.html", pages=pages))
    announce(paths[-1])
    return paths


def page(name: str, cases: Sequence[Case] | None = None, *, folder: Path | None = None) -> Page:
    """Make the page of a system.

    Parameters
    ----------
    name : str
        The system.
    cases : sequence of Case, optional
        Its runs; those of :mod:`flows.report.cases` by default, and then its portraits too.
    folder : Path, optional
        Where the static figures are written, below ``figures/<system>``.
    """
    document = symbolic.derive(name).verify()
    claims = potentials.claims(name)
    draw = _Drawing(name, folder)
    about = _about(SYSTEMS[name])
    papers = tuple(
        dict.fromkeys(f"{c.source.authors} {c.source.year}, arXiv:{c.source.arxiv}" for c in claims)
    )
    evidence = Counter(str(step.evidence) for step in distinct(document.steps))
    portraits = [
        draw(drawn(), caption, f"portrait-{_slug(_of(drawn))}")
        for caption, drawn in (registry.portraits(name).items() if cases is None else ())
    ]
    runs = [
        _run(case, draw, number)
        for number, case in enumerate(registry.cases(name) if cases is None else cases, 1)
    ]
    first = runs[0]["figures"][0]
    return Page(
        name,
        about,
        html.render(
            "report.html",
            name=name,
            about=about,
            papers=papers,
            claims=claims,
            marks=potentials.marks(name),
            potentials=potentials.potentials(name),
            derivations=document.derivations,
            counted=counted(document.steps),
            portraits=portraits,
            runs=runs,
            bokeh=html.bokeh(),
        ),
        papers,
        first["image"],
        first["caption"],
        dict(sorted(evidence.items())),
        _counted([str(v) for run in runs for v in run["of"].values()]),
        len(runs),
    )


@dataclass(frozen=True)
class _Drawing:
    """Puts figures into a page, and writes them for a paper."""

    name: str
    folder: Path | None

    def __call__(self, drawn: Figure, caption: str, stem: str) -> dict[str, Any]:
        """Image, caption, and files for a paper."""
        return {"image": html.image(drawn), "caption": caption, "files": self.files(drawn, stem)}

    def files(self, drawn: Figure, stem: str) -> list[str]:
        """Write a figure below the folder, if there is one: names as seen from the page."""
        if self.folder is None:
            return []
        place = self.folder / FIGURES / self.name
        place.mkdir(parents=True, exist_ok=True)
        return [p.relative_to(self.folder).as_posix() for p in paper.write_all(drawn, place / stem)]


def _run(case: Case, draw: _Drawing, number: int) -> dict[str, Any]:
    """Integrate, check and draw a case: what the template shows of it."""
    run = integrate(case.system, case.start, case.t_end)
    stem = f"run-{number}"
    return {
        **run_values(run, case.power),
        "case": case,
        "broken": verdict_rows(case.broken, [check(run, claim)[0] for claim in case.broken]),
        "figures": [
            draw(one(run), caption, f"{stem}-{_slug(_of(one))}")
            for caption, one in case.figures.items()
        ],
        "files": _potential_files(run, draw, stem),
    }


def _potential_files(run: Trajectory, draw: _Drawing, stem: str) -> dict[str, list[str]]:
    """Figure of each potential, for a paper; on the page one chooses it."""
    if draw.folder is None:
        return {}
    return {
        p.name: draw.files(potential_figure(run, p.name), f"{stem}-{_slug(p.name)}")
        for p in potentials.potentials(run.system.name)
    }


def _counted(verdicts: list[str]) -> dict[str, int]:
    """Verdicts by outcome, in the order of their signs."""
    return {level: verdicts.count(level) for level in html.SIGNS if level in verdicts}


def _of(draw: Callable[..., Figure]) -> str:
    """Name of what a function draws."""
    inner = draw.func if isinstance(draw, functools.partial) else draw
    return inner.__name__.removesuffix("_figure")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")


def _about(system: type) -> str:
    """First line of a system's documentation, as plain text."""
    return (system.__doc__ or "").strip().splitlines()[0].replace("`", "").strip()
