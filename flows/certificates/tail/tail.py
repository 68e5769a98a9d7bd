r"""The tail: from some time on the shape contracts for ever, and the limits exist.

Data are a clock ``s_T = 1/(t0 + T)``, a shape ``cbar``, and radii. Let the box hold all ``|c_k -
cbar_k| <= e + 2 d``, ``|a_k| <= s_T R/n``, ``|r0| <= s_T^2 R0``, ``0 <= X <= s_T^2``, and ``g``
within ``D`` of where it is at ``T``. If

1. at ``T``, ``|c - cbar| < e``, ``|rho| < R``, ``|sigma| < R0``,
2. on the box ``|sum B|/2pi < (n/2 - 2 s_T) R`` and ``s_T |sum A|/2pi < (n/2 - 2 s_T) R0``,
3. ``s_T^2 |G|/2 < D``,
4. ``<x, DF x> <= -rate |x|^2`` for ``x`` across the rotations of any shape within ``d`` of
   ``cbar``,
5. ``|F(cbar)| < rate (e - j)``, and at ``s = 0`` ``|F(cbar)| < rate d``,

then the flow stays in the box, up to one rotation of the space across the teacher: a first time of
exit contradicts one of them. The distance to the rotations of ``cbar`` is what contracts. At ``s =
0`` the box is invariant under a gradient flow, so it holds a zero ``c*``, within ``d``; and with
``D+ e <= -rate e + K s`` shapes converge to its rotations.

In 5 ``|rho|`` is ``P/k``, ``P = sup |sum B|/2pi`` and ``k = n/2 - 2 s_T``: what it is more at first
falls like ``exp(-k (t - T))``, and adds ``j = s_T^2 |D_a F| |rho(T)|/(n k)`` to ``e`` at most, so 1
is asked of ``|c - cbar| + j``.

With a lens ``P`` all distances of shapes are those of ``x``, ``c = cbar + P x``, and ``DF`` is
``P^-1 DF P``. At the nearest rotation ``x`` is orthogonal to what a rotation does to ``P^-1 c``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx

from flows.certificates.stated import Open
from flows.certificates.tail.box import (
    UNIT,
    Frame,
    around,
    below,
    eigen,
    held,
    middle,
    moved,
    norm,
    symmetric,
)
from flows.certificates.tail.late_flow import LateFlow, Point, Rates, Vector
from flows.certificates.tail.lens import PLAIN, Lens, lens_of
from flows.core.balls import Singular, dot

Ball = Any  # flint.arb

#: Enlargements of the radii, each by so much beyond what was needed.
TRIES, ROOM = 16, 1.25
#: Bounds are stated larger than needed, so that other formulas agree with them; and than what is
#: computed without gradients by parts along the teacher, as the checker does.
SPARE, CLEAR, PLAINLY = 1.125, 1.03, 4
#: So does the field's on the box; the second is tried where the first leaves no room.
APART = 12, 3
#: The zero of the limiting field is sought so often, and to this size.
NEWTON = 60
#: Parts of the slowest rate in the middle that are claimed, one after the other; and through a
#: lens, where the checker's boxes are wide.
KEPT, BENT = (0.92, 0.6, 0.3), (0.1,)


@dataclass(frozen=True)
class Late:
    """The flow at some time, in late variables.

    Parameters
    ----------
    flow : LateFlow
        Its equations.
    s : arb
        ``1/(t0 + t)``.
    c : list of arb
        Exact shape from which the distance is measured.
    error : arb
        Bound of the distance to its rotations.
    g : list of arb
        Parts along the teacher, as balls.
    across, along : arb
        Bounds of ``|rho|`` and ``|sigma|``.
    """

    flow: LateFlow
    s: Ball
    c: Vector
    error: Ball
    g: Vector
    across: Ball
    along: Ball


@dataclass(frozen=True)
class Tail:
    """Data of the theorem: doubles and exact numbers, from which all else follows.

    Distances of shapes, ``e`` and ``d``, are those in the coordinates of the lens.
    """

    c: Vector
    e: float
    d: float
    across: float
    along: float
    drift: float
    rate: float
    lens: Lens = PLAIN


@dataclass(frozen=True)
class Limits:
    """What follows of a tail, in units of a teacher of length one.

    Parameters
    ----------
    constant, plain : arb
        ``lim t^3 L``, and once more without gradients, as the checker encloses it.
    g : list of arb
        Limits along the teacher, in the basis of what sums to zero.
    shape : list of arb
        A zero of the limiting field.
    rate, begin, push : arb
        ``e <= max(begin, push s_T/rate)``, and ``e' <= -rate e + push s``.
    steep, slide : arb
        ``|Lambda - constant| <= steep e + slide s``.
    """

    constant: Ball
    plain: Ball
    g: Vector
    shape: Vector
    rate: Ball
    begin: Ball
    push: Ball
    steep: Ball
    slide: Ball
    lens: Lens = PLAIN

    def error(self, s: Ball, first: Ball) -> Ball:
        """Bound of the distance of the shape from its limit at all times from ``s`` on.

        With ``x = s/first`` it is at most ``x^r (begin - push first log x)`` for a rate ``r <= 1``,
        which falls once ``r (begin - push first log x) >= push first``.
        """
        feed, rate = self.push * first, self.rate.min(arb(1))
        most = self.begin.max(feed / self.rate)
        if not s > 0:
            return most
        x = s / first
        grown = self.begin - feed * x.log()
        return most.min((x**rate * grown).upper()) if rate * grown >= feed else most


def zero(flow: LateFlow, frame: Frame, guess: Sequence[Ball]) -> Vector:
    """A zero of the limiting field near a shape, by Newton's method with the least step."""
    c = _scaled(flow, frame, middle(guess))
    for _ in range(NEWTON):
        rates = flow.rates(frame.still(flow, c))
        values, vectors = eigen(held(flow, symmetric(flow, rates), c))
        field = [jet.value.mid() for jet in rates.shape]
        size = float(norm(field))
        # In the eigenbasis of doubles: linear convergence, at their precision a step.
        inverse = vectors @ np.diag(1 / values) @ vectors.T
        step = [
            sum((arb(float(x)) * f for x, f in zip(row, field, strict=True)), arb(0)).mid()
            for row in inverse
        ]
        if not np.isfinite(size) or float(norm(step)) > 0.5 * float(norm(c)):
            raise Open("no limiting shape is near: Newton's method leaves")
        c = [(x - y).mid() for x, y in zip(c, step, strict=True)]
        if size < 2.0 ** (16 - ctx.prec):
            break
    return c


def _scaled(flow: LateFlow, frame: Frame, c: Vector) -> Vector:
    """A shape at its best size: ``Lambda`` is of degree three, so ``|c|^2 = <c, grad Lambda>``.

    An early shape is too small by the time that its clock is off.
    """
    field = flow.rates(frame.still(flow, c), slopes=False).shape
    pull = dot(c, [x - jet.value for x, jet in zip(c, field, strict=True)])
    size = float(dot(c, c) / pull) if pull > 0 else 1.0
    return [(x * size).mid() for x in c] if np.isfinite(size) and size > 0 else c


def prove(late: Late, c: Sequence[Ball]) -> tuple[Tail, Limits]:
    """Find radii for which the inequalities hold, and check them.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    reasons = []
    for lens in (False, True):  # the first one is simpler
        for apart, kept in itertools.product(APART, BENT if lens else KEPT):
            try:
                return _proved(late, c, kept, apart, lens)
            except Open as problem:
                reason = problem
        reasons.append(reason)
    raise reasons[0]


def _begun(late: Late, c: Sequence[Ball], lens: Lens) -> Ball:
    """Bound of the distance of the first shape."""
    off = lens.seen([x - y for x, y in zip(late.c, c, strict=True)])
    return late.error * lens.sharpest() + norm(off)


def _proved(
    late: Late, c: Sequence[Ball], kept: float, apart: float, bent: bool
) -> tuple[Tail, Limits]:
    flow, s = late.flow, late.s.upper()
    stiff = flow.n / arb(2) - 2 * s
    if not stiff > 0:
        raise Open(f"n/2 > 2 s fails at s = {float(s):.3g}")
    rates = flow.rates(Point(list(c), [arb(0)] * flow.p, late.g, arb(0), arb(0)))
    matrix = held(flow, symmetric(flow, rates), c)
    values, _ = eigen(matrix)
    lens = lens_of(matrix) if bent else PLAIN
    start = _begun(late, c, lens)
    rate = -kept * float(values.max())
    if not rate > 0:
        raise Open(
            f"the limiting shape near t^3 L = {float(dot(c, c)) / 3:.6g} is a saddle: "
            f"a rate is {-float(values.max()):.3g}, not positive"
        )
    across = ROOM * float(late.across.max(norm([b.value for b in rates.across]) / stiff))
    along = ROOM * float(late.along.max(s * abs(rates.along.value) / stiff)) + 1e-300
    drift = ROOM * float(s * s / 2 * norm([x.value for x in rates.drift])) + 1e-300
    e = ROOM * float(start)
    tail = Tail(list(c), e, e / 2**20, across, along, drift, rate, lens)
    reason = ""
    for _ in range(TRIES):
        try:
            return tail, check(late, tail, apart)
        except Larger as larger:
            reason, tail = str(larger), replace(tail, **larger.needed)
        except Singular as problem:
            raise Open(str(problem)) from None
    raise Open(reason)


class Larger(Open):
    """A radius that is too small, and what would have served on this box."""

    def __init__(self, message: str, **needed: Any) -> None:
        super().__init__(message)
        self.needed: dict[str, Any] = needed


def _less(name: str, text: str, need: Ball, bound: Ball, radius: float, unit: Ball) -> None:
    """Require ``need < bound = unit radius``, with room to spare."""
    need = SPARE * need
    if not need < bound:
        stated = f"{text} fails: {float(need.upper()):.4g} against {float(bound):.4g}"
        raise Larger(stated, **{name: ROOM * max(radius, float((need / unit).upper()))})


def check(late: Late, tail: Tail, apart: float = 1.0) -> Limits:
    """Check the inequalities, and conclude."""
    flow, s, c, lens = late.flow, late.s.upper(), tail.c, tail.lens
    one, e, d = arb(1), arb(tail.e), arb(tail.d)
    start = _begun(late, c, lens)
    _less("e", "|c(T) - cbar| < e", start, e, tail.e, one)
    _less("across", "|rho(T)| < R", late.across, arb(tail.across), tail.across, one)
    _less("along", "|sigma(T)| < R0", late.along, arb(tail.along), tail.along, one)
    g = around(late.g, arb(tail.drift))
    frame = Frame(s, arb(tail.across), arb(tail.along), g)
    wide = e + 2 * d
    box = flow.rates(frame.point(flow, lens.box(c, wide), lens.through(flow, c, wide)))
    box = box._replace(shape=lens.seen(box.shape))
    stiff = flow.n / arb(2) - 2 * s
    push = norm([b.value for b in box.across])
    _less("across", "sup |sum B|/2pi < (n/2 - 2s) R", push, stiff * tail.across, tail.across, stiff)
    calm = replace(frame, across=frame.across.min((push / stiff).upper()))
    push = s * abs(box.along.value).upper()
    _less("along", "s sup |sum A|/2pi < (n/2 - 2s) R0", push, stiff * tail.along, tail.along, stiff)
    drift = s * s / 2 * norm([x.value for x in box.drift])
    _less("drift", "s^2 sup |G|/2 < D", drift, arb(tail.drift), tail.drift, one)
    matrix = symmetric(flow, box)
    # In other coordinates what a rotation does depends on the shape that is turned.
    turned, inverse = (lens.box(c, wide), lens.inverse()) if lens.rows else (around(c, d), None)
    if not below(held(flow, matrix, turned, inverse), arb(-CLEAR * tail.rate)):
        values, _ = eigen(held(flow, matrix, c, inverse))
        raise Open(
            f"<x, DF x> <= -rate |x|^2 is not proved for rate = {tail.rate:.4g} on the box of "
            f"e = {tail.e:.3g}: the slowest rate in its middle is {-values.max():.4g}"
        )
    rate, m = arb(tail.rate), flow.size
    still = flow.rates(frame.still(flow, c))
    still = still._replace(shape=lens.seen(still.shape))
    defect = norm(
        [
            at.value + moved(jet.slope, m, calm.moves(flow))
            for at, jet in zip(still.shape, box.shape, strict=True)
        ]
    )
    turned_by_a = norm([x.slope[0, k] for x in box.shape for k in range(m, m + flow.p)])
    jump = (s * s * late.across / flow.n / stiff * turned_by_a).upper()
    _less("e", "|c(T) - cbar| < e with what rho adds", start + jump, e, tail.e, one)
    defect = defect + rate * jump
    _less("e", "sup |F(cbar)| < rate e", apart * defect, rate * e, tail.e, rate)
    g_end = [x + s * s / 2 * jet.value for x, jet in zip(late.g, box.drift, strict=True)]
    off = [x - y for x, y in zip(g_end, middle(g), strict=True)]
    resting = norm(
        [
            at.value + moved(jet.slope, m + flow.p, off)
            for at, jet in zip(still.shape, box.shape, strict=True)
        ]
    )
    plain = flow.rates(Point(list(c), [arb(0)] * flow.p, g_end, arb(0), arb(0)), slopes=False)
    d_plain = norm([jet.value for jet in lens.seen(plain.shape)]) / rate
    _less("d", "|F(cbar)| at s = 0 < rate d", PLAINLY * d_plain, d, tail.d, one)
    return _limits(late, tail, frame, box, still, g_end, off, (resting / rate).upper(), plain)


def _limits(
    late: Late,
    tail: Tail,
    frame: Frame,
    box: Rates,
    still: Rates,
    g_end: Vector,
    off: Vector,
    d: Ball,
    plain: Rates,
) -> Limits:
    """Conclude from inequalities that hold; ``c*`` is within ``d`` of ``cbar``."""
    flow, s, c, m = late.flow, frame.s, tail.c, late.flow.size
    # |c|^2 - 2 Lambda has the gradient 2 F, so that it is off by d^2 only.
    steepest = norm([jet.slope[0, k] for jet in box.shape for k in range(m)])
    steepest = steepest * tail.lens.widest() ** 2
    energy = still.energy.value + moved(box.energy.slope, m + flow.p, off)
    curved = UNIT * (2 * (steepest * d) * d)
    drift = norm([x.value for x in box.drift])

    def slide(jets: Sequence[Any]) -> Ball:
        """How fast these move with ``s`` by ``a``, ``g``, ``r0`` and ``X``."""

        def size(first: int, count: int) -> Ball:
            return norm([j.slope[0, k] for j in jets for k in range(first, first + count)])

        p, n = flow.p, flow.n
        later = size(m + p, n - 1) * drift / 2 + size(m + p + n, 1)
        return (
            size(m, p) * frame.across / n + s * (later + size(m + p + n - 1, 1) * frame.along)
        ).upper()

    begin = _begun(late, c, tail.lens) + d
    residual = (frame.across**2 + frame.along**2) / 4
    return Limits(
        dot(c, c) - 2 * energy + curved,
        dot(c, c) - 2 * plain.energy.value + curved,
        g_end,
        tail.lens.box(c, d),
        arb(tail.rate),
        begin.upper(),
        slide(box.shape),
        norm([box.energy.slope[0, k] for k in range(m)]),
        (slide([box.energy]) + residual).upper(),
        tail.lens,
    )
