"""The late flow as the checker sees it, asked for what it does not say: how much errors grow."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.decision import up
from flows.certificates.verifier.ellipsoid import middles
from flows.certificates.verifier.late_flow import Rates, rates
from flows.certificates.verifier.positive import perron, positive
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.tail import Flow

Ball = Any  # flint.arb

#: Growth of errors is claimed so much above what is needed, in units of the largest eigenvalue: on
#: another machine eigenvectors differ by rounding.
SPARE = 2.0**-20
#: What balls add to it is sought in parts of their largest effect: powers of this one, so many.
PART, PARTS = 1.25, 63


class Box(NamedTuple):
    """A box of states: shapes, vectors ``y``, bounds of ``|rho|`` and ``|sigma|``, and rates."""

    c: Any
    y: Any
    across: Ball
    along: Ball
    rates: Rates


class Late(Flow):
    """A late state, the box that it was last seen in, and the least growth of errors there."""

    box: Box
    growth: float

    def rates(self, c: Any, across: Ball, along: Ball, drift: Ball, radius: Any = 0) -> Rates:
        """Rates on a box, which is remembered."""
        found = super().rates(c, across, along, drift, radius)
        shapes, y = self.lens.box(c, arb(radius)), self.neurons(c, across, radius)
        self.box = Box(shapes, y, across, along, found)
        return found

    def energy(self, found: Rates, stated: Any) -> Ball:
        """``L/s^3`` on the box; of ``Lambda`` gradients by ``y`` and ``h`` are ``B`` and ``A``."""
        y, h = self.box.y, self.h
        middle = rates(exact(y), exact(h), self.clock).energy
        moves = (found.b * (y - exact(y))).sum() + (found.a * (h - exact(h))).sum()
        sharp = found.energy.intersection(middle + moves)
        return super().energy(found._replace(energy=sharp), stated)

    def contracts(self, slope: Any, c: Any, nu: Ball, reason: str) -> Ball:
        """The least growth that is proved, whatever is stated; refuse if it has to be negative."""
        self.growth, sharp = least_growth(self.held(slope, c))
        least = f"{self.growth:.4g}, in the middle {sharp:.4g}"
        require(self.growth < 0 or not nu < 0, f"{reason} {least}")
        return arb(self.growth)

    def resting(self) -> Late:
        """The limiting flow, for the parts along the teacher in the middle."""
        still = copy.copy(self)
        still.h = self.basis @ exact(self.g) + arb(1) / self.n
        still.clock = arb(0)
        return still


def exact(x: Any) -> Any:
    """Midpoints of an array of balls, as such."""
    return np.vectorize(lambda z: z.mid(), otypes=[object])(x)


def least_growth(form: Any) -> tuple[float, float]:
    """Least ``nu`` for which it is proved that ``form + nu`` is positive, and that of the middle.

    What balls add is not more than the norm of their radii; less, where they are wide in stiff
    directions only.
    """
    values = np.linalg.eigvalsh(middles(form))
    radii = np.vectorize(lambda z: float(z.rad()), "d")(form)
    require(np.isfinite(radii).all(), "errors may grow faster")
    sharp, wide = -float(values.min()), perron(np.maximum(radii, radii.T))
    spare = SPARE * max(float(abs(values).max()), 1.0)

    def with_part(k: int) -> float:
        return up(arb(sharp) + wide * PART**-k + spare)

    low, high = 0, PARTS  # the largest part serves
    while low < high:
        k = (low + high + 1) // 2
        if positive(form, arb(with_part(k))):
            low = k
        else:
            high = k - 1
    return with_part(low), sharp
