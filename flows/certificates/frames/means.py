"""The means of a mixture on a line in balls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flint import fmpq

from flows.certificates.frames.flow import Flow
from flows.core.arrays import Array
from flows.core.balls import Ball, precision

#: Precision in bits of Hessians that become doubles.
STEERING = 112


class MeanFlow(Flow):
    """The flow of the means; weights are the system's doubles, divided by their exact sum."""

    def __init__(self, system: Any, equations: Any) -> None:
        super().__init__(system, equations)
        given = [fmpq(*w.as_integer_ratio()) for w in system.parameters["weights"]]
        self.weights = [w / sum(given, fmpq(0)) for w in given]

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles, for Newton's method."""
        with precision(STEERING):
            return super().steering([[c.mid() for c in x] for x in states])

    def restore(self, x: Sequence[Ball]) -> list[Any]:
        """Means, nested lists of shape (n, 1)."""
        return [[c] for c in x]
