r"""Independent check that means on a line flow on for ever: ``t^2 L`` tends to ``1/(16 lambda^2)``.

``s = 1/(t0 + t)``, ``M_m = sum pi_k mu_k^m = s^(m/2) m_m``, but ``M_1 = s^(3/2) rho``. ``z`` is the
part of ``mu/sqrt(s)`` orthogonal to ``pi``. There ``diag(pi)`` is compressed to ``A``. Its
eigenvalues are weights that occur more than once, and one root of ``sum pi_k^2/(pi_k - x)`` between
any two neighbours: ``lambda`` is the least. ``z = e + f``, ``A e = lambda e``, ``f`` of larger
eigenvalues, ``lambda_2`` and more. The gradient is odd in ``mu``; its terms of first and third
order are those of ``M_1^2/2 + M_2^2/4 - M_1^2 M_2 + 3 M_1^4/4``, what is left is ``s^(5/2) r``:

    |r|  <=  K  =  Y^5 E (|x| + b)^4 (1 + s^(1/2) Y (|x| + b)) / cos(1)^2,  b^2 >= 1 + b s^(1/2) Y,

by Cauchy's inequality on discs of radius ``1/(Y (|x| + b))`` about real ``theta``, for ``E psi_i
sum psi_k mu_k`` at ``mu = theta y``, ``|y_k| <= Y``: there no component's phase exceeds one, so
that ``sum |psi_k| <= 1/cos(1)``. With ``c = m_2 - 2 s^2 rho^2``, by log-time and by time,

    z'        =  z/2 - c A z - D,     D  =  s rho c (pi^2)_across/|pi|^2 + s r_across,
    d rho/dt  =  -(|pi|^2 - 3 s/2) rho - c <pi^2, y>
                 - (3 s^3 rho^3 - 2 s rho m_2) |pi|^2 - s <pi, r>.

Let ``N = <z, A z>/lambda``, which is ``|z|^2`` at least, ``N* = 1/(2 lambda^2)`` and ``|f| <= p
|e|``. Then ``lambda <= |A z|^2/<z, A z> <= steep(p)``, so ``N' = N - 2 c |A z|^2/lambda - 2 <A z,
D>/lambda`` is negative where ``N = N* + e`` and positive where ``N = N* lambda/steep - e``, if what
``c`` has beyond ``lambda N`` and ``D`` are small; ``|f|^2 - p^2 |e|^2`` falls where it is zero, if
``sqrt(1 + p^2) |D| < c (lambda_2 - lambda) p |e|``. If these and ``|rho| <= R`` are pushed inwards
at their sides, the flow stays for ever. As ``s`` vanishes, so does ``f/e``, ``N`` tends to ``N*``
and ``L/s^2`` to ``(lambda N*/2)^2``.
"""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from flint import arb, ctx, fmpq

from flows.certificates.verifier.before import FEW, before
from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.positive import less
from flows.certificates.verifier.reading import bounds, integer, number, require


class Plateau(NamedTuple):
    """What is proved: the limit of ``t^2 L``, and ``lower <= (1+t)^2 L <= upper`` for all ``t``."""

    constant: arb
    lower: float
    upper: float


class Late(NamedTuple):
    """Means at the clock ``s``: ``N``, ``rho``, and the lengths of ``f`` and ``e``."""

    n: arb
    rho: arb
    aside: arb
    along: arb


class Trap(NamedTuple):
    """A box of ``N``, ``|rho| <= R``, ``|f| <= p |e|`` and all smaller ``s``.

    ``N`` is between ``low`` and ``high``; at its sides it moves inwards at the rate ``pull e`` and
    outwards by ``push`` at most. The same of ``rho``: ``stiff R`` and ``driven``, and of ``|f|``
    over ``|e|``: ``narrow p`` and ``bent``. ``energy`` is ``L/s^2``.
    """

    low: arb
    high: arb
    pull: arb
    push: arb
    stiff: arb
    driven: arb
    narrow: arb
    bent: arb
    energy: arb


class Mixture:
    """Weights, fractions that sum to one, with what they say of late times."""

    def __init__(self, weights: Any) -> None:
        exact = [fmpq(*float(w).as_integer_ratio()) for w in weights]
        self.exact = [w / sum(exact, fmpq(0)) for w in exact]
        self.pi = np.array([arb(w) for w in self.exact])
        self.size = self.pi @ self.pi
        self.least, self.gap, self.stays = spectrum(self.exact)
        self.settled = 1 / (2 * self.least**2)
        self.constant = (self.least * self.settled / 2) ** 2

    def late(self, mu: Any, s: arb) -> Late:
        """Means in late variables."""
        z = mu - (self.pi @ mu) / self.size * self.pi
        n, rho = z @ (self.pi * z) / (self.least * s), self.pi @ mu / (s * s.sqrt())
        if self.gap is None:
            return Late(n, rho, arb(0), norm(z))
        stays = self.stays
        stay = stays @ z / (stays @ stays) * stays if stays.ndim == 1 else stays @ z
        return Late(n, rho, norm(z - stay), norm(stay))

    def trap(self, s: arb, e: arb, across: arb, p: arb) -> Trap:
        """Evaluate a box, whose states have ``N``, ``rho`` and ``s`` in intervals."""
        pi, size, least, settled = self.pi, self.size, self.least, self.settled
        # The more of f there is, the steeper: <z, A z> is at most `whole` |e|^2.
        heavy = arb(max(self.exact))
        whole = least + heavy * p * p
        steep = (least**2 + heavy**2 * p * p) / whole
        low, high = least / steep * settled - e, settled + e
        n, small = low.union(high), arb(0).union(s.upper())
        length, first = n.upper().sqrt(), small * across * UNIT  # first = s rho
        twice = first * first  # not a power: of a ball about zero there is none
        bend = norm(pi**2 - (pi**2 @ pi) / size * pi)
        other = bend * length * UNIT  # <pi^2, z>
        cube = (pi**3).sum()
        second = least * n + 2 * first * other / size + twice * cube / size**2
        extent = length + s * across / size.sqrt()
        most = max((1 - q * q / size for q in pi), key=lambda x: float(x.upper())).sqrt() * length
        rest = remainder(most + s * across / size.sqrt(), s.sqrt())
        moved = 2 * first * other / size + twice * (cube / size**2 - 2)  # c - lambda N
        drag = abs(second - 2 * twice).upper() * abs(first).upper() * bend / size + s * rest
        steepest = (steep * least * high).sqrt()  # |A z|
        drive = (second - 2 * twice) * (other + first * cube / size)
        drive += (3 * first * twice - 2 * first * second) * size
        energy = small * across * across / 2 + second * second / 4 - twice * second
        energy += 3 * twice * twice / 4 + s * extent * rest / 6 * UNIT
        return Trap(
            low,
            high,
            low / settled,
            2 / least * steepest * (abs(moved).upper() * steepest + drag),
            size - 3 * s / 2,
            abs(drive).upper() + s * size.sqrt() * rest,
            (second - 2 * twice).lower() * (arb(0) if self.gap is None else self.gap),
            (1 + p * p).sqrt() * drag / (least * low / whole).sqrt(),
            energy,
        )


def plateau(data: Any, flow: Any, pieces: Any, ends: Any, bits: int) -> Plateau:
    """Check what continues the pieces for ever; the balls at the ends of the pieces are these.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    require(flow.form == "means", "there are no means on a line")
    require(len(flow.weights) > 1, "it has one mean")
    mixture, end = Mixture(flow.weights), arb((integer(pieces[-1]["end"]), -bits)).expm1()
    t0, e, across, p = (
        arb(number(data.get(key, "0x0p+0"))) for key in ("clock", "e", "across", "aside")
    )
    require(t0 + end > 0, "the clock does not fit")
    require(p >= 0, "p is negative")
    s = 1 / (t0 + end)
    now, box = mixture.late(ends[-1], s), mixture.trap(s, e, across, p)
    less(box.low, now.n, "N begins too small")
    less(now.n, box.high, "N begins too large")
    less(abs(now.rho), across, "|rho| begins beyond R")
    less(arb(0), box.low, "N may vanish")
    less(box.push, box.pull * e, "N may leave")
    if mixture.gap is not None:
        less(now.aside, p * now.along, "|f| begins beyond p |e|")
        less(box.bent, box.narrow * p, "|f| may reach p |e|")
    less(arb(0), box.stiff, "|pi|^2 - 3 s/2 may not be positive")
    less(box.driven, box.stiff * across, "|rho| may reach R")

    stated = arb((integer(data["limit"]["value"]), -bits)) + arb(0, number(data["limit"]["radius"]))
    require(stated.contains(mixture.constant), "the limit of t^2 L is not where stated")
    early = before(pieces, ends, bits, flow.loss, power=2, halvings=FEW)
    small = arb(0).union(s.upper())
    lower, upper = bounds([(1 + (1 - t0) * small) ** 2 * box.energy, *early])
    require(lower > 0, "no positive lower bound follows")
    return Plateau(mixture.constant, float(lower) * (1 - 1e-9), float(upper) * (1 + 1e-9))


def spectrum(pi: Any) -> Any:
    """``lambda``, how far above it the next one is at least, and its eigenvector, or projection.

    Weights are fractions. Of equal weights, and of two, all of ``z`` is ``e``: there is no gap.
    """
    first, *heavier = sorted({*pi}, key=lambda w: Fraction(int(w.p), int(w.q)))
    light = np.array([int(w == first) for w in pi])
    if not heavier:
        return arb(first), None, None
    root = crossing([arb(w) for w in pi], arb(first), arb(heavier[0]))
    if light.sum() > 1:  # differences of the lightest means stay
        among = np.array([arb(int(k)) for k in light])
        stays = np.diag(among) - np.outer(among, among) / int(light.sum())
        return arb(first), root - first, stays
    if len(pi) == 2:
        return root, None, None
    return root, heavier[0] - root, np.array([w / (w - root) for w in pi])


def crossing(pi: Any, low: arb, high: arb) -> arb:
    """Root between neighbouring weights of ``sum pi_k^2/(pi_k - x)``.

    It increases there, at a rate of ``|pi|^2`` at least, as ``|pi_k - x| < 1``.
    """
    for _ in range(ctx.prec):
        middle = ((low + high) / 2).mid()
        value = sum((w * w / (w - middle) for w in pi), arb(0))
        if not (value < 0 or value > 0):
            break  # as near as this precision tells
        low, high = (middle, high) if value < 0 else (low, middle)
    return middle + abs(value).upper() / sum(w * w for w in pi) * UNIT


def remainder(most: arb, theta: arb) -> arb:
    """``K`` where ``|y_k|`` is up to this."""
    near = (theta * most).upper()
    b = 1 + near
    odd = (2 / arb.pi()).sqrt()
    moments = [arb(1), odd, arb(1), 2 * odd, arb(3), 8 * odd]
    mean = [
        sum((math.comb(p, k) * b ** (p - k) * moments[k] for k in range(p + 1)), arb(0))
        for p in (4, 5)
    ]
    return (most**5 * (mean[0] + near * mean[1]) / arb(1).cos() ** 2).upper()
