r"""The carry: from the end of a certificate to where the shape contracts, in log-time.

On a step of length ``h`` a cubic ``p`` follows the limiting flow. With ``nu`` above the eigenvalues
of the symmetric part of ``DF`` on the box around it, across rotations of ``p``, and ``D = p' -
F(p)``, the distance of the true shape from the rotations of ``p`` obeys ``e' <= nu e + |D|``, so

    e  <=  e^(nu h) e_0 + max(1, e^(nu h)) |D| h,

where :mod:`flows.certificates.verifier.cubic` bounds ``|D|`` for all parts along the teacher and
all clocks, and the mean value theorem what ``rho`` adds. The fast variables forget where they
began: with ``P`` the largest ``|sum B|/2pi`` on the box and ``k = n/2 - 2 s``, ``|rho| <= R`` where
``P < k R``, and at the end ``|rho| <= P/k + R e^(-k (1/s_1 - 1/s_0))``; so is ``sigma``. And ``g``
moves by ``(s_0^2 - s_1^2)/2`` times what ``G`` may be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.chebyshev import rounded
from flows.certificates.stated import Open
from flows.certificates.tail.box import (
    Frame,
    around,
    below,
    eigen,
    held,
    middle,
    moved,
    norm,
    symmetric,
    top,
)
from flows.certificates.tail.curve import Curve, off, resting
from flows.certificates.tail.late_flow import LateFlow, Rates, Vector
from flows.certificates.tail.tail import Larger, Late
from flows.core.balls import Singular

Ball = Any  # flint.arb

#: Lengths of steps in log-time.
FIRST, LONGEST, SHORTEST = 2.0**-4, 2.0**-1, 2.0**-12
#: The defect of the cubic itself is at most this part of the speed, or of what else is off.
OWN, OTHER = 2.0**-13, 1.0
#: Where errors shrink at this rate, the cubic may be coarser by this factor; or it may feed errors
#: by this part of what they lose.
FORGETS, COARSER, FED = -0.5, 2.0**5, 0.25
TRIES, ROOM, WIDEST = 8, 1.25, 2.0**-3
#: Bounds are stated larger than needed, so that other formulas agree with them.
SPARE, WIDER = 1.125, 2.0


class Step(NamedTuple):
    """A step of the carry, as its file states it.

    Parameters
    ----------
    length : float
        Of log-time.
    rows : tuple of lists of int
        Four coefficients of each coordinate in powers of ``v`` in [-1, 1], times ``2^-bits``.
    e : float
        Bound of the distance of shapes on the whole step.
    across, along, drift : float
        Bounds of ``|rho|``, ``|sigma|`` and of how far ``g`` moves.
    growth : float
        Bound of the growth of errors.
    """

    length: float
    rows: tuple[list[int], ...]
    e: float
    across: float
    along: float
    drift: float
    growth: float


def carried(late: Late, step: Step, bits: int) -> tuple[Late, Ball]:
    """State at the end of a step whose inequalities hold, and ``Lambda`` on it.

    Raises
    ------
    Larger, Singular
        Where one fails.
    """
    flow, curve, s = late.flow, Curve.of(step.rows, step.length, bits), late.s.upper()
    last = late.s * arb(-step.length).exp()
    error = late.error + norm([x - y for x, y in zip(late.c, curve.at(-1), strict=True)])
    stiff = flow.n / arb(2) - 2 * s
    frame = Frame(s, arb(step.across), arb(step.along), around(late.g, arb(step.drift)))
    box = flow.rates(frame.point(flow, around(curve.box(), arb(step.e))))
    across, along = norm([b.value for b in box.across]), s * abs(box.along.value).upper()
    drift = s * s / 2 * norm([x.value for x in box.drift])
    _at_most("across", "|rho| <= R", late.across.max(across / stiff), step.across)
    _at_most("along", "|sigma| <= R0", late.along.max(along / stiff), step.along)
    _at_most("drift", "s^2 sup |G|/2 <= D", drift, step.drift)
    nu = arb(step.growth)
    if not below(held(flow, symmetric(flow, box), curve.box()), nu):
        needed = growing(flow, box, curve.box())
        raise Larger(f"sup nu < growth = {step.growth:.4g} fails", growth=needed)
    own, forced = defect(flow, frame, box, curve)
    off = own + SPARE * forced
    factor, length = (nu * step.length).exp(), arb(step.length)
    most = factor.max(arb(1))
    _at_most("e", "e <= radius", most * (error + off * length), step.e)
    slow = (-stiff * (1 / last - 1 / late.s)).exp().upper()
    ratio = (late.s * late.s - last * last) / 2
    shapes = around(curve.box(), arb(step.e))
    energy = centred(flow, frame, box, curve.middle(), shapes)
    g = [x + ratio * jet.value for x, jet in zip(late.g, box.drift, strict=True)]
    end = Late(
        flow,
        last,
        curve.at(1),
        (factor * error + most * off * length).upper(),
        g,
        (across / stiff + late.across * slow).upper(),
        (along / stiff + late.along * slow).upper(),
    )
    return end, energy


def centred(
    flow: LateFlow, frame: Frame, box: Rates, at: Sequence[Ball], shapes: Sequence[Ball]
) -> Ball:
    """Enclose ``Lambda`` on a box by its value at a shape, and its slopes."""
    still = flow.rates(frame.still(flow, at), slopes=False)
    moves = [*(x - y for x, y in zip(shapes, at, strict=True)), *frame.moves(flow)]
    residual = frame.s * (frame.across**2 + frame.along**2) / 4
    energy = still.energy.value + moved(box.energy.slope, 0, moves)
    return energy + residual.union(arb(0))


def growing(flow: LateFlow, box: Rates, c: Vector) -> float:
    """Bound of the growth on a box, across the rotations of these shapes, with room to spare."""
    matrix = held(flow, symmetric(flow, box), c)
    least, sharp = float(top(matrix)), float(eigen(matrix)[0].max())
    return least + WIDER * (least - sharp) + 1e-5


def defect(flow: LateFlow, frame: Frame, box: Rates, curve: Curve) -> tuple[Ball, Ball]:
    """Bounds of what the cubic is off, with room to spare, and of what parameters add to it."""
    forced = norm([moved(jet.slope, flow.size, frame.moves(flow)) for jet in box.shape])
    r0 = frame.point(flow, []).r0
    return WIDER * off(flow, frame.g, curve, r0, arb(0).union(frame.s)), forced


def _at_most(name: str, text: str, need: Ball, bound: float) -> None:
    need = SPARE * need
    if not need <= bound:
        raise Larger(
            f"{text} fails: {float(need.upper()):.4g} against {bound:.4g}",
            **{name: ROOM * float(need.upper())},
        )


class Carry:
    """Steps that are tried until they are proved, each as long as it may be."""

    def __init__(self, late: Late, bits: int) -> None:
        self.late, self.bits, self.length = late, bits, FIRST
        self.steps: list[Step] = []
        self.speed = self.nu = self.forced = 0.0

    def advance(self) -> None:
        """Make and prove one step."""
        reason = ""
        while self.length >= SHORTEST:
            try:
                step = self._guess()
                for _ in range(TRIES):
                    try:
                        self.late, _ = carried(self.late, step, self.bits)
                        self.steps.append(step)
                        self.length = min(LONGEST, 2 * self.length)
                        return
                    except Larger as larger:
                        reason = str(larger)
                        step = step._replace(**larger.needed)
                        if step.e > WIDEST:
                            break
            except (Singular, Open) as problem:
                reason = str(problem)
            self.length /= 2
        raise Open(f"no step from s = {float(self.late.s):.3g}: {reason}")

    def _guess(self) -> Step:
        """A step along the limiting flow; nothing is proved of it."""
        late, flow, g = self.late, self.late.flow, middle(self.late.g)
        allowed = self._allowed()
        while True:
            rows = self._cubic(g)
            curve = Curve.of(rows, self.length, self.bits)
            with contextlib.suppress(Singular):
                if float(off(flow, g, curve)) <= max(allowed, OWN * self.speed):
                    break
            self.length /= 2
            if self.length < SHORTEST:
                raise Open("the limiting flow is not followed closely by a cubic")
        s, h = late.s.upper(), arb(self.length)
        # Once with what is known, to see how large all is.
        frame = Frame(s, late.across, late.along, late.g)
        box = flow.rates(frame.point(flow, around(curve.box(), late.error)))
        stiff = flow.n / arb(2) - 2 * s
        across = float(late.across.max(norm([b.value for b in box.across]) / stiff)) * ROOM
        own, forced = defect(flow, Frame(s, arb(across), late.along, late.g), box, curve)
        self.nu, self.forced = growing(flow, box, curve.box()), float(forced)
        along = float(late.along.max(s * abs(box.along.value).upper() / stiff)) * ROOM + 1e-300
        drift = float(s * s / 2 * norm([x.value for x in box.drift])) * ROOM + 1e-300
        error = float(late.error) + (float(own) + SPARE * self.forced) * self.length
        e = ROOM * SPARE * error * max(1.0, float((arb(self.nu) * h).exp()))
        return Step(self.length, rows, e, across, along, drift, self.nu)

    def _allowed(self) -> float:
        """How far a cubic may be off, by the last step: as much as parameters, or forgotten."""
        part = OWN * COARSER if self.nu < FORGETS else 0.0
        return max(part * self.speed, OTHER * self.forced, -FED * self.nu * float(self.late.error))

    def _cubic(self, g: Vector) -> tuple[list[int], ...]:
        """Hermite's cubic of a step of Runge and Kutta."""

        def field(c: Sequence[Ball]) -> Vector:
            return [x.mid() for x in resting(self.late.flow, c, g)]

        def moved_by(x: Vector, f: Vector, by: Ball) -> Vector:
            return [(a + by * b).mid() for a, b in zip(x, f, strict=True)]

        h, c = arb(self.length), middle(self.late.c)
        k1 = field(c)
        self.speed = float(norm(k1))
        k2 = field(moved_by(c, k1, h / 2))
        k3 = field(moved_by(c, k2, h / 2))
        k4 = field(moved_by(c, k3, h))
        mean = [(a + 2 * b + 2 * d + e) / 6 for a, b, d, e in zip(k1, k2, k3, k4, strict=True)]
        end = moved_by(c, mean, h)
        rows = []
        for x, y, a, b in zip(c, end, k1, field(end), strict=True):
            a, b = a * h / 2, b * h / 2  # slopes by v
            jump = y - x
            row = (x + y) / 2 + (a - b) / 4, 3 * jump / 4 - (a + b) / 4, (b - a) / 4
            rows.append([rounded(z, self.bits) for z in (*row, (a + b) / 4 - jump / 4)])
        return tuple(rows)
