r"""Rates of sums of squares by the Jacobian of what is squared.

For `L - a = \sum_i w_i r_i^2` with positive weights, and the Jacobian `J` of `r`,

.. math:: 4 |J^T v|^2 - c \sum_i v_i^2/w_i \ge 0 \;\forall v \quad\Longrightarrow\quad
          |\nabla L|^2 \ge c (L - a):

put `v_i = w_i r_i`. Its degree in `x` is half of that of the rate itself, and squares are linear in
`v`. Where `L \le \ell`, the matrix

.. math:: \begin{pmatrix} \ell - a & r^T \\ r & \operatorname{diag}(1/w) \end{pmatrix} \succeq 0

has the degree of `r`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from flint import fmpq

from potentials.search.polynomials import Flow, Polynomial, ring_of
from potentials.search.regions import Set
from potentials.search.squares import Affine, Region

__all__ = ["Jacobian", "jacobian"]


@dataclass(frozen=True)
class Jacobian:
    """A sum of squares along a flow.

    Parameters
    ----------
    flow : Flow
        The gradient flow of the sum, up to a constant.
    squares : tuple of (fmpq, Polynomial)
        Weights and what is squared.
    least : fmpq
        The loss less the sum.
    """

    flow: Flow
    squares: tuple[tuple[fmpq, Polynomial], ...]
    least: fmpq

    @property
    def forms(self) -> int:
        """Number of the `v`."""
        return len(self.squares)

    def fits(self, degree: int) -> bool:
        """Whether proofs of a degree are smaller than those without `v`."""
        return degree <= 4 * max(r.total_degree() for _, r in self.squares) - 2

    @cached_property
    def wider(self) -> Flow:
        """The variables, then `v`: polynomials in both, of no flow."""
        vectors = tuple(sp.Symbol(f"v[{i}]") for i in range(self.forms))
        symbols = (*self.flow.symbols, *vectors)
        ring = ring_of(len(symbols))
        return Flow(symbols, ring, (), ring.constant(0))

    def lifted(self, p: Polynomial) -> Polynomial:
        """A polynomial without `v` among those with them."""
        none = (0,) * self.forms
        terms = p.to_dict().items()
        return self.wider.ring.from_dict({(*e[:-1], *none, e[-1]): c for e, c in terms})

    def decay(self, constant: Affine) -> Affine:
        """What is not negative where the rate has a constant."""
        zero = self.wider.constant(0)
        v = self.wider.ring.gens()[self.flow.size : -1]
        slopes = [
            [self.lifted(r.derivative(i)) for i in range(self.flow.size)] for _, r in self.squares
        ]
        along = (
            sum((x * row[i] for x, row in zip(v, slopes, strict=True)), start=zero)
            for i in range(self.flow.size)
        )
        steep = sum((4 * p * p for p in along), start=zero)
        size = sum((x * x / w for x, (w, _) in zip(v, self.squares, strict=True)), start=zero)
        return Affine({0: steep}) - constant.mapped(self.lifted).times(size)

    def region(self, where: Set) -> Region:
        """The set among polynomials with `v`, and a matrix of each level."""

        def every(parts: Sequence[Polynomial]) -> tuple[Polynomial, ...]:
            return tuple(self.lifted(p) for p in parts)

        plain = where.region
        levels = (self.matrix(c.level) for c in where.conditions if c.level is not None)
        matrices = (tuple(map(every, matrix)) for matrix in (*plain.matrices, *levels))
        return Region(every(plain.above), every(plain.zero), tuple(matrices))

    def matrix(self, level: fmpq) -> tuple[tuple[Polynomial, ...], ...]:
        """What has no negative eigenvalue where the loss is at most a level."""
        r, one = [p for _, p in self.squares], self.flow.constant(1)
        rows: list[list[Any]] = [[one * (level - self.least), *r]]
        for i, (w, p) in enumerate(self.squares):
            rows.append([p, *(one / w if i == j else 0 * one for j in range(len(r)))])
        return tuple(map(tuple, rows))


def jacobian(flow: Flow, loss: sp.Expr, target: Polynomial) -> Jacobian | None:
    """The squares that a loss is written as, where the target is their sum; or None.

    More squares than variables have a Jacobian of no full rank.
    """
    found = []
    for term in sp.Add.make_args(loss):
        factor, power = term.as_coeff_Mul()
        if not power.is_Pow or power.exp != 2 or not (factor.is_Rational and factor > 0):
            continue
        try:
            found.append((fmpq(int(factor.p), int(factor.q)), flow.read(power.base)))
        except ValueError:
            return None
    total = sum((w * p * p for w, p in found), start=flow.constant(0))
    if not 0 < len(found) <= flow.size or total != target:
        return None
    return Jacobian(flow, tuple(found), (flow.loss - target).leading_coefficient())
