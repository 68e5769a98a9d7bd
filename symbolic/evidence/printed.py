"""A formula as a paper prints it, put to the machine."""

from __future__ import annotations

from dataclasses import dataclass

from symbolic.evidence.derivation import Step

__all__ = ["PrintedForm"]


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
