"""Bounds of a piece: what is proposed, in doubles, and asked of the verifier's own functions.

A polynomial is a proof with an ellipse on which the field is bounded, a bound of its defect, and
bounds of growth within a tube; :mod:`flows.certificates.verifier.segment` says why. The verifier
computes these bounds here, too, so that a file states what it will find.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.proof import Approximant
from flows.certificates.verifier.boundary import Arcs, most
from flows.certificates.verifier.curve import at, norm
from flows.certificates.verifier.positive import perron, positive
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Segment
from flows.certificates.verifier.tube import Ball as Tube
from flows.core.balls import Ball, Singular

#: Ellipses that are tried, and arcs of a boundary.
ELLIPSES = (2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 11.0, 16.0, 32.0, 128.0, 1024.0)
ARCS = (12, 24, 48)
#: States are bounded within this part of their distance from where the field is not analytic.
REACH = 2.0**-5
#: What interpolation leaves of growth, at most, a unit of log-time.
LEFT = 0.02
#: Parts of the width of a Hessian that its lowest eigenvalue may lose to it; below 1 where stiff
#: directions take the rest, of which boxes then fill so much at most.
FACTORS = (*(4.0**k for k in range(-12, 0)), 1.0, 2.0, 4.0, 16.0, 64.0)
FILLED = 0.9
# What is stated is more by this part of the slack: where eigenvalues are equal their eigenvectors,
# and what a box does to these, are others in each evaluation.
SPARE = 0.25


class Bounded(NamedTuple):
    """The field on an ellipse.

    Parameters
    ----------
    rho : float
        Parameter of the ellipse.
    left : arb
        What interpolation leaves of the field.
    most : arb
        Bound of the field in log-time there.
    arcs : int
        Parts of its upper half; 1: one box around it all.
    reach, size : float, arb
        Of arcs: how far from the polynomial the field is bounded too, and its bound there.
    """

    rho: float
    left: Ball
    most: Ball = None
    arcs: int = 1
    reach: float = 0.0
    size: Ball = None


@contextmanager
def asked() -> Iterator[None]:
    """What the verifier refuses within is no proof.

    Raises
    ------
    Singular
        With the reason.
    """
    try:
        yield
    except Refused as reason:
        raise Singular(str(reason)) from None


def is_positive(matrix: Any) -> bool:
    """Whether the verifier finds all symmetric matrices of a box positive definite."""
    try:
        return positive(np.array(matrix, dtype=object), arb(0))
    except Refused:
        return False


def segment_of(p: Approximant) -> Segment:
    """A polynomial as the verifier reads it."""
    rows = np.array([[arb((c, -p.bits)) for c in row] for row in p.rows])
    return Segment(rows, p.span.centre - p.span.half, p.span.centre + p.span.half, p.signs)


def _left(size: Ball, rho: float, segment: Segment) -> Ball:
    """What interpolation leaves of a function of this size on an ellipse."""
    return 4 * size * arb(rho) ** (1 - segment.p.shape[1]) / (rho - 1)


def best_ellipse(equations: Any, segment: Segment, before: float = 1.0) -> Bounded:
    """Ellipse of the least remainder by one box, not much smaller than the one before.

    The remainder is infinite if the field is not analytic on any.
    """
    best, first = Bounded(1.0, arb.pos_inf()), sum(rho < before for rho in ELLIPSES)
    for rho in ELLIPSES[max(0, first - 1) :]:
        try:
            size = segment.most(equations, arb(rho))
        except Refused:
            break  # so it is on larger ones
        bound = _left(size, rho, segment)
        if not bound < best.left:
            break
        best = Bounded(rho, bound, size)
    return best if best.most is not None or before == 1.0 else best_ellipse(equations, segment)


def least_ellipse(equations: Any, segment: Segment, goal: float, clearance: float) -> Bounded:
    """Smallest ellipse whose boundary leaves as little as the goal; infinity if none does."""
    middle = at(segment.p, arb(0))
    least = norm(equations.field(middle, segment.signs)) * segment.centre.exp()  # M is no less
    reach = REACH * clearance
    for rho in ELLIPSES:
        if _left(least, rho, segment) > goal:
            continue
        for arcs in ARCS:
            try:
                sizes = most(segment, equations, arb(rho), arcs, arb(reach))
            except Refused:
                continue
            bound = _left(sizes[0], rho, segment)
            if bound <= goal:
                return Bounded(rho, bound, sizes[0], arcs, reach, sizes[1])
            break
        else:
            break  # not analytic on larger ones either
    return Bounded(1.0, arb.pos_inf())


def points(on: Bounded, tube: float, segment: Segment) -> int:
    """At how many points the Hessian is told between which little is left."""
    least = LEFT * (-segment.centre - segment.half).exp() * (on.rho - 1)
    size = 4 * on.size / (on.reach - tube) / least
    return max(1, math.ceil(math.log(float(size)) / math.log(on.rho))) + 1


def tube_of(on: Bounded, equations: Any, segment: Segment, radius: float, wide: bool) -> Tube:
    """A tube of this radius, as the verifier encloses Hessians in it."""
    stated: dict[str, Any] = {"tube": radius.hex(), "error": radius.hex()}
    if on.arcs == 1:
        return Tube(stated, wide)
    if not radius < on.reach / 2:
        raise Singular("the tube reaches where the field is not bounded")
    count = points(on, radius, segment)
    made = Arcs({**stated, "arcs": on.arcs, "points": count, "reach": on.reach.hex()})
    with asked():
        made.between(segment, equations, arb(on.rho), on.size)
    return made


def growth(
    tube: Tube, equations: Any, segment: Segment, parts: int
) -> tuple[tuple[float, ...], float]:
    """Bounds of the logarithmic norm on each part, and how much of their mean is not sharp."""
    bounds, excess = [], 0.0
    for part in range(parts):
        with asked():
            hessian, off = tube.forms(equations, segment, part, parts)
            nu, sharp = bounded(hessian, off, (-segment.time(part, parts)).exp())
        bounds.append(nu)
        excess += (nu - sharp) / parts
    return tuple(bounds), excess


def bounded(hessian: Any, off: Ball, slow: Ball) -> tuple[float, float]:
    """Bound of the logarithmic norm of a box of Hessians, and that of its middle."""
    speed = 1 / float(slow.mid())
    radius = np.vectorize(lambda c: float(c.rad()), "d")(hessian)
    if not np.isfinite(radius).all():
        raise Singular("the Hessian is not bounded")
    radius = np.maximum(radius, radius.T)
    middle = np.vectorize(lambda c: float(c.mid()), "d")(hessian)
    values, vectors = np.linalg.eigh((middle + middle.T) / 2)
    sharp = -speed * float(values[0])
    wide = perron(radius) + abs(sharp) * float(slow.rad()) + float(off)
    slack = speed * (wide + 1e-15 * max(1.0, float(np.abs(values).max())))
    for factor in FACTORS:
        nu = sharp + factor * slack
        lifted = values + nu / speed - float(off)
        if factor < 1:
            if not (lifted > 0).all():
                continue
            w = np.abs(vectors) / np.sqrt(lifted)
            if not perron(w.T @ radius @ w) < FILLED:
                continue
        if positive(hessian, nu * slow - off):
            return nu + SPARE * slack * factor, sharp
    raise Singular("no bound of the growth of errors is found")
