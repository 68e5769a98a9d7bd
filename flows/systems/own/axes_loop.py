"""Compiled: axes of a symmetric matrix, units of increments, and errors that charts carry on.

The formulas are those of :mod:`flows.systems.own.energy_units` and
:mod:`flows.systems.own.carried_errors`, which explain them.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner, lean, loop
from flows.systems.own.carried_errors import (
    ALIKE,
    DIFFER,
    FAST,
    GROWING,
    LARGEST,
    MOST_GROWTH,
    RECIPROCAL,
    TURNS,
)
from flows.systems.own.energy_units import ABOVE, FALLS

__all__ = [
    "LAST_BIT",
    "Carry",
    "carried",
    "carried_along",
    "carried_once",
    "carry_of",
    "eigen",
    "units",
    "units_once",
]

# Sweeps of rotations, of which a few are enough; entries that are this part of the largest are 0.
SWEEPS, ROUNDED = 12, 1e-18
# What is below the last bit of both entries beside it changes neither.
LAST_BIT = 1e-17


class Carry(NamedTuple):
    """Room to carry errors of N axes: see :func:`carried_along`.

    ``overlaps``, ``turns``, ``early`` (N, N) and ``now``, ``first``, ``least``, ``grown``, ``came``
    (N,) are of axes of before (and of now); ``fast`` (N,) and ``near`` (N, N): which are.
    """

    overlaps: Any
    turns: Any
    early: Any
    now: Any
    first: Any
    least: Any
    grown: Any
    came: Any
    fast: Any
    near: Any


@inner
def carry_of(n):
    """Room."""
    return Carry(
        np.zeros((n, n)),
        np.zeros((n, n)),
        np.zeros((n, n)),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n, np.bool_),
        np.zeros((n, n), np.bool_),
    )


@lean
def rotate(matrix, axes, p, q):
    """One rotation that makes an entry zero, in both."""
    theta = (matrix[q, q] - matrix[p, p]) / (2.0 * matrix[p, q])
    t = math.copysign(1.0, theta) / (abs(theta) + math.sqrt(theta * theta + 1.0))
    c = 1.0 / math.sqrt(t * t + 1.0)
    s = t * c
    moved = t * matrix[p, q]
    matrix[p, p] -= moved
    matrix[q, q] += moved
    matrix[p, q] = matrix[q, p] = 0.0
    for k in range(len(matrix)):
        if k != p and k != q:
            x, y = matrix[p, k], matrix[q, k]
            matrix[p, k] = matrix[k, p] = c * x - s * y
            matrix[q, k] = matrix[k, q] = s * x + c * y
    for k in range(len(matrix)):
        x, y = axes[k, p], axes[k, q]
        axes[k, p] = c * x - s * y
        axes[k, q] = s * x + c * y


@lean
def eigen(matrix, h, axes, part):
    """Eigenvalues, increasing, and axes of a symmetric matrix, which is overwritten.

    Jacobi's rotations, which never give up; entries that are this part of those beside them stay.
    """
    n = len(matrix)
    size = 0.0
    for i in range(n):
        for j in range(n):
            axes[i, j] = 1.0 if i == j else 0.0
            size = max(size, abs(matrix[i, j]))
    for _ in range(SWEEPS):
        rotated = False
        for p in range(n - 1):
            for q in range(p + 1, n):
                small = part * math.sqrt(abs(matrix[p, p])) * math.sqrt(abs(matrix[q, q]))
                if abs(matrix[p, q]) > max(small, ROUNDED * size):
                    rotate(matrix, axes, p, q)
                    rotated = True
        if not rotated:
            break
    for i in range(n):
        h[i] = matrix[i, i]
    for i in range(n - 1):
        least = i
        for k in range(i + 1, n):
            if h[k] < h[least]:
                least = k
        if least != i:
            h[i], h[least] = h[least], h[i]
            for k in range(n):
                axes[k, i], axes[k, least] = axes[k, least], axes[k, i]


@lean
def units(slopes, doubt, h, since, found):
    """Units of the increment along each axis."""
    n, most = len(h), 0.0
    for i in range(n):
        most = max(most, abs(slopes[i]) / math.sqrt(max(abs(h[i]), 1.0 / since)))
    most = most if most > 0.0 else 1.0
    total = 0.0
    for i in range(n):
        total += (abs(slopes[i]) / math.sqrt(max(abs(h[i]), 1.0 / since)) / most) ** 2
    for i in range(n):
        floored = max(abs(h[i]), 1.0 / since)
        largest = most * math.sqrt(total) / math.sqrt(floored)
        own = abs(slopes[i]) / floored
        beside = max(own, ABOVE * doubt[i] / floored)
        if h[i] * since < FALLS and beside > 0.0:
            found[i] = beside
        else:
            found[i] = max(own, largest / math.sqrt(1.0 + since * max(h[i], 0.0)))


@lean
def slow(carry, h, began, since):
    """Rates of slow axes in `least`, and what turns, in `turns` and `early`."""
    overlaps, turns, early, now, first, least, _, _, fast, near = carry
    n, length, above = len(h), math.log(since / began), True
    for k in range(n - 1, -1, -1):
        growth = math.log(since * h[k] / first[k]) if first[k] > 0.0 and h[k] > 0.0 else -np.inf
        above = above and first[k] > 0.0 and growth > GROWING * length and length > 0.0
        fast[k] = above
    quickest = np.inf
    for k in range(n):
        last = now[k] * since
        least[k] = 0.0
        if min(first[k], last) > 0.0 and abs(math.log(last / first[k])) < RECIPROCAL * length:
            least[k] = min(first[k], last)
        if fast[k]:
            quickest = min(quickest, first[k])
    for i in range(n):
        for k in range(n):
            turns[i, k] = early[i, k] = 0.0
            curved = 0.0 < first[k] < FAST and h[i] > 0.0 and fast[i] == fast[k]
            near[i, k] = curved and abs(overlaps[i, k]) > TURNS
            if fast[k] and not fast[i]:
                early[i, k] = abs(overlaps[i, k]) / max(1.0, quickest * length)
    for k in range(n):
        away, moved, count, apart = 0.0, 0.0, 0, False
        for i in range(n):
            if fast[i] and not fast[k]:
                away += overlaps[i, k] ** 2
            if near[i, k]:
                count += 1
                if abs(since * h[i] - first[k]) > DIFFER:
                    apart = True
                    moved += overlaps[i, k] ** 2
        away, moved = math.sqrt(away), math.sqrt(moved)
        if count == 0 or not ((apart and count > 1) or away > TURNS):
            continue
        lowest, highest = np.inf, -np.inf
        for j in range(n):
            member = False
            for i in range(n):
                member = member or (near[i, k] and near[i, j])
            if member:
                lowest, highest = min(lowest, first[j]), max(highest, first[j])
            if near[j, k]:
                lowest, highest = min(lowest, since * h[j]), max(highest, since * h[j])
        least[k] = lowest
        for i in range(n):
            if near[i, k]:
                turns[i, k] = moved * (highest - lowest) * length + away**2


@lean
def carried(before, curvature, error, fresh, began, hessian, h, axes, since, anew, carry, found):
    """Errors `found` (N,) along the axes of a later Hessian, from those of before, (N, N, 2)."""
    n, overlaps, now = len(h), carry.overlaps, carry.now
    for k in range(n):
        now[k] = 0.0
        for i in range(n):
            row, total = 0.0, 0.0
            for j in range(n):
                row += hessian[i, j] * before[j, k, 0]
                total += axes[j, i] * before[j, k, 0]
            now[k] += before[i, k, 0] * row
            overlaps[i, k] = total
    carried_along(curvature, error, fresh, began, h, since, anew, carry, found)


@lean
def carried_along(curvature, error, fresh, began, h, since, anew, carry, found):
    """Errors of :func:`carried`, by `overlaps` of the axes, (now, before), and curvatures there.

    ``now`` are the curvatures of now along the axes of before.
    """
    overlaps, turns, early, now, first, least, grown, came, _, _ = carry
    n, passed, length = len(h), since - began, math.log(since / began)
    for k in range(n):
        first[k] = curvature[k] * began
    slow(carry, h, began, since)
    late = since - passed / length if length > 0.0 else 0.0
    largest = max(abs(h[0]), abs(h[-1]))
    for k in range(n):
        rate, turned = min(curvature[k], now[k]), False
        for i in range(n):
            turned = turned or turns[i, k] != 0.0
        mean = curvature[k] * passed + (now[k] - curvature[k]) * late
        decays = max(0.0 if turned else rate * passed, least[k] * length)
        change = math.exp(min(-mean if rate < 0.0 else -decays, MOST_GROWTH))
        grown[k] = min(error[k] * change + fresh[k] * max(change, anew), LARGEST)
    for i in range(n):
        came[i] = 0.0
        for k in range(n):
            came[i] += early[i, k] * (error[k] + fresh[k])
    for i in range(n):
        square, total = 0.0, 0.0
        for k in range(n):
            rate = max(min(curvature[k], now[k]), 0.0)
            reach = abs(overlaps[i, k]) / (1.0 + passed * max(h[i] - rate, 0.0))
            share = min(reach + turns[i, k], 1.0) * grown[k]
            if abs(h[i] - now[k]) <= ALIKE * largest or turns[i, k] > 0.0:
                square += share**2
            else:
                total += share
            total += reach * came[k]
        found[i] = math.sqrt(square) + total + came[i]


@loop
def carried_once(before, curvature, error, fresh, began, hessian, since, anew):
    """Eigenvalues of a later Hessian, and errors along its axes, from those along axes (N, N)."""
    n = len(curvature)
    pairs, h, axes, found = np.zeros((n, n, 2)), np.empty(n), np.empty((n, n)), np.empty(n)
    pairs[:, :, 0] = before
    eigen(hessian.copy(), h, axes, LAST_BIT)
    carried(
        pairs, curvature, error, fresh, began, hessian, h, axes, since, anew, carry_of(n), found
    )
    return h, found


@loop
def units_once(slopes, doubt, h, since):
    """Units along each axis."""
    found = np.empty(len(h))
    units(slopes, doubt, h, since, found)
    return found
