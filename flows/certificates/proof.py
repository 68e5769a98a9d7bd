"""A polynomial that may be near a flow, and how far off it is with the bounds of the verifier.

A segment ``p(tau)`` approximates the flow ``dx/dtau = e^tau f(x)``, ``tau = log(1+t)``. The
distance ``e`` of the flow from ``p`` obeys ``e' <= nu e + |D|`` with the defect ``D`` and the
growth ``nu`` that :mod:`flows.certificates.bounds` finds. As long as this keeps it inside the tube
on which ``nu`` was found, it is inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.chebyshev import Row
from flows.core.balls import dot

Ball = Any  # flint.arb

#: Stated bounds exceed what was computed by this factor: nothing is rounded in the same way twice.
ROOM = 1.0 + 2.0**-10


class Span(NamedTuple):
    """Log-time of a segment: ``centre + half s``, ``-1 <= s <= 1``."""

    centre: Ball
    half: Ball

    @classmethod
    def between(cls, first: int, last: int, bits: int) -> Span:
        """Span of two multiples of ``2^-bits``."""
        return cls(arb((first + last, -bits - 1)), arb((last - first, -bits - 1)))


class Approximant(NamedTuple):
    """A polynomial that may be near the flow on a segment; nothing is proved of it.

    Parameters
    ----------
    rows : sequence of lists of int
        Chebyshev coefficients of each component, multiples of ``2^-bits``.
    span : Span
        Log-time of the segment.
    signs : sequence of int
        Branch of the field.
    bits : int
        Unit of the coefficients.
    """

    rows: Sequence[Row]
    span: Span
    signs: Sequence[int]
    bits: int

    @property
    def degree(self) -> int:
        """Degree of all components."""
        return len(self.rows[0]) - 1


def above(x: Ball) -> float:
    """Return a double above the ball, with :data:`ROOM`."""
    return math.nextafter(float((x * ROOM).upper()), math.inf)


def norm(vector: Sequence[Ball]) -> Ball:
    """Euclidean norm of balls."""
    return abs(vector[0]) if len(vector) == 1 else dot(vector, vector).nonnegative_part().sqrt()


def propagated(start: Ball, defect: Ball, bounds: Sequence[float], span: Span) -> tuple[Ball, Ball]:
    """Bound the distance from the polynomial on a segment, and at its end."""
    error, largest = start, start
    length = 2 * span.half / len(bounds)
    for nu in bounds:
        factor = (nu * length).exp()
        gain = arb(1).max(factor)
        largest = largest.max(gain * (error + defect * length))
        error = (factor * error + gain * defect * length).upper()
    return largest.upper(), error
