"""The late-time law of a run beside the theorems about it, for a page of the report."""

from __future__ import annotations

from dataclasses import dataclass

from flows.runs.find_law import late_time_law
from flows.runs.late_law import LateLaw
from flows.runs.law_bounds import Bound
from flows.runs.rates import TailConstant, tail_constant
from flows.runs.trajectory import Trajectory

__all__ = ["Beside", "beside"]


@dataclass(frozen=True)
class Beside:
    """What a page shows of a law.

    Parameters
    ----------
    law : LateLaw
        With its laws, or the reason why there are none.
    derived : str
        The law that the run follows, in a line; empty if none is chosen.
    evidence : str
        Levels of its steps.
    measured : TailConstant or None
        The constant that the run shows; None where the law is no power of time, or the loss does
        not tend to zero.
    bounds : tuple of Bound
        What the law says of each theorem.
    notes : tuple of str
        What else was found, such as a saddle beside which the run still is.
    """

    law: LateLaw
    derived: str
    evidence: str
    measured: TailConstant | None
    bounds: tuple[Bound, ...]
    notes: tuple[str, ...]


def beside(run: Trajectory) -> Beside:
    """Derive the law of a run and judge its theorems."""
    found = late_time_law(run, log_terms=False)  # a page does not show the next term
    notes = (*found.derived.notes, *found.notes)
    if found.chosen is None:
        return Beside(found, "", "", None, found.bounds(), notes)
    law = found.laws[found.chosen]
    power = law.kind == "power" and found.derived.limit == 0
    measured = tail_constant(run, law=law) if power else None
    levels = sorted({str(level) for level in law.evidence.values()})
    return Beside(found, str(law), ", ".join(levels), measured, found.bounds(), notes)
