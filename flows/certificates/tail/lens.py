"""Boxes of shapes that are narrow in some directions: where a short neuron turns, for one.

A neuron of length ``h`` has the direction ``y/h``, and errors of this direction fall at a rate
like ``1/h``. A cube that holds the error of the slowest direction holds any direction of it. Let
``c = cbar + P x``, ``|x| <= e``, with an invertible ``P``: distances are those of ``x``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.certificates.tail.box import around, eigen, norm
from flows.certificates.tail.late_flow import LateFlow, Seen, Vector, helmert, sum_of

Ball = Any  # flint.arb

#: What moves more slowly than that is not enlarged.
SLOWEST, POWER = 0.5, 0.65


@dataclass(frozen=True)
class Lens:
    """An invertible matrix ``P`` of doubles, its rows; none are those of the identity."""

    rows: tuple[tuple[float, ...], ...] = ()

    def matrix(self) -> Any:
        """``P``."""
        return arb_mat([list(row) for row in self.rows])

    def inverse(self) -> Any:
        """An enclosure of the inverse."""
        return self.matrix().inv()

    def seen(self, vector: Sequence[Any]) -> list[Any]:
        """``P^-1`` of a vector of balls, or of jets."""
        if not self.rows:
            return list(vector)
        return [sum_of(vector, row) for row in self.inverse().tolist()]

    def widest(self) -> Ball:
        """Bound of the norm of ``P``."""
        return norm([arb(x) for row in self.rows for x in row]) if self.rows else arb(1)

    def sharpest(self) -> Ball:
        """Bound of the norm of its inverse."""
        return norm([x for row in self.inverse().tolist() for x in row]) if self.rows else arb(1)

    def box(self, c: Sequence[Ball], radius: Ball) -> Vector:
        """Shapes within a radius, each coordinate by itself."""
        if not self.rows:
            return around(c, radius)
        reach = [norm([arb(x) for x in row]) * radius for row in self.rows]
        return [x + arb(0, 1) * r for x, r in zip(c, reach, strict=True)]

    def through(self, flow: LateFlow, c: Sequence[Ball], radius: Ball) -> Seen | None:
        """What the late flow needs of these shapes: neurons by themselves, and ``P``."""
        if not self.rows:
            return None
        matrix, p = self.matrix().tolist(), flow.p
        y = []
        for i in range(flow.n):
            column = [b[i] for b in helmert(flow.n)]
            row = []
            for j in range(p):
                middle = sum((b * x for b, x in zip(column, c[j::p], strict=True)), arb(0))
                parts = [
                    sum((b * r[k] for b, r in zip(column, matrix[j::p], strict=True)), arb(0))
                    for k in range(flow.size)
                ]
                row.append(middle + arb(0, 1) * norm(parts) * radius)
            y.append(row)
        return Seen(matrix, y)


#: Coordinates as they are.
PLAIN = Lens()


def lens_of(matrix: Any) -> Lens:
    """Of a symmetric matrix with negative eigenvalues: the more narrow the faster these are."""
    values, vectors = eigen(matrix)
    scaled = vectors / np.maximum(np.abs(values), SLOWEST) ** POWER
    return Lens(tuple(tuple(map(float, row)) for row in scaled))
