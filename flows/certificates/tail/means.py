r"""Means of a mixture on a line, for ever: ``t^2 L`` tends to ``1/(16 lambda^2)``.

Clock ``s = 1/(t0 + t)``, ``theta = sqrt(s)``, ``mu = theta y``, ``sum pi_k mu_k = theta^3 rho``, so
``y = z + s rho pi/|pi|^2`` with ``z`` orthogonal to ``pi``, and ``N = |z|^2``. For two means, or
equal weights, ``<z, pi z> = lambda N`` for all such ``z``. The gradient is odd,

    g  =  pi M1 + (M2 - 2 M1^2) pi mu + (3 M1^3 - 2 M1 M2) pi + theta^5 r,    M_m = sum pi_k mu_k^m,

and ``|r| <= K`` by Cauchy's inequality: ``g = E psi v``, ``v = sum psi_k mu_k``, and for complex
``theta`` within ``r(x) = 1/(Y (|x| + b))`` of a real one, ``|y_k| <= Y``, no phase of a component
is further than 1 from zero, where ``b^2 >= b theta Y + 1``. So ``|psi v| <= |theta| Y/cos(1)^2``,

    K  =  Y^5 E (|x| + b)^4 (1 + theta Y (|x| + b)) / cos(1)^2.

By log-time ``tau = -log s``, with ``N* = 1/(2 lambda^2)``,

    N'       =  N (1 - N/N*) - 2 (lambda N (u + w) + u w) - 2 s <z, r>,
    d rho/dt =  -(|pi|^2 - 3 s/2) rho - D - s <pi, r>,
    D        =  (m2 - 2 s^2 rho^2) sum pi^2 y + (3 s^3 rho^3 - 2 s rho m2) |pi|^2,

``u = 2 s rho k + s^2 rho^2 (q - 2)``, ``w = s rho k``, ``k = <z, pi^2>/|pi|^2``, ``q = sum
pi^3/|pi|^4``. Where ``|N - N*| <= e`` and ``|rho| <= R`` at the end of the pieces, and both are
pushed inwards at the sides of this box, the flow stays; as ``s`` falls, ``N`` tends to ``N*``, and
``L/s^2 = s rho^2/2 + m2^2/4 - ...`` to ``lambda^2 N*^2/4``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb

from flows.certificates.tail.infinity import Stated
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
    e, across : float
        Bounds of ``|N - N*|`` and ``|rho|`` from the end of the pieces on.
    limit : Stated
        ``lim t^2 L``.
    all_times : tuple of float
        ``lower (1+t)^-2 <= L <= upper (1+t)^-2`` for all ``t >= 0``.
    """

    bits: int
    clock: float
    e: float
    across: float
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
            "limit": {"value": f"{self.limit.value:x}", "radius": self.limit.radius.hex()},
            "all_times": [x.hex() for x in self.all_times],
        }

    @classmethod
    def from_json(cls, data: Any, bits: int) -> MeansTail:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        number = float.fromhex
        low, high = map(number, data["all_times"])
        limit = Stated(int(data["limit"]["value"], 16), number(data["limit"]["radius"]))
        return cls(
            bits,
            number(data["clock"]),
            number(data["e"]),
            number(data["across"]),
            limit,
            (low, high),
        )


class Mixture:
    """Sums of powers of the weights, and ``lambda``."""

    def __init__(self, weights: Sequence[Rational]) -> None:
        self.square, self.cube, fourth = (sum(w**k for w in weights) for k in (2, 3, 4))
        self.pi = [arb(w) for w in weights]
        self.size = arb(self.square).sqrt()
        # Of z orthogonal to pi: two means have one direction, equal weights one eigenvalue.
        first, second = weights[:2]
        self.least = arb(first * second / (first * first + second * second))
        if len(weights) > 2:
            self.least = arb(first)
        self.settled = 1 / (2 * self.least**2)
        self.limit = 1 / (16 * self.least**2)
        #: ``|k| <= turned sqrt(N)``.
        self.turned = arb(fourth - self.cube**2 / self.square).sqrt() / arb(self.square)
        #: ``max |z_k| <= reach sqrt(N)``.
        self.reach = arb(1 - min(weights) ** 2 / self.square).sqrt()

    def across(self, means: Sequence[Ball]) -> list[Ball]:
        """Part that is orthogonal to the weights."""
        part = dot(self.pi, means) / arb(self.square)
        return [mu - part * w for mu, w in zip(means, self.pi, strict=True)]

    def late(self, means: Sequence[Ball], s: Ball) -> tuple[Ball, Ball]:
        """``N`` and ``rho``."""
        z = self.across(means)
        return dot(z, z) / s, dot(self.pi, means) / (s * s.sqrt())


@dataclass(frozen=True)
class Trap:
    """Bounds on a box ``|N - N*| <= e``, ``|rho| <= R``, ``0 <= s <= s_T``.

    Parameters
    ----------
    pull, push : arb
        Rate at which ``N - N*`` shrinks, and what drives it at most, at its side.
    stiff, driven : arb
        The same of ``rho``.
    energy : arb
        ``L/s^2``.
    """

    pull: Ball
    push: Ball
    stiff: Ball
    driven: Ball
    energy: Ball


def trap(mixture: Mixture, s: Ball, e: Ball, across: Ball) -> Trap:
    """Evaluate a box."""
    s = s.upper()
    clock, rho = arb(0).union(s), UNIT * across
    first = clock * rho
    twice = (first * first).nonnegative_part()  # a ball about zero has no power
    n = mixture.settled + UNIT * e
    root = n.upper().sqrt()
    square, size = arb(mixture.square), mixture.size
    largest = mixture.reach * root + s * across / size
    rest = remainder(largest, s.sqrt())
    k = UNIT * mixture.turned * root
    u = 2 * first * k + twice * (arb(mixture.cube) / square**2 - 2)
    w = first * k
    second = mixture.least * n + u + 2 * twice  # m2
    along = square * k + first * arb(mixture.cube) / square  # sum pi^2 y
    drive = second * along - 2 * first * second * square
    drive += -2 * twice * along + 3 * first * twice * square
    length = root + s * across / size
    energy = clock * rho * rho / 2 + second * second / 4 - twice * second
    energy += 3 * twice * twice / 4 + UNIT * s * length * rest / 6
    return Trap(
        (mixture.settled - e) / mixture.settled,
        (2 * abs(mixture.least * n * (u + w) + u * w) + 2 * s * root * rest).upper(),
        square - 3 * s / 2,
        (abs(drive) + s * size * rest).upper(),
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
