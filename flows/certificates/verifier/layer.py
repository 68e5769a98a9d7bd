r"""Loss, gradient and Hessian of a hidden layer of leaky ReLUs, for the independent check.

``L = 1/2 sum mu_p mu_q k(u_p, u_q)`` over students and teachers, ``mu`` the weights, those of the
teachers negative. For the ReLU ``2 pi k = |u| |v| (sin t + (pi - t) cos t)`` with the angle ``t``;
with hats for unit vectors, ``n`` that of ``v`` across ``u`` and ``m`` that of ``u`` across ``v``,

    2 pi dk/du       =  |v| sin t u^  +  (pi - t) v
    2 pi d2k/du du   =  |v|/|u| sin t (I - u^ u^T + n n^T)
    2 pi d2k/du dv   =  (pi - t) I + u^ n^T + v^ m^T

The slope ``l`` on the negative half-line makes it ``(1 - l)^2 k + l u.v``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from flows.certificates.verifier.reading import require


class Pairs:
    """Geometry of students and all rows, ``u_q``; students first."""

    def __init__(self, students: Any, teachers: Any, mu: Any, slope: float) -> None:
        """Angles of all pairs that the gradient needs; refuse where one may be 0 or pi."""
        self.w, self.mu, self.n = students, mu, len(students)
        self.u = np.concatenate([students, teachers])
        squares = np.array([row @ row for row in self.u])
        require(all(s > 0 for s in squares), "a neuron may be zero")
        self.size = np.array([s.sqrt() for s in squares])
        self.unit = self.u / self.size[:, None]
        shape = (self.n, len(self.u))
        self.cos, self.sin, self.angle = (np.full(shape, arb(x)) for x in (1, 0, 0))
        for i, q in np.ndindex(shape):
            if q != i:
                cosine = self.w[i] @ self.u[q] / (self.size[i] * self.size[q])
                require(1 - cosine**2 > 0, f"neurons {i + 1} and {q + 1} may be parallel")
                self.cos[i, q], self.angle[i, q] = cosine, cosine.acos()
                self.sin[i, q] = (1 - cosine**2).sqrt()
        self.part = (1 - arb(slope)) ** 2 / (2 * arb.pi())
        # mu_q |u_q| sin / (2 pi |w_i|), zero for the student itself, and (pi - angle) / (2 pi); the
        # slope makes something else of both.
        self.pull = mu * self.size * self.sin * self.part / self.size[: self.n, None]
        self.facing = self.part * (arb.pi() - self.angle) + arb(slope)

    def gradient(self) -> Any:
        """Gradient, a row a student."""
        moved = (self.facing * self.mu) @ self.u + self.pull.sum(axis=1)[:, None] * self.w
        return self.mu[: self.n, None] * moved

    def hessian(self) -> Any:
        """Hessian, as an array."""
        n, r = self.w.shape
        found = np.empty((n, r, n, r), dtype=object)
        across = self.across()
        for i in range(n):
            block = -self.pull[i].sum() * np.outer(self.unit[i], self.unit[i])
            for q in range(len(self.u)):
                if q != i:
                    normal = self.normal(i, q)
                    block = block + np.outer(normal, self.pull[i, q] * normal)
            found[i, :, i] = self.mu[i] * block
            for j in range(i + 1, n):
                block = np.outer(self.unit[i], self.normal(i, j))
                block = block + np.outer(self.unit[j], self.normal(j, i))
                found[i, :, j] = self.mu[i] * self.mu[j] * self.part * block
                found[j, :, i] = found[i, :, j].T
            for j in range(n):
                for k in range(r):
                    found[i, k, j, k] += across[i, j]
        return found.reshape(n * r, n * r)

    def normal(self, i: int, q: int) -> Any:
        """Unit vector of row ``q`` across row ``i``."""
        return (self.unit[q] - self.cos[i, q] * self.unit[i]) / self.sin[i, q]

    def across(self) -> Any:
        """What the Hessian is in one further dimension."""
        mu = self.mu[: self.n]
        pulls = np.diag(self.pull.sum(axis=1) * mu)
        return mu[:, None] * mu * self.facing[:, : self.n] + pulls

    def loss(self) -> arb:
        """Population loss, without what the teachers give."""
        total = arb(0)
        for i, q in np.ndindex(self.cos.shape):
            if q >= i:
                k = self.part * self.sin[i, q] + self.facing[i, q] * self.cos[i, q]
                k = k * self.size[i] * self.size[q]
                total += self.mu[i] * self.mu[q] * (k / 2 if i == q else k)
        return total


def of_teachers(teachers: Any, mu: Any, slope: float) -> arb:
    """Loss of the teachers alone."""
    total = arb(0)
    for p, q in np.ndindex(len(mu), len(mu)):
        inner, alike = teachers[p] @ teachers[q], bool(np.all(teachers[p] == teachers[q]))
        square = (teachers[p] @ teachers[p]) * (teachers[q] @ teachers[q]) - inner**2
        area = arb(0) if alike else square.nonnegative_part().sqrt()
        # The angle by its tangent, from the nearer end of [0, pi].
        angle = arb.atan2(area, inner) if not inner < 0 else arb.pi() - arb.atan2(area, -inner)
        k = (1 - arb(slope)) ** 2 * (area + (arb.pi() - angle) * inner) / (2 * arb.pi())
        total += mu[p] * mu[q] * (k + slope * inner) / 2
    return total
