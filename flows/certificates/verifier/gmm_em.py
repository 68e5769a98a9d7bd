r"""Equations of gradient EM on a line, typed anew for the check of certificates.

With ``psi_k`` the posterior of component ``k``, ``y_k = x - mu_k`` and ``r_km = psi_k He_m(y_k)``,
``He_2 = y^2 - 1``, ``He_3 = y^3 - 3 y``, the gradient is ``-E r_i1``, and by ``d r_im/d mu_j =
[i = j] r_i,m+1 - r_im r_j1`` the Hessian is ``E(r_i1 r_j1 - [i = j] r_i2)``, ``x ~ N(0, 1)``. By
Stein's lemma, ``E x psi_i = E psi_i'``, the gradient is ``E psi_i v``, too, ``v = sum psi_k mu_k``.

Sums over multiples of ``h`` up to ``X`` stand for ``E``. For means of length up to ``R`` and
differences up to ``2 S``, posteriors at ``u + i b``, ``|b| <= c < pi/(2 S)``, are at most
``1/cos(S c)``, since no phase differs by more than ``S c`` from that of the middle. So all these
integrands are at most ``3 (1 + R + c + |u|)^2 / cos(S c)^2``, their integrals along the line by
Minkowski's inequality at most ``M = 3 (2 + R + c)^2 exp(c^2/2) / cos(S c)^2``, and the sums without
end are off by at most ``2 M / (exp(2 pi c/h) - 1)`` (Trefethen and Weideman, The exponentially
convergent trapezoidal rule, SIAM Review 56 (2014), Theorem 5.1). The terms beyond ``X >= 1``
decrease, and are at most the integral.

On an ellipse the sum for its box takes the place of the field, from which it differs by ``SLACK``
at most: at the points of interpolation and between them.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from flint import acb, arb, ctx

from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.reading import numbers, require
from flows.certificates.verifier.segment import Equations, Segment

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


class Means(Equations):
    """The means of a mixture; only the ratios of its weights matter."""

    stated = ("n", "d", "weights")

    def __init__(self, parameters: Any, means: Any) -> None:
        weights = numbers(parameters["weights"])
        require(
            parameters["d"] == 1
            and weights.shape == (parameters["n"],)
            and (weights > 0).all()
            and means.shape == (len(weights), 1),
            "means and weights do not fit",
        )
        self.weights, self.start = (
            np.array([arb(c) for c in row.ravel().tolist()]) for row in (weights, means)
        )

    def posteriors(self, mu: Any, x: Any) -> Any:
        """One row a point: components are compared to the one that is the largest in the middle."""
        middle, at = (np.array([float(c.real.mid()) for c in row]) for row in (mu, x))
        top = np.argmax(middle * (at[:, None] - middle / 2), axis=1)
        best = mu[top, None]
        odds = EXP((mu - best) * (x[:, None] - (mu + best) / 2)) * self.weights
        odds /= self.weights[top, None]
        odds[np.arange(len(x)), top] = arb(1)
        total = odds.sum(axis=1)
        require(not any(c.contains(0) for c in total), "posteriors may be unbounded")
        return odds / total[:, None]

    def field(self, x: Any, signs: Any) -> Any:
        """``E r_i1``; of complex means the sum for ``-E psi_i v`` alone, which is less wide."""
        found = sum_of(x)
        if not isinstance(x[0], acb):
            return found.weights @ self.hermite(x, found.points)[0] + found.error * UNIT
        psi = self.posteriors(x, found.points)
        return -found.weights @ (psi * (psi @ x)[:, None])

    def branching(self, segment: Segment, parts: int) -> arb:
        """Bound what the sum for an ellipse costs instead of the field."""
        count, size = segment.p.shape
        lebesgue, speed = 1 + 2 / arb.pi() * arb(size).log(), (segment.centre + segment.half).exp()
        off = (1 + lebesgue) * arb(count).sqrt() * slack() * speed
        return super().branching(segment, parts) + off

    def hessian(self, x: Any) -> Any:
        """Hessians of a box: that of its middle, and what the third derivatives add."""
        found, middle = sum_of(x), np.array([c.mid() for c in x])
        w = found.weights
        first, second, _ = self.hermite(middle, found.points)
        h = first.T @ (w[:, None] * first) - np.diag(w @ second) + found.error * UNIT
        first, second, third = self.hermite(x, found.points)
        mixed, own = second.T @ (w[:, None] * first), w @ third
        for k, c in enumerate(x):
            change = 2 * first.T @ ((w * first[:, k])[:, None] * first) - np.diag(mixed[:, k])
            change[k] -= mixed[k]
            change[:, k] -= mixed[k]
            change[k, k] += own[k]
            h += change * (c.rad() * UNIT)
        return h

    def hermite(self, mu: Any, points: Any) -> tuple[Any, Any, Any]:
        """``r_k1``, ``r_k2``, ``r_k3``, one row a point."""
        psi, y = self.posteriors(mu, points), points[:, None] - mu
        return psi * y, psi * (y * y - 1), psi * y * (y * y - 3)
