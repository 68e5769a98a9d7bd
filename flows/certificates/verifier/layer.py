r"""Loss, gradient and Hessian of a hidden layer, for the independent check.

``L = 1/2 sum mu_p mu_q k(u_p, u_q)`` over students and teachers, ``mu`` the weights, those of the
teachers negative. With the parts ``p, q, R, T`` of :mod:`kernels`, sums over all rows ``u_q``:

    dL/dw_i = mu_i sum_q mu_q (p_iq w_i + q_iq u_q),         dL/da_i = sum_q mu_q k_iq,
    d2L/dw_i dw_j = mu_i mu_j (q_ij I + T_ij) + delta_ij mu_i sum_q mu_q (p_iq I + R_iq),
    d2L/dw_i da_j = mu_i (p_ij w_i + q_ij u_j) + delta_ij sum_q mu_q (p_iq w_i + q_iq u_q),
    d2L/da_i da_j = k_ij
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.verifier.kernels import First, Kernel
from flows.certificates.verifier.reading import Refused


class Pairs:
    """The loss at students, whose outputs are the last column where they are trained."""

    def __init__(
        self, kernel: Kernel, students: Any, teachers: Any, weights: Any, outputs: Any = None
    ) -> None:
        """Take students, and teachers with minus their weights; no outputs where they are trained.

        Refuse pairs at which the kernel is not known.
        """
        r = teachers.shape[1]
        self.kernel, self.w, self.n = kernel, students[:, :r], len(students)
        self.trained = outputs is None
        outputs = students[:, r] if outputs is None else outputs
        self.u = np.concatenate([self.w, teachers])
        self.mu = np.concatenate([outputs, weights])
        self.first: dict[tuple[int, int], First] = {}
        for i, q in np.ndindex(self.n, len(self.u)):
            try:
                pair = (self.w[i], self.u[q])
                self.first[i, q] = kernel.own(self.w[i]) if i == q else kernel.first(*pair)
            except Refused as reason:
                other = f"student {q + 1}" if q < self.n else f"teacher {q - self.n + 1}"
                raise Refused(f"student {i + 1} and {other} {reason}") from None
        shape = (self.n, len(self.u))
        self.value, self.on_w, self.on_u = (
            np.array([self.first[k][part] for k in np.ndindex(shape)]).reshape(shape)
            for part in range(3)
        )

    @cached_property
    def pulls(self) -> Any:
        """Gradients by the students, without the output of their own."""
        along = (self.on_w @ self.mu)[:, None] * self.w
        return (self.on_u * self.mu) @ self.u + along

    def gradient(self) -> Any:
        """Gradient, a row a student."""
        found = self.mu[: self.n, None] * self.pulls
        return np.column_stack([found, self.value @ self.mu]) if self.trained else found

    def hessian(self) -> Any:
        """Hessian, in the order of the rows of students."""
        n, r = self.w.shape
        found = np.full((n, r + self.trained, n, r + self.trained), arb(0))
        level = self.across()
        for i in range(n):
            twice, within = arb(0), 0
            for q in range(len(self.u)):
                one = self.first[i, q]
                if q == i:
                    two = self.kernel.own_second(self.w[i], one)
                else:
                    two = self.kernel.second(self.w[i], self.u[q], one)
                within = within + self.mu[q] * two.within
                twice += self.mu[q] * two.twice
                if i <= q < n:
                    found[i, :r, q, :r] += self.mu[i] * self.mu[q] * two.across
                if i < q < n:
                    found[q, :r, i, :r] = found[i, :r, q, :r].T
            axis = self.kernel.axis(self.w[i])
            found[i, :r, i, :r] += self.mu[i] * (within + twice * np.outer(axis, axis))
            for j in range(n):
                for k in range(r):
                    found[i, k, j, k] += level[i, j]
        if self.trained:
            for i, j in np.ndindex(n, n):
                pull = self.mu[i] * (self.on_w[i, j] * self.w[i] + self.on_u[i, j] * self.u[j])
                found[i, :r, j, r] = pull + (self.pulls[i] if i == j else 0)
                found[j, r, i, :r] = found[i, :r, j, r]
                found[i, r, j, r] = self.value[i, j]
        return found.reshape(n * (r + self.trained), n * (r + self.trained))

    def across(self) -> Any:
        """What the Hessian by the students is in one further dimension."""
        mu = self.mu[: self.n]
        own = np.diag((self.on_w @ self.mu) * mu)
        return mu[:, None] * mu * self.on_u[:, : self.n] + own

    def loss(self) -> arb:
        """Population loss, without what the teachers give."""
        total = arb(0)
        for i, q in np.ndindex(self.value.shape):
            if q >= i:
                k = self.mu[i] * self.mu[q] * self.value[i, q]
                total += k / 2 if i == q else k
        return total


def of_teachers(kernel: Kernel, teachers: Any, mu: Any, slope: float) -> arb:
    """Loss of the teachers alone, which may be equal, or opposite."""
    return sum(
        (
            mu[p] * mu[q] * _between(kernel, teachers[p], teachers[q], slope) / 2
            for p, q in np.ndindex(len(mu), len(mu))
        ),
        arb(0),
    )


def _between(kernel: Kernel, v: Any, u: Any, slope: float) -> arb:
    """Kernel of two teachers."""
    alike = bool(np.all(v == u))
    if alike or not hasattr(kernel, "slope"):
        return (kernel.own(v) if alike else kernel.first(v, u)).value
    inner = v @ u
    area = ((v @ v) * (u @ u) - inner**2).nonnegative_part().sqrt()
    # The angle by its tangent, from the nearer end of [0, pi].
    angle = arb.atan2(area, inner) if not inner < 0 else arb.pi() - arb.atan2(area, -inner)
    bent = (1 - arb(slope)) ** 2 * (area + (arb.pi() - angle) * inner) / (2 * arb.pi())
    return bent + slope * inner
