r"""A cubic in log-time, and how far it is from the limiting flow between its ends.

The limiting flow is the late flow at ``s = 0``, ``c' = F(c) = c - E^T B/2pi``, where with ``q_i =
y_i/h_i``, and ``h = 1``, ``q = 0``, ``mu = -1`` of the teacher,

    B_i = sum_j mu_j h_j |q_i - q_j| (q_i - q_j).

Along a cubic ``p(v)``, ``|v| <= 1``, the defect ``D = p' - F(p)`` has a Taylor series about the
middle. With its ``K``-th coefficient at every point of ``[-1, 1]``, enclosed at once,

    |D|  <=  sum_(k < K) |D_k|  +  sup |D_K|.

``|d| d`` is analytic where ``d`` does not vanish, and there ``K = 4``. Where it may, its derivative
still is Lipschitz, with ``|(|d| d)''/2| <= 3 |d'|^2/2 + 2 |d| |d''/2|``, and ``K = 2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb, arb_series

from flows.certificates.tail.box import UNIT, norm
from flows.certificates.tail.late_flow import LateFlow, Vector, helmert
from flows.core.balls import Singular, dot

Ball = Any  # flint.arb
Series = Any  # flint.arb_series

#: Order of the remainder, and where a difference of neurons may vanish.
SMOOTH, KINKED = 4, 2


class Curve(NamedTuple):
    """A cubic in ``v``, ``-1 <= v <= 1``; log-time is ``half v``."""

    rows: list[Vector]
    half: Ball

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], length: float, bits: int) -> Curve:
        """From its exact coefficients."""
        return cls([[arb((c, -bits)) for c in row] for row in rows], arb(length) / 2)

    def at(self, sign: int) -> Vector:
        """Its begin (-1) or end (1)."""
        return [b[0] + sign * b[1] + b[2] + sign * b[3] for b in self.rows]

    def box(self) -> Vector:
        """All values."""
        return [b[0] + b[2] / 2 + UNIT * (abs(b[1]) + abs(b[2]) / 2 + abs(b[3])) for b in self.rows]

    def middle(self) -> Vector:
        """Value in the middle."""
        return [b[0] for b in self.rows]

    def series(self, v: Ball) -> list[Series]:
        """Taylor series about a point, or about all points of a ball."""
        moved = arb_series([v, 1], SMOOTH + 2)
        return [((b[3] * moved + b[2]) * moved + b[1]) * moved + b[0] for b in self.rows]


def resting(flow: LateFlow, c: Sequence[Any], g: Sequence[Ball]) -> list[Any]:
    """``F`` of the limiting flow, at a shape or along a series of shapes."""
    basis, n, p = helmert(flow.n), flow.n, flow.p
    h = [
        sum((column[i] * x for column, x in zip(basis, g, strict=True)), arb(1) / n)
        for i in range(n)
    ]
    if not all(x > 0 for x in h):
        raise Singular("a neuron may point away from the teacher")
    q = [[dot([b[i] for b in basis], c[j::p]) * (1 / h[i]) for j in range(p)] for i in range(n)]
    pulls = [[x * -1 for x in _pulled(row)] for row in q]  # by the teacher
    for i in range(n):
        for j in range(i):
            both = _pulled([a - b for a, b in zip(q[i], q[j], strict=True)])
            for k, x in enumerate(both):
                pulls[i][k] = pulls[i][k] + x * h[j]
                pulls[j][k] = pulls[j][k] - x * h[i]
    unit = -1 / (2 * arb.pi())
    return [
        dot(column, [pull[j] for pull in pulls]) * unit + c[k * p + j]
        for k, column in enumerate(basis)
        for j in range(p)
    ]


def _pulled(d: Sequence[Any]) -> list[Any]:
    """``|d| d`` of vectors, or of series of vectors."""
    if isinstance(d[0], arb):
        size = dot(d, d).nonnegative_part().sqrt()
        return [size * x for x in d]
    square = dot(d, d)
    if square[0] > 0:
        size = square.sqrt()
        return [size * x for x in d]
    first, second, third = ([x[k] for x in d] for k in range(KINKED + 1))
    size, speed = norm(first), norm(second)
    slope = UNIT * (2 * size * speed)
    bend = UNIT * (speed * speed * 3 / 2 + 2 * size * norm(third))
    return [arb_series([UNIT * (size * size), slope, bend], KINKED + 1) for _ in d]


def off(flow: LateFlow, g: Sequence[Ball], curve: Curve) -> Ball:
    """Bound of ``|p' - F(p)|`` on a cubic."""
    middle, whole = (_defect(flow, g, curve, v) for v in (arb(0), UNIT))
    order = min(x.prec for x in whole) - 1
    found = norm([x[order] for x in whole])
    for k in range(order):
        found += norm([x[k] for x in middle])
    return found


def _defect(flow: LateFlow, g: Sequence[Ball], curve: Curve, v: Ball) -> list[Series]:
    along = curve.series(v)
    field = resting(flow, along, g)
    return [x.derivative() * (1 / curve.half) - f for x, f in zip(along, field, strict=True)]
