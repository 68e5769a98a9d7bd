r"""Means of a mixture on a line, for ever: ``t^2 L`` tends to ``1/(16 lambda^2)``.

Clock ``s = 1/(t0 + t)``, ``theta = sqrt(s)``, ``mu = theta y``, ``sum pi_k mu_k = theta^3 rho``, so
``y = z + s rho pi/|pi|^2`` with ``z`` orthogonal to ``pi``. There ``diag(pi)`` is compressed to
``A``, of least eigenvalue ``lambda`` and next one ``lambda_2``; ``e`` is the part of ``z`` in the
space of ``lambda``, ``f`` the other one. The gradient is odd,

    g  =  pi M1 + (M2 - 2 M1^2) pi mu + (3 M1^3 - 2 M1 M2) pi + theta^5 r,    M_m = sum pi_k mu_k^m,

and ``|r| <= K`` by Cauchy's inequality: ``g = E psi v``, ``v = sum psi_k mu_k``, and for complex
``theta`` within ``r(x) = 1/(Y (|x| + b))`` of a real one, ``|y_k| <= Y``, no phase of a component
is further than 1 from zero, where ``b^2 >= b theta Y + 1``. So ``|psi v| <= |theta| Y/cos(1)^2``,

    K  =  Y^5 E (|x| + b)^4 (1 + theta Y (|x| + b)) / cos(1)^2.

Let ``m = <z, A z>``, ``u = m2 - 2 s^2 rho^2 - m = 2 s rho k + s^2 rho^2 (q - 2)``, ``k = <z,
pi^2>/|pi|^2``, ``q = sum pi^3/|pi|^4``, and ``w`` the part of ``pi^2/|pi|^2`` orthogonal to ``pi``.
By log-time ``tau = -log s``

    z'       =  z/2 - (m + u) A z - D,        D = s (rho (m + u) w + r),
    d rho/dt =  -(|pi|^2 - 3 s/2) rho - (m + u) sum pi^2 y - (3 s^3 rho^3 - 2 s rho m2) |pi|^2
                - s <pi, r>.

So for ``N = m/lambda``, ``N* = 1/(2 lambda^2)`` and ``kappa = |A z|^2/m``, which is ``lambda`` and
more, and on ``|f| <= p |e|`` at most the ``kappa`` of ``f`` along the largest eigenvalue,

    N'             =  N (1 - (kappa/lambda) N/N*) - (2/lambda) (u kappa m + <A z, D>),
    (|f|/|e|)'    <=  -(m + u) (lambda_2 - lambda) p + sqrt(1 + p^2) |D|/|e|     where |f| = p |e|.

Where ``-e < N - N* lambda/kappa``, ``N - N* < e``, ``|f| < p |e|`` and ``|rho| < R`` at the end of
the pieces, and all are pushed inwards at the sides of this box, the flow stays. As ``s`` falls,
``f/e`` vanishes, ``N`` tends to ``N*``, and ``L/s^2 = s rho^2/2 + m2^2/4 - ...`` to ``lambda^2
N*^2/4``. Of two means, and of equal weights, there is no ``f``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb, fmpq_poly

from flows.certificates.stated import Stated
from flows.core.balls import Rational, dot

Ball = Any  # flint.arb

UNIT = arb(0, 1)


@dataclass(frozen=True)
class MeansTail:
    """What continues a certificate of means for ever.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    clock : float
        ``t0`` of ``s = 1/(t0 + t)``.
    e, across, aside : float
        Bounds of ``N`` about ``N*``, of ``|rho|``, and of ``|f|/|e|``, from the end of the pieces
        on; the last one is zero where there is no ``f``.
    limit : Stated
        ``lim t^2 L``.
    all_times : tuple of float
        ``lower (1+t)^-2 <= L <= upper (1+t)^-2`` for all ``t >= 0``.
    """

    bits: int
    clock: float
    e: float
    across: float
    aside: float
    limit: Stated
    all_times: tuple[float, float]

    @property
    def constant(self) -> Ball:
        """Ball that contains ``lim t^2 L``."""
        return self.limit.ball(self.bits)

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {
            "kind": "means",
            "clock": self.clock.hex(),
            "e": self.e.hex(),
            "across": self.across.hex(),
            "aside": self.aside.hex(),
            "limit": self.limit.to_json(),
            "all_times": [x.hex() for x in self.all_times],
        }

    @classmethod
    def from_json(cls, data: Any, bits: int) -> MeansTail:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        number = float.fromhex
        low, high = map(number, data["all_times"])
        return cls(
            bits,
            number(data["clock"]),
            number(data["e"]),
            number(data["across"]),
            number(data.get("aside", "0x0p+0")),  # files of two means and equal weights have none
            Stated.from_json(data["limit"]),
            (low, high),
        )


class Mixture:
    """Sums of powers of the weights, and the least eigenvalues of ``A``."""

    def __init__(self, weights: Sequence[Rational]) -> None:
        self.square, self.cube, fourth = (sum(w**k for w in weights) for k in (2, 3, 4))
        self.pi = [arb(w) for w in weights]
        self.size = arb(self.square).sqrt()
        self.largest = arb(max(weights))
        first, *heavier = sorted(set(weights))
        self.light = [k for k, w in enumerate(weights) if w == first]
        self.least: Ball = arb(first)
        self.next: Ball = _root(weights) if heavier else None  # None where there is no `f`
        if len(self.light) == 1:  # eigenvalues lie between the weights, one in each gap
            self.least, self.next = self.next, arb(heavier[0]) if len(weights) > 2 else None
        self.settled = 1 / (2 * self.least**2)
        self.limit = 1 / (16 * self.least**2)
        #: ``|k| <= turned |z|``, and the length of ``w``.
        self.turned = arb(fourth - self.cube**2 / self.square).sqrt() / arb(self.square)
        #: ``max |z_k| <= reach |z|``.
        self.reach = arb(1 - min(weights) ** 2 / self.square).sqrt()

    def across(self, means: Sequence[Ball]) -> list[Ball]:
        """Part that is orthogonal to the weights."""
        part = dot(self.pi, means) / arb(self.square)
        return [mu - part * w for mu, w in zip(means, self.pi, strict=True)]

    def late(self, means: Sequence[Ball], s: Ball) -> tuple[Ball, Ball, Ball]:
        """``N``, ``rho`` and ``|f|/|e|``."""
        z = self.across(means)
        m = dot(z, [w * c for w, c in zip(self.pi, z, strict=True)]) / s
        return m / self.least, dot(self.pi, means) / (s * s.sqrt()), self.ratio(z)

    def ratio(self, z: Sequence[Ball]) -> Ball:
        """``|f|/|e|``; not finite where ``e`` may vanish."""
        if self.next is None:
            return arb(0)
        if len(self.light) > 1:
            mean = dot([z[k] for k in self.light], [1] * len(self.light)) / len(self.light)
            e = [c - mean if k in self.light else arb(0) for k, c in enumerate(z)]
        else:
            vector = [w / (w - self.least) for w in self.pi]
            part = dot(vector, z) / dot(vector, vector)
            e = [part * c for c in vector]
        f = [a - b for a, b in zip(z, e, strict=True)]
        return (dot(f, f).nonnegative_part() / dot(e, e)).sqrt()

    def steepest(self, aside: Ball) -> tuple[Ball, Ball]:
        """Bounds of ``kappa`` and ``m/|e|^2`` where ``|f| <= p |e|``, from above."""
        square = (aside * aside).nonnegative_part()
        total = self.least + self.largest * square
        return (self.least**2 + self.largest**2 * square) / total, total


def _root(weights: Sequence[Rational]) -> Ball:
    """Eigenvalue between the two least weights: a root of ``sum pi_k^2/(pi_k - x)``."""
    distinct = sorted(set(weights))
    total = fmpq_poly(0)
    for w in distinct:
        term = fmpq_poly([weights.count(w) * w * w])
        for other in distinct:
            term *= 1 if other == w else fmpq_poly([other, -1])
        total += term
    roots: Any = total.complex_roots()  # with multiplicities
    return min((root.real for root, _ in roots), key=lambda x: float(x.mid()))


@dataclass(frozen=True)
class Trap:
    """Bounds on a box of ``N``, ``|rho| <= R``, ``|f| <= p |e|``, ``0 <= s <= s_T``.

    Parameters
    ----------
    floor : arb
        Lower side of ``N``.
    pull, push : arb
        Rate at which ``N`` moves inwards at its sides, and what drives it out at most.
    stiff, driven : arb
        The same of ``rho``.
    narrow, bent : arb
        The same of ``|f|/|e|``.
    energy : arb
        ``L/s^2``.
    """

    floor: Ball
    pull: Ball
    push: Ball
    stiff: Ball
    driven: Ball
    narrow: Ball
    bent: Ball
    energy: Ball


def trap(mixture: Mixture, s: Ball, e: Ball, across: Ball, aside: Ball) -> Trap:
    """Evaluate a box."""
    s = s.upper()
    clock, rho = arb(0).union(s), UNIT * across
    first = clock * rho
    twice = (first * first).nonnegative_part()  # a ball about zero has no power
    kappa, most = mixture.steepest(aside)
    floor = mixture.settled * mixture.least / kappa - e
    n = floor.union(mixture.settled + e)
    root = n.upper().sqrt()  # |z|^2 is N at most
    square, size = arb(mixture.square), mixture.size
    largest = mixture.reach * root + s * across / size
    rest = remainder(largest, s.sqrt())
    k = UNIT * mixture.turned * root
    u = 2 * first * k + twice * (arb(mixture.cube) / square**2 - 2)
    m = mixture.least * n
    off = (abs(m + u) * abs(first) * mixture.turned + s * rest).upper()  # |D|
    push = abs(u) * kappa * m + (kappa * m).sqrt() * off
    smallest = (mixture.least * floor / most).sqrt()  # |e|
    gap = arb(0) if mixture.next is None else mixture.next - mixture.least
    second = m + u + 2 * twice  # m2
    along = square * k + first * arb(mixture.cube) / square  # sum pi^2 y
    drive = second * along - 2 * first * second * square
    drive += -2 * twice * along + 3 * first * twice * square
    length = root + s * across / size
    energy = clock * rho * rho / 2 + second * second / 4 - twice * second
    energy += 3 * twice * twice / 4 + UNIT * s * length * rest / 6
    return Trap(
        floor,
        floor / mixture.settled,
        (2 * push / mixture.least).upper(),
        square - 3 * s / 2,
        (abs(drive) + s * size * rest).upper(),
        (m + u) * gap,
        ((1 + aside * aside).sqrt() * off / smallest).upper(),
        energy,
    )


def remainder(largest: Ball, theta: Ball) -> Ball:
    """``K`` for ``|y_k|`` up to a bound."""
    near = (theta * largest).upper()
    b = ((near + (near * near + 4).sqrt()) / 2 + arb(2) ** -20).upper()
    root = (2 / arb.pi()).sqrt()
    moments = [arb(1), root, arb(1), 2 * root, arb(3), 8 * root]  # E |x|^k

    def mean(power: int) -> Ball:
        terms = (math.comb(power, k) * b ** (power - k) * moments[k] for k in range(power + 1))
        return sum(terms, arb(0))

    return (largest**5 * (mean(4) + near * mean(5)) / arb(1).cos() ** 2).upper()
