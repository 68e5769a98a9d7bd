"""Compiled: a program of a loss in pairs of doubles, in lanes, with its rates and what it rounds.

One loop carries out the program of any loss (:class:`flows.core.axis_field.Code`), so that nothing
is compiled for a loss. Registers are variables, constants, steps; two vectors each, high and low.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.pair_numbers import (
    UNIT,
    elementary,
    get,
    negative,
    put,
    whole,
)
from flows.arithmetic.vectors import WIDTH, load, magnitude, spread, store

__all__ = ["Registers", "evaluate", "moved", "registers_of", "rounding"]


class Registers(NamedTuple):
    """Room for a program.

    ``value`` (2 R, lanes): registers; ``first``, ``second`` (2 K, lanes): derivatives of steps by
    their operands; ``rate`` (2 R, lanes): derivatives of registers along one variable; ``noise``
    (R, lanes): what rounding leaves; ``active`` (N, R): registers that depend on a variable.
    """

    value: Any
    first: Any
    second: Any
    rate: Any
    noise: Any
    active: Any


@inner
def registers_of(n, program):
    """Room for a program of so many variables, with its constants."""
    first, steps = n + len(program.constants), len(program.operation)
    count = first + steps
    found = Registers(
        np.zeros((2 * count, WIDTH)),
        np.zeros((2 * steps, WIDTH)),
        np.zeros((2 * steps, WIDTH)),
        np.zeros((2 * count, WIDTH)),
        np.zeros((count, WIDTH)),
        np.zeros((n, count), np.bool_),
    )
    for k in range(len(program.constants)):
        for part in range(2):
            for e in range(WIDTH):
                found.value[2 * (n + k) + part, e] = program.constants[k, part]
    for c in range(n):
        found.active[c, c] = True
        for k in range(steps):
            a, b = program.operands[k, 0], program.operands[k, 1]
            found.active[c, first + k] = found.active[c, a] or found.active[c, b]
    return found


@lean
def evaluate(program, at, lanes, slopes):
    """Carry out a program, whose variables are there; with derivatives by operands if asked."""
    r = at.value
    first = len(r) // 2 - len(program.operation)
    for k in range(len(program.operation)):
        operation, x, y = program.operation[k], program.operands[k, 0], program.operands[k, 1]
        if operation == 0:
            put(r, first + k, get(r, x) + get(r, y))
        elif operation == 1:
            put(r, first + k, get(r, x) * get(r, y))
        elif operation == 2:
            put(r, first + k, get(r, x) / get(r, y))
        else:
            elementary(operation, r, x, y, first + k, lanes)
        if slopes and operation > 1:
            differentiate(operation, at, k, x, y, first + k, lanes)


@lean
def differentiate(operation, at, k, x, y, to, lanes):
    """Derivatives of a step by its operands."""
    r, one = at.value, whole(1.0, 0.0)
    if operation == 2:
        inverse = one / get(r, y)
        put(at.first, k, inverse)
        put(at.second, k, negative(get(r, to) * inverse))
    elif operation == 3:
        put(at.first, k, whole(0.5, 0.0) / get(r, to))
    elif operation == 4:
        a, b = get(r, x), get(r, y)
        inverse = one / (a * a + b * b)
        put(at.first, k, b * inverse)
        put(at.second, k, negative(a * inverse))
    elif operation == 5:
        put(at.first, k, get(r, to))
    elif operation == 6:
        put(at.first, k, one / get(r, x))
    else:  # the other one of sine and cosine lies in the room for a second derivative
        store(at.second, 2 * k, load(r, 2 * x))
        store(at.second, 2 * k + 1, load(r, 2 * x + 1))
        elementary(15 - operation, at.second, k, k, k, lanes)
        other = get(at.second, k)
        put(at.first, k, other if operation == 7 else negative(other))


@lean
def moved(program, at, c):
    """Rates of all registers along variable `c`; those that do not depend on it are left."""
    r, t, active = at.value, at.rate, at.active
    n = len(active)
    first = len(r) // 2 - len(program.operation)
    put(t, c, whole(1.0, 0.0))
    for k in range(len(program.operation)):
        x, y = program.operands[k, 0], program.operands[k, 1]
        ax, ay = active[c, x], active[c, y]
        if not (ax or ay):
            continue
        operation = program.operation[k]
        if operation == 0:
            if ax and ay:
                put(t, first + k, get(t, x) + get(t, y))
            else:
                put(t, first + k, get(t, x if ax else y))
        elif operation == 1:
            if ax and ay:
                put(t, first + k, get(r, y) * get(t, x) + get(r, x) * get(t, y))
            elif ax:
                put(t, first + k, get(r, y) * get(t, x))
            else:
                put(t, first + k, get(r, x) * get(t, y))
        elif operation == 2 or operation == 4:
            if ax and ay:
                put(t, first + k, get(at.first, k) * get(t, x) + get(at.second, k) * get(t, y))
            elif ax:
                put(t, first + k, get(at.first, k) * get(t, x))
            else:
                put(t, first + k, get(at.second, k) * get(t, y))
        else:
            put(t, first + k, get(at.first, k) * get(t, x))
    return n


@lean
def rounding(program, at, n):
    """Bounds of what rounding leaves in each register, to first order, of exact variables."""
    r, noise = at.value, at.noise
    first = len(noise) - len(program.operation)
    for i in range(n):
        store(noise, i, spread(0.0))
    for i in range(n, first):
        store(noise, i, magnitude(load(r, 2 * i)) * UNIT)
    for k in range(len(program.operation)):
        operation, x, y = program.operation[k], program.operands[k, 0], program.operands[k, 1]
        a, b = load(noise, x), load(noise, y)
        found = magnitude(load(r, 2 * (first + k))) * UNIT
        if operation == 0:
            found = found + (a + b)
        elif operation == 1:
            found = found + (a * magnitude(load(r, 2 * y)) + b * magnitude(load(r, 2 * x)))
        elif operation == 2 or operation == 4:
            by_x, by_y = magnitude(load(at.first, 2 * k)), magnitude(load(at.second, 2 * k))
            sharp = found * (15.0 if operation == 2 else 1023.0)
            found = sharp + (a * by_x + b * by_y)
        else:
            sharp = found * 31.0 + (magnitude(load(r, 2 * x)) * UNIT + UNIT)
            found = sharp + a * magnitude(load(at.first, 2 * k))
        store(noise, first + k, found)
