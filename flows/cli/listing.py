"""What `popflow list` prints: systems in one line each, or all that is stated about one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from flows.cli.layout import Table, labelled, width, wrapped
from flows.pages.formulas import plain
from potentials import Statements
from potentials.claim import Claim
from potentials.potential import Potential


def overview(systems: Mapping[str, Statements]) -> Table:
    """One line a system: its paper, how many potentials and claims."""
    return Table(
        ("system", "paper", "potentials", "claims"),
        tuple(
            (name, _paper(known.claims), str(len(known.potentials)), str(len(known.claims)))
            for name, known in systems.items()
        ),
        "popflow list SYSTEM has them in full.",
    )


def _paper(claims: Sequence[Claim]) -> str:
    """The paper that most claims are from; nothing where there are none."""
    papers = Counter((c.source.authors, c.source.year, c.source.arxiv) for c in claims)
    if not papers:
        return ""
    (authors, year, arxiv), _ = papers.most_common(1)[0]
    several = f"{authors.partition(',')[0]} et al." if "," in authors else authors
    return f"{several} {year}" + (f", arXiv:{arxiv}" if arxiv else "")


def in_full(system: str, stated: Statements) -> list[str]:
    """Potentials and claims of a system, with definition or statement, and source."""
    columns = width()
    lines = [f"{system}: potentials"]
    for potential in stated.potentials:
        lines += ["", *wrapped(potential.name, columns), *_definition(potential, columns)]
    lines += ["", f"{system}: claims"]
    for claim in stated.claims:
        lines += ["", *wrapped(f"{claim.id} ({claim.kind})", columns), *_claim(claim, columns)]
    return lines


def _definition(potential: Potential, columns: int) -> list[str]:
    symbol, _, body = plain(potential.latex()).partition(" = ")
    return [
        *labelled("is", symbol if symbol == body else f"{symbol} = {body}", columns),
        *labelled("defined", potential.domain, columns),
        *labelled("source", str(potential.source), columns),
    ]


def _claim(claim: Claim, columns: int) -> list[str]:
    lines = labelled("claimed", claim.statement, columns)
    if claim.reading:
        lines += labelled("read as", claim.reading, columns)
    for k, text in enumerate(dict.fromkeys(h.text for h in claim.hypotheses)):
        lines += labelled("supposed" if k == 0 else "", text, columns)
    return lines + labelled("source", str(claim.source), columns)
