r"""Compiled: errors of outputs between two others of the same chart, at which they are known.

Where errors and gradients are sums of what decays, like `e^{-h t}` or `t^{-p}`, their logarithms
are convex functions of time. So between two outputs `a` and `b` such a number `x` is at most

.. math:: x(t) = x_a^{1 - \theta} x_b^\theta, \qquad \theta = \frac{t - t_a}{t_b - t_a}

In one chart the energy changes by a factor that is given, and these outputs are less than a factor
of three in time apart. The error of a loss is told by its ratio to the length of the gradient,
which is known at each output.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.core.compiled import lean
from flows.systems.own.seen_loop import KNOWN
from flows.systems.own.sound_state import STEEP, TRUSTED

__all__ = ["fill_in", "part_of", "tell_briefly"]

# Plain doubles see a loss and a gradient to this part, or to that to which a field is known, or two
# are taken.
ALIKE = KNOWN / 2
# What stands where it is told whether an output is known, until its errors are.
BRIEF = -1.0


@lean
def part_of(terms):
    """Part of a loss and of a gradient to which plain doubles see them."""
    return max(ALIKE, terms.known)


@lean
def tell_briefly(seen, value, length):
    """Put down a loss and the length of a gradient, whose errors are not known yet."""
    for i in range(len(seen.error)):
        seen.error[i] = np.nan
    numbers = seen.numbers
    numbers[0], numbers[2] = value, length
    numbers[1] = -(length**2) if length < STEEP else np.nan
    numbers[3] = numbers[4] = np.nan
    numbers[5] = BRIEF


@lean
def between(a, b, part):
    """What is between two positive numbers, the larger one where one of them is not."""
    if not (a > 0.0 and b > 0.0):
        return max(a, b)
    return math.exp((1.0 - part) * math.log(a) + part * math.log(b))


@lean
def fill_in(found, terms):
    """Put down errors of all outputs that have been seen briefly."""
    for k in range(len(found.numbers)):
        before = 0
        for row in range(1, found.reached[k]):
            if found.numbers[k, row, 5] != BRIEF:
                before = row
                continue
            after = row + 1
            while found.numbers[k, after, 5] == BRIEF:
                after += 1
            fill(found, k, row, before, after, terms)


@lean
def fill(found, k, row, a, b, terms):
    """Put down errors of an output between two others."""
    since, error, numbers = found.since[k], found.error[k], found.numbers[k]
    part = (since[row] - since[a]) / (since[b] - since[a])
    for i in range(error.shape[1]):
        error[row, i] = between(error[a, i], error[b, i], part)
    value, length = numbers[row, 0], numbers[row, 2]
    ratio = between(numbers[a, 4] / numbers[a, 2], numbers[b, 4] / numbers[b, 2], part)
    of_loss = ratio * length
    off = between(numbers[a, 3], numbers[b, 3], part)
    relative = max(off, part_of(terms) + of_loss / abs(value)) if abs(value) > 0.0 else np.nan
    known = numbers[a, 5] == 1.0 and numbers[b, 5] == 1.0 and length > 0.0
    numbers[row, 3], numbers[row, 4] = relative, of_loss
    numbers[row, 5] = 1.0 if known and relative <= TRUSTED else 0.0
