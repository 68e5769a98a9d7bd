"""HTML report: derive, integrate, check, draw; one self-contained page a system, and an index.

A page needs no network: its mathematics is MathML, its static figures are vector images inside it,
its interactive ones are drawn by BokehJS, which is inside it too. On request the static figures lie
beside the pages as files for a paper.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import potentials
from flows.core.errors import InputError, unknown
from flows.core.files import check_output
from flows.core.progress import part_bar
from flows.ensembles.workers import Workers, finished
from flows.pages import html
from flows.pages.case import Case, Story
from flows.pages.cases import registry
from flows.pages.found import kept_formulas
from flows.pages.paper import FORMATS
from flows.pages.parts import (
    Derived,
    Drawing,
    Part,
    Picture,
    Proved,
    Shown,
    derived,
    jobs,
    make,
    make_all,
    parts,
    shown,
)

__all__ = ["Page", "page", "write"]


@dataclass(frozen=True)
class Page:
    """A system's page, and what the index says of it.

    Parameters
    ----------
    name : str
        The system.
    story : Story
        What the page says before its verdicts.
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
    story: Story
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
    figures: Sequence[str] = (),
    workers: int | None = None,
    progress: bool = False,
    announce: Callable[[Path], object] = lambda path: None,
) -> list[Path]:
    """Write one page a system and an ``index.html``.

    Parameters
    ----------
    names : sequence of str
        Systems.
    out : path
        Folder, made if it does not exist.
    force : bool
        Replace existing pages and figures.
    figures : sequence of str
        Formats in which figures for a paper are written too, below ``figures/<system>``:
        ``"pdf"``, ``"svg"``, ``"png"``.
    workers : int, optional
        Processes that make the parts of the pages side by side; one a core by default.
    progress : bool
        Whether standard error shows what is being made, and how much is left.
    announce : callable
        Called with each page when it is written, while the others are made.

    Returns
    -------
    list of Path
        The pages, the index last.

    Raises
    ------
    InputError
        For an unknown system or format, a folder that cannot be used, or existing pages without
        ``force``; before anything is computed.
    """
    for name in names:
        if name not in registry.CASES:
            raise unknown("system", name, registry.CASES)
    for suffix in figures:
        if suffix not in FORMATS:
            raise unknown("format of figures", suffix, FORMATS)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"{out}: expected a folder ({problem.strerror}); choose another") from None
    chosen = tuple(dict.fromkeys(names))
    paths = {stem: folder / f"{stem}.html" for stem in (*chosen, "index")}
    for path in paths.values():
        check_output(str(path), force)
    processes = (os.cpu_count() or 1) if workers is None else workers
    todo = jobs(chosen, processes)
    made: dict[Part, Any] = {}
    pages: dict[str, Page] = {}
    count = min(processes, len(todo))
    hands = Workers(0, count) if count > 1 else Workers()
    with part_bar(progress, sum(map(len, todo))) as advance:
        arguments = [(job, folder, tuple(figures)) for job in todo]
        for k, result in finished(make_all, arguments, hands):
            if isinstance(result, BaseException):
                raise result
            for part, piece in zip(todo[k], result, strict=True):
                made[part] = piece
                advance(str(part))
            for name in dict.fromkeys(part.system for part in todo[k]):
                own = parts(name)
                if all(one in made for one in own):
                    pages[name] = _assembled(name, [made[one] for one in own])
                    html.write_page(paths[name], pages[name].text)
                    announce(paths[name])
    html.write_page(paths["index"], html.render("index.html", pages=[pages[x] for x in chosen]))
    announce(paths["index"])
    return list(paths.values())


def page(
    name: str,
    cases: Sequence[Case] | None = None,
    *,
    folder: Path | None = None,
    figures: Sequence[str] = (),
) -> Page:
    """Make the page of a system, in this process.

    Parameters
    ----------
    name : str
        The system.
    cases : sequence of Case, optional
        Its runs; those of :mod:`flows.pages.cases` by default, and then its portraits too.
    folder : Path, optional
        Where figures for a paper are written, below ``figures/<system>``.
    figures : sequence of str
        Their formats.
    """
    if cases is None:
        return _assembled(name, [make(part, folder, figures) for part in parts(name)])
    draw = Drawing(name, folder, figures)
    runs = [shown(case, draw, number) for number, case in enumerate(cases, 1)]
    return _assembled(name, [derived(name), *runs])


def _assembled(name: str, made: Sequence[Derived | Proved | Picture | Shown]) -> Page:
    """Put the parts of a page together."""
    claims = potentials.claims(name)
    story = registry.story(name)
    papers = tuple(
        dict.fromkeys(
            f"{c.source.authors} {c.source.year}, arXiv:{c.source.arxiv}"
            for c in claims
            if c.source.arxiv
        )
    )
    (derivation,) = (part for part in made if isinstance(part, Derived))
    runs = [part for part in made if isinstance(part, Shown)]
    text = html.render(
        "report.html",
        name=name,
        story=story,
        papers=papers,
        kept=() if story.small is None else kept_formulas(story.small[1]),
        claims=claims,
        marks=potentials.marks(name),
        flow=potentials.flow(name),
        potentials=potentials.potentials(name),
        derivation=derivation.text,
        proofs=[part.text for part in made if isinstance(part, Proved)],
        portraits=[part for part in made if isinstance(part, Picture)],
        runs=runs,
        bokeh=html.bokeh(),
    )
    first = runs[0].first
    verdicts = _counted([verdict for run in runs for verdict in run.of.values()])
    return Page(
        name,
        story,
        text,
        papers,
        first.image,
        first.caption,
        derivation.evidence,
        verdicts,
        len(runs),
    )


def _counted(verdicts: list[str]) -> dict[str, int]:
    """Verdicts by outcome, in the order of their signs."""
    return {level: verdicts.count(level) for level in html.SIGNS if level in verdicts}
