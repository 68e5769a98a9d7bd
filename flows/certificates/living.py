"""The neurons that are left where some have reached zero, and the observables of all."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb

Ball = Any  # flint.arb

ZERO = arb(0)


@dataclass(frozen=True)
class Living:
    """Those that are left of a number of neurons; the others are at zero.

    Lengths of these are zero, and so are their angles, as in runs.

    Parameters
    ----------
    count : int
        All neurons.
    left : tuple of int
        Those that are left, in order.
    """

    count: int
    left: tuple[int, ...]

    @classmethod
    def all(cls, count: int) -> Living:
        """No neuron has reached zero."""
        return cls(count, tuple(range(count)))

    def without(self, index: int) -> Living:
        """Less one of those that are left."""
        return Living(self.count, (*self.left[:index], *self.left[index + 1 :]))

    def neurons(self, values: Sequence[Any], absent: Any = ZERO) -> list[Any]:
        """Values of all neurons, from those of the ones that are left."""
        found = [absent] * self.count
        for k, value in zip(self.left, values, strict=True):
            found[k] = value
        return found

    def pairs(self, values: Sequence[Any], beside: Sequence[Any] | None = None) -> list[Any]:
        """Values of all pairs, from those of two that are left.

        Beside a neuron at zero it is the value of the other one, of a list of all neurons.
        """
        known = dict(zip(itertools.combinations(self.left, 2), values, strict=True))
        single = [ZERO] * self.count if beside is None else beside
        return [
            # one of two is at zero, so that the sum is the value of the other one
            known[i, j] if (i, j) in known else single[i] + single[j]
            for i, j in itertools.combinations(range(self.count), 2)
        ]
