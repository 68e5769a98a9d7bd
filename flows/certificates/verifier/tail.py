r"""Independent check that neurons flow on for ever; shares only python-flint with its maker.

Clock ``s = 1/(t0 + t)``, ``tau = -log s``, ``w_i = (h_i, s y_i)`` for a teacher of length one,
``E`` orthonormal columns of what sums to zero, ``y = E c + a``, ``h = E g + (1 + r0)/n``, ``X =
s^2``. With lengths ``N``, unit vectors ``(c_i, s q_i)``, chords ``s chi``, angles ``s phi``,
equation 4 of Xu & Du is ``c' = F = c - E^T B/2pi``, ``g' = s^2 G = -s^2 E^T A/2pi``; equation 51,
cut down to what is across the teacher and divided by ``s``, gives blocks ``dB_i/dy_j``. At ``X =
0`` nothing is singular.

Steps: the true ``c`` is within ``e`` of the cubic ``p``, up to a rotation: with ``nu`` above ``<x,
DF x>`` for unit ``x`` across the rotations of ``p``, and ``D = p' - F(p)``, ``e' <= nu e + |D|``.
The sums of ``y`` and ``h`` fall towards ``|sum B/2pi|/(n/2 - 2s)``. Tail: where all this holds on
a box for ``p = cbar`` with a rate ``-nu > 0`` and ``|F(cbar)| < rate e``, the flow never leaves
it. At ``X = 0`` the flow is minus a gradient: so ``c`` has a limit, up to rotation, within
``|F(cbar)|/rate``, and there ``t^3 L -> |c|^2 - 2 Lambda``, whose gradient is ``2 F``. What
``|rho|`` is at first beyond ``|sum B/2pi|/(n/2 - 2s)`` dies out in time, and adds to ``e`` by its
integral only; with a lens, all this is said of the ``x`` in ``c = cbar + P x``.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.before import before, of_neurons
from flows.certificates.verifier.cubic import field, off
from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.late_flow import Rates, rates
from flows.certificates.verifier.lens import Lens
from flows.certificates.verifier.positive import all_less, at_most, less, positive
from flows.certificates.verifier.reading import MOST, Refused, bounds, integer, number, require

KAPPA = 4  # holds rotations


class Theorem(NamedTuple):
    """What is proved: limits, and ``lower (1+t)^-3 <= L <= upper (1+t)^-3`` for all ``t >= 0``.

    Neurons that reach zero are ``gone``, and their ``h`` is zero.
    """

    limit: arb
    h: Any
    lower: float
    upper: float
    gone: tuple[Any, ...] = ()


class Flow:
    """A state: its shape is within ``e`` of ``c``, sums of ``y`` and ``h`` are bounded."""

    def __init__(self, w: Any, s: arb) -> None:
        self.n, self.p, self.s = len(w), w.shape[1] - 1, s
        columns = [(k, [1] * k + [-k] + [0] * (self.n - 1 - k)) for k in range(1, self.n)]
        self.basis = np.array([[x / arb(k * (k + 1)).sqrt() for x in v] for k, v in columns]).T
        self.c, self.e = self.basis.T @ w[:, 1:] / s, arb(0)
        self.g = self.basis.T @ w[:, 0]
        self.across = norm(w[:, 1:].sum(axis=0)) / s**2
        self.along = abs(w[:, 0].sum() - 1) / s**2
        self.lens = Lens(None, self.basis, self.c)

    @property
    def stiff(self) -> arb:
        """Rate at which sums forget where they began, from here on."""
        return arb(self.n) / 2 - 2 * self.s.upper()

    def rates(self, c: Any, across: arb, along: arb, drift: arb, radius: Any = 0) -> Rates:
        """Rates on a box of shapes and of what goes with them, for all clocks from here on."""
        n, s = self.n, self.s.upper()
        self.h = self.basis @ (self.g + drift * UNIT) + (1 + s * s * along * UNIT) / n
        self.clock = arb(0).union(s)
        return rates(self.neurons(c, across, radius), self.h, self.clock)

    def neurons(self, c: Any, across: arb, radius: Any) -> Any:
        """Vectors ``y`` of a box of shapes and of sums."""
        return self.lens.neurons(c, radius) + self.s.upper() * across / self.n * UNIT

    def on(self, c: Any, stated: Any, radius: Any = 0) -> Rates:
        """Check what is stated of a box of shapes; return the rates there."""
        across, along, drift = (arb(number(stated[k])) for k in ("across", "along", "drift"))
        n, s, stiff = self.n, self.s.upper(), self.stiff
        less(arb(0), stiff, "n/2 - 2s may not be positive")
        found = self.rates(c, across, along, drift, radius)
        push = norm(found.b.sum(axis=0)).upper(), (s * abs(found.a.sum())).upper()
        moved = s * s / 2 * norm(self.basis.T @ found.a)
        all_less(
            [
                (self.across.max(push[0] / stiff), across, "|rho| may exceed R", "across"),
                (self.along.max(push[1] / stiff), along, "|sigma| may exceed R0", "along"),
                (moved, drift, "g may move further", "drift"),
            ]
        )
        # By the mean value theorem: what a adds to F.
        pull = norm(np.einsum("xia,iab->xb", self.lens.left, found.blocks.sum(axis=1)).ravel())
        self.ahead = push[0] / stiff, push[1] / stiff, s * across / n * pull
        self.settled, self.jump = (s * z / stiff / n * pull for z in (push[0], s * self.across))
        return found

    def field(self, c: Any) -> list[Any]:
        """``F`` with ``a = 0``, at shapes or along series of them, flattened."""
        return field(c, self.basis, self.h, self.clock)

    def derivative(self, found: Rates) -> Any:
        """``DF``, shapes flattened."""
        return self.lens.eye - self.lens.seen(found.blocks)

    def push(self, c: Any) -> arb:
        """Bound ``|F(c)|`` on the last box, without what ``rho`` is beyond at first."""
        return norm(self.lens.inverse @ np.array(self.field(c))) + self.settled

    def held(self, slope: Any, c: Any) -> Any:
        """``-<x, DF x>``, and what holds the rotations of ``c``."""
        form = -(slope + slope.T) / 2
        for i, j in combinations(range(self.p), 2):
            turn = np.zeros_like(c)
            turn[:, i], turn[:, j] = -c[:, j], c[:, i]
            line = self.lens.inverse @ turn.ravel()
            form = form + KAPPA * np.outer(line, line)
        return form

    def contracts(self, slope: Any, c: Any, nu: arb, reason: str) -> arb:
        """Require ``<x, DF x> < nu |x|^2`` for ``x`` across the rotations of ``c``; return it."""
        form = self.held(slope, c)
        values = np.linalg.eigvalsh(np.vectorize(lambda z: float(z.mid()), "d")(form))
        rate = f"{float(nu):.4g}, in the middle {-values.min():.4g}"
        require(positive(form, nu), f"{reason} {rate}")
        return nu

    def step(self, stated: Any, t0: arb, bits: int) -> arb:
        """Go to the end of a step; return ``(1+t)^3 L`` on it."""
        length, e, nu = (arb(number(stated[k])) for k in ("length", "e", "growth"))
        rows = np.array([[arb((integer(z), -bits)) for z in row] for row in stated["coefficients"]])
        require(rows.shape == (self.c.size, 4) and 0 < length < 4, "a step has a wrong shape")
        b = [z.reshape(self.c.shape) for z in rows.T]
        half, last = length / 2, self.s * (-length).exp()
        error = self.e + norm((b[0] - b[1] + b[2] - b[3] - self.c).ravel())
        curve = b[0] + b[2] / 2 + UNIT * (abs(b[1]) + abs(b[2]) / 2 + abs(b[3]))
        found = self.on(curve + e * UNIT, stated)
        nu = self.contracts(self.derivative(found), curve, nu, "errors may grow faster than")
        defect = self.off(b, half) + self.ahead[2]
        factor = (nu * length).exp()
        most = factor.max(arb(1))
        at_most(most * (error + defect * length), e, "the shape may leave its tube", "e")
        self.e = (factor * error + most * defect * length).upper()
        self.c = b[0] + b[1] + b[2] + b[3]
        bounds = self.bounds(found, stated, last, t0)
        slow = (-self.stiff * (1 / last - 1 / self.s)).exp()
        self.across = (self.ahead[0] + self.across * slow).upper()
        self.along = (self.ahead[1] + self.along * slow).upper()
        self.g = self.g - (self.s**2 - last**2) / 2 * (self.basis.T @ found.a)
        self.s = last
        return bounds

    def off(self, b: Any, half: arb) -> arb:
        """Bound ``|p' - F(p)|``."""
        return off(self.field, b, half)

    def energy(self, found: Rates, stated: Any) -> arb:
        """``L/s^3`` on a box."""
        across, along = (arb(number(stated[k])) for k in ("across", "along"))
        return found.energy + self.clock * (across**2 + along**2) / 4

    def bounds(self, found: Rates, stated: Any, last: arb, t0: arb) -> arb:
        """``(1+t)^3 L`` on a box, from here to a later clock."""
        return (1 + (1 - t0) * self.s.union(last)) ** 3 * self.energy(found, stated)


def theorem(data: Any, teacher: arb, pieces: Any, ends: Any, bits: int) -> Theorem:
    """Check what continues the pieces for ever, of neurons whose balls at ends of pieces are these.

    Raises
    ------
    Refused
        With the step and the inequality that fails.
    """
    end = arb((integer(pieces[-1]["end"]), -bits)).expm1()
    t0, steps = arb(number(data["clock"])), data["steps"]
    require(t0 + end > 0 and len(steps) <= 64 * MOST, "the clock does not fit")
    flow = Flow(ends[-1] / teacher, 1 / (t0 + end))
    late: list[arb] = []
    try:
        for index, stated in enumerate(steps):
            where = f"step {index} to infinity"
            late.append(flow.step(stated, t0, bits))
        where = "tail"
        limit, h, last = lasting(flow, data["tail"], t0, bits)
    except Refused as reason:
        raise Refused(f"{where}: {reason}") from None
    early = before(pieces, ends, bits, lambda w: of_neurons(w, teacher))
    energies = [*early, *(x * teacher**2 for x in (*late, last))]
    return concluded(limit * teacher**2, h * teacher, energies)


def check_limits(limit: arb, h: Any, data: Any, bits: int) -> None:
    """Refuse unless ``lim t^3 L`` and all ``lim h`` are proved to be where they are stated."""
    names = "t^3 L", *["h"] * len(h)
    for name, found, stated in zip(names, (limit, *h), (data["limit"], *data["h"]), strict=True):
        ball = arb((integer(stated["value"]), -bits)) + arb(0, number(stated["radius"]))
        text = f"the limit of {name} is not proved to be where stated: {found.str(20)} against"
        require(ball.contains(found), f"{text} {ball.str(20)}")


def concluded(limit: arb, h: Any, energies: Any) -> Theorem:
    """Theorem of these limits and of balls of ``(1+t)^3 L`` that together hold all times."""
    lower, upper = bounds(energies)
    require(lower > 0, "no positive lower bound follows")
    return Theorem(limit, h, float(lower) * (1 - 1e-9), float(upper) * (1 + 1e-9))


def lasting(flow: Flow, stated: Any, t0: arb, bits: int) -> tuple[arb, Any, arb]:
    """Limits of ``t^3 L`` and ``h``, and bounds of ``(1+t)^3 L`` from here on.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    c = np.array([arb((integer(z), -bits)) for z in stated["shape"]])
    require(c.size == flow.c.size, "its shape has a wrong size")
    c = c.reshape(flow.c.shape)
    e, d, rate = (arb(number(stated[k])) for k in ("e", "d", "rate"))
    require(rate > 0 and d >= 0, "its rate is not positive")
    lens = flow.lens = Lens(stated.get("frame"), flow.basis, c)
    begun = lens.longest * flow.e + norm(lens.inverse @ (flow.c - c).ravel())
    less(begun, e, "the shape does not begin within e", "e")
    found = flow.on(c, stated, e + 2 * d)
    slope = flow.derivative(found)
    # In other coordinates what a rotation does depends on the shape that is turned.
    turned = lens.box(c, e + 2 * d if lens.bent else d)
    rate = -flow.contracts(slope, turned, -rate, "the shape may not contract, but grow at")
    less(begun + flow.jump, e, "the shape, with what rho adds, does not begin within e", "e")
    less(flow.push(c) + rate * flow.jump, rate * e, "the shape may leave", "e")
    g = flow.g - flow.s**2 / 2 * (flow.basis.T @ found.a)
    h = flow.basis @ g + arb(1) / flow.n
    still = rates(flow.basis @ c, h, arb(0))
    near = norm(lens.inverse @ (c - flow.basis.T @ still.b).ravel()) / rate
    less(near, d, "the limit may be further than d", "d")
    steep = norm(slope.ravel()) * lens.widest**2
    limit = (c * c).sum() - 2 * still.energy + UNIT * 2 * steep * near * near
    return limit, h, flow.bounds(found, stated, arb(0), t0)
