r"""Approximate segments of a trajectory: collocation in log-time, no rigour needed.

The polynomial starts where the last one ended and satisfies ``dp/dtau = e^tau f(p)`` at all
Chebyshev points of its segment but the first, which makes the method stiffly accurate. Residuals
have all digits; Newton's corrections are solved in doubles, and each gains some digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from flint import arb_mat, ctx

from flows.certificates import chebyshev
from flows.certificates.proof import Approximant, Span
from flows.core.balls import BallFlow, Singular

Ball = Any  # flint.arb
Matrix = Any  # flint.arb_mat

NEWTON_STEPS = 40
#: A correction that shrinks more slowly than this asks for new Jacobians.
SLOW = 0.05


def constant(start: Sequence[Ball], count: int) -> Matrix:
    """Return the first guess: the start at all points."""
    return arb_mat([list(start)] * count)


def continued(last: Approximant, span: Span, nodes: Sequence[Ball]) -> Matrix:
    """Return a guess: the last polynomial, beyond its segment."""
    places = [(span.centre + span.half * s - last.span.centre) / last.span.half for s in nodes]
    values = arb_mat([chebyshev.at(place, last.degree) for place in places])
    return (values * chebyshev.column(last.rows, last.bits)).mid()


def _factors(flow: BallFlow, states: list[list[Ball]], speeds: list[Ball], derivative: Any) -> Any:
    """LU factors of Newton's matrix."""
    count, size = len(states), flow.size
    matrix, each, entry = np.zeros((count, size, count, size)), np.arange(count), np.arange(size)
    matrix[:, entry, :, entry] = derivative
    fast = np.array([float(speed) for speed in speeds])
    matrix[each, :, each, :] += fast[:, None, None] * flow.steering(states)
    return scipy.linalg.lu_factor(matrix.reshape(count * size, -1), overwrite_a=True)


def collocate(
    flow: BallFlow,
    start: Sequence[Ball],
    span: Span,
    guess: Matrix,
    *,
    signs: Sequence[int],
    bits: int,
) -> Approximant | None:
    """Solve for the polynomial of a segment, None if Newton's method does not converge.

    Parameters
    ----------
    flow : BallFlow
        The flow.
    start : list of balls
        State at the beginning.
    span : Span
        Log-time of the segment.
    guess : arb_mat, shape (N+1, size)
        First values at the points; the first row is replaced by the start.
    signs : list of int
        Branch of the field.
    bits : int
        Coefficients are rounded to multiples of ``2^-bits``.
    """
    degree = guess.nrows() - 1
    table = chebyshev.table(degree, ctx.prec)
    values = [[x.mid() for x in start], *guess.tolist()[1:]]
    speeds = [(span.centre + span.half * s).exp().mid() for s in table.nodes[1:]]
    slopes = np.array([[float(c) for c in row[1:]] for row in table.derivative.tolist()[1:]])
    slopes /= float(span.half)
    floor = 2.0 ** (4 - bits)
    factors, last = None, np.inf
    for _ in range(NEWTON_STEPS):
        rates = (table.derivative * arb_mat(values)).tolist()[1:]
        try:
            gaps = [
                (rate / span.half - speed * f).mid()
                for row, speed, x in zip(rates, speeds, values[1:], strict=True)
                for rate, f in zip(row, flow.field(x, signs), strict=True)
            ]
            if factors is None:
                factors = _factors(flow, values[1:], speeds, slopes)
        except (Singular, ValueError):  # ValueError: the matrix is not finite
            return None
        scale = max(map(abs, gaps)).mid()
        if not scale.is_finite():
            return None
        if scale > 0:
            scaled = np.array([float(g / scale) for g in gaps])
            solved = scipy.linalg.lu_solve(factors, scaled)
            change = float(scale) * float(np.abs(solved).max())
            corrections = iter(solved.tolist())
            values[1:] = [
                [(x - scale * next(corrections)).mid() for x in row] for row in values[1:]
            ]
        else:
            change = 0.0
        if change <= floor:
            coefficients = (table.transform * arb_mat(values)).transpose().tolist()
            rows = [[chebyshev.rounded(c, bits) for c in row] for row in coefficients]
            return Approximant(rows, span, signs, bits)
        if not change < last:
            return None
        if change > SLOW * last:
            factors = None
        last = change
    return None
