"""Expectations by tensor rules of a measured error, compiled as a whole: no Python between rules.

It is :func:`flows.core.quadrature.refine` for tensor rules, on the blocks of
:mod:`flows.systems.mixture.node_blocks`, up to rules of `BUDGET` nodes. A rule is compared with the
one that is finer along all axes at once, as the pieces of a run do later on: that is one more rule
of a state and not one for each axis. Where they differ, the first axes are made finer one after the
other, and each difference is that of its axis.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np
from numba.extending import register_jitable

from flows.core import quadrature
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.compiled import kept
from flows.core.vectors import WIDTH, load, spread, store, total
from flows.systems.mixture import node_blocks
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.node_functions import INNER, KERNEL, OPTIONS
from flows.systems.mixture.node_posteriors import COMPONENTS, Components, rows
from flows.systems.mixture.product_nodes import Ladder, Place, next_of_product

#: Rules of more nodes, and of higher rungs, are not tried here.
BUDGET, TOP = 200_000, len(quadrature.GAUSS) + 12
#: What became of a refinement: an error was measured, or larger rules are needed.
MEASURED, TOO_MANY = 0.0, 1.0
# Rules of one refinement whose sums are kept.
KEPT = 64
STALLED, ROUNDED = quadrature.STALLED, quadrature.ROUNDED
UNDERFLOW = 1e-250  # averages of terms below this are zero, see `expectation`


class _Block(NamedTuple):
    """A block of nodes with their weights, what it works in, and sums."""

    x: Any
    held: Any
    room: Any
    acc: Any


class Found(NamedTuple):
    """What comes out.

    Parameters
    ----------
    terms : ndarray, shape (2, 2 + k r)
        KL divergence, ``E|v|^2`` and the pulls, without their constant and linear parts; and the
        magnitudes of their terms.
    numbers : ndarray, shape (3,)
        What became of a refinement, the measured error, and the number of nodes.
    space : ndarray
        Room to work in, of the size that :func:`room_for` says.
    """

    terms: Array
    numbers: Array
    space: Array


_MATRIX, _VECTOR, _WHOLE = numba.float64[:, ::1], numba.float64[::1], numba.int64[::1]
_named = numba.types.NamedTuple
SIGNATURE = numba.void(
    COMPONENTS,
    _VECTOR,
    _named((_VECTOR, _VECTOR, _WHOLE, _MATRIX, _WHOLE, numba.float64, numba.float64), Ladder),
    _named((_MATRIX, _VECTOR, _VECTOR), Found),
)


@register_jitable(**INNER)
def room_for(k: int, r: int) -> int:
    """Numbers that sums need to work in: of a block of nodes, and of the rules of a refinement."""
    return block_room(k, r) + KEPT * (r + 2 + k * r + 1) + 5 * r + 1 + r * r + 3


@register_jitable(**INNER)
def block_room(k: int, r: int) -> int:
    """Numbers that a block of nodes and its sums need."""
    return (rows(k, r) + r + 1 + 2 * (2 + k * r)) * WIDTH


Summing = Callable[[Components, Array, Ladder, Found], None]


def make_sums(form: int, calculus: Calculus) -> Summing:
    """Compile the sums of a loss in one of the forms."""
    add_block = node_blocks.BLOCKS[form](calculus).first
    small: Any = numba.njit(**OPTIONS, **INNER)
    width, kept_rules = WIDTH, KEPT
    budget, top, stalls, rounded = BUDGET, TOP, STALLED, ROUNDED
    measured, too_many, underflow = MEASURED, TOO_MANY, UNDERFLOW

    @small
    def begin(k, r, space, places):
        """A block in the room that there is, and sums that are zero."""
        rest = space[rows(k, r) * width :]
        block = _Block(rest, rest[r * width :], space, rest[(r + 1) * width :])
        for place in range(2 * places):
            store(block.acc, place, spread(0.0))
        return block

    @small
    def conclude(block, terms, whole):
        """Sums over all blocks."""
        places = terms.shape[1]
        for place in range(places):
            terms[0, place] = total(load(block.acc, place))
            if whole:
                terms[1, place] = total(load(block.acc, places + place))

    @small
    def add_listed(components, nodes, whole, space, terms):
        """Sums over a list of nodes."""
        k, r = components.mu.shape
        block, length = begin(k, r, space, terms.shape[1]), (1 + r) * width
        for first in range(0, len(nodes), length):
            held, x = nodes[first:], nodes[first + width :]
            add_block(components, whole, x, held, block.room, block.acc)
        conclude(block, terms, whole)

    @small
    def add_product(components, ladder, rungs, place, space, terms):
        """Sums over a tensor product of rules; how many nodes these are."""
        k, r = components.mu.shape
        block, count, q = begin(k, r, space, terms.shape[1]), 0, 1
        place.at[0], place.index[0], place.partial[0] = 0, 0, 1.0
        while q:
            q = next_of_product(ladder, rungs, place, block.x, block.held)
            if q:
                add_block(components, True, block.x, block.held, block.room, block.acc)
            count += q
        conclude(block, terms, True)
        return count

    @small
    def apart(values, row, other_row, places, size):
        """Largest difference of sums to their size, of KL divergence, `E|v|^2` and the pulls."""
        one, other = values[row * places :], values[other_row * places :]
        worst = 0.0
        for part in range(3):
            first, last = (part, part + 1) if part < 2 else (2, places)
            difference, scale = 0.0, size[part]
            for p in range(first, last):
                gap = abs(one[p] - other[p])
                difference = gap if not gap <= difference else difference
                scale = max(scale, max(abs(one[p]), abs(other[p])))
            if not difference < np.inf:
                return np.inf
            worst = max(worst, difference / scale)
        return worst

    def sums(components, nodes, ladder, found):
        k, r = components.mu.shape
        places = 2 + k * r
        terms = found.terms
        if not ladder.tolerance > 0.0:
            whole = ladder.tolerance >= 0.0
            add_listed(components, nodes, whole, found.space, terms)
            found.numbers[0] = too_many
            return
        rest = found.space[block_room(k, r) :]
        values, rest = rest[: kept_rules * places], rest[kept_rules * places :]
        centre, rest = rest[: r * r].reshape((r, r)), rest[r * r :]
        partial, errors, size, rest = (
            rest[:r],
            rest[r : 2 * r],
            rest[2 * r :][:3],
            rest[2 * r + 3 :],
        )
        known = rest.view(np.int64)
        counts = known[kept_rules * r :]
        others = counts[kept_rules:]
        wanted, place_of = others[:r], Place(others[r:], partial, others[2 * r :], centre)
        for a in range(r):
            centre[0, a] = 0.0
        found.numbers[0] = too_many
        rungs, best, stalled, filled = ladder.rungs, np.inf, 0, 0
        while True:
            # The rule, that with all axes finer, and, where that tells them apart, those with the
            # first axes finer: their differences are those of one axis each.
            now, finer, last, before, higher = 0, 0, 0, best, False
            for call in range(r + 1):
                free, most = filled < kept_rules, 1
                raised = 0 if call == 0 else r if call == 1 else call - 1
                for a in range(r):
                    wanted[a] = rungs[a] + (1 if a < raised else 0)
                    if wanted[a] > top:
                        return
                    most *= ladder.begin[wanted[a] + 1] - ladder.begin[wanted[a]]
                if most > budget or not free:
                    return
                place = -1
                for row in range(filled):
                    same = True
                    for a in range(r):
                        same = same and known[row * r + a] == wanted[a]
                    if same:
                        place = row
                if place < 0:
                    place = filled
                    counts[place] = add_product(
                        components, ladder, wanted, place_of, found.space, terms
                    )
                    for a in range(r):
                        known[place * r + a] = wanted[a]
                    for p in range(places):
                        values[place * places + p] = terms[0, p]
                    if filled == 0:  # what an error is relative to: any rule knows it well enough
                        size[0], size[1], size[2] = terms[1, 0], terms[1, 1], 0.0
                        for p in range(2, places):
                            size[2] = max(size[2], terms[1, p])
                        for part in range(3):
                            size[part] = size[part] if size[part] > underflow else 1.0
                    filled += 1
                if call == 0:
                    now = last = place
                elif call == 1:
                    finer = place
                    best = apart(values, now, finer, places, size)
                    if not best < np.inf:
                        return
                    # An error that no longer halves is rounding.
                    stalled = stalled + 1 if best > before / 2 and best < rounded else 0
                    higher = best > ladder.tolerance and stalled < stalls
                    if not higher:
                        break
                else:
                    errors[call - 2] = apart(values, last, place, places, size)
                    last = place
            if not higher:
                break
            errors[r - 1] = apart(values, last, finer, places, size)
            for a in range(r):
                if errors[a] > ladder.tolerance / r:
                    rungs[a] += 1
        for p in range(places):
            terms[0, p] = values[now * places + p]
        terms[1, 0], terms[1, 1] = size[0], size[1]
        for p in range(2, places):
            terms[1, p] = size[2]
        found.numbers[0], found.numbers[1], found.numbers[2] = measured, best, counts[now]

    return cast("Summing", numba.njit(**KERNEL)(sums))


@functools.cache
@uncollected()
def sums_of(form: int, calculus: Calculus) -> Summing:
    """Sums of a loss in one of the forms, compiled once a version of what it is made from."""
    make = functools.partial(make_sums, form, calculus)
    return cast("Summing", kept((make_sums, form, calculus), SIGNATURE, make))
