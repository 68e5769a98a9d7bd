"""Observables of a loss of one's own, on a box: the potentials that came with it."""

from __future__ import annotations

from flows.certificates.boxes import Box, Enclosure
from flows.core.balls import Singular, dot
from symbolic.language.lower import Undecided


class OwnBox(Box):
    """Potentials of the system and their Lie derivatives, in balls."""

    def __init__(self, enclosure: Enclosure, index: int, low: float, high: float) -> None:
        super().__init__(enclosure, index, low, high)
        self.names = frozenset(enclosure.flow.potentials)

    def fill(self, base: str, rates: bool) -> None:
        """Evaluate a potential and, where it is asked for, its rate."""
        try:
            value, *slope = self.enclosure.flow.potentials[base](*self.x)
        except (Undecided, ZeroDivisionError):
            raise Singular(f"{base} is not known to be smooth here") from None
        self[base] = value
        if rates:
            self[f"{base}_dot"] = dot(slope, self.velocity[: self.enclosure.flow.size])
