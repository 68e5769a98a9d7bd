"""What continues a finite certificate where a potential falls for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Falling"]


@dataclass(frozen=True)
class Falling:
    """A potential with its proof, on a set in which the flow is at the end of the pieces.

    Parameters
    ----------
    potential : mapping
        The potential with its proof, as :meth:`flows.FoundPotential.save` writes it.
    statement : str
        The bound for all later times, where the independent checker has proved it.
    """

    potential: Mapping[str, Any]
    statement: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: what is proved follows from it."""
        return {"kind": "potential", "potential": dict(self.potential)}

    @classmethod
    def from_json(cls, data: Any, bits: int) -> Falling:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        return cls(dict(data["potential"]))
