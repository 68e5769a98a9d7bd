"""The parts of a page, each made in one process: its derivation, its portraits, its runs."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure

import potentials
import symbolic
from flows.pages import html, paper
from flows.pages.case import Case
from flows.pages.cases import registry
from flows.pages.figure import potential_figure
from flows.pages.late_laws import beside
from flows.pages.proofs import Proved, proved
from flows.pages.run_page import run_values, verdict_rows
from flows.runs.check import check
from flows.runs.integrate import integrate
from symbolic.evidence.step import counted, distinct

__all__ = [
    "FIGURES",
    "Derived",
    "Drawing",
    "Part",
    "Picture",
    "Shown",
    "derived",
    "jobs",
    "make",
    "make_all",
    "shown",
]

#: Folder of the figures for a paper, beside the pages.
FIGURES = "figures"
DERIVATION, PROOF, PORTRAIT, RUN = "derivation", "proof", "portrait", "run"
#: Processes up to which one makes all that needs these kernels: that is half of the work.
FEW = 2


@dataclass(frozen=True)
class Part:
    """What one process makes of a page.

    Parameters
    ----------
    system : str
        Whose page.
    kind : str
        ``"derivation"``, ``"proof"``, ``"portrait"`` or ``"run"``.
    number : int
        Which portrait or run.
    """

    system: str
    kind: str
    number: int = 0

    def __str__(self) -> str:
        """The part in words."""
        return f"{self.system}, {self.kind}{f' {self.number + 1}' if self.number else ''}"


@dataclass(frozen=True)
class Derived:
    """The derivation of a system, verified.

    Parameters
    ----------
    text : Markup
        Its steps, to stand in a page.
    evidence : dict
        Distinct steps by their evidence.
    """

    text: Markup
    evidence: Mapping[str, int]


@dataclass(frozen=True)
class Picture:
    """A figure in a page.

    Parameters
    ----------
    image, caption : str
        The figure as a data address, and what it shows.
    files : list of str
        The same for a paper, as seen from the page.
    """

    image: str
    caption: str
    files: list[str]


@dataclass(frozen=True)
class Shown:
    """A run, its verdicts and figures.

    Parameters
    ----------
    title : str
        What it shows.
    text : Markup
        Its section of the page.
    outcome : Markup
        Where the run ended.
    of : dict
        Verdicts by claim.
    first : Picture
        Its first figure.
    """

    title: str
    text: Markup
    outcome: Markup
    of: Mapping[str, str]
    first: Picture


@dataclass(frozen=True)
class Drawing:
    """Puts figures into a page, and writes those for a paper.

    Parameters
    ----------
    system : str
        Whose page.
    folder : Path or None
        Where the page lies.
    formats : sequence of str
        Formats of figures for a paper; none are written without.
    """

    system: str
    folder: Path | None = None
    formats: Sequence[str] = ()

    def __call__(self, drawn: Figure, caption: str, stem: str) -> Picture:
        """Image, caption, and files for a paper."""
        return Picture(html.image(drawn), caption, self.files(drawn, stem))

    def files(self, drawn: Figure, stem: str) -> list[str]:
        """Write a figure for a paper in each format: names as seen from the page."""
        if self.folder is None or not self.formats:
            return []
        place = self.folder / FIGURES / self.system
        place.mkdir(parents=True, exist_ok=True)
        written = paper.write_all(drawn, place / stem, self.formats)
        return [path.relative_to(self.folder).as_posix() for path in written]


def parts(system: str) -> list[Part]:
    """Every part of a system's page."""
    kinds = {PORTRAIT: len(registry.portraits(system)), RUN: len(registry.cases(system))}
    return [
        Part(system, DERIVATION),
        *([Part(system, PROOF)] if registry.endless(system) is not None else []),
        *(Part(system, kind, k) for kind, count in kinds.items() for k in range(count)),
    ]


def jobs(systems: Sequence[str], workers: int) -> list[tuple[Part, ...]]:
    """Parts of the pages as processes take them, in the order in which they are begun.

    Figures and runs of a system that share kernels are one job, so that no two processes compile
    these; for few processes those of all such systems are. A page that shares none comes first, and
    beside it the longest job; short ones come last, so that all processes end together.
    """
    systems = sorted(systems, key=registry.kernels)
    shared = [name for name in systems if registry.kernels(name) and len(systems) > 1]
    together = sorted(shared, key=lambda name: -len(parts(name)))
    long = [tuple(p for p in parts(name) if p.kind != DERIVATION) for name in together]
    if workers <= FEW and long:
        long = [tuple(part for job in long for part in job)]
    inside = {part for job in long for part in job}
    short = [(p,) for name in systems for p in parts(name) if p not in inside]
    first = [job for job in short if job[0].system == systems[0]]
    return [*first[:1], *long[:1], *first[1:], *long[1:], *short[len(first) :]]


def make_all(
    job: Sequence[Part], folder: Path | None, formats: Sequence[str]
) -> list[Derived | Proved | Picture | Shown]:
    """Make the parts of a job, one after the other."""
    return [make(part, folder, formats) for part in job]


def make(
    part: Part, folder: Path | None, formats: Sequence[str]
) -> Derived | Proved | Picture | Shown:
    """Make a part; what comes back can be sent between processes."""
    if part.kind == DERIVATION:
        return derived(part.system)
    if part.kind == PROOF:
        asked = registry.endless(part.system)
        assert asked is not None
        return proved(asked)
    draw = Drawing(part.system, folder, formats)
    if part.kind == PORTRAIT:
        caption, drawn = list(registry.portraits(part.system).items())[part.number]
        return draw(drawn(), caption, f"portrait-{_slug(_of(drawn))}")
    return shown(registry.cases(part.system)[part.number], draw, part.number + 1)


def derived(system: str) -> Derived:
    """Derive a system and verify each step."""
    document = symbolic.derive(system).verify()
    text = html.render(
        "derivation.html",
        derivations=document.derivations,
        counted=counted(document.steps),
        symbols=registry.story(system).symbols,
    )
    evidence = Counter(str(step.evidence) for step in distinct(document.steps))
    return Derived(Markup(text), dict(sorted(evidence.items())))


def shown(case: Case, draw: Drawing, number: int) -> Shown:
    """Integrate, check and draw a case.

    Parameters
    ----------
    case : Case
        What to run.
    draw : Drawing
        Where figures go.
    number : int
        Of the run on the page, from 1.
    """
    run = integrate(case.system, case.start, case.t_end)
    stem = f"run-{number}"
    figures = [
        draw(one(run), caption, f"{stem}-{_slug(_of(one))}")
        for caption, one in case.figures.items()
    ]
    drawn = potentials.potentials(run.system.name) if draw.formats else ()
    values = run_values(run, case.power)
    text = html.render(
        "section.html",
        number=number,
        r={
            **values,
            "case": case,
            "broken": verdict_rows(case.broken, [check(run, c)[0] for c in case.broken]),
            "figures": figures,
            # One run of a page shows what its theorems are worth; a law takes about a second.
            "law": beside(run) if number == 1 else None,
            "files": {
                p.name: draw.files(potential_figure(run, p.name), f"{stem}-{_slug(p.name)}")
                for p in drawn
            },
        },
    )
    of = {claim: str(verdict) for claim, verdict in values["of"].items()}
    outcome = html.render("outcome.html", r=values)
    return Shown(case.title, Markup(text), Markup(outcome), of, figures[0])


def _of(draw: Callable[..., Figure]) -> str:
    """Name of what a function draws."""
    inner = draw.func if isinstance(draw, functools.partial) else draw
    return inner.__name__.removesuffix("_figure")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")
