"""Constants of a mixture's raw field: what its one array of numbers holds, and in which order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.quadrature import Rule

# Form of one component alone, beside those of `means`.
LINEAR = 0


class Limits(NamedTuple):
    """What the means of a piece stay within.

    Parameters
    ----------
    length, spread : (float, float)
        Between which the longest mean is, and the longest deviation from their mean.
    change : float
        By how much a squared length may change.
    moved, turned : float
        By how much a mean may move; by which parts of its length the step to it from the mean at
        home may move, along itself and across. Nodes that were left out, and layers, ask for both.
    home : int
        The component at home at the start.
    means : ndarray, shape (k, r)
        Means at the start.
    """

    length: tuple[float, float]
    spread: tuple[float, float]
    change: float
    moved: float
    turned: tuple[float, float]
    home: int
    means: Array

    def ordered(self, order: NDArray[np.intp]) -> Limits:
        """The same with the components in another order."""
        home = int(np.argmax(order == self.home))
        return self._replace(means=self.means[order], home=home)


# Numbers of limits before the means.
LIMITS = 9
# Numbers of a shape before those of its levels.
SHAPE = 8


class Levels(NamedTuple):
    """Rules for means up to some distances, two a level: one of the field, one of its Jacobian.

    Parameters
    ----------
    axes : ndarray, shape (r, r)
        Orthonormal rows.
    widths : ndarray, shape (L, r)
        Largest distances of two means along each axis, up to which a level serves.
    numbers : ndarray
        Lists of all rules (:mod:`flows.systems.mixture.node_lists`), one after the other.
    counts : ndarray of int, shape (2 L,)
        Nodes of each.
    """

    axes: Array
    widths: Array
    numbers: Array
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, rule: Rule, coarse: Rule) -> Levels:
        """Means at any distance."""
        from flows.systems.mixture.node_lists import packed  # Numba loads where it is needed

        lists = [packed(one.nodes, one.weights) for one in (rule, coarse)]
        counts, r = np.array([len(rule), len(coarse)]), rule.nodes.shape[1]
        return cls(np.eye(r), np.full((1, r), np.inf), np.concatenate(lists), counts)


#: Levels of a field that has no rules.
NO_LEVELS = Levels(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), np.zeros(0, np.int64))


def pack(weight: Array, rate: Array, levels: Levels, limits: Limits) -> Array:
    """Constant argument of the raw field: weights, rates, axes and widths, rules, limits."""
    bounds = [
        *limits.length,
        *limits.spread,
        limits.change,
        limits.moved,
        *limits.turned,
        limits.home,
    ]
    where = levels.axes.ravel(), levels.widths.ravel(), levels.numbers
    return np.concatenate([weight, rate, *where, bounds, limits.means.ravel()])
