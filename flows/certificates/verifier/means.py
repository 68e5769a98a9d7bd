r"""Independent check that means on a line flow on for ever: ``t^2 L`` tends to ``1/(16 lambda^2)``.

``s = 1/(t0 + t)``, ``M_m = sum pi_k mu_k^m = s^(m/2) m_m``, but ``M_1 = s^(3/2) rho``. ``z`` is the
part of ``mu/sqrt(s)`` that is orthogonal to ``pi``, ``N = |z|^2``. Of two means, and of equal
weights, ``sum pi_k z_k^2 = lambda N``. The gradient is odd in ``mu``; its terms of first and third
order are those of ``M_1^2/2 + M_2^2/4 - M_1^2 M_2 + 3 M_1^4/4``, what is left is ``s^(5/2) r``:

    |r|  <=  K  =  Y^5 E (|x| + b)^4 (1 + s^(1/2) Y (|x| + b)) / cos(1)^2,  b^2 >= 1 + b s^(1/2) Y,

by Cauchy's inequality on discs of radius ``1/(Y (|x| + b))`` about real ``theta``, for ``E psi_i
sum psi_k mu_k`` at ``mu = theta y``, ``|y_k| <= Y``: there no component's phase exceeds one, so
that ``sum |psi_k| <= 1/cos(1)``. With ``N* = 1/(2 lambda^2)``, by log-time and by time,

    N'        =  N - 2 (m_2 - 2 s^2 rho^2) <z, pi y> - 2 s <z, r>,
    d rho/dt  =  -(|pi|^2 - 3 s/2) rho - (m_2 - 2 s^2 rho^2) <pi^2, y>
                 - (3 s^3 rho^3 - 2 s rho m_2) |pi|^2 - s <pi, r>.

If both are pushed into ``|N - N*| <= e``, ``|rho| <= R`` at its sides, the flow stays for ever. As
``s`` vanishes, ``N`` tends to ``N*`` and ``L/s^2`` to ``(lambda N*/2)^2``.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from flows.certificates.verifier.gmm_em import EXP, Means, sum_of
from flows.certificates.verifier.positive import less
from flows.certificates.verifier.reading import bounds, integer, number, require
from flows.certificates.verifier.segment import UNIT, Equations, norm

LOG = np.frompyfunc(lambda z: z.log(), 1, 1)


class Plateau(NamedTuple):
    """What is proved: the limit of ``t^2 L``, and ``lower <= (1+t)^2 L <= upper`` for all ``t``."""

    constant: arb
    lower: float
    upper: float


def plateau(data: Any, flow: Equations, pieces: Any, ends: Any, bits: int) -> Plateau:
    """Check what continues the pieces for ever; the balls at the ends of the pieces are these.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    require(isinstance(flow, Means), "there are no means on a line")
    exact = [fmpq(*float(w).as_integer_ratio()) for w in flow.weights]  # type: ignore[attr-defined]
    exact = [w / sum(exact, fmpq(0)) for w in exact]
    require(len(exact) == 2 or len({*exact}) == 1 < len(exact), "its weights differ")
    pi, times = np.array([arb(w) for w in exact]), [arb(0)]
    times += [arb((integer(piece["end"]), -bits)).expm1() for piece in pieces]
    t0, e, across = (arb(number(data[key])) for key in ("clock", "e", "across"))
    require(t0 + times[-1] > 0, "the clock does not fit")
    s, size = 1 / (t0 + times[-1]), pi @ pi
    least = pi[0] * pi[1] / (pi[0] ** 2 + pi[1] ** 2) if len(pi) == 2 else pi[0]
    settled = 1 / (2 * least**2)
    z = ends[-1] - (pi @ ends[-1]) / size * pi
    less(abs(z @ z / s - settled), e, "N begins further from its limit")
    less(abs(pi @ ends[-1]) / (s * s.sqrt()), across, "|rho| begins beyond R")
    less(e, settled, "N may vanish")

    # All states of the box: N, rho and s range over intervals.
    n, small = settled + e * UNIT, arb(0).union(s.upper())
    length, first = n.upper().sqrt(), small * across * UNIT  # first = s rho
    twice = first * first  # not a power: of a ball about zero there is none
    other = norm(pi**2 - (pi**2 @ pi) / size * pi) * length * UNIT  # <pi^2, z>
    cube = (pi**3).sum()
    second = least * n + 2 * first * other / size + twice * cube / size**2
    extent = length + s * across / size.sqrt()
    most = max((1 - p * p / size for p in pi), key=lambda x: float(x.upper())).sqrt() * length
    rest = remainder(most + s * across / size.sqrt(), s.sqrt())
    # (m_2 - 2 s^2 rho^2) <z, pi y> without (lambda N)^2, which is of order zero.
    turn = first * other / size
    shift = 2 * turn + twice * (cube / size**2 - 2)
    moved = least * n * (shift + turn) + shift * turn
    push = 2 * abs(moved).upper() + 2 * s * length * rest
    less(push, (settled - e) / settled * e, "N may leave")
    drive = (second - 2 * twice) * (other + first * cube / size)
    drive += (3 * first * twice - 2 * first * second) * size
    less(arb(0), size - 3 * s / 2, "|pi|^2 - 3 s/2 may not be positive")
    less(
        abs(drive).upper() + s * size.sqrt() * rest,
        (size - 3 * s / 2) * across,
        "|rho| may reach R",
    )
    energy = small * across * across / 2
    energy += (
        second * second / 4 - twice * second + 3 * twice * twice / 4 + s * extent * rest / 6 * UNIT
    )

    constant = (least * settled / 2) ** 2
    stated = arb((integer(data["limit"]["value"]), -bits)) + arb(0, number(data["limit"]["radius"]))
    require(stated.contains(constant), "the limit of t^2 L is not where stated")
    every = [(1 + (1 - t0) * small) ** 2 * energy]
    losses = [loss(flow, mu) for mu in ends]
    for k in range(len(pieces)):
        low, high = ((1 + times[k + j]) ** 2 for j in (0, 1))
        every.append((low * losses[k + 1]).union(high * losses[k]))
    lower, upper = bounds(every)
    require(lower > 0, "no positive lower bound follows")
    return Plateau(constant, float(lower) * (1 - 1e-9), float(upper) * (1 + 1e-9))


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


def loss(flow: Any, mu: Any) -> arb:
    """``-E log sum pi_k exp(mu_k x - mu_k^2/2)``.

    On the strip of a rule the logarithm is at most ``R |u| + R^2/2 + R c + pi/2 - log cos(S c)``,
    less than what the rule is made for.
    """
    found = sum_of(mu)
    terms = EXP(np.outer(found.points, mu) - mu * mu / 2) @ (flow.weights / flow.weights.sum())
    return (found.error * UNIT - found.weights @ LOG(terms)).nonnegative_part()
