"""Compiled: errors that charts carry on along the axes of Hessians, of several states side by side.

The formulas are those of :mod:`flows.systems.own.carried_errors`, which explain them.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner, lean, loop
from flows.systems.own.axes_loop import LAST_BIT, eigen
from flows.systems.own.carried_errors import (
    ALIKE,
    ANEW,
    DIFFER,
    FAST,
    GROWING,
    LARGEST,
    MOST_GROWTH,
    RECIPROCAL,
    TURNS,
)
from flows.systems.own.led_loop import lead

__all__ = ["Carry", "carried", "carried_along", "carried_once", "carry_alone", "carry_of", "turned"]


# Numbers of each lane: what they are is said where they are put down.
LENGTH, PASSED, LATE, FEW, MANY, QUICK, EARLY, AWAY, MOVED, COUNT, APART, STEEP = range(12)
SQUARE, TOTAL, ABOVE = AWAY, MOVED, COUNT  # later on


class Carry(NamedTuple):
    """States in lanes, the last axis, whose errors are carried on, and room for that.

    Given are, of before, ``curvature``, ``error``, ``fresh``, ``slope`` (N, lanes), ``began``
    (lanes,), and of now ``since``, ``anew`` (lanes,): the time, and which part the last steps leave
    of what steps do, ``h`` (N, lanes): eigenvalues, increasing, ``now`` (N, lanes): curvatures
    along the axes of before, ``overlaps`` (N, N, lanes): of the axes, (now, before), ``along`` (N,
    lanes): slopes.
    What is found is ``later`` (N, lanes): errors along the axes of now. Where errors grow as the
    gradient does, ``error`` and ``now`` are changed.

    Of the room, ``first``, ``least`` (N, lanes): curvature times time at first, and at least along
    slow axes; ``fast``, ``mixes`` (N, lanes): 1 for axes of this kind, 0 for others; ``turns``
    (N, N, lanes): what axes take from others that mix; ``lowest``, ``highest`` (N, lanes): rates
    that have come to an axis; ``rate``, ``grown``, ``came`` (N, lanes); ``room``: numbers of each
    lane. ``alone`` is True where there is one lane, so that compilers know it, else None.
    """

    curvature: Any
    error: Any
    fresh: Any
    began: Any
    since: Any
    anew: Any
    h: Any
    now: Any
    overlaps: Any
    slope: Any
    along: Any
    later: Any
    first: Any
    least: Any
    fast: Any
    mixes: Any
    turns: Any
    lowest: Any
    highest: Any
    rate: Any
    grown: Any
    came: Any
    room: Any
    alone: Any


@inner
def room_of(n, lanes, alone):
    """Room."""
    return Carry(
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.ones(lanes),
        np.ones(lanes),
        np.full(lanes, ANEW),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((12, lanes)),
        alone,
    )


@inner
def carry_of(n, lanes):
    """Room for states in lanes."""
    return room_of(n, lanes, None)


@inner
def carry_alone(n):
    """Room for one state."""
    return room_of(n, 1, True)


@lean
def lanes_of(carry):
    """How many lanes there are."""
    return carry.room.shape[1] if carry.alone is None else 1


@lean
def kinds(carry):
    """Put down which axes are slow, with their least rates, and which are fast."""
    room, n = carry.room, len(carry.h)
    for e in range(lanes_of(carry)):
        began, since = carry.began[e], carry.since[e]
        length, passed = math.log(since / began), since - began
        room[LENGTH, e], room[PASSED, e] = length, passed
        room[LATE, e] = since - passed / length if length > 0.0 else 0.0
        room[FEW, e], room[MANY, e] = math.exp(-RECIPROCAL * length), math.exp(RECIPROCAL * length)
        room[QUICK, e], room[EARLY, e] = math.exp(GROWING * length), np.inf
        room[ABOVE, e] = 1.0 if length > 0.0 else 0.0
        room[STEEP, e] = max(abs(carry.h[0, e]), abs(carry.h[n - 1, e]))
    for k in range(n - 1, -1, -1):
        for e in range(lanes_of(carry)):
            first, last = carry.curvature[k, e] * carry.began[e], carry.now[k, e] * carry.since[e]
            h, quick, above = carry.h[k, e], room[QUICK, e], room[ABOVE, e]
            few, many, quickest = room[FEW, e], room[MANY, e], room[EARLY, e]
            is_slow = (first > 0.0) & (last > 0.0) & (last < first * many) & (last > first * few)
            grows = (first > 0.0) & (h > 0.0) & (carry.since[e] * h > first * quick)
            above = above if grows else 0.0
            least = first if first < last else last
            carry.first[k, e], carry.least[k, e] = first, least if is_slow else 0.0
            carry.fast[k, e] = room[ABOVE, e] = above
            room[EARLY, e] = first if (above > 0.0) & (first < quickest) else quickest
    for e in range(lanes_of(carry)):
        room[EARLY, e] = 1.0 / max(1.0, room[EARLY, e] * room[LENGTH, e])


@lean
def is_near(carry, i, k, e):
    """Whether an axis of now is one of those that an axis of before, of its kind, has turned to."""
    first = carry.first[k, e]
    curved = (first > 0.0) & (first < FAST) & (carry.h[i, e] > 0.0)
    return curved & (carry.fast[i, e] == carry.fast[k, e]) & (abs(carry.overlaps[i, k, e]) > TURNS)


@lean
def spans(carry):
    """Put down between which rates the axes of before are that each axis of now has come from."""
    n, lanes = len(carry.h), lanes_of(carry)
    for i in range(n):
        for e in range(lanes):
            carry.lowest[i, e] = carry.highest[i, e] = carry.since[e] * carry.h[i, e]
        for j in range(n):
            for e in range(lanes):
                low, high, near = carry.lowest[i, e], carry.highest[i, e], is_near(carry, i, j, e)
                first = carry.first[j, e]
                carry.lowest[i, e] = first if near & (first < low) else low
                carry.highest[i, e] = first if near & (first > high) else high


@lean
def mix(carry, k):
    """Put down what others take from an axis that turns, and at which rate it decays."""
    room, n = carry.room, len(carry.h)
    lowest, highest = room[COUNT], room[APART]
    for e in range(lanes_of(carry)):
        lowest[e], highest[e] = np.inf, -np.inf
    for i in range(n):
        for e in range(lanes_of(carry)):
            near, low, high = is_near(carry, i, k, e), carry.lowest[i, e], carry.highest[i, e]
            lowest[e] = low if near & (low < lowest[e]) else lowest[e]
            highest[e] = high if near & (high > highest[e]) else highest[e]
    for e in range(lanes_of(carry)):
        if carry.mixes[k, e] > 0.0:
            carry.least[k, e] = lowest[e]
        share = room[MOVED, e] * (highest[e] - lowest[e]) * room[LENGTH, e]
        room[MOVED, e] = share + room[AWAY, e] ** 2
    for i in range(n):
        for e in range(lanes_of(carry)):
            carry.turns[i, k, e] = room[MOVED, e] if is_near(carry, i, k, e) else 0.0


@lean
def turn(carry):
    """Put down which axes mix, and what others take from them."""
    room, n = carry.room, len(carry.h)
    spanned = False
    for k in range(n):
        for e in range(lanes_of(carry)):
            room[AWAY, e] = room[MOVED, e] = room[COUNT, e] = room[APART, e] = 0.0
        for i in range(n):
            for e in range(lanes_of(carry)):
                square = carry.overlaps[i, k, e] ** 2
                near = is_near(carry, i, k, e)
                apart = abs(carry.since[e] * carry.h[i, e] - carry.first[k, e]) > DIFFER
                room[AWAY, e] += square if carry.fast[i, e] > carry.fast[k, e] else 0.0
                room[MOVED, e] += square if near & apart else 0.0
                room[COUNT, e] += 1.0 if near else 0.0
                room[APART, e] += 1.0 if near & apart else 0.0
        any_mixes = False
        for e in range(lanes_of(carry)):
            room[AWAY, e], room[MOVED, e] = math.sqrt(room[AWAY, e]), math.sqrt(room[MOVED, e])
            several = (room[APART, e] > 0.0) & (room[COUNT, e] > 1.0)
            mixes = (room[COUNT, e] > 0.0) & (several | (room[AWAY, e] > TURNS))
            carry.mixes[k, e] = 1.0 if mixes else 0.0
            any_mixes = any_mixes or mixes
        if any_mixes and not spanned:
            spans(carry)
            spanned = True
        if any_mixes:
            mix(carry, k)


@lean
def grow(carry):
    """Put down what has become of errors along the axes of before."""
    room = carry.room
    for k in range(len(carry.h)):
        for e in range(lanes_of(carry)):
            before, now, passed = carry.curvature[k, e], carry.now[k, e], room[PASSED, e]
            rate = before if before < now else now
            own = 0.0 if carry.mixes[k, e] > 0.0 else rate * passed
            slowly = carry.least[k, e] * room[LENGTH, e]
            mean = before * passed + (now - before) * room[LATE, e]
            grows = -mean if rate < 0.0 else -max(own, slowly)
            carry.rate[k, e] = rate if rate > 0.0 else 0.0
            carry.grown[k, e] = min(grows, MOST_GROWTH)
        for e in range(lanes_of(carry)):
            carry.grown[k, e] = math.exp(carry.grown[k, e])
        for e in range(lanes_of(carry)):
            change = 0.0 if carry.came[k, e] > 0.0 else carry.grown[k, e]
            left = change if change > carry.anew[e] else carry.anew[e]
            grown = carry.error[k, e] * change + carry.fresh[k, e] * left
            carry.grown[k, e] = min(grown, LARGEST)


@lean
def carried_along(carry):
    """Put down errors along the axes of now."""
    room, n = carry.room, len(carry.h)
    for e in range(lanes_of(carry)):
        lead(carry, e)
    kinds(carry)
    turn(carry)
    grow(carry)
    for i in range(n):
        for e in range(lanes_of(carry)):
            carry.came[i, e] = 0.0
        for k in range(n):
            for e in range(lanes_of(carry)):
                came = abs(carry.overlaps[i, k, e]) * (carry.error[k, e] + carry.fresh[k, e])
                carry.came[i, e] += came if carry.fast[k, e] > carry.fast[i, e] else 0.0
        for e in range(lanes_of(carry)):
            carry.came[i, e] *= room[EARLY, e]
    back = carry.first  # along the axes of before
    for k in range(n):
        for e in range(lanes_of(carry)):
            back[k, e] = 0.0
        for i in range(n):
            for e in range(lanes_of(carry)):
                back[k, e] += abs(carry.overlaps[i, k, e]) * carry.came[i, e]
    for i in range(n):
        for e in range(lanes_of(carry)):
            room[SQUARE, e] = 0.0
            room[TOTAL, e] = min(carry.later[i, e], LARGEST)
        for k in range(n):
            for e in range(lanes_of(carry)):
                faster, turns = carry.h[i, e] - carry.rate[k, e], carry.turns[i, k, e]
                faster = faster if faster > 0.0 else 0.0
                turns = turns if carry.mixes[k, e] > 0.0 else 0.0
                reach = abs(carry.overlaps[i, k, e]) / (1.0 + room[PASSED, e] * faster)
                share = reach + turns
                share = (share if share < 1.0 else 1.0) * carry.grown[k, e]
                apart = abs(carry.h[i, e] - carry.now[k, e])
                alike = (apart <= ALIKE * room[STEEP, e]) | (turns > 0.0)
                room[SQUARE, e] += share * share if alike else 0.0
                room[TOTAL, e] += (0.0 if alike else share) + reach * back[k, e]
        for e in range(lanes_of(carry)):
            carry.later[i, e] = math.sqrt(room[SQUARE, e]) + room[TOTAL, e] + carry.came[i, e]


@lean
def turned(before, hessian, rows, h, turns, axes, carry):
    """Eigenvalues `h` and `axes` of a later Hessian, (N, N), which begin at those of before.

    The Hessian along the axes of before, (N, N, 2), is nearly diagonal; ``rows`` (N, 2 N) and
    ``turns`` (N, N) are room for it, and for its axes.
    """
    n = len(h)
    for i in range(n):
        for k in range(n):
            turns[i, k] = before[i, k, 0]  # side by side
    for i in range(n):
        for k in range(n):
            axes[i, k] = 0.0
        for j in range(n):
            for k in range(n):
                axes[i, k] += hessian[i, j] * turns[j, k]
    for i in range(n):
        for k in range(n):
            rows[i, k] = 0.0
        for m in range(n):
            for k in range(n):
                rows[i, k] += turns[m, i] * axes[m, k]
    for i in range(n):
        for k in range(i):
            rows[i, k] = rows[k, i] = (rows[i, k] + rows[k, i]) / 2
        carry.now[i, 0] = rows[i, i]
    eigen(rows, h, turns, LAST_BIT)
    for i in range(n):
        carry.h[i, 0] = h[i]
        for k in range(n):
            axes[i, k], carry.overlaps[i, k, 0] = 0.0, turns[k, i]
        for m in range(n):
            for k in range(n):
                axes[i, k] += before[i, m, 0] * turns[m, k]


@lean
def carried(curvature, error, fresh, slope, began, along, since, anew, carry, found):
    """Errors `found` (N,) along later axes, to which those of before, of a chart, have `turned`."""
    carry.began[0], carry.since[0], carry.anew[0] = began, since, anew
    for k in range(len(found)):
        carry.curvature[k, 0], carry.error[k, 0] = curvature[k], error[k]
        carry.fresh[k, 0], carry.slope[k, 0], carry.along[k, 0] = fresh[k], slope[k], along[k]
    carried_along(carry)
    for i in range(len(found)):
        found[i] = carry.later[i, 0]


@loop
def carried_once(before, curvature, error, fresh, slope, began, hessian, gradient, since, anew):
    """Eigenvalues of a later Hessian, and errors along its axes, from those along axes (N, N)."""
    n = len(curvature)
    pairs, h, axes, found = np.zeros((n, n, 2)), np.empty(n), np.empty((n, n)), np.empty(n)
    pairs[:, :, 0] = before
    carry, rows, turns = carry_alone(n), np.empty((n, 2 * n)), np.empty((n, n))
    turned(pairs, hessian, rows, h, turns, axes, carry)
    along = axes.T @ gradient
    carried(curvature, error, fresh, slope, began, along, since, anew, carry, found)
    return h, found
