"""Compiled: whether means are still such as the rules of their piece were made for.

Single runs and compiled steps ask this after each step; it looks at the means only, at no node.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.kept import lean
from flows.systems.mixture.axes import spanned, width_along
from flows.systems.mixture.constants import BEYOND, LIMITS, USUAL_LEVEL, axes_at
from flows.systems.mixture.means import NEAR


@lean
def serves(level, components, constants, shape):
    """Whether a level serves: along all axes means are near enough to each other."""
    mu, matters = components.mu, constants[constants.size - components.mu.shape[0] :]
    k, r = mu.shape
    near, first = shape[2] == NEAR, axes_at(k) + r * r + level * r
    for b in range(spanned(k, r, near)):
        width = width_along(mu, components.deviation, near, matters, components.axes, b)
        if not width <= constants[first + b]:
            return False
    return True


@lean
def has_moved(components, constants, shape, times):
    """Whether means have moved farther than nodes that were left out allow."""
    mu, axes = components.mu, components.axes
    k, r = mu.shape
    limits = constants[constants.size - LIMITS - 2 * k * r - k :]
    most = times * limits[5]
    if not most < np.inf:
        return False
    left_out = int(limits[6]) >= 0  # nodes, and not components alone
    if left_out and components.home != int(limits[6]):
        return True
    before = limits[LIMITS : LIMITS + k * r]
    along_before, matters = limits[LIMITS + k * r :], constants[constants.size - k :]
    for i in range(k):
        square = 0.0
        for b in range(r):
            along = mu[i, b] - before[i * r + b]
            if matters[i] != 0.0:
                along = -along_before[i * r + b]
                for a in range(r):
                    along += mu[i, a] * axes[b, a]
            square += along * along
        if (left_out or matters[i] == 0.0) and not square <= most * most:
            return True
    return False


@lean
def outgrown(components, constants, shape):
    """Whether means are beyond limits, see :class:`flows.systems.mixture.constants.Limits`."""
    mu, weight = components.mu, components.weight
    k, r = mu.shape
    limits = constants[constants.size - LIMITS - 2 * k * r - k :]
    length, spread, changed = 0.0, 0.0, 0.0
    for i in range(k):
        one, other, before = 0.0, 0.0, 0.0
        for a in range(r):
            apart = 0.0  # of the weighted mean
            for j in range(k):
                apart += weight[j] * (components.deviation[i, a] - components.deviation[j, a])
            one += mu[i, a] * mu[i, a]
            other += apart * apart
            before += limits[LIMITS + i * r + a] * limits[LIMITS + i * r + a]
        length, spread = max(length, one), max(spread, other)
        changed = max(changed, abs(one - before))
    length, spread = math.sqrt(length), math.sqrt(spread)
    inside = limits[0] < length < limits[1] and limits[2] < spread < limits[3]
    if not (inside and changed <= limits[4]):
        return True
    if not serves(USUAL_LEVEL, components, constants, shape):
        return True
    return has_moved(components, constants, shape, 1.0)


@lean
def level_at(components, constants, shape):
    """The level with the fewest nodes that serves; negative if none does."""
    if shape[6] == 0 or not serves(0, components, constants, shape):
        return -1
    if has_moved(components, constants, shape, BEYOND):
        return -1
    level = 0
    while level + 1 < shape[6] and serves(level + 1, components, constants, shape):
        level += 1
    return level
