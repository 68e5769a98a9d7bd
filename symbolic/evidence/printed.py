"""A formula as a paper prints it, put to the machine."""

from __future__ import annotations

from dataclasses import dataclass

from symbolic.evidence.derivation import Document, Step

__all__ = ["PrintedForm", "Reached"]


@dataclass(frozen=True)
class PrintedForm:
    """A formula of a paper.

    A printed formula that a derivation arrives at is that derivation's step. One that does not hold
    is a step of its own, which comes back refuted, with the step that replaces it.

    Parameters
    ----------
    source : str
        Where it is printed.
    form : Step
        The formula; `form.verify()` says whether it holds.
    corrected : Step or None
        What holds instead, where the printed form does not.
    """

    source: str
    form: Step
    corrected: Step | None = None


@dataclass(frozen=True)
class Reached:
    """Printed formulas that the derivations of a document arrive at.

    Parameters
    ----------
    document : Document
        The derivations.
    paper : str
        What prints the formulas.
    """

    document: Document
    paper: str

    def step(self, derivation: str, begin: str) -> Step:
        """Step of a derivation whose rule is the only one to begin so."""
        (found,) = (
            step
            for made in self.document.derivations
            for step in made.steps
            if made.name == derivation and step.rule.startswith(begin)
        )
        return found

    def holds(self, where: str, derivation: str, begin: str) -> PrintedForm:
        """Formula that is printed there and holds, as that step says."""
        return PrintedForm(f"{self.paper}, {where}", self.step(derivation, begin))
