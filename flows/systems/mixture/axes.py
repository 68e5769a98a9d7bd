"""Compiled: axes that turn with the means, and how far apart means are along them.

Posteriors depend on differences of means only. Axes along those have the nodes of a rule wherever
the means turn: a rule serves as long as the means are no further apart along its axes.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.arithmetic.kept import lean, shared, unlocked
from flows.core.arrays import Array
from flows.systems.mixture.means import FAR, NEAR, Means

# A direction that others span up to this part of itself is known by its rounding only.
SPANNED = 1e-13
#: In place of a component: the weighted mean by itself, or no direction.
MEAN, NONE = -1, -2


class Frames(NamedTuple):
    """Axes at several states.

    Parameters
    ----------
    pivots : ndarray of int, shape (T, 2 r)
        Components whose difference is along each axis, as far as it is across those before.
    axes : ndarray, shape (T, r, r)
        Orthonormal rows.
    widths : ndarray, shape (T, r)
        Largest distance of two means along each, in the near form of two means or the target.
    matters : ndarray, shape (T, k)
        One for each component whose density is seen anywhere, zero for others.
    """

    pivots: NDArray[np.int64]
    axes: Array
    widths: Array
    matters: Array

    def at(self, index: Any) -> Frames:
        """Some of several states."""
        return Frames(*(x[index] for x in self))


@shared
def spanned(k: int, r: int, near: bool) -> int:
    """How many axes there are along which means may differ."""
    return r if near else min(r, k - 1)


@lean
def home_of(mu, weight):
    """Component with the largest density at the target."""
    found, best = 0, -np.inf
    for i in range(len(weight)):
        log = math.log(weight[i])
        for a in range(mu.shape[1]):
            log -= 0.5 * mu[i, a] * mu[i, a]
        if log > best:
            found, best = i, log
    return found


@lean
def _across(axes, b):
    """Make a row orthonormal to those before it; the part of its length that was left, or zero."""
    r = axes.shape[1]
    left = 1.0
    for _ in range(2):  # once more, to take out what rounding has left
        size = 0.0
        for a in range(r):
            size = max(size, abs(axes[b, a]))
        if not size > 0.0:
            return 0.0
        square = 0.0
        for a in range(r):
            axes[b, a] /= size
            square += axes[b, a] * axes[b, a]
        for a in range(r):
            axes[b, a] /= math.sqrt(square)
        for c in range(b):
            along = 0.0
            for a in range(r):
                along += axes[b, a] * axes[c, a]
            for a in range(r):
                axes[b, a] -= along * axes[c, a]
        square = 0.0
        for a in range(r):
            square += axes[b, a] * axes[b, a]
        left *= math.sqrt(square)
        if not left > SPANNED:
            return 0.0
        for a in range(r):
            axes[b, a] /= math.sqrt(square)
    return left


@lean
def _row(deviation, mean, i, j, axes, b):
    """Set a row along a difference of means, or the mean; its square across those before."""
    square = 0.0
    for a in range(len(mean)):
        axes[b, a] = mean[a] if i == MEAN else deviation[i, a] - deviation[j, a]
        square += axes[b, a] * axes[b, a]
    return square * _across(axes, b) ** 2


@lean
def set_axes(deviation, mean, pivots, first, axes):
    """Set axes along differences of means, on the side of the first ones."""
    r = len(mean)
    for b in range(r):
        i, j = pivots[2 * b], pivots[2 * b + 1]
        left = 0.0 if i == NONE else _row(deviation, mean, i, j, axes, b)
        if left == 0.0:  # what was there before, or else any direction across
            for a in range(r):
                axes[b, a] = first[b, a]
            left = _across(axes, b)
        place = 0
        while left == 0.0 and place < r:
            for a in range(r):
                axes[b, a] = 1.0 if a == place else 0.0
            left = _across(axes, b)
            if left * left * r < 0.5:  # one of them is as far across as this
                left = 0.0
            place += 1
        along = 0.0
        for a in range(r):
            along += axes[b, a] * first[b, a]
        if along < 0.0:
            for a in range(r):
                axes[b, a] = -axes[b, a]


@lean
def width_along(mu, deviation, near, matters, axes, b):
    """Largest distance of two means along an axis, in the near form also of one and the target."""
    low, high = (0.0, 0.0) if near else (np.inf, -np.inf)
    for i in range(len(mu)):
        if matters[i] == 0.0:
            continue
        along = 0.0
        for a in range(mu.shape[1]):
            along += (mu[i, a] if near else deviation[i, a]) * axes[b, a]
        low, high = min(low, along), max(high, along)
    return high - low


def _seen(means: Means, left_out: float, moves: float) -> NDArray[np.bool_]:
    """Which components are seen anywhere: next to that at home, as far out as nodes are."""
    mu, weight, home = means.mu, means.weight, means.at_home
    if means.form != FAR:
        return np.ones(home.shape, np.bool_)
    logs = np.log(weight) - 0.5 * (mu**2).sum(axis=-1)
    own = np.where(home[..., None], mu, 0.0).sum(axis=-2, keepdims=True)
    step = np.sqrt(((mu - own) ** 2).sum(axis=-1))
    farthest, base = step.max(axis=-1, keepdims=True), logs.max(axis=-1, keepdims=True)
    # Where another one takes over from home, nearest to the target, or where it is itself.
    away = np.where(step > 0, (base - logs) / np.where(step > 0, step, 1.0), np.inf)
    nearest = away.min(axis=-1, keepdims=True)
    cut = left_out - math.log(weight.min()) + 2 * mu.shape[-1] * np.log1p(2 * farthest)
    out = np.sqrt(2 * cut + 4 * moves + (np.where(nearest < np.inf, nearest, 0.0) + 2 * moves) ** 2)
    seen = np.where(nearest < np.inf, out, 0.0)
    ahead = step * seen + logs - base + 2 * moves * (seen + 2 * farthest)
    return np.asarray(home | (ahead >= -cut))


@lean
def _choose(deviation, mean, near, matters, pivots, axes):
    """Set pivots: the longest difference, then each time what is farthest across."""
    k, r = deviation.shape
    longest = -1.0
    pivots[:] = NONE
    for i in range(k):
        for j in range(i):
            if matters[i] == 0.0 or matters[j] == 0.0:
                continue
            square = _row(deviation, mean, j, i, axes, 0)
            if square > longest:
                longest, pivots[0], pivots[1] = square, j, i
    if near and _row(deviation, mean, MEAN, 0, axes, 0) > longest:
        pivots[0] = MEAN
    root = pivots[0] if pivots[0] >= 0 else 0
    for b in range(r):
        best = 0.0
        for i in range(-1 if near else 0, k):
            if b == 0 or (i >= 0 and matters[i] == 0.0):
                continue
            rest = _row(deviation, mean, i, root, axes, b)
            if rest > best:
                best, pivots[2 * b], pivots[2 * b + 1] = rest, i, root
        axes[b] = 0.0
        if pivots[2 * b] != NONE:
            _row(deviation, mean, pivots[2 * b], pivots[2 * b + 1], axes, b)


@unlocked
def _frames(mu, deviation, mean, near, pivots, axes, widths, matters):
    k, r = mu.shape[1:]
    first = np.zeros((r, r))
    for t in range(len(mu)):
        _choose(deviation[t], mean[t], near, matters[t], pivots[t], axes[t])
        set_axes(deviation[t], mean[t], pivots[t], first, axes[t])
        for b in range(r):
            widths[t, b] = 0.0
        for b in range(spanned(k, r, near)):
            widths[t, b] = width_along(mu[t], deviation[t], near, matters[t], axes[t], b)


def frames(means: Means, left_out: float, moves: float) -> Frames:
    """Axes at several states; nothing at one state depends on the others.

    Parameters
    ----------
    means : Means
        With a leading axis.
    left_out : float
        Minus the logarithm of what is not seen, next to what is.
    moves : float
        How far means may move.
    """
    count, _, r = means.mu.shape
    found = Frames(
        pivots=np.empty((count, 2 * r), np.int64),
        axes=np.empty((count, r, r)),
        widths=np.empty((count, r)),
        matters=_seen(means, left_out, moves).astype(float),
    )
    arrays = (np.ascontiguousarray(x) for x in means[:3])
    _frames(*arrays, means.form == NEAR, *found)
    return found
