"""Continuation of a certificate after a neuron reaches zero: the flow of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb

from flows.certificates.segment import Segment

Ball = Any  # flint.arb


@dataclass(frozen=True)
class AtZero:
    """What continues a finite certificate after which a neuron vanishes.

    Parameters
    ----------
    neuron : int
        Which one, of those that are left.
    slope : float
        Its length falls at least so fast, whatever its direction.
    reach : float
        The others move less, until it has vanished.
    pieces : tuple of Segment
        Pieces of the flow without it.
    then : Infinity, FunnelTail or AtZero
        What continues these for ever.
    all_times : tuple of float
        ``lower (1+t)^-3 <= L(t) <= upper (1+t)^-3`` for all ``t >= 0``.
    """

    neuron: int
    slope: float
    reach: float
    pieces: tuple[Segment, ...]
    then: Any
    all_times: tuple[float, float]

    @property
    def constant(self) -> Ball:
        """Ball that contains ``lim t^3 L``."""
        return self.then.constant

    @property
    def parts(self) -> list[Ball]:
        """Limits of the parts along the teacher, of all neurons: that of this one is zero."""
        others: list[Ball] = self.then.parts
        return [*others[: self.neuron], arb(0), *others[self.neuron :]]

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {
            "kind": "at zero",
            "neuron": self.neuron,
            "slope": self.slope.hex(),
            "reach": self.reach.hex(),
            "pieces": [piece.to_json() for piece in self.pieces],
            "then": self.then.to_json(),
            "all_times": [x.hex() for x in self.all_times],
        }

    @classmethod
    def from_json(cls, data: Any, then: Any) -> AtZero:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        low, high = map(float.fromhex, data["all_times"])
        return cls(
            int(data["neuron"]),
            float.fromhex(data["slope"]),
            float.fromhex(data["reach"]),
            tuple(map(Segment.from_json, data["pieces"])),
            then,
            (low, high),
        )
