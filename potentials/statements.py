"""All potentials and claims of one system."""

from __future__ import annotations

from dataclasses import dataclass

from potentials.claim import Claim, Mark
from potentials.potential import Potential

__all__ = ["Statements"]


@dataclass(frozen=True)
class Statements:
    """Potentials and claims of one system; a run is measured and checked by these.

    Parameters
    ----------
    potentials : tuple of Potential
        The system's potentials, in the order in which they are presented.
    auxiliaries : tuple of Potential
        Quantities that claims need beyond the potentials.
    claims : tuple of Claim
        The claims.
    marks : tuple of Mark
        The times that the claims refer to.
    """

    potentials: tuple[Potential, ...] = ()
    auxiliaries: tuple[Potential, ...] = ()
    claims: tuple[Claim, ...] = ()
    marks: tuple[Mark, ...] = ()
