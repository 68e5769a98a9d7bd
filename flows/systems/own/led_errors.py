"""Compiled: errors that grow as the gradient does, of several states side by side.

:mod:`flows.systems.own.carried_errors` explains the formulas. States are
lanes of a :class:`flows.systems.own.carry.Carry`.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

from flows.arithmetic.kept import lean
from flows.systems.own.growth import LARGEST

__all__ = ["EQUAL", "lead"]

# Curvatures that differ by less than this part of the largest one are one.
EQUAL = 1e-3
# An axis is alone where others may have turned less than this part of its gradient into it.
ALONE = 0.5


@lean
def length_of(values, flags, wanted, e):
    """Length of the flagged entries of a lane."""
    most, square = 0.0, 0.0
    for i in range(len(values)):
        most = max(most, abs(values[i, e])) if flags[i, e] == wanted else most
    for i in range(len(values)):
        square += (values[i, e] / most) ** 2 if flags[i, e] == wanted and most > 0.0 else 0.0
    return most * math.sqrt(square)


@lean
def is_equal(curved, j, k, e):
    """Whether two curvatures of a lane are one."""
    return abs(curved[j, e] - curved[k, e]) <= EQUAL * abs(curved[k, e])


@lean
def shares(overlaps, flags, of_now, found, e):
    """Squares of what axes have in common with flagged ones: those are of now, or of before."""
    n = len(found)
    for i in range(n):
        found[i, e] = 0.0
    for k in range(n):
        for i in range(n if flags[k, e] > 0.0 else 0):
            found[i, e] += (overlaps[k, i, e] if of_now else overlaps[i, k, e]) ** 2


@lean
def next_led(carry, first, e):
    """The next axis whose errors the gradient bounds, or -1, with the axes of its curvature.

    A 1 in ``mixes`` flags these axes, and a 1 in ``fast`` flags the axes that they have become.
    ``lowest`` holds 0 for axes still to come, 1 for axes already handled, and 2 for axes that do
    not rise.
    """
    n, k, i, size, passed = len(carry.h), -1, 0, 0.0, carry.since[e] - carry.began[e]
    led, into, state = carry.mixes, carry.fast, carry.lowest
    for j in range(n):
        if first:
            least = min(carry.curvature[j, e], carry.now[j, e]) * passed
            state[j, e] = 0.0 if (carry.curvature[j, e] < 0.0) & (least < carry.rising[e]) else 2.0
        if state[j, e] == 0.0 and abs(carry.slope[j, e]) > size:
            k, size = j, abs(carry.slope[j, e])
    if k < 0:
        return k
    many, became = 0, 0
    for j in range(n):
        equal = is_equal(carry.curvature, j, k, e) and is_equal(carry.now, j, k, e)
        led[j, e] = 1.0 if state[j, e] == 0.0 and equal else 0.0
        many += 1 if led[j, e] > 0.0 else 0
    shares(carry.overlaps, led, False, into, e)
    for j in range(n):
        into[j, e] = 1.0 if into[j, e] > 0.5 else 0.0
        became += 1 if into[j, e] > 0.0 else 0
        i = j if abs(carry.overlaps[j, k, e]) > abs(carry.overlaps[i, k, e]) else i
    for j in range(n):
        if many != became or many < 2:
            led[j, e], into[j, e] = 1.0 if j == k else 0.0, 1.0 if j == i else 0.0
        state[j, e] = 1.0 if led[j, e] > 0.0 else state[j, e]
    return k


@lean
def lead_on(carry, first, bent, most, e):
    """Let errors along flagged axes grow as the gradient does, if it tells them."""
    n, passed, curved, bends = len(carry.h), carry.since[e] - carry.began[e], 0.0, 0.0
    led, into, turned = carry.mixes, carry.fast, carry.highest
    steep, reached = length_of(carry.slope, led, 1.0, e), length_of(carry.along, into, 1.0, e)
    if not reached > 0.0:
        return
    rate, came, many = reached / steep, 0.0, 0
    leads = first and reached > length_of(carry.along, into, 0.0, e)
    across = carry.rate
    for j in range(n):
        across[j, e] = carry.error[j, e] + carry.fresh[j, e]
    left = length_of(across, led, 1.0, e)
    shares(carry.overlaps, into, True, turned, e)
    for j in range(n):
        turned[j, e] = 0.0 if led[j, e] > 0.0 else math.sqrt(turned[j, e])
        came += turned[j, e] * abs(carry.slope[j, e])
        many += 1 if led[j, e] > 0.0 else 0
        curved = min(curved, carry.h[j, e]) if into[j, e] > 0.0 else curved
        bends = max(bends, abs(carry.curvature[j, e])) if led[j, e] > 0.0 else bends
    came = came * max(rate, max(most, 1.0)) / reached
    if not (leads or came < ALONE):
        return
    grown = left
    for j in range(n):
        share = abs(carry.slope[j, e]) / steep * left
        if leads and led[j, e] == 0.0:
            carry.error[j, e] = min(carry.error[j, e] + share, LARGEST)
        grown += turned[j, e] * (carry.error[j, e] + carry.fresh[j, e])
        carry.came[j, e] = max(carry.came[j, e], led[j, e])
        bent[j, e] -= turned[j, e] ** 2 * curved
    shares(carry.overlaps, led, False, across, e)
    # An error along the gradient is a shift in time as long as it is small.
    shift = leads and grown * bends < carry.timely[e] * steep
    carry.late[e] += grown / steep if shift else 0.0
    for i in range(n):
        out = math.sqrt(across[i, e]) / (1.0 + passed * max(carry.h[i, e], 0.0))
        out = rate if into[i, e] > 0.0 else out * rate
        kept_error = abs(carry.along[i, e]) / steep if leads else out * (1.0 + came)
        kept_error = 0.0 if shift else kept_error
        kept_error = max(kept_error, out) if leads and many > 1 else kept_error
        carry.later[i, e] += kept_error * grown


@lean
def lead_lane(carry, e):
    """Do as :func:`lead` does, in a lane."""
    n, most, bent = len(carry.h), 0.0, carry.grown
    for j in range(n):
        bent[j, e] = carry.now[j, e]
    first = True
    while next_led(carry, first, e) >= 0:
        steep = length_of(carry.slope, carry.mixes, 1.0, e)
        most = max(most, length_of(carry.along, carry.fast, 1.0, e) / steep)
        first = False
    first = True
    while next_led(carry, first, e) >= 0:
        lead_on(carry, first, bent, most, e)
        first = False
    for j in range(n):
        carry.now[j, e] = bent[j, e]


@lean
def lead(carry):
    """Let errors along axes on which the gradient grows grow as it does there.

    Such axes are flagged in ``came``, and what comes of their errors is put down in ``later``.
    """
    carry.came[:], carry.later[:] = 0.0, 0.0
    for e in range(len(carry.since)):
        passed = carry.since[e] - carry.began[e]
        # Else no axis grows so much.
        if min(carry.curvature[0, e], carry.h[0, e]) * passed < carry.rising[e]:
            lead_lane(carry, e)
