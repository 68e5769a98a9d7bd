r"""The carry: from the end of a certificate to where the shape contracts, in log-time.

On a step of length ``h`` a cubic ``p`` follows the limiting flow. With ``nu`` above the eigenvalues
of the symmetric part of ``DF`` on the box around it, across rotations of ``p``, and ``D = p' -
F(p)``, the distance of the true shape from the rotations of ``p`` obeys ``e' <= nu e + |D|``, so

    e  <=  e^(nu h) e_0 + max(1, e^(nu h)) |D| h,

and ``|D| <= |D(middle)| + sup |D'| h/2``. The fast variables forget where they began: with ``P``
the largest ``|sum B|/2pi`` on the box and ``k = n/2 - 2 s``, ``|rho| <= R`` where ``P < k R``, and
at the end ``|rho| <= P/k + R e^(-k (1/s_1 - 1/s_0))``; so is ``sigma``. And ``g`` moves by ``(s_0^2
- s_1^2)/2`` times what ``G`` may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.chebyshev import rounded
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
    top,
)
from flows.certificates.tail.late_flow import LateFlow, Point, Rates, Vector
from flows.certificates.tail.tail import Larger, Late, Open
from flows.core.balls import Singular

Ball = Any  # flint.arb

#: Lengths of steps in log-time.
FIRST, LONGEST, SHORTEST = 2.0**-4, 2.0**-1, 2.0**-12
#: The defect of the cubic itself is at most this part of the speed, or of what else is off.
OWN, OTHER = 2.0**-12, 1.0
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


class Curve(NamedTuple):
    """A cubic in ``v``, ``-1 <= v <= 1``, with its derivatives by log-time."""

    rows: list[Vector]
    half: Ball

    @classmethod
    def of(cls, step: Step, bits: int) -> Curve:
        """From its exact coefficients."""
        return cls([[arb((c, -bits)) for c in row] for row in step.rows], arb(step.length) / 2)

    def at(self, sign: int) -> Vector:
        """Its begin (-1) or end (1)."""
        return [b[0] + sign * b[1] + b[2] + sign * b[3] for b in self.rows]

    def box(self) -> Vector:
        """All values."""
        return [b[0] + b[2] / 2 + UNIT * (abs(b[1]) + abs(b[2]) / 2 + abs(b[3])) for b in self.rows]

    def middle(self) -> tuple[Vector, Vector]:
        """Value and slope in the middle."""
        return [b[0] for b in self.rows], [b[1] / self.half for b in self.rows]

    def slopes(self) -> Vector:
        """All slopes."""
        return [(b[1] + UNIT * (2 * abs(b[2]) + 3 * abs(b[3]))) / self.half for b in self.rows]

    def bends(self) -> Vector:
        """All second derivatives."""
        return [(2 * b[2] + UNIT * 6 * abs(b[3])) / self.half**2 for b in self.rows]


def carried(late: Late, step: Step, bits: int) -> tuple[Late, Ball]:
    """State at the end of a step whose inequalities hold, and ``Lambda`` on it.

    Raises
    ------
    Larger, Singular
        Where one fails.
    """
    flow, curve, s = late.flow, Curve.of(step, bits), late.s.upper()
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
    off = WIDER * own + SPARE * forced
    factor, length = (nu * step.length).exp(), arb(step.length)
    most = factor.max(arb(1))
    _at_most("e", "e <= radius", most * (error + off * length), step.e)
    slow = (-stiff * (1 / last - 1 / late.s)).exp().upper()
    ratio = (late.s * late.s - last * last) / 2
    shapes = around(curve.box(), arb(step.e))
    energy = centred(flow, frame, box, curve.middle()[0], shapes)
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
    """Bounds of what the cubic is off, and of what parameters add to it."""
    m = flow.size
    at, slope = curve.middle()
    still = flow.rates(frame.still(flow, at), slopes=False)
    own = norm([x - jet.value for x, jet in zip(slope, still.shape, strict=True)])
    speeds = curve.slopes()
    change = norm(
        [
            bend - sum((jet.slope[0, k] * speeds[k] for k in range(m)), arb(0))
            for bend, jet in zip(curve.bends(), box.shape, strict=True)
        ]
    )
    forced = norm([moved(jet.slope, m, frame.moves(flow)) for jet in box.shape])
    return own + curve.half * change, forced


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
        self.speed = 0.0

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

        def field(c: Sequence[Ball]) -> Vector:
            at = Point(list(c), [arb(0)] * flow.p, g, arb(0), arb(0))
            return [jet.value.mid() for jet in flow.rates(at, slopes=False).shape]

        def off(x: Vector, f: Vector, by: Ball) -> Vector:
            return [(a + by * b).mid() for a, b in zip(x, f, strict=True)]

        while True:
            h = arb(self.length)
            c = middle(late.c)
            k1 = field(c)
            self.speed = float(norm(k1))
            k2 = field(off(c, k1, h / 2))
            k3 = field(off(c, k2, h / 2))
            k4 = field(off(c, k3, h))
            mean = [(a + 2 * b + 2 * d + e) / 6 for a, b, d, e in zip(k1, k2, k3, k4, strict=True)]
            end = off(c, mean, h)
            rates = field(end)
            rows = []
            for x, y, a, b in zip(c, end, k1, rates, strict=True):
                a, b = a * h / 2, b * h / 2  # slopes by v
                jump = y - x
                rows.append(
                    [
                        rounded(q, self.bits)
                        for q in (
                            (x + y) / 2 + (a - b) / 4,
                            3 * jump / 4 - (a + b) / 4,
                            (b - a) / 4,
                            (a + b) / 4 - jump / 4,
                        )
                    ]
                )
            step = Step(self.length, tuple(rows), 0.0, 0.0, 0.0, 0.0, 0.0)
            curve = Curve.of(step, self.bits)
            s = late.s.upper()
            frame = Frame(s, late.across, late.along, late.g)
            # Once with what is known, to see how large all is.
            box = flow.rates(frame.point(flow, around(curve.box(), late.error)))
            stiff = flow.n / arb(2) - 2 * s
            across = float(late.across.max(norm([b.value for b in box.across]) / stiff)) * ROOM
            frame = Frame(s, arb(across), late.along, late.g)
            own, forced = (float(x) for x in defect(flow, frame, box, curve))
            nu = growing(flow, box, curve.box())
            part = OWN * COARSER if nu < FORGETS else OWN
            lost = -FED * nu * float(late.error)
            if (
                own <= max(part * float(norm(k1)), OTHER * forced, lost)
                or self.length < 2 * SHORTEST
            ):
                break
            self.length /= 2
        along = float(late.along.max(s * abs(box.along.value).upper() / stiff)) * ROOM + 1e-300
        drift = float(s * s / 2 * norm([x.value for x in box.drift])) * ROOM + 1e-300
        error = float(late.error) + (own + forced) * self.length
        return step._replace(
            e=ROOM * error * max(1.0, float((arb(nu) * h).exp())),
            across=across,
            along=along,
            drift=drift,
            growth=nu,
        )
