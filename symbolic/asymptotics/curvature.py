r"""A form on the sphere in balls: value, gradient and Hessian at points of a subspace.

In coordinates `w` with ``z = R w`` and ``R'GR = 1`` the sphere is ``|w| = 1``. By homogeneity the
second derivatives `M` say it all: ``p (p-1) ell = w'Mw`` and ``(p-1) D ell = M w``. On tangents of
the sphere the gradient is ``D ell - p ell w`` and the Hessian ``M - p ell``. Along a great circle
`w(t)` and for a parallel tangent `u`, with ``u' = -(u.w') w``,

.. math:: \frac{d}{dt} (M - p \ell)[u, u] = D^3 \ell [w', u, u] - 2 (p - 1) (u \cdot w') D \ell [u]
          - p D \ell [w'],

so that it changes at a speed of at most ``K = sup |D^3 ell| + (3 p - 2) sup |D ell|``. Both are
bounded by the Frobenius norm of the form's symmetric tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.numbers import BALLS
from symbolic.asymptotics.terms import Terms, placed
from symbolic.language.elimination import eliminated
from symbolic.language.lower import lower

__all__ = ["Curvature", "Local", "length", "tangent"]

# Entries of the largest tensor whose norm is enclosed.
LARGEST = 20_000


@dataclass(frozen=True)
class Local:
    """A form at a point of the sphere, as matrices of balls.

    Parameters
    ----------
    point : arb_mat
        `w`, of length one.
    value : arb
        ``ell``.
    slope : arb_mat
        Gradient on the sphere.
    second : arb_mat
        ``M - p ell``, which on tangents is the Hessian on the sphere.
    """

    point: Any
    value: Any
    slope: Any
    second: Any


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of a form on a subspace in which all but the first entries are zero.

    Parameters
    ----------
    degree : int
        `p`, two or more.
    axes : arb_mat
        `R`; it takes the first entries of `w` to those of `z`.
    free : int
        How many entries are not zero.
    exponents : tuple of tuple of int
        Monomials of degree ``p - 2`` in the first entries of `z`.
    coefficients : arb_mat
        Of the monomials (columns) in the second derivatives by `z` (rows).
    first, third : arb
        Upper bounds of first and third derivatives on the sphere.
    """

    degree: int
    axes: Any
    free: int
    exponents: tuple[tuple[int, ...], ...]
    coefficients: Any
    first: Any
    third: Any

    @classmethod
    def of(cls, terms: Terms, metric: sp.MatrixBase, free: Sequence[int]) -> Curvature | None:
        """Curvature where entries that are not free are zero; None of forms that are too large.

        Parameters
        ----------
        terms : Terms
            A homogeneous polynomial, whose coefficients are numbers.
        metric : Matrix
            `G`, of numbers.
        free : sequence of int
            Entries of `z` that are not zero; they become the first ones.
        """
        from flint import arb_mat

        n, p = terms.size, sum(e for _, e in terms.powers[0])
        if p < 2 or n**p > LARGEST:
            return None
        order = [*free, *(j for j in range(n) if j not in free)]
        inner = lower([metric[i, j] for i in order for j in order], [], "ball")()
        balls = arb_mat(n, n, list(inner))
        numbers = terms.numbers(BALLS)()
        exponents, rows = _seconds(terms, numbers, order, len(free))
        size = _norm(terms, numbers, p, lower(list(metric.inv()), [], "ball")())
        return cls(
            p,
            _factor(balls).inv().transpose(),
            len(free),
            exponents,
            arb_mat(rows),
            p * size,
            p * (p - 1) * (p - 2) * size,
        )

    @property
    def speed(self) -> Any:
        """`K`: how fast the Hessian on the sphere changes at most."""
        return self.third + (3 * self.degree - 2) * self.first

    def at(self, y: Sequence[float]) -> Local:
        """Form at the point of the sphere in the direction of `y`, of `free` exact entries."""
        from flint import arb, arb_mat

        n, p = self.axes.nrows(), self.degree
        direction = arb_mat([[arb(v)] for v in y] + [[arb(0)]] * (n - self.free))
        w = direction * (1 / (direction.transpose() * direction)[0, 0].sqrt())
        z = (self.axes * w).entries()[: self.free]
        powers = [[arb(1)] for _ in z]
        for row, v in zip(powers, z, strict=True):
            for _ in range(p - 2):
                row.append(row[-1] * v)
        monomials = [
            [prod((row[e] for row, e in zip(powers, key, strict=True) if e), start=arb(1))]
            for key in self.exponents
        ]
        by_z = arb_mat(n, n, (self.coefficients * arb_mat(monomials)).entries())
        by_w = self.axes.transpose() * by_z * self.axes
        gradient = by_w * w * (arb(1) / (p - 1))
        value = (w.transpose() * gradient)[0, 0] / p
        shift = arb_mat(n, n, [p * value * int(i == j) for i in range(n) for j in range(n)])
        return Local(w, value, gradient - w * (p * value), by_w - shift)


def tangent(w: Any, u: Any) -> Any:
    """Part of vectors (columns) that is tangent to the sphere at `w`."""
    return u - w * (w.transpose() * u)


def length(u: Any) -> Any:
    """Upper bound of the length of a vector."""
    return (u.transpose() * u)[0, 0].abs_upper().sqrt()


def _seconds(
    terms: Terms, numbers: Sequence[Any], order: Sequence[int], free: int
) -> tuple[tuple[tuple[int, ...], ...], list[list[Any]]]:
    """Monomials on the subspace, and their coefficients in each of the second derivatives."""
    from flint import arb

    n = terms.size
    place = {k: p for p, k in enumerate(order)}
    zeros = {k for k in order[free:]}
    table: dict[tuple[int, ...], list[Any]] = {}
    for i, j, powers, c in terms.seconds(numbers, zeros):
        left = dict(powers)
        if not zeros.isdisjoint(left):
            continue
        row = table.setdefault(tuple(left.get(k, 0) for k in order[:free]), [arb(0)] * n**2)
        for a, b in {(place[i], place[j]), (place[j], place[i])}:
            row[n * a + b] = row[n * a + b] + c
    return tuple(table), [list(row) for row in zip(*table.values(), strict=True)]


def _norm(terms: Terms, numbers: Sequence[Any], degree: int, inverse: Sequence[Any]) -> Any:
    """Upper bound of the Frobenius norm of the symmetric tensor, in the metric."""
    from flint import arb

    n = terms.size
    found = np.full((n,) * degree, arb(0), dtype=object)
    placed(terms, numbers, found)
    raised, both = found, np.array(inverse, dtype=object).reshape(n, n)
    for _ in range(degree):
        raised = np.tensordot(raised, both, axes=(0, 0))
    return sum((raised * found).flat, arb(0)).abs_upper().sqrt().abs_upper()


def _factor(matrix: Any) -> Any:
    """Cholesky's lower triangular factor."""
    from flint import arb_mat

    terms = eliminated(matrix.tolist())
    return arb_mat([[e * d.sqrt() for e in line or ()] for d, line in terms]).transpose()
