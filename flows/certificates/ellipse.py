r"""What interpolation leaves of the field and of its derivative, from sizes on an ellipse.

On the Bernstein ellipse ``E_rho`` of a segment the polynomial is ``sum_k c_k (w^k + w^-k)/2`` with
``w = rho e^(i phi)``. One box around all of its values serves any flow, but is far larger than they
are. A flow may say that the boundary decides (:attr:`BallFlow.by_boundary`):

- Its field is made of functions on simply connected domains, and a box on which one of them is
  asked outside its domain is refused. Let all boxes of states within ``r`` of ``p(s)``, ``s`` on
  the boundary, pass. For a fixed ``y``, ``|y| <= r``, the arguments at ``p(s) + y`` are in their
  domains on the boundary, so their curves wind around no point outside; by the argument principle
  they take no such value inside either. So ``F(p(s) + y)`` is analytic in ``s`` and ``y``, and for
  every ``y`` largest on the boundary: at most ``M``. Coefficients are real, so the lower half of
  the ellipse is the image of the upper one.
- So is ``f = e^-tau F``, at most ``m``. By Cauchy's estimate in ``y``, ``|Df(p(s) + y)| <= m/(r -
  tube)`` for ``|y| <= tube < r``. So the Hessian ``-Df`` is its interpolant at ``K + 1`` points of
  the segment, up to ``4 m/(r - tube) rho^-K/(rho - 1)``: a few thin boxes tell of it on all of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, NamedTuple

from flint import acb, acb_mat, arb, arb_mat, ctx

from flows.certificates import chebyshev
from flows.certificates.proof import Approximant, lebesgue, norm, series
from flows.core.balls import BallFlow, Singular, dot

Ball = Any  # flint.arb

#: Ellipses that are tried.
ELLIPSES = (2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 11.0, 16.0, 32.0, 128.0, 1024.0)
#: Arcs of a boundary that are tried.
ARCS = (12, 24, 48)
#: States are bounded within this part of their distance from where the field is not analytic.
REACH = 2.0**-5
#: On an ellipse larger by a factor all is analytic too.
CLEARANCE = 1.25


def remainder(flow: BallFlow, p: Approximant, rho: float) -> Ball:
    """Bound what interpolation leaves of the field, by one box around the ellipse."""
    outer = arb(rho)
    sizes = [(outer**k + outer**-k) / 2 for k in range(p.degree + 1)]  # of T_k on the ellipse
    box = []
    for row in p.rows:
        radius = dot([arb((abs(c), -p.bits)) for c in row[1:]], sizes[1:])
        side = arb(0, 1) * radius
        box.append(acb(arb((row[0], -p.bits)) + side, side))
    along, across = p.span.half * sizes[1], p.span.half * (outer - 1 / outer) / 2
    speed = acb(p.span.centre + arb(0, 1) * along, arb(0, 1) * across).exp()
    size = _size(flow, p, box, speed)
    # Interpolated is the defect of the analytic field: it is off at the points and between them.
    off = (1 + lebesgue(p.degree)) * flow.deviation(box) * speed.abs_upper()
    return left(size, outer, p.degree) + off


def on_arcs(
    flow: BallFlow,
    p: Approximant,
    rho: float,
    arcs: int,
    reach: float,
    areas: Callable[[int, int], list[Ball]],
) -> tuple[Ball, Ball]:
    """Bound ``|F|`` and ``|f|`` on so many arcs of the upper half; ``areas`` are its minors."""
    table, slopes = _table(p.degree, rho, arcs, ctx.prec)
    middles = (table * acb_mat(chebyshev.column(p.rows, p.bits))).tolist()
    # A block moves by at most the lengths of its coefficients times what their ``T_k`` move.
    width = flow.block
    blocks = [p.rows[k : k + width] for k in range(0, flow.size, width)]
    lengths = [
        [
            arb((sum(c * c for c in column), -2 * p.bits)).sqrt()
            for column in zip(*rows, strict=True)
        ]
        for rows in blocks
    ]
    off = [(size + reach).upper() for (size,) in (arb_mat(lengths) * slopes).tolist()]

    @functools.cache
    def turned(i: int, j: int) -> Ball:
        lengths = areas(i, j)
        return dot(lengths, _turns(2 * p.degree, rho, arcs, ctx.prec)[: len(lengths)])

    spread, largest, still = arb(0, 1) * slopes[1, 0], arb(0), arb(0)
    for place, middle in zip(table.tolist(), middles, strict=True):
        speed = (p.span.centre + p.span.half * (place[1] + acb(spread, spread))).exp()
        size = flow.size_near(middle, off, reach, turned)
        if not size.is_finite():
            raise Singular("the field is not bounded on the ellipse")
        largest, still = largest.max(size * speed.abs_upper()), still.max(size)
    return largest.upper(), still.upper()


@functools.cache
def _table(degree: int, rho: float, arcs: int, bits: int) -> Any:
    """``T_k`` at the middles of arcs, a row an arc, and how far a ``T_k`` is from there at most."""
    rows = []
    for j in range(arcs):
        w = acb(rho) * acb(0, (2 * j + 1) * arb.pi() / (2 * arcs)).exp()
        rows.append([(w**k + w**-k) / 2 for k in range(degree + 1)])
    return acb_mat(rows), arb_mat([[c] for c in _turns(degree, rho, arcs, bits)])


@functools.cache
def _turns(degree: int, rho: float, arcs: int, bits: int) -> list[Ball]:
    """As ``w`` turns by ``t``, ``T_k`` moves by at most ``k t (rho^k + rho^-k)/2``."""
    outer, turn = arb(rho), arb.pi() / (2 * arcs)
    return [k * turn * (outer**k + outer**-k) / 2 for k in range(degree + 1)]


def minors(flow: BallFlow, p: Approximant) -> Callable[[int, int], list[Ball]]:
    """Lengths of the coefficients of the minors of two blocks, of degree ``2 N``, when asked."""
    found = series(p)

    @functools.cache
    def lengths(i: int, j: int) -> list[Ball]:
        rows = (x.coefficients for x in flow.minors(found, i, j))
        return [norm(column) for column in zip_longest(*rows, fillvalue=arb(0))]

    return lengths


def _size(flow: BallFlow, p: Approximant, box: list[Ball], speed: Ball) -> Ball:
    """Bound the field in log-time on a box."""
    size = norm([(speed * f).abs_upper() for f in flow.field(box, p.signs)])
    if not size.is_finite():
        raise Singular("the field is not bounded on the ellipse")
    return size


def left(size: Ball, rho: Ball, degree: int) -> Ball:
    """What interpolation of this degree leaves of a function of this size on an ellipse."""
    return 4 * size * rho**-degree / (rho - 1)


class Bounded(NamedTuple):
    """The field on an ellipse.

    Parameters
    ----------
    rho : float
        Parameter of the ellipse.
    left : arb
        What interpolation leaves of the field.
    arcs : int
        Parts of its upper half; 1: one box around it all.
    reach, size : float, arb
        Of arcs: how far from the polynomial the field ``f`` is bounded too, and its bound there.
    """

    rho: float
    left: Ball
    arcs: int = 1
    reach: float = 0.0
    size: Ball = None


def best_ellipse(flow: BallFlow, p: Approximant) -> Bounded:
    """Ellipse of the least remainder, infinity if the field is not analytic on any."""
    falling: list[Bounded] = []
    for rho in ELLIPSES:
        try:
            bound = remainder(flow, p, rho)
        except Singular:
            break  # so it is on larger ones
        if falling and bound > falling[-1].left:
            break
        falling.append(Bounded(rho, bound))
    for found in reversed(falling):
        try:
            remainder(flow, p, CLEARANCE * found.rho)
        except Singular:
            continue  # too near to where it is not analytic for bounds by other formulas
        return found
    return Bounded(1.0, arb.pos_inf())


def least_ellipse(flow: BallFlow, p: Approximant, goal: float) -> Bounded:
    """Smallest ellipse whose boundary leaves as little as the goal; infinity if none does."""
    middle = [arb((sum(row[::2]) - 2 * sum(row[2::4]), -p.bits)) for row in p.rows]
    least = norm(flow.field(middle, p.signs)) * p.span.centre.exp()  # M is no less
    reach, areas = REACH * flow.clearance(middle), minors(flow, p)
    for rho in ELLIPSES:
        if left(least, arb(rho), p.degree) > goal:
            continue
        for arcs in ARCS:
            try:
                # What bounds the field on the larger ellipse does within.
                size, still = on_arcs(flow, p, CLEARANCE * rho, arcs, CLEARANCE * reach, areas)
            except Singular:
                continue
            bound = left(size, arb(rho), p.degree)
            if bound <= goal:
                return Bounded(rho, bound, arcs, reach, still)
            break
        else:
            break  # not analytic on larger ones either
    return Bounded(1.0, arb.pos_inf())
