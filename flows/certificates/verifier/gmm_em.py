r"""Equations of gradient EM on a line, typed anew for the check of certificates.

With ``psi_k`` the posterior of component ``k``, ``y_k = x - mu_k`` and ``r_km = psi_k He_m(y_k)``,
``He_2 = y^2 - 1``, ``He_3 = y^3 - 3 y``, the gradient is ``-E r_i1``, and by ``d r_im/d mu_j =
[i = j] r_i,m+1 - r_im r_j1`` the Hessian is ``E(r_i1 r_j1 - [i = j] r_i2)``, ``x ~ N(0, 1)``. By
Stein's lemma, ``E x psi_i = E psi_i'``, the gradient is ``E psi_i v``, too, ``v = sum psi_k mu_k``.

Sums of :mod:`flows.certificates.verifier.sums` stand for ``E``. On an ellipse the sum for its box
takes the place of the field, from which it differs by ``SLACK`` at most: at the points of
interpolation and between them.
"""

from typing import Any

import numpy as np
from flint import acb, arb

from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.reading import numbers, require
from flows.certificates.verifier.segment import Equations, Segment
from flows.certificates.verifier.sums import EXP, slack, sum_of


class Means(Equations):
    """The means of a mixture; only the ratios of its weights matter."""

    stated, form = ("n", "d", "weights"), "means"

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
        odds = np.full((len(x), len(mu)), arb(1))
        others = top[:, None] != np.arange(len(mu))
        EXP((mu - best) * (x[:, None] - (mu + best) / 2), out=odds, where=others)
        odds *= self.weights / self.weights[top, None]
        odds[~others] = arb(1)
        total = odds.sum(axis=1)
        require(not any(c.contains(0) for c in total), "posteriors may be unbounded")
        return odds / total[:, None]

    def field(self, x: Any, signs: Any) -> Any:
        """``E r_i1``; of complex means the sum for ``-E psi_i v`` alone, which is less wide."""
        found = sum_of(x)
        psi = self.posteriors(x, found.points)
        if not isinstance(x[0], acb):
            return found.weights @ (psi * (found.points[:, None] - x)) + found.error * UNIT
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


EQUATIONS = Means
