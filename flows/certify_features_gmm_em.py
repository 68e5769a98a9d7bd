"""What is measured of means on a line on a box: lengths, ``E|v|^2``, the EM update, and rates."""

from __future__ import annotations

import functools
from typing import ClassVar

from flint import arb

from flows.certify_features import Ball, Quantities, Scene, Vector
from flows.certify_flow import dot
from flows.certify_gmm_em import SIDES, averages, rule_for
from flows.certify_proof import norm
from potentials.potential import Over


class Features(Quantities):
    """Quantities of :func:`flows.mixture_features.features`, in balls.

    By the mean value theorem, from the middle of the box and the Hessians on it.
    """

    names: ClassVar[frozenset[str]] = frozenset(
        {"norm", "fisher", "em_norm", "mean_norm", "spread"}
    )

    @staticmethod
    def count(scene: Scene) -> dict[Over, int]:
        """Means, and their pairs."""
        n = scene.flow.size
        return {"state": 1, "neuron": n, "pair": n * (n - 1) // 2}

    @staticmethod
    def constants(scene: Scene) -> dict[str, Ball]:
        """Least of the weights, which are doubles only before they are divided by their sum."""
        return {"weight_min": arb(min(scene.flow.weights))}

    @functools.cached_property
    def middle(self) -> Vector:
        """Middle of the box."""
        return [c.mid() for c in self.x]

    @functools.cached_property
    def hessian(self) -> list[Vector]:
        """Hessians on the box."""
        rows: list[Vector] = self.scene.flow.hessian(self.x).tolist()
        return rows

    def _varied(self, middle: Vector) -> Vector:
        """Gradients on the box, from that of its middle."""
        sides = [SIDES * c.rad() for c in self.x]
        return [g + dot(row, sides) for g, row in zip(middle, self.hessian, strict=True)]

    @functools.cached_property
    def slope(self) -> Vector:
        """Gradient at the middle."""
        return [-c for c in self.scene.flow.field(self.middle)]

    @functools.cached_property
    def turn(self) -> Vector:
        """Gradient of ``E|v|^2 = sum_i grad_i mu_i`` on the box."""
        return [g + dot(row, self.x)
                for g, row in zip(self._varied(self.slope), self.hessian, strict=True)]  # fmt: skip

    def fill(self, base: str, rates: bool) -> None:
        """Evaluate a quantity, or its rate."""
        if base == "norm":
            self["norm"] = [abs(c) for c in self.x]
            if rates:
                moved = zip(self.x, self.velocity, strict=True)
                self["norm_dot"] = [v if c > 0 else -v if c < 0 else SIDES * abs(v).upper()
                                    for c, v in moved]  # fmt: skip
        elif base == "fisher" and rates:
            self["fisher_dot"] = dot(self.turn, self.velocity[: len(self.x)])
        elif base == "fisher":
            off = dot(self.turn, [SIDES * c.rad() for c in self.x])
            self["fisher"] = (dot(self.slope, self.middle) + off).nonnegative_part()
        elif base in ("mean_norm", "spread") and not rates:
            mean = dot(self.x, self.scene.flow.weights)
            away = [abs(c - mean) for c in self.x]
            self["mean_norm"] = abs(mean)
            self["spread"] = functools.reduce(lambda a, b: a.max(b), away)
        elif base == "em_norm" and not rates:
            self["em_norm"] = norm(self._varied(self._update()))

    def _update(self) -> Vector:
        """``E psi_i (mu_i - x)`` at the middle, by its definition: minus the EM update."""
        found = rule_for(self.middle)
        first = averages(self.scene.flow.hermite(self.middle, found)[0], found)
        return [SIDES * found.error - c for c in first]
