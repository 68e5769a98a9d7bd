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
from flows.certificates.verifier.sums import EXP, sum_of

LOG = np.frompyfunc(lambda z: z.log(), 1, 1)


class Plateau(NamedTuple):
    """What is proved: the limit of ``t^2 L``, and ``lower <= (1+t)^2 L <= upper`` for all ``t``."""

    constant: arb
    lower: float
    upper: float


def plateau(data: Any, flow: Any, pieces: Any, ends: Any, bits: int) -> Plateau:
    """Check what continues the pieces for ever; the balls at the ends of the pieces are these.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    end = arb((integer(pieces[-1]["end"]), -bits)).expm1()
    constant, late, _ = trapped(data, flow, ends[-1], end)
    stated = arb((integer(data["limit"]["value"]), -bits)) + arb(0, number(data["limit"]["radius"]))
    require(stated.contains(constant), "the limit of t^2 L is not where stated")
    early = before(pieces, ends, bits, lambda mu: loss(flow, mu), power=2, halvings=FEW)
    lower, upper = bounds([late, *early])
    require(lower > 0, "no positive lower bound follows")
    return Plateau(constant, float(lower) * (1 - 1e-9), float(upper) * (1 + 1e-9))


def exact_weights(flow: Any) -> list[fmpq]:
    """Those of a mixture, which sum to one."""
    require(flow.form == "means", "there are no means on a line")
    exact = [fmpq(*float(w).as_integer_ratio()) for w in flow.weights]
    return [w / sum(exact, fmpq(0)) for w in exact]


class Trapped(NamedTuple):
    """Limit of ``t^2 L``, all ``(1+t)^2 L`` from some time on, and the lower side of ``N``."""

    constant: arb
    late: arb
    floor: arb


def trapped(data: Any, flow: Any, last: Any, end: arb) -> Trapped:
    """What follows from a time on, at which the means are in these balls.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    exact = exact_weights(flow)
    require(len(exact) > 1, "it has one mean")
    pi = np.array([arb(w) for w in exact])
    t0, e, across, p = (
        arb(number(data.get(key, "0x0p+0"))) for key in ("clock", "e", "across", "aside")
    )
    require(t0 + end > 0, "the clock does not fit")
    require(p >= 0, "p is negative")
    s, size = 1 / (t0 + end), pi @ pi
    least, gap, stays = spectrum(exact)
    heavy = arb(max(exact))
    # The more of f there is, the steeper: <z, A z> is at most `whole` |e|^2.
    whole = least + heavy * p * p
    steep = (least**2 + heavy**2 * p * p) / whole
    settled = 1 / (2 * least**2)
    low, high = least / steep * settled - e, settled + e
    z = last - (pi @ last) / size * pi
    now = z @ (pi * z) / (least * s)
    less(least / steep * settled - now, e, "N begins too small", "e")
    less(now - settled, e, "N begins too large", "e")
    less(abs(pi @ last) / (s * s.sqrt()), across, "|rho| begins beyond R", "across")
    if gap is not None:
        part = stays @ z / (stays @ stays) * stays if stays.ndim == 1 else stays @ z
        stay = norm(part)
        less(arb(0), stay, "it may be on its way to a saddle: the part of z that stays may be zero")
        less(norm(z - part), p * stay, "|f| begins beyond p |e|", "aside")
    less(arb(0), low, "N may vanish")

    # All states of the box: N, rho and s range over intervals.
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
    push = 2 / least * steepest * (abs(moved).upper() * steepest + drag)
    less(push, low / settled * e, "N may leave", "e")
    if gap is not None:
        shorter = (least * low / whole).sqrt()
        pull = (second - 2 * twice).lower() * gap * p * shorter
        less((1 + p * p).sqrt() * drag, pull, "|f| may reach p |e|", "aside")
    drive = (second - 2 * twice) * (other + first * cube / size)
    drive += (3 * first * twice - 2 * first * second) * size
    stiff = size - 3 * s / 2
    less(arb(0), stiff, "|pi|^2 - 3 s/2 may not be positive")
    driven = abs(drive).upper() + s * size.sqrt() * rest
    less(driven, stiff * across, "|rho| may reach R", "across")
    energy = small * across * across / 2
    energy += (
        second * second / 4 - twice * second + 3 * twice * twice / 4 + s * extent * rest / 6 * UNIT
    )
    return Trapped((least * settled / 2) ** 2, (1 + (1 - t0) * small) ** 2 * energy, low)


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


def loss(flow: Any, mu: Any) -> arb:
    """``-E log sum pi_k exp(mu_k x - mu_k^2/2)``: that of the middle, and what the gradient adds.

    On the strip of a rule the logarithm is at most ``R |u| + R^2/2 + R c + pi/2 - log cos(S c)``,
    less than what the rule is made for.
    """
    middle, off = np.array([x.mid() for x in mu]), norm(np.array([arb(x.rad()) for x in mu]))
    found = sum_of(mu)
    terms = EXP(np.outer(found.points, middle) - middle * middle / 2)
    terms = terms @ (flow.weights / flow.weights.sum())
    apart = found.error + norm(flow.field(mu, ())) * off
    return (apart.upper() * UNIT - found.weights @ LOG(terms)).nonnegative_part()
