r"""Growth of errors on a segment, by the derivative of the field at a few points of it.

With the Hessian ``H(p(s) + y)`` at ``K + 1`` Chebyshev points, for all ``y`` of the tube, and its
coefficients ``A_k``: on a part of half-width ``1/parts`` about ``s_m`` it is within ``sum_k |A_k|
min(k^2/parts, 2)``, entry by entry, of ``sum_k A_k T_k(s_m)``, up to what
:mod:`flows.certificates.ellipse` says that interpolation leaves in any direction.
"""

from __future__ import annotations

from typing import Any

from flint import arb, arb_mat, ctx

from flows.certificates import chebyshev, proof
from flows.certificates.ellipse import Bounded, left
from flows.certificates.proof import Approximant, Span
from flows.core.balls import BallFlow

Ball = Any  # flint.arb

#: What interpolation leaves of growth, at most, a unit of log-time.
LEFT = 0.02


def rest(on: Bounded, tube: Ball, degree: int) -> Ball:
    """What interpolation of this degree leaves of the Hessian."""
    return left(on.size / (on.reach - tube), arb(on.rho), degree)


def points(on: Bounded, tube: Ball, span: Span) -> int:
    """How many points leave little."""
    degree, least = 1, LEFT * (-span.centre - span.half).exp()
    while rest(on, tube, degree) > least:
        degree += 1
    return degree + 1


def hessians(flow: BallFlow, p: Approximant, tube: Ball, count: int) -> Any:
    """Coefficients of the Hessian in the tube, its entries in a row; an `arb_mat`."""
    table, side = chebyshev.table(count - 1, ctx.prec), arb(0, 1) * tube
    basis = arb_mat([chebyshev.at(s, p.degree) for s in table.nodes])
    rows = []
    for x in (basis * chebyshev.column(p.rows, p.bits)).tolist():
        rows.append(flow.hessian([c + side for c in x]).entries())
    return table.transform * arb_mat(rows)


def growth(
    coefficients: Any, parts: int, lost: Ball, span: Span
) -> tuple[tuple[float, ...], float]:
    """Bounds of the logarithmic norm on each part, and how much of their mean is not sharp."""
    count, entries = coefficients.nrows(), coefficients.ncols()
    turns = arb_mat([[min(k * k / arb(parts), arb(2)) for k in range(1, count)]])
    sizes = arb_mat([[abs(c) for c in row] for row in coefficients.tolist()[1:]])
    moves = [arb(0, 1) * c for c in (turns * sizes).entries()]
    size = round(entries**0.5)
    bounds, excess = [], 0.0
    middles = (chebyshev.at_middles(count - 1, parts, ctx.prec) * coefficients).tolist()
    for part, middle in enumerate(middles):
        flat = [x + move for x, move in zip(middle, moves, strict=True)]
        matrix = [flat[k : k + size] for k in range(0, entries, size)]
        for k in range(size):
            matrix[k][k] -= lost
        nu, sharp = proof.bounded(matrix, (-span.part(part, parts)).exp())
        bounds.append(nu)
        excess += (nu - sharp) / parts
    return tuple(bounds), excess
