"""What `popflow list` prints: systems in one line each, or all that is stated about one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from flows.cli.layout import Table, labelled, width, wrapped
from potentials import claims, potentials
from potentials.claim import Claim
from potentials.potential import Potential

#: LaTeX of a definition and the plain text in its place, in this order, until nothing changes.
CHANGES = (
    (r"\\(?:left|right)(?![A-Za-z]) ?", ""),
    (r"\\lvert ?| ?\\rvert", "|"),
    (r"\\langle ?", "<"),
    (r" ?\\rangle", ">"),
    (r"\\bar (\w)", r"\1bar"),
    (r"\\dots", "..."),
    (r"\\operatorname\{(\w+)\}", r"\1"),
    (r"\\(?!frac|sqrt)([A-Za-z]+)", r"\1"),
    (r"([_^])\{([\w<,]*)\}", r"\1\2"),
    (r"\\sqrt\{([^{}]*)\}", r"sqrt\1"),
    (r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2"),
    (r"([_^])\{([^{}]*)\}", r"\1(\2)"),
    (r"\{([^{}]*)\}", r"\1"),
    (r" \)", ")"),
    (r"- \((<[^()]*>)\)", r"-\1"),
)


def plain(latex: str) -> str:
    r"""Formula in the letters in which claims are stated: `theta_i^2`, `|z_i - z_j|`.

    Examples
    --------
    >>> plain(r"Z = \sum_{i<j} \lvert z_i - z_j \rvert")
    'Z = sum_i<j |z_i - z_j|'
    """
    before = ""
    while latex != before:
        before = latex
        for pattern, text in CHANGES:
            latex = re.sub(pattern, text, latex)
    return latex


def overview(systems: Sequence[str]) -> Table:
    """One line a system: its paper, how many potentials and claims."""
    return Table(
        ("system", "paper", "potentials", "claims"),
        tuple(
            (name, _paper(name), str(len(potentials(name))), str(len(claims(name))))
            for name in systems
        ),
        "popflow list SYSTEM has them in full.",
    )


def _paper(system: str) -> str:
    """The paper that most claims are from."""
    papers = Counter((c.source.authors, c.source.year, c.source.arxiv) for c in claims(system))
    (authors, year, arxiv), _ = papers.most_common(1)[0]
    several = f"{authors.partition(',')[0]} et al." if "," in authors else authors
    return f"{several} {year}" + (f", arXiv:{arxiv}" if arxiv else "")


def in_full(system: str) -> list[str]:
    """Potentials and claims of a system, with definition or statement, and source."""
    columns = width()
    lines = [f"{system}: potentials"]
    for potential in potentials(system):
        lines += ["", *wrapped(potential.name, columns), *_definition(potential, columns)]
    lines += ["", f"{system}: claims"]
    for claim in claims(system):
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
