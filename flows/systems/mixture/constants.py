"""Constants of a mixture's raw field: what its one array of numbers holds, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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


class Level(NamedTuple):
    """Rules for means that are no longer than so.

    Parameters
    ----------
    length : float
        Up to this length of the longest mean.
    rule, coarse : Rule
        The field's, and that of its Jacobian.
    """

    length: float
    rule: Rule
    coarse: Rule


def pack(weight: Array, rate: Array, levels: Sequence[Level], limits: Limits) -> Array:
    """Constant argument of the raw field: weights, rates, squared lengths, rules, limits.

    Each rule as its weights and nodes.
    """
    reach = [level.length**2 for level in levels]
    rules = [rule for level in levels for rule in level[1:]]
    numbers = [part for one in rules for part in (one.weights, one.nodes.ravel())]
    bounds = [*limits.length, *limits.spread, limits.change]
    return np.concatenate([weight, rate, reach, *numbers, bounds, limits.squares])
