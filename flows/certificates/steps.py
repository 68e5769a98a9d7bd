r"""Segments of a certificate, one after the other: a polynomial, and the proof that it serves.

A step makes a polynomial (:mod:`flows.certificates.collocation`), then proves it
(:mod:`flows.certificates.proof`). What cannot be proved of a segment is tried with a shorter one;
where no length serves, there is no certificate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from flows.certificates import axes, chebyshev, ellipsoid, proof
from flows.certificates.bounds import (
    Bounded,
    asked,
    best_ellipse,
    growth,
    least_ellipse,
    segment_of,
    tube_of,
)
from flows.certificates.collocation import collocate, constant, continued
from flows.certificates.ellipsoid import Ellipsoid
from flows.certificates.proof import Approximant, Span, above
from flows.certificates.segment import Segment
from flows.certificates.verifier.curve import at
from flows.certificates.verifier.ellipsoid import Ellipsoid as Tube
from flows.certificates.verifier.tube import End
from flows.core.balls import BallFlow, Singular, precision
from flows.core.deadline import look

Ball = Any  # flint.arb

#: Lengths of segments in log-time: the first one tried, the longest, and the one that gives up.
FIRST, LONGEST, SHORTEST = 0.02, 0.5, 1e-11
#: Parts of a segment on which growth is bounded: at first and at most.
PARTS, MOST_PARTS = 4, 256
#: Growth may be overestimated by so much a unit of log-time; beyond that by so much in all, in
#: logarithms of the error, of which a segment may use this share of what is left.
EXCESS, ROOM, SHARE = 0.15, 3.0, 0.03
#: Precision in bits of growth bounds, beyond those of the time.
GROWTH_BITS = 64
#: Bits beyond the digits asked for: of coefficients, and of balls beyond these.
GUARD, BALL_GUARD = 40, 64
#: A neighbourhood on which the field is bounded by a boundary has so many errors, or is not used.
WIDE = 16.0
#: A segment whose ellipse was proved by so many arcs is followed by one so much longer.
LONGER = {12: 1.5, 24: 1.15, 48: 1.15}
#: Changes of branch that are followed.
MOST_TURNS = 100
#: The tube that is tried, in units of the error without growth, and of the error aimed at: an
#: equilibrium has no error.
TUBE, ROUNDING = 4.0, 1e-6
#: The same of a ball of starts.
NARROW, FEW_PARTS = 1.3, 16
#: And where it is an ellipsoid.
CLOSE, AXES_PARTS = 1.1, 6


class Uncertified(ArithmeticError):
    """No proof was found: the verdict is UNDECIDED from here on."""


def bits_for(digits: int, t_end: float) -> int:
    """Bits of coefficients for an error of about ``10^-digits`` to this time."""
    return math.ceil((digits + math.log10(1 + t_end)) * math.log2(10)) + GUARD


class Steps:
    """State between two segments: time, polynomial, error, and the length to try next."""

    def __init__(
        self, flow: BallFlow, equations: Any, bits: int, digits: int, radius: float = 0.0
    ) -> None:
        self.flow, self.equations, self.bits, self.digits = flow, equations, bits, digits
        self.degree = math.ceil(1.35 * digits) + 4
        self.table = chebyshev.table(self.degree, bits + BALL_GUARD)
        self.goal = 10.0 ** -(digits + 1.5) * flow.unit
        self.time, self.length = 0, self._ticks(FIRST)
        self.before: Approximant | None = None
        self.state = [self._exact(chebyshev.rounded(x, bits)) for x in flow.start]
        self.error = proof.norm([x - y for x, y in zip(flow.start, self.state, strict=True)])
        self.error += arb(radius)
        self.radius = radius
        # A tube of many starts is as wide as they are, and growth is bounded on all of it.
        self.wider, self.most = (TUBE, MOST_PARTS) if radius == 0 else (NARROW, FEW_PARTS)
        self.signs = [-1 if a < 0 else 1 for a in flow.areas(flow.start)]
        self.turns, self.room, self.rho = 0, ROOM, 1.0
        # Of a ball of starts an ellipsoid: its shape, and where the last one ends.
        self.shape = np.eye(self.flow.size) if radius and flow.bends else None
        self.end = End(None, arb(0), self.error)

    def extend(
        self,
        segments: list[Segment],
        t_end: float,
        advance: Callable[[float], None] | None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Append segments until a time is reached, or something asks to stop."""
        end = chebyshev.rounded(arb(t_end).log1p(), self.bits) + 1
        while self.time < end and not stop():
            segments.append(self.segment(end))
            if advance is not None:
                advance(math.expm1(min(self.time / 2**self.bits, 100.0)))

    def _exact(self, c: int) -> Ball:
        return arb((c, -self.bits))

    def _ticks(self, length: float) -> int:
        return (
            int(length * 2.0**60) << (self.bits - 60)
            if self.bits > 60
            else int(length * 2.0**self.bits)
        )

    def segment(self, end: int) -> Segment:
        """Make and prove the next segment; the state moves to its end."""
        reason = "Newton's method does not converge"
        while self.length > self._ticks(SHORTEST):
            look()
            last = min(self.time + self.length, end)
            span = Span.between(self.time, last, self.bits)
            made = self._collocated(span)
            if made is None:
                self.length, self.before = self.length // 4, None
                continue
            crossed = self._kink(made, last)
            if crossed is not None:
                pair, last = crossed
                if last - self.time <= 1 << self.bits // 2:
                    self._turn(pair)  # the branch is off by the square of the angle before
                    continue
                span = Span.between(self.time, last, self.bits)
                made = self._collocated(span)
                if made is None:
                    self.length, self.before = self.length // 4, None
                    continue
            try:
                segment = self._proved(made, last)
            except Singular as problem:
                reason = str(problem)
                self.length = min(self.length, last - self.time) * 6 // 10
                self.before = made
                continue
            if crossed is not None:
                self._turn(crossed[0])
            return segment
        t = math.expm1(self.time / 2**self.bits)
        possible = "; a certificate to there can be made" if self.time else ""
        near = self.flow.singular(self.state)
        wide = (
            f", as the starts within {self.radius:.3g} are enclosed within" if self.radius else ""
        )
        wide += f" {float(self.error):.2g} there; a smaller radius may do" if self.radius else ""
        raise Uncertified(f"UNDECIDED beyond t = {t:.6g}: {near}{reason}{wide}{possible}")

    def _collocated(self, span: Span) -> Approximant | None:
        guess = (
            continued(self.before, span, self.table.nodes)
            if self.before
            else constant(self.state, self.degree + 1)
        )
        signs = tuple(self.signs)
        return collocate(self.flow, self.state, span, guess, signs=signs, bits=self.bits)

    def _kink(self, made: Approximant, last: int) -> tuple[int, int] | None:
        """First pair of the plane that aligns on the segment, and when."""
        if not self.signs:
            return None

        def wrong(time: int, noise: float) -> list[int]:
            place = (self._exact(time) - made.span.centre) / made.span.half
            areas = self.flow.areas(chebyshev.evaluated(made.rows, place, self.bits))
            return [
                k
                for k, (a, s) in enumerate(zip(areas, self.signs, strict=True))
                if a.mid() * s < -noise
            ]

        low = self.time
        for k in range(1, self.degree + 1):
            high = self.time + (last - self.time) * k // self.degree
            if wrong(high, 2.0 ** (GUARD // 2 - self.bits)):
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (low, middle) if wrong(middle, 0.0) else (middle, high)
                return wrong(high, 0.0)[0], high
            low = high
        return None

    def _turn(self, pair: int) -> None:
        """Change the branch of a pair that has aligned."""
        self.signs[pair] *= -1
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Uncertified(f"UNDECIDED: pairs align more than {MOST_TURNS} times")

    def _proved(self, made: Approximant, last: int) -> Segment:
        equations, segment = self.equations, segment_of(made)
        fast = GROWTH_BITS + math.ceil(1.5 * float(made.span.centre)) + 8
        on = self._ellipse(segment, fast)
        if not on.left <= self.goal:
            raise Singular("the defect cannot be bounded")
        with asked():
            defect = segment.defect(equations, arb(on.rho), on.most)
        begin = [
            x - self._exact(sum(c * (-1) ** k for k, c in enumerate(row)))
            for x, row in zip(self.state, made.rows, strict=True)
        ]
        length = float(2 * made.span.half)
        allowed = self.goal * max(1.0, FIRST / length)  # what is short may be rougher
        if not defect <= 16 * allowed:
            raise Singular("the defect is too large")
        room = (self.goal / max(float(on.left), 1e-40 * self.goal)) ** (1 / self.degree)
        longer = min(1.15, max(0.5, 0.97 * room)) if on.arcs == 1 else LONGER[on.arcs]
        if self.shape is not None:
            return self._enclosed(made, last, on.rho, defect, begin, longer)
        start = (self.error + proof.norm(begin)).upper()
        tube = above(self.wider * (start + 2 * defect * length) + ROUNDING * self.goal)
        with precision(fast):
            around: Any = tube_of(on, equations, segment, tube, self.radius > 0)
            found, excess = growth(around, equations, segment, PARTS)
            # An excess shrinks with the parts, unless it comes from an angle that is lost.
            least = EXCESS + SHARE * self.room / length
            if excess > least:
                more = PARTS * 2 ** math.ceil(math.log2(excess / least))
                found, excess = growth(around, equations, segment, min(more, self.most))
        # Across a kink the branch is not the field itself.
        with asked():
            defect = arb(above(defect + equations.branching(segment, len(found))))
        if not defect <= 64 * allowed:
            raise Singular("a pair aligns in a way that is not understood")
        largest, error = proof.propagated(start, defect, found, made.span)
        if not above(largest) < tube:
            raise Singular("the error grows too fast; ask for more digits")
        self.error = arb(above(error))
        self.room = max(0.0, self.room - max(0.0, excess - EXCESS) * length)
        self._move(made, last, longer)
        return Segment(
            last,
            tuple(made.signs),
            on.rho,
            float(defect),
            found,
            above(largest),
            float(self.error),
            tuple(made.rows),
            on.arcs,
            on.reach,
            around.points if on.arcs > 1 else 0,
        )

    def _ellipse(self, segment: Any, prec: int) -> Bounded:
        """Where the field is bounded: by its boundary, or by one box where that does not serve."""
        if self.flow.by_boundary and self.radius == 0:
            clearance = self.flow.clearance([c.mid() for c in at(segment.p, arb(0))])
            with precision(prec):
                found = least_ellipse(self.equations, segment, self.goal, clearance)
            if found.arcs > 1 and self.error * WIDE < found.reach:
                return found
            if found.arcs > 1:
                raise Singular("the error is too large for neurons so near; ask for more digits")
        found = best_ellipse(self.equations, segment, self.rho)
        self.rho = found.rho
        return found

    def _enclosed(
        self,
        made: Approximant,
        last: int,
        rho: float,
        defect: Ball,
        jump: list[Ball],
        longer: float,
    ) -> Segment:
        """Prove it of an ellipsoid of states."""
        span, segment, shape = made.span, segment_of(made), self.shape
        assert shape is not None
        rows, shape = axes.followed(self.flow, self.equations, made, shape, float(self.end.left))
        c = np.array([[self._exact(k) for k in row] for row in rows])
        with asked():
            start = Tube(c, arb(0), arb(0)).entered(self.end, np.array(jump))
        reach = above(CLOSE * start + ROUNDING * self.goal)
        fast = GROWTH_BITS + math.ceil(1.5 * float(span.centre)) + 8
        tube = Tube(c, arb(reach), arb(0))
        growth, thin = ellipsoid.growth(tube, self.equations, segment, AXES_PARTS, fast)
        with asked():
            crossing = self.equations.branching(segment, len(growth))
        defect = arb(above(2 * (defect + crossing)))
        if not defect <= 64 * self.goal:
            raise Singular("a pair aligns in a way that is not understood")
        largest, left = proof.propagated(start, defect * proof.ROOM * thin, growth, span)
        if not above(largest) < reach:
            raise Singular("the error grows too fast")
        tube = Tube(c, arb(reach), arb(above(left)))
        around = Ellipsoid(tuple(rows), reach, above(left))
        wide, error = above(tube.widest), above(tube.error)
        self.error, self.end, self.shape = arb(error), tube.end(), shape
        self._move(made, last, longer)
        signs = tuple(made.signs)
        return Segment(
            last, signs, rho, float(defect), growth, wide, error, tuple(made.rows), around=around
        )

    def _move(self, made: Approximant, last: int, longer: float) -> None:
        """Go to the end of a proved segment; the next one is so much longer."""
        self.state = [self._exact(sum(row)) for row in made.rows]
        self.before = made
        self.length = min(int(self.length * longer * 2**20) >> 20, self._ticks(LONGEST))
        self.time = last
