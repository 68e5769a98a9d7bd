"""Compiled: limits of runs of a loss in closed form, from their last states, in two doubles.

This is :mod:`flows.core.limit`, which explains it, for many members of an ensemble. There numbers
have 900 bits; here what is found counts only where two doubles tell that the gradient vanishes and
what the loss is. Any other member is for that search.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flows.arithmetic.kept import inner, lean, loop
from flows.arithmetic.pairs import add
from flows.core.limit import (
    FAST,
    INTEGER,
    LARGEST,
    MOVES,
    SHRINKS,
    SLOWLY,
    SMALL,
    SUPERLINEAR,
    TANGENT,
)
from flows.core.plain_factors import factor, substitute
from flows.systems.own.above_limit import above_all, values_of
from flows.systems.own.charts_of_members import run
from flows.systems.own.closed_tails import KNOWN_PART
from flows.systems.own.limit_slice import (
    curved,
    curved_fast,
    is_zero,
    moved,
    slice_of,
    sloped,
    solve,
)

__all__ = ["KNOWN", "NO_POWER", "NO_SHRINKING", "UNKNOWN", "limits"]

# The gradient is zero where two doubles do not tell it from zero, if what it may be is this part of
# the gradient where the search began.
FLAT = 1e-12
# Newton's method for fast directions takes no more steps, and rests when they are this part of the
# first one.
INNER, SETTLED = 40, 1e-20
#: What is known of a limit: nothing, where it is, or why it is not found.
UNKNOWN, KNOWN, NO_POWER, NO_SHRINKING = range(4)


@inner
def settle(loss, rates, here, slow, since, h):
    """Newton's method in the fast directions; whether it has converged.

    At the last state their curvatures are `h`, which is empty elsewhere.
    """
    many = here.basis.shape[1]
    step, last = np.zeros(many), np.inf
    if slow == many or is_zero(here, slow):
        return True
    fast = many - slow
    block, pivots = np.zeros((fast, fast)), np.zeros(fast, np.int64)
    for k in range(len(h)):
        block[k, k] = h[k]
    if len(h) == 0:
        curved_fast(rates, here, slow, since, block)
    factor(block, pivots)
    first = 0.0
    for _ in range(INNER):
        change = -here.slope[0, slow:many]
        substitute(block, pivots, change)
        length = 0.0
        for k in range(len(change)):
            step[slow + k] = change[k]
            length += change[k] ** 2
        length = math.sqrt(length)
        if not length <= SLOWLY * last:
            return False
        moved(loss, here, step)
        first = max(first, length)
        if length <= SETTLED * first or is_zero(here, slow):
            return True
        if not length <= SHRINKS * last:  # the Hessian is that of another place
            curved_fast(rates, here, slow, since, block)
            factor(block, pivots)
        last = length
    return False


@lean
def copy(numbers, into):
    """Put numbers into an array: Numba compiles strings for an error if they are a slice of it."""
    for i in range(len(numbers)):
        into[i] = numbers[i]


@lean
def power_of(scaled, along, length):
    """`p` of the loss along the slow axes, which have so much of the gradient; 0 where none."""
    square, weighted = 0.0, 0.0
    for k in range(len(scaled)):
        if TANGENT <= scaled[k] <= FAST:
            part = along[k] / length
            square += part * part
            weighted += scaled[k] * part * part
    if square == 0.0 or not weighted > square:
        return 0.0
    power = 2.0 + 1.0 / (weighted / square - 1.0)
    if power > LARGEST:
        return 0.0
    return round(power) if abs(power - round(power)) < INTEGER else power


@inner
def descend(loss, rates, here, slow, power, since, h):
    """Newton's steps on the slice; whether they have led to a limit, or how they do not."""
    many = here.basis.shape[1]
    step, first, second, last = np.zeros(many), 0.0, 0.0, 0.0
    sloped(loss, here)
    for count in range(MOVES):
        converges = count > 1 and second <= SUPERLINEAR * first
        if count > 1 and not converges:
            return NO_SHRINKING
        if not settle(loss, rates, here, slow, since, h if count == 0 else h[:0]):
            return UNKNOWN
        if slow == 0:
            return KNOWN
        if is_zero(here, 0):
            return KNOWN
        if converges and last <= SMALL * first:
            return KNOWN
        curved(rates, here)
        solve(here, step)
        length = 0.0
        for k in range(many):
            step[k] *= 1.0 - power
            length += step[k] ** 2 if k < slow else 0.0
        length = math.sqrt(length)
        if not length <= SHRINKS * last and count > 0:
            return NO_SHRINKING if count == 1 and length < np.inf else UNKNOWN
        moved(loss, here, step)
        last = length
        first = length if count == 0 else first
        second = length if count == 1 else second
    return UNKNOWN


@inner
def limit_of(loss, rates, digits, since, h, axes, place, found):
    """Limit in `place` (N, 3), and loss there in `found` (3,): high and low double, and error.

    What is known is returned. It has to be seen how well losses above it are, where the power is 2.

    ``h`` (N,), ``axes`` (N, N): curvatures at the last state, increasing, and axes in columns.
    """
    n = len(digits)
    for i in range(n):
        place[i, 0], place[i, 1], place[i, 2] = digits[i, 0], digits[i, 1], 0.0
    registers = np.zeros((n + len(loss.constants) + len(loss.operation), 3))
    run(loss, place, registers)
    slope, square, began = np.zeros(n), 0.0, np.zeros(3)
    for part in range(3):
        began[part] = registers[loss.results[0], part]
    for i in range(n):
        slope[i] = registers[loss.results[1 + i], 0]
        square += slope[i] ** 2
    length = math.sqrt(square)
    if not (1e-150 < length < np.inf):
        return UNKNOWN
    along, curvatures, slow, fast = np.zeros(n), np.zeros(n), 0, 0
    for k in range(n):
        for i in range(n):
            along[k] += axes[i, k] * slope[i]
        if h[k] * since < -TANGENT:
            return UNKNOWN
        slow += TANGENT <= abs(h[k] * since) <= FAST
        fast += h[k] * since > FAST
    if slow + fast == 0:
        return UNKNOWN
    power = power_of(h * since, along, length) if slow > 0 else 2.0
    if power == 0.0:
        return NO_POWER
    many, column = slow + fast, 0
    basis = np.zeros((n, many))
    for k in range(n):  # eigenvalues increase, so that slow axes come first
        if abs(h[k] * since) >= TANGENT:
            for i in range(n):
                basis[i, column] = axes[i, k]
            curvatures[column] = h[k]
            column += 1
    here = slice_of(place, registers, basis)
    outcome = descend(loss, rates, here, slow, power, since, curvatures[slow:many])
    if outcome != KNOWN:
        return outcome
    ended, far = 0.0, 0.0
    for i in range(n):
        of_entry = loss.results[1 + i]
        ended += (abs(registers[of_entry, 0]) + registers[of_entry, 2]) ** 2
        far += (place[i, 0] - digits[i, 0] + (place[i, 1] - digits[i, 1])) ** 2
    ended, far = math.sqrt(ended), math.sqrt(far)
    for part in range(3):
        found[part] = registers[loss.results[0], part]
    found[2] += ended * far  # of a convex loss: how far the least one is below
    a, b = add(began[0], began[1], -found[0], -found[1])
    small = power == 2.0 or (a + b >= 0.0 and found[2] + began[2] <= KNOWN_PART * (a + b))
    return KNOWN if small and ended <= FLAT * length else UNKNOWN


def _limits(digits, since, curvature, axes, outcomes, codes, ends, found):
    """Loss above its limit along members of an ensemble.

    Parameters
    ----------
    digits : ndarray, shape (M, T, N, 2)
        States.
    since : ndarray, shape (M,)
        The last time, from `-T0` on.
    curvature, axes : ndarray, shapes (M, N) and (M, N, N)
        Of the Hessian there: eigenvalues, increasing, and axes in columns.
    outcomes : ndarray of int, shape (M,)
        1 of members that are asked for; then what is known of their limits.
    codes : tuple of Code
        Of the loss with its gradient, and of the gradient's rates.
    ends : Tails
        Limits that are known.
    found : ndarray, shape (M, 1 + T, 2)
        To be filled: the limit, then the loss above it, and errors of both.
    """
    loss, rates = codes
    members, times, n, _ = digits.shape
    least, place, first = np.zeros(3), np.zeros((n, 3)), times
    room = np.zeros((n, 3)), np.zeros((n + len(loss.constants) + len(loss.operation), 3))
    value, several = values_of(loss, n)
    for k in range(members):
        if ends.found_end[k]:
            first, outcomes[k] = ends.first[k], KNOWN
            copy(ends.limit[k], least)
            for i in range(n):
                copy(ends.place[k, i], place[i])
            for row in range(first, times):
                copy(ends.above[k, row], found[k, 1 + row])
        elif outcomes[k] != UNKNOWN:
            h, last = curvature[k], digits[k, times - 1]
            first = times
            outcomes[k] = limit_of(loss, rates, last, since[k], h, axes[k], place, least)
        if outcomes[k] != KNOWN:
            continue
        found[k, 0, 0], found[k, 0, 1] = least[0] + least[1], least[2]
        given = loss, digits[k, :first], least, place, several, room
        if not above_all(value, *given, found[k, 1 : 1 + first]) and not ends.found_end[k]:
            outcomes[k] = UNKNOWN


limits: Any = loop(_limits, nogil=True)
