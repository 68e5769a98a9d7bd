"""What ``popflow doctor`` looks at, a system with its runs, and what it says of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Literal

from flows.certificates.certificate import Certificate
from flows.certificates.certify import certify
from flows.cli.own_file import line_of
from flows.core.arrays import Array
from flows.core.system import System
from flows.runs.integrate import integrate
from flows.runs.trajectory import Trajectory

__all__ = ["SOON", "Finding", "Patient"]

# The run that is looked at ends here, that of a field, which may turn for ever, and a short one.
T_END, FIELD_END, SOON = 1e4, 100.0, 1.0
# Digits of the certificate of the short run.
DIGITS = 8
# Methods of a definition in which a fault is found, by the first word of the finding.
METHODS = {"claim": "claims", "random": "initial", "run": "loss"}
METHODS |= dict.fromkeys(("gradient", "Hessian", "Jacobian", "derivation"), "loss")


@dataclass(frozen=True)
class Finding:
    """What a check says.

    Parameters
    ----------
    outcome : {"works", "WRONG", "missing"}
        WRONG is an error of the definition; what is missing only buys less.
    what, text : str
        What was looked at, and what was found or is to be done.
    """

    outcome: Literal["works", "WRONG", "missing"]
    what: str
    text: str


@dataclass(frozen=True, eq=False)
class Patient:
    """A system with a start, and the runs from there; a fault is in a line of its definition."""

    system: System
    start: Array
    definition: Any = None

    @functools.cached_property
    def run(self) -> Trajectory:
        """Run to `T_END`, of a plain field to `FIELD_END`."""
        end = T_END if "loss" in self.system.measures else FIELD_END
        return integrate(self.system, self.start, end, max_seconds=60.0)

    @functools.cached_property
    def short(self) -> Trajectory:
        """Run to `SOON`."""
        return integrate(self.system, self.start, SOON)

    @functools.cached_property
    def certificate(self) -> Certificate | None:
        """Proof of the short run, of a system that can have one."""
        proved = not isinstance(self.system.certified, str)
        return certify(self.system, self.start, SOON, DIGITS) if proved else None

    def placed(self, found: Finding) -> Finding:
        """A fault with the file and the line of its definition."""
        words = found.what.split()
        method = getattr(self.definition, METHODS.get(words[0], ""), None)
        place = line_of(method, words[-1]) if found.outcome == "WRONG" else ""
        return replace(found, text=f"{place}: {found.text}") if place else found
