"""Works that derivations cite, as BibTeX.

Authors, titles, years, venues and pages were compared with the papers' own pages or with other
works that cite them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

__all__ = ["Work", "bibtex", "cited", "with_citations", "works"]


@dataclass(frozen=True)
class Work:
    """A work.

    Parameters
    ----------
    mention : str
        How the sources of derivations name it.
    key : str
        BibTeX key.
    bibtex : str
        The entry.
    """

    mention: str
    key: str
    bibtex: str


@functools.cache
def works() -> tuple[Work, ...]:
    """Return the works of ``works.bib``, where a comment above each entry says its mention."""
    text = resources.files(__package__).joinpath("works.bib").read_text(encoding="utf-8")
    found = []
    for block in text.strip().split("\n\n"):
        mention, _, entry = block.partition("\n")
        key = entry[entry.index("{") + 1 : entry.index(",")]
        found.append(Work(mention.removeprefix("% "), key, entry))
    return tuple(found)


def cited(sources: Iterable[str]) -> tuple[Work, ...]:
    """Return the works that occur in sources.

    Parameters
    ----------
    sources : iterable of str
        Such as ``Xu & Du 2023, arXiv 2302.10034, Lemma 20``.

    Returns
    -------
    tuple of Work
        Each once, in the order of `works`.
    """
    sources = tuple(sources)
    return tuple(work for work in works() if any(work.mention in source for source in sources))


def bibtex(sources: Iterable[str]) -> str:
    """Return a BibTeX file of the works that occur in sources; empty if there is none.

    Parameters
    ----------
    sources : iterable of str
        As in `cited`.

    Returns
    -------
    str
        One entry a work.
    """
    return "".join(f"{work.bibtex}\n\n" for work in cited(sources))


def with_citations(source: str) -> str:
    r"""Return LaTeX of a source that is escaped already, with ``\cite`` in place of the works.

    Parameters
    ----------
    source : str
        Text in which LaTeX's own characters are escaped.

    Returns
    -------
    str
        LaTeX.

    Examples
    --------
    >>> print(with_citations(r"Xu \& Du 2023, arXiv 2302.10034, Lemma 20"))
    \cite{xu-du-2023}, Lemma 20
    """
    for work in works():
        mention = re.escape(work.mention.replace("&", r"\&"))
        cite = rf"\\cite{{{work.key}}}"  # in a replacement a backslash is written twice
        source = re.sub(mention + r"(?:, arXiv[ :][\d.]*\d)?", cite, source)
    return source
