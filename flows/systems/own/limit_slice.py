"""Compiled: the slice on which a limit is looked for, in two doubles, side by side along its axes.

Gradient and Hessian along the slice are sums in vectors, whose entries are its axes.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.pairs import add, divided, gather, joined, multiply
from flows.arithmetic.vectors import WIDTH, load, magnitude, spread, store
from flows.core.rates_along import plain_rates, summed, twofold_rates, width_of
from flows.systems.own.charts_of_members import run
from flows.systems.own.energy_units import STIFF
from flows.systems.own.seen_state import largest_of

__all__ = ["Slice", "curved", "curved_fast", "is_zero", "moved", "slice_of", "sloped", "solve"]

# The gradient is zero where it is no more than this times the radius of its ball.
ZERO = 4.0


class Slice(NamedTuple):
    """Where Newton's method is: the place, and along the slice slopes, doubt and curvature.

    ``place`` (N, 3), ``registers`` of the loss; ``basis`` (N, K), slow columns first, filled up to
    vectors in ``rows`` (N, width) and ``columns`` (K, width'); ``slope`` (2, width) and ``doubt``
    (width,): gradient and its radius; ``matrix`` (K, 2, width): the Hessian; ``room`` (2, width').
    """

    place: Any
    registers: Any
    basis: Any
    rows: Any
    columns: Any
    slope: Any
    doubt: Any
    matrix: Any
    room: Any


@inner
def slice_of(place, registers, basis):
    """A slice at a place, whose registers are known."""
    (n, many), width = basis.shape, width_of(basis.shape[1])
    rows, columns = np.zeros((n, width)), np.zeros((many, width_of(n)))
    for i in range(n):
        for k in range(many):
            rows[i, k] = columns[k, i] = basis[i, k]
    slope, matrix = np.zeros((2, width)), np.zeros((many, 2, width))
    room = np.zeros((2, columns.shape[1]))
    return Slice(place, registers, basis, rows, columns, slope, np.zeros(width), matrix, room)


@lean
def sloped(loss, here):
    """Record gradient and radius along the slice, from the registers at the place."""
    blocks = here.slope.shape[1] // WIDTH
    for block in range(blocks):
        high = low = doubt = none = spread(0.0)
        for i in range(len(here.rows)):
            entry, part = loss.results[1 + i], load(here.rows, i * blocks + block)
            one, other = here.registers[entry, 0], here.registers[entry, 1]
            high, low = gather(high, low, one, other, part, none)
            doubt += magnitude(part) * here.registers[entry, 2]
        high, low = joined(high, low)
        store(here.slope, block, high)
        store(here.slope, blocks + block, low)
        store(here.doubt, block, doubt)


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
    for m in range(many):
        summed(along, m, r, rates.results, here.matrix[m])


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
            block[m, k] = here.matrix[slow + m, 0, slow + k]


@lean
def moved(loss, here, step):
    """Go along the slice."""
    place, room, blocks = here.place, here.room, here.room.shape[1] // WIDTH
    for i in range(len(place)):
        room[0, i], room[1, i] = place[i, 0], place[i, 1]
    for block in range(blocks):
        high, low, none = load(room, block), load(room, blocks + block), spread(0.0)
        for k in range(len(step)):
            part = load(here.columns, k * blocks + block)
            high, low = gather(high, low, step[k], 0.0, part, none)
        high, low = joined(high, low)
        store(room, block, high)
        store(room, blocks + block, low)
    for i in range(len(place)):
        place[i, 0], place[i, 1] = room[0, i], room[1, i]
    run(loss, place, here.registers)
    sloped(loss, here)


@lean
def is_zero(here, first):
    """Whether the slopes from one on are zero, as far as two doubles tell."""
    found = True
    for k in range(first, len(here.columns)):
        found = found and abs(here.slope[0, k]) <= ZERO * here.doubt[k]
    return found


@lean
def solve(here, x):
    """Step of Newton's method, whose matrix is lost: fast unknowns are eliminated first.

    The rest of slow ones may be small beside the terms that cancel, so it takes two doubles.
    """
    matrix, right, many = here.matrix, here.slope, len(x)
    blocks = matrix.shape[2] // WIDTH
    for k in range(many - 1, 0, -1):
        for i in range(k):
            a, b = divided(matrix[i, 0, k], matrix[i, 1, k], matrix[k, 0, k], matrix[k, 1, k])
            for block in range(k // WIDTH + 1):  # what is not on the left is not read again
                at, other = 2 * i * blocks + block, 2 * k * blocks + block
                high, low = load(matrix, at), load(matrix, at + blocks)
                one, rest = load(matrix, other), load(matrix, other + blocks)
                high, low = joined(*gather(high, low, -a, -b, one, rest))
                store(matrix, at, high)
                store(matrix, at + blocks, low)
            c, d = multiply(-a, -b, right[0, k], right[1, k])
            right[0, i], right[1, i] = add(right[0, i], right[1, i], c, d)
    for k in range(many):
        high, low = right[0, k], right[1, k]
        for j in range(k):
            c, d = multiply(-x[j], 0.0, matrix[k, 0, j], matrix[k, 1, j])
            high, low = add(high, low, c, d)
        x[k] = high / matrix[k, 0, k]
