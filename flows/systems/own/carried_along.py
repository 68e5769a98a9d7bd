"""Compiled: errors that charts carry on along the axes of Hessians, of several states side by side.

:mod:`flows.systems.own.carried_errors` explains the formulas. Members of an ensemble take all
lanes, a run alone takes the first.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.exponentials import exponential
from flows.arithmetic.kept import lean, loop
from flows.arithmetic.vectors import (
    WIDTH,
    any_of,
    larger,
    load,
    magnitude,
    root,
    smaller,
    spread,
    store,
    where,
)
from flows.systems.own.growth import LARGEST, MOST_GROWTH
from flows.systems.own.led_errors import EQUAL, lead

__all__ = ["between_ends", "carried_along", "carry_on"]

# A curvature like s^-1, to this, is that of a slow axis.
RECIPROCAL = 0.2
# Axes that have turned by less into another one count as unchanged.
TURNS = 0.05
# Fast axes are those whose rate in log-time grows like this power of time, or faster.
GROWING = 0.75
# Rates in log-time that differ by less are one.
DIFFER = 0.03
# Curvature times time of axes that are not slow any more.
FAST = 30.0


@lean
def rolled(carry, e, first, last, back):
    """Put an axis of now before those from another one on, or `back` to where it was."""
    n, step = len(carry.h), -1 if back else 1
    i = first if back else last
    while i != (last if back else first):
        for rows in (carry.h, carry.later):
            rows[i, e], rows[i - step, e] = rows[i - step, e], rows[i, e]
        for k in range(n):
            one, other = carry.overlaps[i, k, e], carry.overlaps[i - step, k, e]
            carry.overlaps[i, k, e], carry.overlaps[i - step, k, e] = other, one
        i -= step


@lean
def reorder(carry):
    """Put axes of now in the order of those that they were."""
    for e in range(WIDTH):
        for k in range(len(carry.h)):
            last = k
            for i in range(k, len(carry.h) if carry.curvature[k, e] < 0.0 else k):
                overlaps = abs(carry.overlaps[i, k, e]), abs(carry.overlaps[last, k, e])
                last = i if overlaps[0] > overlaps[1] else last
            rolled(carry, e, k, last, False)
            carry.order[k, e] = last


@lean
def put_back(carry):
    """Put axes of now in their own order."""
    for e in range(WIDTH):
        for k in range(len(carry.h) - 1, -1, -1):
            rolled(carry, e, k, int(carry.order[k, e]), True)


@lean
def kinds(carry):
    """Put down which axes are slow, with their least rates, and which are fast.

    Return which part slow axes take from fast ones before these have decayed.
    """
    length = load(carry.length, 0)
    few, many = exponential(-RECIPROCAL * length), exponential(RECIPROCAL * length)
    quick = exponential(GROWING * length)
    began, since = load(carry.began, 0), load(carry.since, 0)
    fast, early = where(length > 0.0, 1.0, 0.0), spread(np.inf)
    for k in range(len(carry.h) - 1, -1, -1):
        first, last = load(carry.curvature, k) * began, load(carry.now, k) * since
        h, least = load(carry.h, k), smaller(first, last)
        is_slow = (least > 0.0) & (last < first * many) & (last > first * few)
        grows = (first > 0.0) & (h > 0.0) & (since * h > first * quick)
        fast = where(grows, fast, 0.0)
        early = where(fast > 0.0, smaller(first, early), early)
        store(carry.first, k, first)
        store(carry.least, k, where(is_slow, least, 0.0))
        store(carry.fast, k, fast)
        store(carry.kind, k, where((first > 0.0) & (first < FAST), 1.0 + fast, -1.0))
        store(carry.into, k, where(h > 0.0, 1.0 + fast, 0.0))
    return 1.0 / larger(early * length, 1.0)


@lean
def near(carry, i, k, kind):
    """Whether an axis of now is one of those that one of before, of its kind, has turned to."""
    overlap = load(carry.overlaps, i * len(carry.h) + k)
    return (magnitude(overlap) > TURNS) & (load(carry.into, i) == kind)


@lean
def spans(carry):
    """Put down between which rates the axes of before are that each of now has come from."""
    n, since = len(carry.h), load(carry.since, 0)
    for i in range(n):
        low = since * load(carry.h, i)
        high = low
        for k in range(n):
            is_near, first = near(carry, i, k, load(carry.kind, k)), load(carry.first, k)
            low = where(is_near, smaller(first, low), low)
            high = where(is_near, larger(first, high), high)
        store(carry.lowest, i, low)
        store(carry.highest, i, high)


@lean
def mix(carry, k):
    """Record the decay rate of an axis that turns; return the distance between the rates."""
    lowest, highest, kind = spread(np.inf), spread(-np.inf), load(carry.kind, k)
    for i in range(len(carry.h)):
        is_near = near(carry, i, k, kind)
        lowest = where(is_near, smaller(load(carry.lowest, i), lowest), lowest)
        highest = where(is_near, larger(load(carry.highest, i), highest), highest)
    mixes = load(carry.mixes, k) > 0.0
    store(carry.least, k, where(mixes, lowest, load(carry.least, k)))
    return highest - lowest


@lean
def turn(carry):
    """Put down which axes mix, and what others take from them; return whether any does."""
    n, since, length = len(carry.h), load(carry.since, 0), load(carry.length, 0)
    spanned = False
    for k in range(n):
        first, fast, kind = load(carry.first, k), load(carry.fast, k), load(carry.kind, k)
        away, moved, count, taken = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
        for i in range(n if any_of(kind > 0.0) else 0):  # else none is near it
            square, is_near = load(carry.overlaps, i * n + k) ** 2, near(carry, i, k, kind)
            is_apart = magnitude(since * load(carry.h, i) - first) > DIFFER
            away = where(load(carry.fast, i) > fast, away + square, away)
            moved = where(is_near & is_apart, moved + square, moved)
            count = where(is_near, count + 1.0, count)
        several = (moved > 0.0) & (count > 1.0)
        mixes = (count > 0.0) & (several | (away > TURNS**2))
        store(carry.mixes, k, where(mixes, 1.0, 0.0))
        if any_of(mixes):
            if not spanned:
                spans(carry)
            spanned = True
            taken = root(moved) * mix(carry, k) * length + away
        store(carry.moved, k, where(mixes, taken, 0.0))
    return spanned


@lean
def grow(carry):
    """Put down what has become of errors along the axes of before; return the largest."""
    n, since, length = len(carry.h), load(carry.since, 0), load(carry.length, 0)
    passed, anew, most = since - load(carry.began, 0), load(carry.anew, 0), spread(0.0)
    for k in range(n):
        before, now = load(carry.curvature, k), load(carry.now, k)
        rate = smaller(before, now)
        own = where(load(carry.mixes, k) > 0.0, 0.0, rate * passed)
        slowly = load(carry.least, k) * length
        mean = load(carry.chord, k) + now * load(carry.tip, 0)
        grows = -where(rate < 0.0, mean, larger(slowly, own))
        store(carry.rate, k, larger(now, 0.0))
        change = exponential(smaller(MOST_GROWTH, grows))
        change = where(load(carry.came, k) > 0.0, 0.0, change)
        left = larger(change, anew)
        grown = smaller(LARGEST, load(carry.error, k) * change + load(carry.fresh, k) * left)
        store(carry.grown, k, grown)
        most = larger(grown, most)
    return where(most > 0.0, most, 1.0)


@lean
def come(carry, early, back):
    """Put down what slow axes take from fast ones, and `back` along the axes of before."""
    n = len(carry.h)
    first, both = n, carry.lowest
    for k in range(n - 1, -1, -1):
        store(back, k, spread(0.0))
        store(both, k, load(carry.error, k) + load(carry.fresh, k))
        first = k if any_of(load(carry.fast, k) > 0.0) else first
    for i in range(n):
        fast, came = load(carry.fast, i), spread(0.0)
        for k in range(first, n):
            part = magnitude(load(carry.overlaps, i * n + k)) * load(both, k)
            came = where(load(carry.fast, k) > fast, came + part, came)
        came *= early
        store(carry.came, i, came)
        for k in range(n):
            part = magnitude(load(carry.overlaps, i * n + k)) * came
            store(back, k, load(back, k) + part)


@lean
def lengths(carry):
    """Put down how much later it is, in log-time."""
    for e in range(WIDTH):
        carry.length[e] = math.log(carry.since[e] / carry.began[e])


@lean
def between_ends(carry):
    """Take curvatures to be linear in log-time from the axes of before to those of now."""
    lengths(carry)
    length, passed = load(carry.length, 0), load(carry.since, 0) - load(carry.began, 0)
    tip = where(length > 0.0, load(carry.since, 0) - passed / length, 0.0)
    store(carry.tip, 0, tip)
    for k in range(len(carry.h)):
        store(carry.chord, k, load(carry.curvature, k) * (passed - tip))


@lean
def carried_along(carry):
    """Put down errors along the axes of now."""
    n = len(carry.h)
    lengths(carry)
    lead(carry)
    differ = EQUAL * larger(magnitude(load(carry.h, n - 1)), magnitude(load(carry.h, 0)))
    reorder(carry)
    early = kinds(carry)
    any_mixes = turn(carry)
    most = grow(carry)  # squares of small errors are zero in doubles
    back = carry.first  # along the axes of before
    come(carry, early, back)
    passed = load(carry.since, 0) - load(carry.began, 0)
    for i in range(n):
        h, square, total = load(carry.h, i), spread(0.0), smaller(LARGEST, load(carry.later, i))
        for k in range(n):
            faster, turns = larger(h - load(carry.rate, k), 0.0), spread(0.0)
            reach = magnitude(load(carry.overlaps, i * n + k))
            if any_of(faster > 0.0):
                reach = where(faster > 0.0, reach / (1.0 + passed * faster), reach)
            if any_mixes:
                is_near = near(carry, i, k, load(carry.kind, k))
                turns = where(is_near, load(carry.moved, k), 0.0)
            share = smaller(reach + turns, 1.0) * (load(carry.grown, k) / most)
            equal = (magnitude(h - load(carry.now, k)) <= differ) | (turns > 0.0)
            square = where(equal, square + share * share, square)
            total += where(equal, 0.0, most * share) + reach * load(back, k)
        store(carry.later, i, most * root(square) + total + load(carry.came, i))
    put_back(carry)


@loop
def carry_on(carry):
    """Put down errors along the axes of now; integrals of curvatures are given."""
    carried_along(carry)
