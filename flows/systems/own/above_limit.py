r"""Compiled: a loss above its limit at many states, side by side, in balls of two doubles.

Where the difference of the two has too few digits, but the gradient has not, the loss is that along
a line to the limit,

.. math:: L(y) - L_* = \frac12 \nabla L(y) \cdot (y - y_*) + O(|y - y_*|^3)
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.pairs import add
from flows.core.axis_field import Code
from flows.core.enclosed_program import UPWARD, step
from flows.systems.own.charts_of_members import run
from flows.systems.own.closed_tails import CURVED, KNOWN_PART, ROUNDED

__all__ = ["above_all", "values_of"]

# States side by side.
TOGETHER = 32


@lean
def run_in_lanes(code, registers):
    """Carry out a program at places in lanes, (R, 3, lanes), whose entries are there."""
    r, first = registers, len(registers) - len(code.operation)
    for k in range(len(code.operation)):
        x, y, to, operation = code.operands[k, 0], code.operands[k, 1], first + k, code.operation[k]
        if operation == 0:
            for e in range(r.shape[2]):
                a, b, off = r[x, 0, e], r[x, 1, e], r[x, 2, e]
                a, b, off = step(0, a, b, off, r[y, 0, e], r[y, 1, e], r[y, 2, e])
                r[to, 0, e], r[to, 1, e], r[to, 2, e] = a, b, UPWARD * off
        elif operation == 1:
            for e in range(r.shape[2]):
                a, b, off = r[x, 0, e], r[x, 1, e], r[x, 2, e]
                a, b, off = step(1, a, b, off, r[y, 0, e], r[y, 1, e], r[y, 2, e])
                r[to, 0, e], r[to, 1, e], r[to, 2, e] = a, b, UPWARD * off
        else:
            for e in range(r.shape[2]):
                a, b, off = r[x, 0, e], r[x, 1, e], r[x, 2, e]
                a, b, off = step(operation, a, b, off, r[y, 0, e], r[y, 1, e], r[y, 2, e])
                r[to, 0, e], r[to, 1, e], r[to, 2, e] = a, b, UPWARD * off


@inner
def values_of(loss, n):
    """Program of a loss alone, without its gradient, and registers with its constants."""
    first = n + len(loss.constants)
    needed, count = np.zeros(first + len(loss.operation), np.bool_), 0
    place = np.arange(len(needed))
    needed[loss.results[0]] = True
    for k in range(len(loss.operation) - 1, -1, -1):
        if needed[first + k]:
            needed[loss.operands[k, 0]] = needed[loss.operands[k, 1]] = True
    operation, operands = np.empty_like(loss.operation), np.empty_like(loss.operands)
    for k in range(len(loss.operation)):
        if needed[first + k]:
            place[first + k] = first + count
            operation[count] = loss.operation[k]
            for which in range(2):
                operands[count, which] = place[loss.operands[k, which]]
            count += 1
    value = Code(operation[:count], operands[:count], loss.constants, place[loss.results[:1]])
    registers = np.zeros((first + count, 3, TOGETHER))
    for k in range(len(loss.constants)):
        for part in range(3):
            registers[n + k, part] = loss.constants[k, part]
    return value, registers


@lean
def above(value, digits, least, registers, found):
    """Loss above the limit `least` (3,) of the states (T, N, 2) of a member, and error."""
    times, n, _ = digits.shape
    for first in range(0, times, TOGETHER):
        many = min(TOGETHER, times - first)
        for i in range(n):
            for e in range(many):
                registers[i, 0, e], registers[i, 1, e] = (
                    digits[first + e, i, 0],
                    digits[first + e, i, 1],
                )
        run_in_lanes(value, registers)
        for e in range(many):
            at = value.results[0]
            a, b = add(registers[at, 0, e], registers[at, 1, e], -least[0], -least[1])
            found[first + e, 0], found[first + e, 1] = a + b, registers[at, 2, e] + least[2]


@lean
def along_a_line(loss, digits, limit, there, registers):
    """Loss of a state above its limit, as the gradient tells it, and error."""
    size, square, value, doubt, length = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(digits)):
        there[i, 0], there[i, 1] = digits[i, 0], digits[i, 1]
        size = max(size, abs(digits[i, 0]))
    run(loss, there, registers)
    for i in range(len(digits)):
        of_entry = loss.results[1 + i]
        away = digits[i, 0] - limit[i, 0] + (digits[i, 1] - limit[i, 1])
        square += away * away
        value += registers[of_entry, 0] * away / 2
        length += abs(registers[of_entry, 0])
        doubt += registers[of_entry, 2] * abs(away)
    part = math.sqrt(square) / size
    return value, doubt + 2 * ROUNDED * size * length + CURVED * part * value


@lean
def above_all(value, loss, digits, least, place, several, room, found):
    """Loss above the limit of all states of a member, and errors; whether these are small.

    ``place``, ``least``: the limit, and the loss there; ``room``: a state and its registers.
    """
    small, (there, registers) = True, room
    above(value, digits, least, several, found)
    for row in range(len(digits)):
        if found[row, 1] > KNOWN_PART * found[row, 0]:
            a, b = along_a_line(loss, digits[row], place, there, registers)
            if b < found[row, 1]:
                found[row, 0], found[row, 1] = a, b
        small = small and found[row, 1] <= KNOWN_PART * found[row, 0]
    return small
