r"""Compiled: errors of outputs of a chart, from those at its begin and at its end.

Where errors and gradients are sums of terms that decay, or grow, like `e^{-h t}` or `t^{-p}`, their
logarithms are convex functions of time. So between times `a` and `b` such a number `x` is at most

.. math:: x(t) = x_a^{1 - \theta} x_b^\theta, \qquad \theta = \frac{t - t_a}{t_b - t_a}

Where `x` rises, the parts are those of log-time: the bound is then exact for a power of time, and
too large for an exponential. In one chart time changes by a factor that is given, at most. At its
begin, what its steps will leave is counted among the errors. The error of a loss follows from
its ratio to the length of the gradient, which is known at each output.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.exponentials import exponential
from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import WIDTH, load, spread, store
from flows.systems.own.seen_state import KNOWN
from flows.systems.own.sound_state import STEEP, TRUSTED

__all__ = ["fill", "part_of", "tell_briefly"]

# Plain doubles see a loss and a gradient to this part, or to that to which a field is known, or two
# are taken.
LEAST_KNOWN = KNOWN / 2


@lean
def part_of(terms):
    """Part of a loss and of a gradient to which plain doubles see them."""
    return max(LEAST_KNOWN, terms.known)


@lean
def tell_briefly(numbers, value, length):
    """Put down a loss and the length of a gradient, whose errors are not known yet."""
    numbers[0], numbers[2] = value, length
    numbers[1] = -(length**2) if length < STEEP else np.nan
    numbers[3] = numbers[4] = np.nan
    numbers[5] = 0.0


@lean
def between(a, b, room):
    """What is between two positive numbers, the larger one where one of them is not.

    In `room` are parts of the time, and below them of log-time.
    """
    if not (a > 0.0 and b > 0.0):
        return spread(max(a, b))
    log = math.log(a)
    part = load(room, 1 if b > a else 0)
    return exponential(log + part * (math.log(b) - log))


@lean
def fill(found, here, k, first, behind, began, now, terms):
    """Put down errors of a member's outputs between its chart's begin and what has been seen."""
    error, numbers, room = found.error[k], found.numbers[k], here.room
    a, b = here.numbers[k], here.seen.numbers
    both_known = a[5] == 1.0 and b[5] == 1.0
    for one in range(first, behind, WIDTH):
        many = min(WIDTH, behind - one)
        for e in range(many):
            since = found.since[k, one + e]
            room[0, e] = (since - began) / (now - began)
            room[1, e] = math.log(since / began) / math.log(now / began)
        for i in range(error.shape[1]):
            store(room, 2, between(here.error[k, i], here.seen.error[i], room))
            for e in range(many):
                error[one + e, i] = room[2, e]
        store(room, 2, between(a[4] / a[2], b[4] / b[2], room))
        store(room, 3, between(a[3], b[3], room))
        for e in range(many):
            row = one + e
            value, length = numbers[row, 0], numbers[row, 2]
            of_loss, relative = room[2, e] * length, np.nan
            if abs(value) > 0.0 and of_loss >= 0.0:
                relative = max(room[3, e], part_of(terms) + of_loss / abs(value))
            known = both_known and length > 0.0 and relative <= TRUSTED
            numbers[row, 3], numbers[row, 4], numbers[row, 5] = relative, of_loss, 0.0
            if known:
                numbers[row, 5] = 1.0
