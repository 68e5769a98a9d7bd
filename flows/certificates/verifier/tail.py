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
``|F(cbar)|/rate``, and there ``t^3 L -> |c|^2 - 2 Lambda``, whose gradient is ``2 F``.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.reading import MOST, Refused, integer, number, require
from flows.certificates.verifier.relu_neuron import _area
from flows.certificates.verifier.segment import UNIT, _positive, norm

KAPPA = 4  # holds rotations


class Theorem(NamedTuple):
    """What is proved: limits, and ``lower (1+t)^-3 <= L <= upper (1+t)^-3`` for all ``t >= 0``."""

    limit: arb
    h: Any
    lower: float
    upper: float


class Rates(NamedTuple):
    """Sums ``B`` and ``A`` over ``2 pi``, ``Lambda``, and blocks ``dB_i/dy_j`` over ``2 pi``."""

    b: Any
    a: Any
    energy: arb
    blocks: Any


def rates(y: Any, h: Any, x: arb) -> Rates:
    """At vectors ``y``, parts ``h``, and all ``X`` from 0 to the end of ``x``."""
    n, p = y.shape
    size = [(c * c + x * (v @ v)).sqrt() for c, v in zip(h, y, strict=True)]
    require(all(s > 0 for s in size), "a neuron may be at zero")
    q = [v / s for v, s in zip(y, size, strict=True)] + [0 * y[0]]
    cos = [c / s for c, s in zip(h, size, strict=True)] + [arb(1)]
    size.append(arb(1))
    eye = np.eye(p, dtype=object)
    b, a, energy = 0 * y, 0 * h, arb(0)
    blocks = np.array([[0 * eye] * n] * n) + arb(0)
    for i, j in combinations(range(n + 1), 2):
        mu, gap, both = -1 if j == n else 1, q[i] - q[j], q[i] + q[j]
        require(cos[i] + cos[j] > 0, "a neuron may point away from the teacher")
        w = -(gap @ both) / (cos[i] + cos[j])
        square = (gap @ gap + x * w * w).nonnegative_part()
        chi, quarter = square.sqrt(), (x * square / 4).upper()
        require(quarter < 0.5, "an angle is not small")
        phi = chi * arb(1).union(1 + quarter / (1 - quarter) / 6)  # asin(z)/z, z^2 <= quarter
        angle = (x * phi * phi).upper()
        bent = (arb(-1) / 6).union(arb(-1) / 6 + angle / 120)  # (sin z/z - 1)/z^2
        sine = 1 + x * phi * phi * bent  # sin(z)/z
        third = (arb(1) / 3).union(arb(1) / 3 - angle / 30)  # (sin z - z cos z)/z^3
        energy += mu * size[i] * size[j] * phi**3 * third
        m_ = both / (cos[i] + cos[j])
        along = _projector(gap, chi) if p > 1 else 1 / (1 + x * np.outer(m_, m_))
        for k, m, sign in ((i, j, 1), (j, i, -1)):
            if k < n:
                b[k] += mu * size[m] * phi * (sign * gap + (sine - 1) * q[k])
                a[k] += mu * size[m] * phi * (phi * phi * bent * cos[k] + sign * w)
                normal = _projector(q[m] - (1 - x * square / 2) * q[k], phi * sine)
                normal = normal if p > 1 else cos[k] * cos[k] * eye  # of (-s q, c) in the plane
                blocks[k, k] += (
                    mu * size[m] / size[k] * phi * sine * (eye - x * np.outer(q[k], q[k]) + normal)
                )
                if m < n:
                    sums = x / (4 - x * square) * np.outer(both, both)
                    blocks[k, m] += phi * (sine * (sums - along) - eye)
    unit = 1 / (2 * arb.pi())
    return Rates(b * unit, a * unit, energy * unit, blocks * unit)


def at_most(need: arb, bound: arb, reason: str) -> None:
    """Refuse with both numbers unless ``need <= bound``."""
    numbers = f"{float(need.upper()):.4g} against {float(bound.lower()):.4g}"
    require(need <= bound, f"{reason}: {numbers}")


def less(need: arb, bound: arb, reason: str) -> None:
    """Refuse with both numbers unless ``need < bound``."""
    at_most(need, bound, reason)
    require(need < bound, f"{reason}: both are {float(bound):.4g}")


def _projector(vector: Any, length: arb) -> Any:
    """Of a vector this long at most; its entries are in [-1, 1] where the length may vanish."""
    rows = (
        np.outer(vector, vector) / (length * length)
        if length > 0
        else 0 * np.outer(vector, vector) + UNIT
    )
    return np.vectorize(lambda z: z if z.is_finite() and z.rad() < 1 else UNIT, "O")(rows)


class Flow:
    """A state: its shape is within ``e`` of ``c``, sums of ``y`` and ``h`` are bounded."""

    def __init__(self, w: Any, s: arb) -> None:
        self.n, self.p, self.s = len(w), w.shape[1] - 1, s
        self.basis = np.array(
            [
                [
                    (arb(1) if i < k else arb(-k) if i == k else arb(0)) / arb(k * (k + 1)).sqrt()
                    for k in range(1, self.n)
                ]
                for i in range(self.n)
            ]
        )
        self.c, self.e = self.basis.T @ w[:, 1:] / s, arb(0)
        self.g = self.basis.T @ w[:, 0]
        self.across = norm(w[:, 1:].sum(axis=0)) / s**2
        self.along = abs(w[:, 0].sum() - 1) / s**2

    def on(self, c: Any, stated: Any) -> Rates:
        """Check what is stated of a box of shapes; return the rates there."""
        across, along, drift = (arb(number(stated[k])) for k in ("across", "along", "drift"))
        n, s = self.n, self.s.upper()
        g = self.g + drift * UNIT
        h = self.basis @ g + (1 + s * s * along * UNIT) / n
        x = arb(0).union(s * s)
        reach = s * across / n
        found = rates(self.basis @ c + reach * UNIT, h, x)
        stiff = arb(n) / 2 - 2 * s
        push = norm(found.b.sum(axis=0)).upper(), (s * abs(found.a.sum())).upper()
        less(arb(0), stiff, "n/2 - 2s may not be positive")
        at_most(self.across.max(push[0] / stiff), across, "|rho| may exceed R")
        at_most(self.along.max(push[1] / stiff), along, "|sigma| may exceed R0")
        at_most(s * s / 2 * norm(self.basis.T @ found.a), drift, "g may move further")
        # By the mean value theorem: what a adds to F.
        pull = self.basis.T @ found.blocks.sum(axis=1).transpose(1, 0, 2).reshape(self.p, n, -1)
        self.ahead = push[0] / stiff, push[1] / stiff, reach * norm(pull.ravel())
        self.h, self.x = h, x
        return found

    def field(self, c: Any, h: Any, x: arb) -> Any:
        """``F`` at shapes with ``a = 0``."""
        return c - self.basis.T @ rates(self.basis @ c, h, x).b

    def derivative(self, found: Rates) -> Any:
        """``DF``, shapes flattened."""
        m = self.c.size
        moved = np.einsum("ik,ijab,jl->kalb", self.basis, found.blocks, self.basis)
        return np.eye(m, dtype=object) - moved.reshape(m, m)

    def contracts(self, slope: Any, c: Any, nu: arb) -> bool:
        """Whether ``<x, DF x> < nu |x|^2`` for ``x`` across the rotations of ``c``."""
        form = -(slope + slope.T) / 2
        for i, j in combinations(range(self.p), 2):
            turn = 0 * c
            turn[:, i], turn[:, j] = -c[:, j], c[:, i]
            form = form + KAPPA * np.outer(turn, turn)
        form = form + nu * np.eye(len(form), dtype=object)
        values, vectors = np.linalg.eigh(np.vectorize(lambda z: float(z.mid()), "d")(form))
        rate = f"{float(nu):.4g}, in the middle {float(nu) - values.min():.4g}"
        require((values > 0).all(), f"errors may grow faster than {rate}")
        scaled = np.vectorize(arb, "O")(vectors / np.sqrt(values))
        return _positive(scaled.T @ form @ scaled, arb(0))

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
        slope = self.derivative(found)
        grows = f"errors may grow faster than {float(nu):.4g}"
        require(self.contracts(slope, curve, nu), grows)
        speed = (b[1] + UNIT * (2 * abs(b[2]) + 3 * abs(b[3]))).ravel() / half
        bend = (2 * b[2] + UNIT * 6 * abs(b[3])).ravel() / half**2
        defect = norm((b[1] / half - self.field(b[0], self.h, self.x)).ravel())
        defect += half * norm(bend - slope @ speed) + self.ahead[2]
        factor = (nu * length).exp()
        most = factor.max(arb(1))
        at_most(most * (error + defect * length), e, "the shape may leave its tube")
        self.e = (factor * error + most * defect * length).upper()
        self.c = b[0] + b[1] + b[2] + b[3]
        bounds = self.bounds(found, stated, last, t0)
        slow = (-(arb(self.n) / 2 - 2 * self.s) * (1 / last - 1 / self.s)).exp()
        self.across = (self.ahead[0] + self.across * slow).upper()
        self.along = (self.ahead[1] + self.along * slow).upper()
        self.g = self.g - (self.s**2 - last**2) / 2 * (self.basis.T @ found.a)
        self.s = last
        return bounds

    def bounds(self, found: Rates, stated: Any, last: arb, t0: arb) -> arb:
        """``(1+t)^3 L`` on a box, from here to a later clock."""
        across, along = (arb(number(stated[k])) for k in ("across", "along"))
        s = self.s.union(last)
        rest = (self.s * (across**2 + along**2) / 4).union(arb(0))
        return (1 + (1 - t0) * s) ** 3 * (found.energy + rest)


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
    for index, stated in enumerate(steps):
        try:
            late.append(flow.step(stated, t0, bits))
        except Refused as reason:
            raise Refused(f"step {index} to infinity: {reason}") from None
    try:
        limit, h, last = _tail(flow, data["tail"], t0, bits)
    except Refused as reason:
        raise Refused(f"tail: {reason}") from None
    late.append(last)
    limit, h = limit * teacher**2, h * teacher
    for name, found, stated in zip(
        ("t^3 L", *["h"] * flow.n), (limit, *h), (data["limit"], *data["h"]), strict=True
    ):
        ball = arb((integer(stated["value"]), -bits)) + arb(0, number(stated["radius"]))
        where = f"{found.str(20)} against {ball.str(20)}"
        text = f"the limit of {name} is not proved to be where it is stated: {where}"
        require(ball.contains(found), text)
    before = _before(teacher, pieces, ends, bits)
    every = [*before, *(x * teacher**2 for x in late)]
    lower, upper = min(x.lower() for x in every), max(x.upper() for x in every)
    require(lower > 0, "no positive lower bound follows")
    return Theorem(limit, h, float(lower) * (1 - 1e-9), float(upper) * (1 + 1e-9))


def _tail(flow: Flow, stated: Any, t0: arb, bits: int) -> tuple[arb, Any, arb]:
    """Limits of ``t^3 L`` and ``h``, and bounds of ``(1+t)^3 L`` from here on."""
    c = np.array([arb((integer(z), -bits)) for z in stated["shape"]])
    require(c.size == flow.c.size, "its shape has a wrong size")
    c = c.reshape(flow.c.shape)
    e, d, rate, drift, across, along = (
        arb(number(stated[k])) for k in ("e", "d", "rate", "drift", "across", "along")
    )
    require(rate > 0 and d >= 0, "its rate is not positive")
    less(flow.e + norm((flow.c - c).ravel()), e, "the shape does not begin within e")
    less(flow.across, across, "|rho| begins beyond R")
    less(flow.along, along, "|sigma| begins beyond R0")
    found = flow.on(c + (e + 2 * d) * UNIT, stated)
    less(flow.ahead[0], across, "|rho| may reach R")
    less(flow.ahead[1], along, "|sigma| may reach R0")
    less(flow.s**2 / 2 * norm(flow.basis.T @ found.a), drift, "g may move further")
    slope = flow.derivative(found)
    slower = f"the shape may not contract at the rate {float(rate):.4g}"
    require(flow.contracts(slope, c + d * UNIT, -rate), slower)
    push = norm(flow.field(c, flow.h, flow.x).ravel()) + flow.ahead[2]
    less(push, rate * e, "the shape may leave")
    g = flow.g - flow.s**2 / 2 * (flow.basis.T @ found.a)
    h = flow.basis @ g + arb(1) / flow.n
    still = rates(flow.basis @ c, h, arb(0))
    near = norm((c - flow.basis.T @ still.b).ravel()) / rate
    less(near, d, "the limit may be further than d")
    steep = norm(slope.ravel())
    limit = (c * c).sum() - 2 * still.energy + UNIT * 2 * steep * near * near
    return limit, h, flow.bounds(found, stated, arb(0), t0)


def _before(teacher: arb, pieces: Any, ends: Any, bits: int) -> list[arb]:
    """``(1+t)^3 L`` on the pieces: ``L`` decreases, and one end bounds each factor."""
    times = [arb(0), *(arb((integer(piece["end"]), -bits)) for piece in pieces)]
    factors, losses = [(3 * tau).exp() for tau in times], [_loss(w, teacher) for w in ends]
    return [
        (factors[k] * losses[k + 1]).union(factors[k + 1] * losses[k]) for k in range(len(pieces))
    ]


def _loss(w: Any, teacher: arb) -> arb:
    """Equation 3 of Xu & Du, of neurons whose first coordinate is along the teacher."""
    v = 0 * w[0]
    v[0] = teacher
    vectors, r = [*w, v], w.sum(axis=0) - v
    total = (r @ r) / 4
    for i, j in combinations(range(len(vectors)), 2):
        a, b = vectors[i], vectors[j]
        area, cosine = abs(_area(a, b)), a @ b
        angle = arb.atan2(area, cosine).nonnegative_part()
        pull = area - angle * cosine
        if angle < 1:  # sin z - z cos z, of an alternating series
            third = (arb(1) / 3).union(arb(1) / 3 - angle.upper() ** 2 / 30)
            pull = norm(a) * norm(b) * angle**3 * third
        total += (-1 if j == len(w) else 1) * pull / (2 * arb.pi())
    return total.nonnegative_part()
