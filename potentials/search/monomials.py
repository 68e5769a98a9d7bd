"""Which monomials squares are made of: Newton's polytope, and symmetries that change signs.

Newton's polytope says which ones can occur (Reznick 1978); sign symmetries split bases into blocks
(Loefberg 2009).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.optimize

from potentials.search.polynomials import Exponents, Polynomial

__all__ = ["Polytope", "Signs", "added", "null_space"]

#: Exponents are whole numbers: one outside a hull is farther from it than this, rounding is less.
OUTSIDE = 1e-8


class Polytope:
    """The convex hull of exponents: membership by bounds, then by least squares."""

    def __init__(self, points: Iterable[Exponents]) -> None:
        self._known = dict.fromkeys(points, True)
        self._points = np.array(sorted(self._known), dtype=float)
        self._low, self._high = self._points.min(0), self._points.max(0)
        self._sums = self._points.sum(1)

    @property
    def degree(self) -> int:
        """Largest degree."""
        return int(self._sums.max())

    def __contains__(self, e: Exponents) -> bool:
        """Whether exponents lie in the hull."""
        if e not in self._known:
            x = np.array(e, dtype=float)
            bounded = (x >= self._low).all() and (x <= self._high).all()
            bounded = bounded and self._sums.min() <= x.sum() <= self._sums.max()
            self._known[e] = bool(bounded) and self._combined(x)
        return self._known[e]

    def _combined(self, x: Any) -> bool:
        rows = np.vstack([self._points.T, np.ones(len(self._points))])
        return bool(scipy.optimize.nnls(rows, np.append(x, 1.0))[1] < OUTSIDE)


class Signs:
    """Changes of signs of variables that leave an expression and its region as they are.

    They are the null space over the field of two elements of all exponents that occur.
    """

    def __init__(
        self,
        support: Iterable[Exponents],
        above: Iterable[Polynomial],
        matrices: Iterable[Any],
        size: int,
    ) -> None:
        terms = [*support]
        for p in above:
            terms += p.to_dict()
        for matrix in matrices:
            terms += matrix[0][0].to_dict()
            for i, j in itertools.combinations(range(len(matrix)), 2):
                # Signs of rows follow from the first one: G_ij has those of G_0i and G_0j.
                heads = [next(iter(matrix[0][k].to_dict()), (0,) * size) for k in (i, j)]
                terms += [added(e, *heads) for e in matrix[i][j].to_dict()]
        self._flips = null_space([[k % 2 for k in e] for e in terms], size)

    def of(self, e: Exponents) -> tuple[int, ...]:
        """Which of them change the sign of a monomial."""
        return tuple(sum(a * b for a, b in zip(flip, e, strict=True)) % 2 for flip in self._flips)


def null_space(rows: Iterable[list[int]], size: int) -> list[list[int]]:
    """Vectors over the field of two elements whose products with all rows are even."""
    reduced: list[list[int]] = []
    pivots: list[int] = []
    for row in rows:
        left = list(row)
        for other, pivot in zip(reduced, pivots, strict=True):
            if left[pivot]:
                left = [a ^ b for a, b in zip(left, other, strict=True)]
        if any(left):
            new = left.index(1)
            reduced = [
                [a ^ b for a, b in zip(other, left, strict=True)] if other[new] else other
                for other in reduced
            ]
            reduced.append(left)
            pivots.append(new)
    found = []
    for free in sorted({*range(size)} - {*pivots}):
        vector = [int(j == free) for j in range(size)]
        for row, pivot in zip(reduced, pivots, strict=True):
            vector[pivot] = row[free]
        found.append(vector)
    return found


def added(*powers: Exponents) -> Exponents:
    """Exponents of a product."""
    return tuple(map(sum, zip(*powers, strict=True)))
