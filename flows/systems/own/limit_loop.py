"""Compiled: limits of runs of a loss in closed form, from their last states, in two doubles.

This is :mod:`flows.core.limit`, which explains it, for many members of an ensemble. There numbers
have 900 bits; here what is found counts only where two doubles tell that the gradient vanishes and
what the loss is. Any other member is for that search.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.core.compiled import inner, lean, loop
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
from flows.core.rates_along import plain_rates, summed, twofold_rates
from flows.core.twofold_pairs import add, divided, multiply, product
from flows.systems.own.above_loop import above, values_of
from flows.systems.own.chart_loop import run
from flows.systems.own.energy import STIFF
from flows.systems.own.seen_loop import largest_of

__all__ = ["KNOWN", "NO_POWER", "NO_SHRINKING", "limits"]

# The gradient is zero where it is no more than this times the radius of its ball, if that is this
# part of the gradient where the search began.
ZERO, FLAT = 4.0, 1e-12
# The loss above the limit at the last time is known to this part of it.
TOLD = 1e-9
# Newton's method for fast directions takes no more steps, and rests when they are this part of the
# first one.
INNER, SETTLED = 40, 1e-20
#: What is known of a limit: nothing, where it is, or why it is not found.
UNKNOWN, KNOWN, NO_POWER, NO_SHRINKING = range(4)


class Slice(NamedTuple):
    """Where Newton's method is: the place, and along the slice slopes, doubt and curvature.

    ``place`` (N, 3), ``registers`` of the loss, ``basis`` (N, K), slow columns first; ``slope``
    (K, 2) and ``doubt`` (K,): gradient and its radius; ``matrix`` (K, K, 2): the Hessian.
    """

    place: Any
    registers: Any
    basis: Any
    slope: Any
    doubt: Any
    matrix: Any


@lean
def sloped(loss, here):
    """Put down gradient and radius along the slice, where registers are those of the place."""
    (n, many), slope = here.basis.shape, here.slope
    for k in range(many):
        slope[k, 0] = slope[k, 1] = here.doubt[k] = 0.0
    for i in range(n):
        entry = here.registers[loss.results[1 + i]]
        high, low, off = entry[0], entry[1], entry[2]
        for k in range(many):  # innermost, so that no sum waits for itself
            a, b = multiply(here.basis[i, k], 0.0, high, low)
            slope[k, 0], slope[k, 1] = add(slope[k, 0], slope[k, 1], a, b)
            here.doubt[k] += abs(here.basis[i, k]) * off


@inner
def curved(rates, here):
    """Put down the Hessian along the slice."""
    n, many = here.basis.shape
    place, along = np.empty((n, 2)), np.zeros((n, many, 2))
    for i in range(n):
        place[i, 0], place[i, 1] = here.place[i, 0], here.place[i, 1]
        for k in range(many):
            along[i, k, 0] = here.basis[i, k]
    r = twofold_rates(place, along, rates.operation, rates.operands, rates.constants)
    total = np.empty((2, r.shape[2]))
    for m in range(many):
        summed(along, m, r, rates.results, total)
        for k in range(many):
            here.matrix[m, k, 0], here.matrix[m, k, 1] = total[0, k], total[1, k]


@inner
def curved_fast(rates, here, slow, since, block):
    """Put down, in doubles, the Hessian along the fast columns."""
    n, fast = len(here.basis), len(block)
    place, along = np.empty(n), np.empty((n, fast))
    for i in range(n):
        place[i] = here.place[i, 0] + here.place[i, 1]
        for k in range(fast):
            along[i, k] = here.basis[i, slow + k]
    r = plain_rates(place, along, rates.operation, rates.operands, rates.constants)
    for m in range(fast):
        for k in range(fast):
            block[m, k] = 0.0
        for i in range(n):
            for k in range(fast):
                block[m, k] += along[i, m] * r[rates.results[i], k]
    if since * largest_of(block) < STIFF:
        return
    curved(rates, here)
    for m in range(fast):
        for k in range(fast):
            block[m, k] = here.matrix[slow + m, slow + k, 0]


@lean
def moved(loss, here, step):
    """Go along the slice."""
    (n, many), place = here.basis.shape, here.place
    for k in range(many):
        for i in range(n):  # innermost, so that no sum waits for itself
            a, b = product(here.basis[i, k], step[k])
            place[i, 0], place[i, 1] = add(place[i, 0], place[i, 1], a, b)
    run(loss, place, here.registers)
    sloped(loss, here)


@lean
def is_zero(here, first):
    """Whether the slopes from one on are zero, as far as two doubles tell."""
    found = True
    for k in range(first, len(here.slope)):
        found = found and abs(here.slope[k, 0]) <= ZERO * here.doubt[k]
    return found


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
        change = -here.slope[slow:, 0]
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
def solve(here, x):
    """Step of Newton's method, whose matrix is lost: fast unknowns are eliminated first.

    What is left of slow ones may be small beside what cancels: that takes two doubles.
    """
    matrix, right, many = here.matrix, here.slope, len(x)
    for k in range(many - 1, 0, -1):
        for i in range(k):
            a, b = divided(matrix[i, k, 0], matrix[i, k, 1], matrix[k, k, 0], matrix[k, k, 1])
            for j in range(k):
                c, d = multiply(-a, -b, matrix[k, j, 0], matrix[k, j, 1])
                matrix[i, j, 0], matrix[i, j, 1] = add(matrix[i, j, 0], matrix[i, j, 1], c, d)
            c, d = multiply(-a, -b, right[k, 0], right[k, 1])
            right[i, 0], right[i, 1] = add(right[i, 0], right[i, 1], c, d)
    for k in range(many):
        high, low = right[k, 0], right[k, 1]
        for j in range(k):
            c, d = multiply(-x[j], 0.0, matrix[k, j, 0], matrix[k, j, 1])
            high, low = add(high, low, c, d)
        x[k] = high / matrix[k, k, 0]


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
def limit_of(loss, rates, digits, since, h, axes, found):
    """Loss at the limit in `found` (3,): high and low double, and error; what is known.

    ``h`` (N,), ``axes`` (N, N): curvatures at the last state, increasing, and axes in columns.
    """
    n = len(digits)
    place = np.zeros((n, 3))
    for i in range(n):
        place[i, 0], place[i, 1] = digits[i, 0], digits[i, 1]
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
    here = Slice(
        place, registers, basis, np.zeros((many, 2)), np.zeros(many), np.zeros((many, many, 2))
    )
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
    is_told = ended <= FLAT * length and a + b >= 0.0 and found[2] + began[2] <= TOLD * (a + b)
    return KNOWN if is_told else UNKNOWN


def _limits(digits, since, curvature, axes, told, codes, found):
    """Loss above its limit along members of an ensemble.

    Parameters
    ----------
    digits : ndarray, shape (M, T, N, 2)
        States.
    since : ndarray, shape (M,)
        The last time, from `-T0` on.
    curvature, axes : ndarray, shapes (M, N) and (M, N, N)
        Of the Hessian there: eigenvalues, increasing, and axes in columns.
    told : ndarray of int, shape (M,)
        1 of members that are asked for; then what is known of their limits.
    codes : tuple of Code
        Of the loss with its gradient, and of the gradient's rates.
    found : ndarray, shape (M, 1 + T, 2)
        To be filled: the limit, then the loss above it, and errors of both.
    """
    loss, rates = codes
    members, times, n, _ = digits.shape
    least = np.zeros(3)
    value, several = values_of(loss, n)
    for k in range(members):
        if told[k] == UNKNOWN:
            continue
        last = digits[k, times - 1]
        told[k] = limit_of(loss, rates, last, since[k], curvature[k], axes[k], least)
        found[k, 0, 0], found[k, 0, 1] = least[0] + least[1], least[2]
        if told[k] == KNOWN:
            above(value, digits[k], least, several, found[k, 1:])


limits: Any = loop(_limits, nogil=True)
