"""Compiled: whether means are still such as the rules of their piece were made for.

Single runs and compiled steps ask this after each step; it looks at the means only, at no node.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from flows.systems.mixture.constants import LIMITS
from flows.systems.mixture.means import FAR, NEAR
from flows.systems.mixture.node_functions import INNER, OPTIONS

small: Any = numba.njit(**OPTIONS, **INNER)


@small
def home(mu, weight):
    """Component with the largest density at the target."""
    found, best = 0, -np.inf
    for i in range(len(weight)):
        log = math.log(weight[i])
        for a in range(mu.shape[1]):
            log -= 0.5 * mu[i, a] * mu[i, a]
        if log > best:
            found, best = i, log
    return found


@small
def serves(level, mu, deviation, constants, shape):
    """Whether a level serves: along each axis of the rules means are near enough to each other."""
    k, r = mu.shape
    near, first = shape[2] == NEAR, 2 * k + r * r + level * r
    for b in range(r):
        # In the near form a mean also enters by itself, not only by its distance to the others.
        low, high = (0.0, 0.0) if near else (np.inf, -np.inf)
        for i in range(k):
            along = 0.0
            for a in range(r):
                one = mu[i, a] if near else deviation[i, a]
                along += one * constants[2 * k + b * r + a]
            low, high = min(low, along), max(high, along)
        if not high - low <= constants[first + b]:
            return False
    return True


@small
def _has_moved(mu, weight, kind, limits):
    """Whether means have moved farther than nodes that were left out, or layers, allow."""
    k, r = mu.shape
    most, along_itself, across, at_home = limits[5], limits[6], limits[7], int(limits[8])
    if not most < np.inf:
        return False
    if kind == FAR and home(mu, weight) != at_home:
        return True
    before, own = limits[LIMITS:], limits[LIMITS + at_home * r :]
    for i in range(k):
        square, step, along, whole = 0.0, 0.0, 0.0, 0.0
        for a in range(r):
            moved, base = mu[i, a] - before[i * r + a], before[i * r + a] - own[a]
            apart = moved - (mu[at_home, a] - own[a])
            square, step = square + moved * moved, step + base * base
            along, whole = along + apart * base, whole + apart * apart
        if not square <= most * most:
            return True
        if i != at_home and along_itself < np.inf:
            aside = whole - along * along / step
            if not (abs(along) <= along_itself * step and aside <= across * across * step):
                return True
    return False


@small
def outgrown(mu, deviation, constants, shape):
    """Whether means are beyond limits, see :class:`flows.systems.mixture.constants.Limits`."""
    k, r = mu.shape
    limits = constants[constants.size - LIMITS - k * r :]
    length, spread, changed = 0.0, 0.0, 0.0
    for i in range(k):
        one, other, before = 0.0, 0.0, 0.0
        for a in range(r):
            one += mu[i, a] * mu[i, a]
            other += deviation[i, a] * deviation[i, a]
            before += limits[LIMITS + i * r + a] * limits[LIMITS + i * r + a]
        length, spread = max(length, one), max(spread, other)
        changed = max(changed, abs(one - before))
    length, spread = math.sqrt(length), math.sqrt(spread)
    inside = limits[0] < length < limits[1] and limits[2] < spread < limits[3]
    if not (inside and changed <= limits[4]):
        return True
    if not serves(0, mu, deviation, constants, shape):
        return True
    return _has_moved(mu, constants[:k], shape[2], limits)
