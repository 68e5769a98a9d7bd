"""Two neurons, for ever: a set of states that the flow does not leave before it has its law.

Its radii are proposed here, and enlarged until :mod:`flows.certificates.verifier.funnel` proves
that the flow stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flows.certificates.decision import up
from flows.certificates.stated import LEAST, ROOM, Open, Proved, enlarged
from flows.certificates.verifier.funnel import Begin

#: Enlargements of the radii.
TRIES = 12
#: Layers, and how sharp ``Q`` is known: coarse, and finer where that fails.
LEVELS = ((6, 0.7), (12, 0.3), (24, 0.2))
#: Cells of a layer at most, with one coordinate across the teacher and with two.
CELLS = {1: 1_000, 2: 3_000}
#: Radii of a funnel, as files name them.
RADII = ("reach", "across", "along", "drift", "sharp")


@dataclass(frozen=True)
class Funnel:
    """Its radii, and how it is checked: in layers, with ``Q`` up to a part of itself."""

    reach: float
    across: float
    along: float
    drift: float
    parts: int
    sharp: float

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {**{key: getattr(self, key).hex() for key in RADII}, "parts": self.parts}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Funnel:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        radii = {key: float.fromhex(data[key]) for key in RADII}
        return cls(**radii, parts=int(data["parts"]))


def first(entry: Begin) -> Funnel:
    """The least funnel that these states are in.

    Raises
    ------
    Open
        Where the neurons may be equal across the teacher.
    """
    low = entry.zeta.lower()
    if not low > 0:
        raise Open("two neurons may be equal across the teacher")
    across, along = (ROOM * up(x / low) + LEAST for x in (entry.sum, abs(entry.excess)))
    return Funnel(up(entry.zeta), across, along, LEAST, *LEVELS[0])


def prove(
    funnel: Funnel, names: Collection[str], check: Callable[[dict[str, Any]], Proved]
) -> tuple[Funnel, Proved]:
    """Enlarge these radii until the checker accepts a funnel, in more layers where it must.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    reason = Open("nothing was tried")
    for parts, sharp in LEVELS:
        stated = replace(funnel, parts=parts, sharp=sharp).to_json()
        try:
            stated, found = enlarged(stated, check, TRIES, names)
        except Open as problem:
            reason = problem
        else:
            return Funnel.from_json(stated), found
    raise reason
