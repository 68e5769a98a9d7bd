"""Observables of the means of a mixture on a line, on a box, and their rates."""

from __future__ import annotations

import functools

from flint import arb

from flows.certificates.boxes import Ball, Box, Enclosure, Vector
from flows.core.balls import Singular, dot
from potentials.potential import Over


class MeanBox(Box):
    """Quantities of :func:`flows.systems.mixture.features.features`, in balls."""

    names: frozenset[str] = frozenset({"norm", "fisher", "spread", "mean_norm"})

    @staticmethod
    def count(enclosure: Enclosure) -> dict[Over, int]:
        """Components."""
        return {"state": 1, "neuron": enclosure.flow.size, "pair": 0}

    @staticmethod
    def constants(enclosure: Enclosure) -> dict[str, Ball]:
        """Least of the weights that sum to one exactly."""
        return {"weight_min": arb(min(enclosure.flow.weights))}

    def fill(self, base: str, rates: bool) -> None:
        """Evaluate a quantity, or its rate."""
        if rates and base != "norm":
            raise Singular(f"the rate of {base} is not enclosed")
        self[f"{base}_dot" if rates else base] = getattr(self, f"_{base}")(rates)

    def _norm(self, rates: bool) -> Vector:
        if not rates:
            return [abs(mu) for mu in self.x]
        # A mean that may be zero moves to either side.
        return [
            v if mu > 0 else -v if mu < 0 else arb(0, 1) * abs(v).upper()
            for mu, v in zip(self.x, self.velocity, strict=True)
        ]

    def _fisher(self, rates: bool) -> Ball:
        # E|v|^2 is sum <grad_i, mu_i>, as v is the sum of psi_i mu_i.
        return (-dot(self.x, self.velocity)).nonnegative_part()

    def _mean_norm(self, rates: bool) -> Ball:
        return abs(self._mean())

    def _spread(self, rates: bool) -> Ball:
        mean = self._mean()
        return functools.reduce(lambda a, b: a.max(b), [abs(mu - mean) for mu in self.x])

    def _mean(self) -> Ball:
        return dot([arb(w) for w in self.enclosure.flow.weights], self.x)


BOX = MeanBox
