"""Compiled: axes that turn with the means, and how far apart means are along them.

Posteriors depend on differences of means only. Axes along those have the nodes of a rule wherever
the means turn: a rule serves as long as the means are no further apart along its axes.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from flows.arithmetic.kept import kept
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.systems.mixture.means import FAR, NEAR, Means
from flows.systems.mixture.node_functions import INNER, OPTIONS

# A direction that others span up to this part of itself is known by its rounding only.
SPANNED = 1e-13
#: In place of a component: the weighted mean by itself, or no direction.
MEAN, NONE = -1, -2

small: Any = numba.njit(**OPTIONS, **INNER)


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
    home : ndarray of int, shape (T,)
        Component with the largest density at the target.
    matters : ndarray, shape (T, k)
        One for each component whose density is seen anywhere, zero for others.
    """

    pivots: NDArray[np.int64]
    axes: Array
    widths: Array
    home: NDArray[np.int64]
    matters: Array

    def at(self, index: Any) -> Frames:
        """Some of several states."""
        return Frames(*(x[index] for x in self))


@register_jitable(**INNER)
def spanned(k: int, r: int, near: bool) -> int:
    """How many axes there are along which means may differ."""
    return r if near else min(r, k - 1)


@small
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


@small
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


@small
def set_axes(deviation, mean, pivots, first, axes):
    """Set axes along differences of means, on the side of the first ones."""
    r = len(mean)
    for b in range(r):
        i, j = pivots[2 * b], pivots[2 * b + 1]
        for a in range(r):
            axes[b, a] = first[b, a]
            if i == MEAN:
                axes[b, a] = mean[a]
            elif i != NONE:
                axes[b, a] = deviation[i, a] - deviation[j, a]
        left = _across(axes, b)
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


@small
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


@small
def _set_matters(mu, weight, home, left_out, moves, matters):
    """Tell which components are seen anywhere: next to that at home, as far out as nodes are."""
    k, r = mu.shape
    farthest, lightest, base = 0.0, 1.0, math.log(weight[home])
    for a in range(r):
        base -= 0.5 * mu[home, a] * mu[home, a]
    nearest = np.inf
    for i in range(k):
        step, log = 0.0, math.log(weight[i])
        lightest = min(lightest, weight[i])
        for a in range(r):
            step += (mu[i, a] - mu[home, a]) ** 2
            log -= 0.5 * mu[i, a] * mu[i, a]
        if i != home and step > 0.0:
            # Where another one takes over from home, nearest to the target, or where it is itself.
            away = (base - log) / math.sqrt(step)
            nearest = min(nearest, away)
        farthest = max(farthest, step)
    cut = left_out - math.log(lightest) + 2.0 * r * math.log1p(2.0 * math.sqrt(farthest))
    seen = 0.0
    if nearest < np.inf:
        seen = math.sqrt(2.0 * cut + 4.0 * moves + (max(nearest, 0.0) + 2.0 * moves) ** 2)
    for i in range(k):
        step, log = 0.0, math.log(weight[i])
        for a in range(r):
            step += (mu[i, a] - mu[home, a]) ** 2
            log -= 0.5 * mu[i, a] * mu[i, a]
        step = math.sqrt(step)
        ahead = step * seen + log - base + 2.0 * moves * (seen + 2.0 * math.sqrt(farthest))
        matters[i] = 0.0 if i != home and ahead < -cut else 1.0


@small
def _choose(deviation, mean, near, matters, pivots, axes):
    """Set pivots: the longest difference, then each time what is farthest across."""
    k, r = deviation.shape
    longest = -1.0
    pivots[0], pivots[1] = NONE, 0
    for i in range(k):
        for j in range(i):
            if matters[i] == 0.0 or matters[j] == 0.0:
                continue
            square = 0.0
            for a in range(r):
                square += (deviation[i, a] - deviation[j, a]) ** 2
            if square > longest:
                longest, pivots[0], pivots[1] = square, j, i
    if near:
        square = 0.0
        for a in range(r):
            square += mean[a] * mean[a]
        if square > longest:
            pivots[0], pivots[1] = MEAN, 0
    root = pivots[0] if pivots[0] >= 0 else 0
    for b in range(r):
        for a in range(r):
            axes[b, a] = 0.0
        if b > 0:
            pivots[2 * b], pivots[2 * b + 1] = NONE, 0
            best = 0.0
            for i in range(-1 if near else 0, k):
                if i >= 0 and matters[i] == 0.0:
                    continue
                square = 0.0
                for a in range(r):
                    axes[b, a] = mean[a] if i < 0 else deviation[i, a] - deviation[root, a]
                    square += axes[b, a] * axes[b, a]
                rest = square * _across(axes, b) ** 2
                if rest > best:
                    best = rest
                    pivots[2 * b] = MEAN if i < 0 else i
                    pivots[2 * b + 1] = root
        i, j = pivots[2 * b], pivots[2 * b + 1]
        if i == NONE:
            continue
        for a in range(r):
            axes[b, a] = mean[a] if i == MEAN else deviation[i, a] - deviation[j, a]
        _across(axes, b)


def _frames(
    mu, deviation, mean, weight, form, left_out, moves, pivots, axes, widths, home, matters
):  # fmt: skip
    near, r = form == NEAR, mu.shape[2]
    first = np.zeros((r, r))
    for t in range(len(mu)):
        home[t] = home_of(mu[t], weight)
        matters[t] = 1.0
        if form == FAR:
            _set_matters(mu[t], weight, home[t], left_out, moves, matters[t])
        _choose(deviation[t], mean[t], near, matters[t], pivots[t], axes[t])
        set_axes(deviation[t], mean[t], pivots[t], first, axes[t])
        for b in range(r):
            widths[t, b] = 0.0
        for b in range(spanned(len(weight), r, near)):
            widths[t, b] = width_along(mu[t], deviation[t], near, matters[t], axes[t], b)


_STATES, _MATRIX, _VECTOR = numba.float64[:, :, ::1], numba.float64[:, ::1], numba.float64[::1]
_SIGNATURE = numba.void(
    _STATES, _STATES, _MATRIX, _VECTOR, numba.int64, numba.float64, numba.float64,
    numba.int64[:, ::1], _STATES, _MATRIX, numba.int64[::1], _MATRIX,
)  # fmt: skip


@functools.cache
@uncollected()
def _compiled() -> Callable[..., None]:
    make: Any = functools.partial(numba.njit(_SIGNATURE, nogil=True, **OPTIONS), _frames)
    return cast("Callable[..., None]", kept(("frames", _frames), _SIGNATURE, make))


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
        home=np.empty(count, np.int64),
        matters=np.empty((count, len(means.weight))),
    )
    arrays = (np.ascontiguousarray(x) for x in means[:3])
    _compiled()(*arrays, means.weight, means.form, left_out, moves, *found)
    return found
