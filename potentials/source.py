"""Source: where a statement comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Where a definition or a claim is stated.

    Parameters
    ----------
    authors : str
        Family names, as one cites them.
    year : int
        Year of publication.
    arxiv : str
        arXiv identifier; empty for what is not there.
    locator : str
        Theorem, lemma or equation inside the paper.
    kind : str
        What is stated there: definition, upper, lower, rate, invariant, inequality, identity.
    """

    authors: str
    year: int
    arxiv: str
    locator: str
    kind: str

    def __str__(self) -> str:
        """Return one line, e.g. `Xu & Du 2023, arXiv:2302.10034, Corollary 12 (upper)`."""
        preprint = f" arXiv:{self.arxiv}," if self.arxiv else ""
        return f"{self.authors} {self.year},{preprint} {self.locator} ({self.kind})"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a plain mapping."""
        return {
            "authors": self.authors,
            "year": self.year,
            "arxiv": self.arxiv,
            "locator": self.locator,
            "kind": self.kind,
        }
