r"""Sums that stand for expectations of posteriors, each with a bound of its error.

Sums over multiples of ``h`` up to ``X`` stand for ``E``. For means of length up to ``R`` and
differences up to ``2 S``, posteriors at ``u + i b``, ``|b| <= c < pi/(2 S)``, are at most
``1/cos(S c)``, since no phase differs by more than ``S c`` from that of the middle. So all these
integrands are at most ``3 (1 + R + c + |u|)^2 / cos(S c)^2``, their integrals along the line by
Minkowski's inequality at most ``M = 3 (2 + R + c)^2 exp(c^2/2) / cos(S c)^2``, and the sums without
end are off by at most ``2 M / (exp(2 pi c/h) - 1)`` (Trefethen and Weideman, The exponentially
convergent trapezoidal rule, SIAM Review 56 (2014), Theorem 5.1). The terms beyond ``X >= 1``
decrease, and are at most the integral.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from flint import arb, ctx

from flows.certificates.verifier.reading import require

UNUSED = 40  # bits of the precision that sums need not keep: fewer than their maker leaves
LARGEST = 2**20  # points of a sum
EXP = np.frompyfunc(lambda z: z.exp(), 1, 1)


class Sum(NamedTuple):
    """Points, weights, and a bound of how far the sum is from an expectation."""

    points: Any
    weights: Any
    error: arb


def slack() -> arb:
    """Bound of the errors of all sums of the working precision."""
    return arb((1, UNUSED + 4 - ctx.prec))


@functools.cache
def sum_for(reach: float, spread: float, bits: int) -> Sum:
    """Sum for means of length ``reach`` and differences ``2 spread`` at most."""
    least = (bits - UNUSED) * math.log(2) + 2 * math.log(bits + reach) + 5
    c = min(math.sqrt(2 * least), 0.95 * math.pi / 2 / spread)
    h = 2 * math.pi * c / (least + c * c / 2)
    count = math.ceil(math.sqrt(2 * least) / h) + 1
    require(count <= LARGEST, "its means are too far apart")
    x = np.array([k * arb(h) for k in range(-count, count + 1)])
    weights = EXP(-x * x / 2) * h / (2 * arb.pi()).sqrt()
    end, outer, strip = x[-1], 1 + arb(reach), arb(c)
    density, mass = (-end * end / 2).exp() / (2 * arb.pi()).sqrt(), (end / arb(2).sqrt()).erfc() / 2
    beyond = 6 * ((outer * outer + 1) * mass + (2 * outer + end) * density)
    size = 3 * (1 + outer + strip) ** 2 * (strip * strip / 2).exp() / (spread * strip).cos() ** 2
    error = beyond + 2 * size / ((2 * arb.pi() * strip / h).exp() - 1)
    require(end >= 1 and spread * strip < arb.pi() / 2 and error <= slack(), "a sum is not right")
    return Sum(x, weights, error.upper())


def sum_of(mu: Any) -> Sum:
    """Sum for these balls, which serves their real parts if they are complex."""
    gaps = [(a - b) / 2 for k, a in enumerate(mu) for b in mu[:k]]
    require(all(abs(g.imag) < 1 for g in gaps), "posteriors may be unbounded")
    reach, spread = (_above([abs(c.real) for c in row]) for row in (mu, gaps))
    return sum_for(reach, spread, ctx.prec)


def _above(lengths: Any) -> float:
    """One of few doubles, none of the lengths above it."""
    longest = max((float(x.upper()) for x in lengths), default=0.0)
    require(longest < 1e6, "a mean is too far away")
    bound = 2.0 ** (math.floor(4 * math.log2(max(longest, 2.0**-4))) / 4 + 0.25)
    require(all(x <= bound for x in lengths), "a mean is too far away")
    return bound
