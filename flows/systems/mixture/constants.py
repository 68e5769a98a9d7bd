"""Constants of a mixture's raw field: what its one array of numbers holds, and in which order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.arithmetic.kept import shared
from flows.core.arrays import Array
from flows.systems.mixture.means import FAR

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
    moved : float
        By how much a mean may move along the axes, which nodes that were left out ask for.
    home : int
        The component at home at the start where nodes are left out, and none otherwise.
    means, along : ndarray, shape (k, r)
        Means at the start, and their coordinates along the axes.
    matters : ndarray, shape (k,)
        Zero for components that are seen nowhere.
    """

    length: tuple[float, float]
    spread: tuple[float, float]
    change: float
    moved: float
    home: int
    means: Array
    along: Array
    matters: Array

    def ordered(self, order: NDArray[np.intp]) -> Limits:
        """The same with the components in another order."""
        home = self.home if self.home == NOBODY else int(np.argmax(order == self.home))
        means, along, matters = self.means[order], self.along[order], self.matters[order]
        return self._replace(means=means, along=along, matters=matters, home=home)


#: In place of a component.
NOBODY = -1
# Numbers of limits before the means.
LIMITS = 7
# Numbers of a shape before those of its levels.
SHAPE = 8
#: A piece has a rule with room for what steps try, this one, within which it stays, and others for
#: shorter means.
USUAL_LEVEL = 1
#: Nodes that were left out add nothing until means have moved by so many times what a piece allows.
BEYOND = 2.0


class Levels(NamedTuple):
    """Rules for means up to some distances, two a level: one of the field, one of its Jacobian.

    Parameters
    ----------
    pivots : ndarray of int, shape (2 r,)
        Components whose differences the axes are along (:mod:`flows.systems.mixture.axes`).
    axes : ndarray, shape (r, r)
        Orthonormal rows, the axes at the start.
    widths : ndarray, shape (L, r)
        Largest distances of two means along each axis, up to which a level serves.
    numbers : ndarray
        Lists of all rules (:mod:`flows.systems.mixture.nodes`), one after the other.
    counts : ndarray of int, shape (2 L,)
        Nodes of each.
    """

    pivots: NDArray[np.int64]
    axes: Array
    widths: Array
    numbers: Array
    counts: NDArray[np.int64]


#: Levels of a field that has no rules.
NO_LEVELS = Levels(
    np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), np.zeros(0, np.int64)
)


def excess(weight: Array, rate: Array) -> Array:
    """How much faster each component follows the mean's pull, exactly zero for equal rates."""
    if np.ptp(rate) == 0:
        return np.zeros_like(rate)
    return np.asarray(rate / np.sum(weight * rate) - 1.0)


@shared
def axes_at(k: int) -> int:
    """Where the axes of the rules begin among the constants."""
    return 2 * k * (1 + k)


def _linear(weight: Array, rate: Array, kind: int) -> tuple[Array, Array, Array]:
    """Decay rates of the component at home, or of the mean; deviations of blocks; blocks of pulls.

    See :mod:`flows.systems.mixture.field`.
    """
    if kind in (FAR, LINEAR):
        return rate / (weight if kind == FAR else 1.0), np.eye(len(rate)), -np.diag(rate)
    share = weight * rate
    around, back = np.diag(rate), share / share.sum() - np.eye(len(rate))
    around[0], back[0] = -rate[0] / share[0] * share, -share
    around[:, 0] = excess(weight, rate)
    return np.full(len(rate), share.sum()), around, back


def pack(weight: Array, rate: Array, kind: int, levels: Levels, limits: Limits) -> Array:
    """Constant argument of the raw field: weights, linear parts, axes and widths, rules, limits."""
    bounds = [*limits.length, *limits.spread, limits.change, limits.moved, limits.home]
    linear = (part.ravel() for part in _linear(weight, rate, kind))
    where = levels.axes.ravel(), levels.widths.ravel(), levels.numbers
    still = limits.means.ravel(), limits.along.ravel(), limits.matters
    return np.concatenate([weight, *linear, *where, bounds, *still])
