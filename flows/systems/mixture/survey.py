"""What the choice of a rule asks of components: axes, distances, reach, and who is at home.

It is compiled as a whole: every piece asks it of one state, and each answer is a few numbers.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.compiled import kept
from flows.systems.mixture import within
from flows.systems.mixture.means import CERTAIN, FAR, NEAR, Means
from flows.systems.mixture.node_functions import INNER, OPTIONS
from flows.systems.mixture.within import home

TINY = float(np.finfo(float).tiny)
# Sweeps of rotations, each of which squares what is off the diagonal.
SWEEPS = 16
# What is left off the diagonal, next to the largest entry of it.
DIAGONAL = 1e-18

small: Any = numba.njit(**OPTIONS, **INNER)


class Survey(NamedTuple):
    """What is asked of components at several states, arrays along a leading axis.

    Parameters
    ----------
    home : ndarray of int, shape (T,)
        Component with the largest density at the target.
    axes : ndarray, shape (T, r, r)
        Orthonormal rows, the principal axes of what has to be resolved, the longest first.
    distances : ndarray, shape (T, r)
        Largest distance of two means along each.
    reach : ndarray, shape (T,)
        Length of the longest mean, or twice the distance at which one takes over from home.
    split : ndarray of bool, shape (T,)
        Whether one component is at home and all others are far, which have nodes of their own.
    """

    home: NDArray[np.int64]
    axes: Array
    distances: Array
    reach: Array
    split: NDArray[np.bool_]

    def at(self, index: Any) -> Survey:
        """Some of several states."""
        return Survey(*(x[index] for x in self))


@small
def diagonalise(square, axes):
    """Turn a symmetric matrix onto its diagonal; rows of the turn, the largest entry first."""
    r = len(square)
    for a in range(r):
        for b in range(r):
            axes[a, b] = 1.0 if a == b else 0.0
    for _ in range(SWEEPS):
        rest, most = 0.0, 0.0
        for p in range(r):
            most = max(most, abs(square[p, p]))
            for q in range(p):
                rest = max(rest, abs(square[p, q]))
        if rest <= DIAGONAL * most:
            break
        for p in range(r):
            for q in range(p + 1, r):
                if square[p, q] == 0.0:
                    continue
                # Rutishauser's rotation: the smaller angle, without cancellation.
                slope = (square[q, q] - square[p, p]) / (2.0 * square[p, q])
                tangent = 1.0 / (abs(slope) + math.sqrt(1.0 + slope * slope))
                tangent = -tangent if slope < 0.0 else tangent
                cosine = 1.0 / math.sqrt(1.0 + tangent * tangent)
                sine = tangent * cosine
                for a in range(r):
                    one, other = square[a, p], square[a, q]
                    square[a, p] = cosine * one - sine * other
                    square[a, q] = sine * one + cosine * other
                for a in range(r):
                    one, other = square[p, a], square[q, a]
                    square[p, a] = cosine * one - sine * other
                    square[q, a] = sine * one + cosine * other
                for a in range(r):
                    one, other = axes[p, a], axes[q, a]
                    axes[p, a] = cosine * one - sine * other
                    axes[q, a] = sine * one + cosine * other
    for p in range(r):
        best = p
        for q in range(p + 1, r):
            best = q if square[q, q] > square[best, best] else best
        square[p, p], square[best, best] = square[best, best], square[p, p]
        for a in range(r):
            axes[p, a], axes[best, a] = axes[best, a], axes[p, a]


@small
def principal(points, alone, square, axes, distances):
    """Set axes, and largest distances along them, of two points or, if alone, of one from zero."""
    k, r = points.shape
    size = TINY
    for i in range(k):
        for a in range(r):
            size = max(size, abs(points[i, a]))
    for a in range(r):
        for b in range(r):
            total = 0.0
            for i in range(k):
                total += (points[i, a] / size) * (points[i, b] / size)
            square[a, b] = total
    diagonalise(square, axes)
    for b in range(r):
        low, high = (0.0, 0.0) if alone else (np.inf, -np.inf)
        for i in range(k):
            along = 0.0
            for a in range(r):
                along += points[i, a] * axes[b, a]
            low, high = min(low, along), max(high, along)
        distances[b] = high - low


@small
def reach_of(mu, weight, at_home, far):
    """Length for which rules are made."""
    longest, layer = 0.0, 0.0
    own = 0.0
    for a in range(mu.shape[1]):
        own += mu[at_home, a] * mu[at_home, a]
    own = math.log(weight[at_home]) - 0.5 * own
    for i in range(len(mu)):
        square, step = 0.0, 0.0
        for a in range(mu.shape[1]):
            square += mu[i, a] * mu[i, a]
            step += (mu[i, a] - mu[at_home, a]) ** 2
        longest = max(longest, square)
        if far and step > 0.0:
            gap = abs(math.log(weight[i]) - 0.5 * square - own)
            layer = max(layer, gap / math.sqrt(step))
    return max(math.sqrt(longest), 2.0 * layer)


@small
def is_split(mu, weight, at_home):
    """Whether almost all of the posterior at the target is that of the one at home."""
    own, total = 0.0, 0.0
    for i in range(len(mu)):
        square = 0.0
        for a in range(mu.shape[1]):
            square += mu[i, a] * mu[i, a]
        posterior = weight[i] * math.exp(-0.5 * square)
        total += posterior
        own = posterior if i == at_home else own
    return own >= CERTAIN * total


_STATES, _MATRIX, _VECTOR = numba.float64[:, :, ::1], numba.float64[:, ::1], numba.float64[::1]
_SIGNATURE = numba.void(
    _STATES, _STATES, _VECTOR, numba.int64,
    numba.int64[::1], _STATES, _MATRIX, _VECTOR, numba.boolean[::1],
)  # fmt: skip


def _look(mu, deviation, weight, form, at_home, axes, distances, reach, split):
    r = mu.shape[2]
    square = np.empty((r, r))
    for t in range(len(mu)):
        at_home[t] = home(mu[t], weight) if form == FAR else 0
        # In the near form a mean also enters by itself, not only by its distance to the others.
        near = form == NEAR
        principal(mu[t] if near else deviation[t], near, square, axes[t], distances[t])
        reach[t] = reach_of(mu[t], weight, at_home[t], form == FAR)
        split[t] = form == FAR and r > 1 and is_split(mu[t], weight, at_home[t])


@functools.cache
@uncollected()
def _looks() -> Any:
    def make() -> Any:
        return numba.njit(_SIGNATURE, nogil=True, **OPTIONS)(_look)

    return kept(("survey", within), _SIGNATURE, make)


def survey(means: Means) -> Survey:
    """Ask it of components at several states; nothing at one state depends on the others."""
    count, _, r = means.mu.shape
    found = Survey(
        home=np.empty(count, np.int64),
        axes=np.empty((count, r, r)),
        distances=np.empty((count, r)),
        reach=np.empty(count),
        split=np.empty(count, np.bool_),
    )
    mu, deviation = np.ascontiguousarray(means.mu), np.ascontiguousarray(means.deviation)
    _looks()(mu, deviation, means.weight, means.form, *found)
    return found
