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
    squares : ndarray, shape (k,)
        Squared lengths at the start.
    """

    length: tuple[float, float]
    spread: tuple[float, float]
    change: float
    squares: Array


# Numbers of limits before the squares.
LIMITS = 5
# Numbers of a shape before those of its levels.
SHAPE = 8


class Levels(NamedTuple):
    """Rules for means that are no longer than so, two a level: the field's, that of its Jacobian.

    Parameters
    ----------
    lengths : ndarray, shape (L,)
        Up to which length of the longest mean each level serves.
    numbers : ndarray
        Lists of all rules (:mod:`flows.systems.mixture.node_lists`), one after the other.
    counts : ndarray of int, shape (2 L,)
        Nodes of each.
    """

    lengths: Array
    numbers: Array
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, rule: Rule, coarse: Rule) -> Levels:
        """Means of any length."""
        from flows.systems.mixture.node_lists import packed  # Numba loads where it is needed

        lists = [packed(one.nodes, one.weights) for one in (rule, coarse)]
        counts = np.array([len(rule), len(coarse)])
        return cls(np.array([np.inf]), np.concatenate(lists), counts)


#: Levels of a field that has no rules.
NO_LEVELS = Levels(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))


def pack(weight: Array, rate: Array, levels: Levels, limits: Limits) -> Array:
    """Constant argument of the raw field: weights, rates, squared lengths, rules, limits."""
    bounds = [*limits.length, *limits.spread, limits.change]
    reach = levels.lengths**2
    return np.concatenate([weight, rate, reach, levels.numbers, bounds, limits.squares])
