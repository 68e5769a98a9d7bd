r"""Independent check of the segments of a certificate, whose maker asks for its bounds, too.

Polynomials ``p`` approximate a gradient flow ``dx/dtau = -e^tau grad L(x)``, ``tau = log(1+t)``.
For each segment, in ball arithmetic:

1. the exact start, or the end of the last segment, differs from ``p`` by so much;
2. the defect ``|p' - field(p)|`` is at most ``1 + (2/pi) log(N+1)`` times its largest value at the
   points ``cos(pi j/N)``, plus ``4 M rho^-N/(rho-1)``, where ``|field(p)| <= M`` on the Bernstein
   ellipse (Trefethen, Approximation Theory and Approximation Practice, Theorems 15.2 and 8.2),
   plus, where the field has kinks, what a branch of it differs from the field;
3. ``H + nu e^-tau`` is positive definite for the mean Hessian ``H`` on the way from ``p`` to any
   state within the tube;
4. so ``e' <= nu e + defect`` for the distance ``e`` of flow and ``p``, and ``e`` stays in the tube.

Where a tube is an ellipsoid, 3 and 4 are about its radius: :mod:`.ellipsoid`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from flint import acb, arb

from flows.certificates.verifier.boundary import Arcs
from flows.certificates.verifier.curve import UNIT, at, at_points, derivative, norm
from flows.certificates.verifier.ellipsoid import Ellipsoid
from flows.certificates.verifier.reading import MOST, Refused, exact, integer, number, require
from flows.certificates.verifier.tube import Ball, End


class Equations(abc.ABC):
    """A flow and its exact start, in coordinates that keep distances; of each system its own."""

    stated: ClassVar[tuple[str, ...]]  # names of the parameters, all of which it reads
    start: Any
    form: ClassVar[str]  # what the state is: "neurons", "layers", "means" or "variables"
    about: dict[str, Any] | None = None  # what a person reads in place of the parameters
    width = 1  # entries of a block of the state

    @abc.abstractmethod
    def __init__(self, parameters: Any, start: Any) -> None: ...

    @abc.abstractmethod
    def field(self, x: Any, signs: Any) -> Any:
        """Minus the gradient; refused on a complex box on which it may not be analytic."""

    @abc.abstractmethod
    def hessian(self, x: Any) -> Any:
        """Hessian of the loss; on a box all Hessians."""

    def summed(self, stated: Any) -> None:
        """Take the sums of a file that stand for expectations."""
        raise Refused("it has no expectations")

    def loss(self, x: Any) -> arb:
        """The loss, which proofs for all times are about."""
        raise Refused("there is no proof to infinity of this system")

    def near(self, x: Any, off: Any, reach: arb, moved: Callable[[int, int], arb]) -> arb:
        """Bound the field at complex states whose blocks are within so much of those of ``x``.

        They are within ``reach`` of a curve whose :meth:`minors` have ``moved`` by so much.
        """
        raise Refused("the field of this system is not bounded by boundaries")

    def minors(self, p: Any, i: int, j: int) -> Any:
        """Polynomials: the coordinates of the area of two blocks of the polynomials ``p``."""
        raise Refused("this system has no areas")

    def bending(self, x: Any, moves: Any, spread: Any) -> Any:
        """Derivatives of the Hessian along rows of ``moves``, off ``x`` by ``spread y``."""
        raise Refused("its tubes cannot be ellipsoids")

    def branching(self, segment: Segment, parts: int) -> arb:
        """Bound what the branch of the stated signs is off; refused if the signs are wrong."""
        require(not segment.signs, "wrong signs of areas")
        return arb(0)


class Segment:
    """``p(centre + half s)``, ``-1 <= s <= 1``: Chebyshev coefficients, one row a component."""

    def __init__(self, p: Any, first: arb, last: arb, signs: Any = ()) -> None:
        self.p, self.signs = p, signs
        self.centre, self.half = (first + last) / 2, (last - first) / 2
        self.slope = derivative(p)

    def time(self, part: int, parts: int) -> arb:
        """Log-time of one of equal parts."""
        return self.centre + self.half * (2 * part + 1 - parts + UNIT) / parts

    def box(self, part: int, parts: int) -> Any:
        """All values on this part."""
        middle = at(self.p, arb(2 * part + 1 - parts) / parts)
        return middle + np.abs(self.slope).sum(axis=1) / parts * UNIT

    def defect(self, equations: Equations, rho: arb, most: arb) -> arb:
        """Bound of the defect on the segment, by interpolation: the field is at most so large."""
        count, worst = self.p.shape[1], arb(0)
        curves = self.p, self.slope / self.half, np.array([[self.centre, self.half]])
        values = (at_points(curve, count - 1) for curve in curves)
        for x, slope, (time,) in zip(*values, strict=True):
            worst = worst.max(norm(slope - time.exp() * equations.field(x, self.signs)))
        lebesgue = 1 + 2 / arb.pi() * arb(count).log()
        return worst * lebesgue + 4 * most * rho ** (1 - count) / (rho - 1)

    def most(self, equations: Equations, rho: arb) -> arb:
        """Bound of the field on one box around the ellipse."""
        tops = np.array([(rho**k + rho**-k) / 2 for k in range(self.p.shape[1])])  # of T_k there
        side = np.abs(self.p[:, 1:]) @ tops[1:] * UNIT
        box = np.array([acb(c + r, r) for c, r in zip(self.p[:, 0], side, strict=True)])
        across = self.half * (rho - 1 / rho) / 2 * UNIT
        fast = acb(self.centre + self.half * tops[1] * UNIT, across).exp()
        return norm(np.array([(fast * f).abs_upper() for f in equations.field(box, self.signs)]))


def check(
    equations: Equations,
    end: float,
    bits: int,
    pieces: Any,
    radius: float = 0.0,
    first: int = 0,
    off: arb | None = None,
) -> tuple[float, float]:
    """Return the error at every time and at the end, or refuse; of starts within a radius.

    Pieces may begin later, where the flow is off its start by so much at most.
    """
    state, largest, last = equations.start, arb(0), first
    before = End(None, arb(0), arb(radius) if off is None else off)
    for index, stated in enumerate(pieces):
        try:
            state, before, widest = passed(equations, bits, stated, state, before, last, radius > 0)
        except Refused as reason:
            raise Refused(f"piece {index}: {reason}") from None
        last, largest = integer(stated["end"]), largest.max(widest)
    require(arb((last, -bits)) >= arb(end).log1p(), "the pieces do not reach the end")
    return float(largest), float(before.error)


def passed(
    equations: Equations, bits: int, stated: Any, state: Any, before: End, first: int, wide: bool
) -> tuple[Any, End, arb]:
    """Return the polynomial's end, where flows are then, and the width of their tube, or refuse."""
    last = integer(stated["end"])
    p = np.array([[arb((integer(c), -bits)) for c in row] for row in stated["coefficients"]])
    fits = p.ndim == 2 and len(p) == len(state) and 2 < p.shape[1] <= MOST and last > first
    require(fits, "it has a wrong shape")
    signs = exact(stated["signs"])
    segment = Segment(p, arb((first, -bits)), arb((last, -bits)), signs)
    rho, defect = (arb(number(stated[key])) for key in ("rho", "defect"))
    parts = len(stated["growth"])
    require(rho > 1 and 0 < parts <= MOST, "an ellipse or growth is missing")
    ball = "axes" not in stated
    tube: Any = Ball(stated, wide) if ball else Ellipsoid.read(stated, len(state), bits)
    if "arcs" in stated:
        require(ball, "arcs and axes do not fit")
        tube = Arcs(stated)
    error = tube.entered(before, state - at(p, arb(-1)))
    length, branching = 2 * segment.half / parts, equations.branching(segment, parts)
    found = segment.defect(equations, rho, tube.largest(equations, segment, rho)) + branching
    require(found <= defect, "the defect is larger")
    for part, nu in enumerate(arb(number(x)) for x in stated["growth"]):
        step = tube.grows(equations, segment, part, parts, nu) * defect * length
        factor = (nu * length).exp()
        most = factor.max(arb(1))
        require(most * (error + step) <= tube.reach, "the flow may leave the tube")
        error = (factor * error + most * step).upper()
    require(error <= tube.left, "the error at its end is larger")
    return at(p, arb(1)), tube.end(), tube.widest
