r"""What makes a polynomial a proof: defect, growth, comparison. All bounds are rounded outwards.

A segment ``p(tau)`` approximates the flow ``dx/dtau = F(tau, x) = e^tau f(x)``, ``tau = log(1+t)``.

*Defect.* ``D = p' - F(tau, p)`` is evaluated at the ``N+1`` Chebyshev points of the segment.
Between them ``|D| <= (1 + (2/pi) log(N+1)) max_nodes |D| + 4 M rho^{-N} / (rho - 1)``, where ``M``
bounds ``F(tau, p(tau))`` on the Bernstein ellipse ``E_rho`` around the segment, on which it is
analytic: one evaluation on a complex box. (Trefethen, Approximation Theory and Approximation
Practice, Theorems 8.2 and 15.2; the polynomial ``p'`` is its own interpolant.) Where a flow bounds
an analytic function instead that differs from the real field by ``d``, this costs
``2 + (2/pi) log(N+1)`` times ``e^tau d``.

*Growth.* On each part of a segment, and for every state within the radius of the tube around it,
``nu`` bounds the logarithmic norm of ``F``: ``e^tau H + nu`` is positive definite for the Hessian
``H`` of the loss, which an elimination in balls proves by its positive pivots.

*Comparison.* The distance ``e`` of the flow from ``p`` then obeys ``e' <= nu e + |D|``. As long as
this keeps it inside the tube, it is inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat, ctx
from numpy.polynomial.chebyshev import chebder

from flows.certificates import chebyshev
from flows.certificates.chebyshev import Row, Series
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Segment
from flows.core.arrays import Array
from flows.core.balls import BallFlow, Singular, dot

Ball = Any  # flint.arb

#: Stated bounds exceed what was computed by this factor, so that other roundings agree with them.
ROOM = 1.0 + 2.0**-10
#: And bounds that depend on how a formula is written by more: the defect by this factor, growth by
#: this part of the width of the Hessian.
SPARE, MARGIN = 4.0, 0.25
#: Parts of the width of a Hessian that its lowest eigenvalue may lose to it; below 1 where stiff
#: directions take the rest, of which boxes then fill so much at most.
FACTORS = (*(4.0**k for k in range(-12, 0)), 1.0, 2.0, 4.0, 16.0, 64.0)
FILLED = 0.5
#: Sums and products of positive doubles are right to this factor, if none is below this number.
UP, TINY = 1.0 + 1e-9, 1e-200


class Span(NamedTuple):
    """Log-time of a segment: ``centre + half s``, ``-1 <= s <= 1``."""

    centre: Ball
    half: Ball

    @classmethod
    def between(cls, first: int, last: int, bits: int) -> Span:
        """Span of two multiples of ``2^-bits``."""
        return cls(arb((first + last, -bits - 1)), arb((last - first, -bits - 1)))

    def part(self, index: int, parts: int) -> Ball:
        """Log-time of one of equal parts, as a ball."""
        middle = self.centre + self.half * (2 * index + 1 - parts) / parts
        return middle + arb(0, 1) * (self.half / parts)


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

    def segment(self) -> Segment:
        """As the verifier reads it."""
        rows = np.array([[arb((c, -self.bits)) for c in row] for row in self.rows])
        span = self.span
        return Segment(rows, span.centre - span.half, span.centre + span.half, self.signs)

    def slopes(self) -> list[Row]:
        """Coefficients of the derivatives."""
        return [chebyshev.differentiated(row) for row in self.rows]


def above(x: Ball) -> float:
    """Return a double above the ball, with :data:`ROOM`."""
    return math.nextafter(float((x * ROOM).upper()), math.inf)


def norm(vector: Sequence[Ball]) -> Ball:
    """Euclidean norm of balls."""
    return dot(vector, vector).nonnegative_part().sqrt()


def lebesgue(degree: int) -> Ball:
    """Bound the Lebesgue constant of the Chebyshev points."""
    return 1 + 2 / arb.pi() * arb(degree + 1).log()


def interpolated(flow: BallFlow, p: Approximant) -> Ball:
    """Bound the interpolant of the defect on a segment."""
    span, table = p.span, chebyshev.table(p.degree, ctx.prec)
    values = (table.values * chebyshev.column(p.rows, p.bits)).tolist()
    rates = (table.values * chebyshev.column(p.slopes(), p.bits)).tolist()
    worst = arb(0)
    for s, x, rate in zip(table.nodes, values, rates, strict=True):
        speed = (span.centre + span.half * s).exp()
        gaps = [
            r / span.half - speed * f for r, f in zip(rate, flow.field(x, p.signs), strict=True)
        ]
        worst = worst.max(norm(gaps))
    return worst * lebesgue(p.degree)


def boxes(rows: Sequence[Row], parts: int, bits: int, radius: Ball) -> list[list[Ball]]:
    """Boxes that contain all states within ``radius`` of each part of a segment."""
    table = chebyshev.at_middles(len(rows[0]) - 1, parts, ctx.prec)
    middles = (table * chebyshev.column(rows, bits)).tolist()
    slopes = [sum(map(abs, chebyshev.differentiated(row))) for row in rows]
    sides = [arb(0, 1) * (arb((c, -bits)) / parts + radius) for c in slopes]
    return [[x + side for x, side in zip(middle, sides, strict=True)] for middle in middles]


def checked(flow: BallFlow, asked: Callable[[Any], Ball]) -> Ball:
    """What the verifier's equations say.

    Raises
    ------
    Singular
        With its reason, if they refuse.
    """
    try:
        return asked(flow.equations)
    except Refused as reason:
        raise Singular(str(reason)) from None


def crossing(flow: BallFlow, p: Approximant, parts: int) -> Ball:
    """Bound how far the branch of the field is from the field itself, along a segment."""
    total = arb(0)
    if not p.signs:
        return total
    if flow.equations is not None:
        return checked(flow, lambda of: of.branching(p.segment(), parts))
    curves: list[Any] = []
    for index, box in enumerate(boxes(p.rows, parts, p.bits, arb(0))):
        areas = flow.areas(box)
        if all(a * s >= 0 for a, s in zip(areas, p.signs, strict=True)):
            continue
        # The area of two that nearly agree is far smaller than boxes of both tell.
        curves = curves or flow.areas(series(p))
        beyond = arb(0)
        for pair, sign in enumerate(p.signs):
            if not areas[pair] * sign >= 0:
                lowest = _least(np.array((sign * curves[pair]).coefficients), index, parts)
                if not lowest >= 0:
                    beyond += flow.beyond(box, pair, -lowest)
        total += p.span.part(index, parts).exp() * beyond
    return total


def series(p: Approximant) -> list[Series]:
    """Components as polynomials that can be multiplied."""
    return [Series([arb((c, -p.bits)) for c in row]) for row in p.rows]


def _least(c: Any, index: int, parts: int) -> Ball:
    """Lower bound of ``sum_k c_k T_k`` on a part of [-1, 1]: at an end where it is monotone."""
    rate, bent = chebder(c), chebder(c, 2)
    first, middle, last = (arb(2 * index + k - parts) / parts for k in (0, 1, 2))
    slope = dot([*rate], chebyshev.at(middle, len(rate) - 1))
    if not abs(slope) > np.abs(bent).sum() / parts:
        value = dot([*c], chebyshev.at(middle, len(c) - 1))
        return (value - np.abs(rate).sum() / parts).lower()
    return dot([*c], chebyshev.at(first if slope > 0 else last, len(c) - 1)).lower()


def spread(matrix: list[list[Ball]]) -> float:
    """Bound the spectral norm of all symmetric matrices of these radii."""
    radius = np.array([[float(c.rad()) for c in row] for row in matrix])
    return perron(np.maximum(radius, radius.T)) if np.isfinite(radius).all() else math.inf


def perron(matrix: Array) -> float:
    """Bound the spectral norm of a symmetric matrix that is not negative anywhere, in doubles.

    It is ``max_i (R y)_i / y_i`` at most, for every ``y > 0`` (Collatz and Wielandt).
    """
    matrix, y = matrix + TINY, np.ones(len(matrix))
    for _ in range(3):
        y = matrix @ y
        y = y / y.max() + 1e-3
    return float((matrix @ y / y).max() * UP)


def is_positive(matrix: list[list[Ball]]) -> bool:
    """Whether every symmetric matrix in the box is proved to be positive definite.

    Its middle, less what the radii may do, has positive pivots. Eliminating the balls themselves
    loses small eigenvalues among many.
    """
    size, least = len(matrix), spread(matrix)
    if not math.isfinite(least):
        return False
    rows = [
        [c.mid() - least if i == j else c.mid() for j, c in enumerate(row)]
        for i, row in enumerate(matrix)
    ]
    for k in range(size):
        pivot = rows[k][k]
        if not pivot > 0:
            return False
        for i in range(k + 1, size):
            factor = rows[k][i] / pivot
            for j in range(i, size):
                rows[i][j] -= factor * rows[k][j]
    return True


def congruent(
    hessian: list[list[Ball]], values: Any, vectors: Any, shift: Ball
) -> list[list[Ball]] | None:
    """``W^T (H + shift) W`` with ``W`` that makes the middle about one; None if it is indefinite.

    What a box does to a stiff direction is small beside its eigenvalue, and weighs nothing.
    """
    lifted = values + float(shift.mid())
    if not (lifted > 0).all():
        return None
    w = arb_mat([[arb(float(x)) for x in row] for row in (vectors / np.sqrt(lifted)).tolist()])
    made = arb_mat(hessian) + shift * arb_mat(len(hessian), len(hessian), 1)
    scaled: list[list[Ball]] = (w.transpose() * made * w).tolist()
    return scaled


def growth(
    flow: BallFlow, p: Approximant, parts: int, tube: Ball, nested: int = 1
) -> tuple[tuple[float, ...], float]:
    """Bounds of the logarithmic norm on each part, and how much of their mean is not sharp.

    Two flows part at the rate of the mean Hessian between them. On the way from the polynomial to a
    state of the tube, the ``k``-th part of ``nested`` ones is within ``k/nested`` of the tube.
    """
    bounds, excess = [], 0.0
    tubes = [boxes(p.rows, parts, p.bits, tube * (k + 1) / nested) for k in range(nested)]
    for index, around in enumerate(zip(*tubes, strict=True)):
        slow = (-p.span.part(index, parts)).exp()
        hessians = [flow.hessian(box) for box in around]
        hessian = (sum(hessians[1:], hessians[0]) / nested).tolist()
        nu, sharp = bounded(hessian, slow)
        bounds.append(nu)
        excess += (nu - sharp) / parts
    return tuple(bounds), excess


def bounded(hessian: list[list[Ball]], slow: Ball) -> tuple[float, float]:
    """Bound of the logarithmic norm of a box of Hessians, and that of its middle."""
    speed = 1 / float(slow.mid())
    if not math.isfinite(wide := spread(hessian)):
        raise Singular("the Hessian is not bounded")
    middle = np.array([[float(c.mid()) for c in row] for row in hessian])
    radius = np.array([[float(c.rad()) for c in row] for row in hessian])
    values, vectors = np.linalg.eigh((middle + middle.T) / 2)
    sharp = -speed * float(values[0])
    wide += abs(sharp) * float(slow.rad())
    slack = speed * (wide + 1e-15 * max(1.0, float(np.abs(values).max())))
    for factor in FACTORS:
        nu = sharp + factor * slack
        shift = nu * slow
        if factor < 1:
            lifted = values + nu / speed
            if not (lifted > 0).all():
                continue
            w = np.abs(vectors) / np.sqrt(lifted)
            if not np.linalg.norm(w.T @ radius @ w, 2) < FILLED:
                continue
            scaled = congruent(hessian, values, vectors, shift)
        else:
            scaled = [
                [c + shift if a == b else c for b, c in enumerate(row)]
                for a, row in enumerate(hessian)
            ]
        if scaled is not None and is_positive(scaled):
            return nu + MARGIN * factor * slack, sharp
    raise Singular("no bound of the growth of errors is found")


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
