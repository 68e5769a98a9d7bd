"""Compiled: moments of a program over nodes, in balls of two doubles.

The program takes affine forms of the places of the nodes. What is done to one node is done to a
vector of them.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.kept import loop
from flows.arithmetic.pairs import add
from flows.arithmetic.signatures import signature_of
from flows.arithmetic.vectors import WIDTH, load, spread, store
from flows.core.enclosed_program import (
    SHARP,
    UPWARD,
    added,
    logged,
    multiplied,
    quotient,
    raised,
    rooted,
    spread_out,
    step,
)

__all__ = ["moments"]


def _moments(rows, own, places, weights, operation, operands, constants, results, found):
    """Sums of results over nodes, times each coordinate of their places and times one.

    Parameters
    ----------
    rows : ndarray, shape (m, k + 1, 3)
        Of the forms, along the axes of the places, and their offsets: high, low, radius.
    own : ndarray, shape (s, 3)
        Variables besides, the same at all nodes.
    places, weights : ndarray, shape (M, k, 3) and (M, 3)
        The nodes: high, low, radius.
    operation, operands, constants, results : ndarray
        The program, see :class:`flows.core.axis_field.Code`, of forms and then variables besides.
    found : ndarray, shape (R, k + 1, 3)
        What is computed: high, low, radius.
    """
    many, long, _ = rows.shape
    still, count = many + len(own), len(results)
    first = still + len(constants)
    r = np.empty((3 * (first + len(operation)), WIDTH))
    total = np.zeros((3 * count * long, WIDTH))
    x = np.zeros((3 * (long + 1), WIDTH))  # places, one, weights
    x[3 * (long - 1)] = 1.0
    none = spread(0.0)
    for i in range(len(own)):
        for part in range(3):
            r[3 * (many + i) + part] = own[i, part]
    for i in range(len(constants)):
        for part in range(3):
            r[3 * (still + i) + part] = constants[i, part]
    for begin in range(0, len(places), WIDTH):
        for e in range(WIDTH):
            node = min(begin + e, len(places) - 1)
            for part in range(3):
                for p in range(long - 1):
                    x[3 * p + part, e] = places[node, p, part]
                there = weights[node, part] if begin + e < len(places) else 0.0
                x[3 * long + part, e] = there
        for i in range(many):
            a, b, off = none, none, none
            for p in range(long):
                row = spread(rows[i, p, 0]), spread(rows[i, p, 1]), spread(rows[i, p, 2])
                c, d, left = scaled(row, get(x, p))
                a, b, off = added(a, b, off, c, d, left)
            put(r, i, a, b, off)
        for s in range(len(operation)):
            k, y, z, what = first + s, operands[s, 0], operands[s, 1], operation[s]
            a, b, off = get(r, y)
            c, d, left = get(r, z)
            if what == 0:
                a, b, off = added(a, b, off, c, d, left)
            elif what == 1:
                a, b, off = multiplied(a, b, off, c, d, left)
            elif what == 2:
                a, b, off = quotient(a, b, off, c, d, left)
            elif what == 5 or what == 9:
                a, b, off = raised(a, b, off, 1.0 if what == 9 else 0.0)
            elif what == 3:
                a, b, off = rooted(a, b, off)
            elif what == 6 or what == 10:
                for e in range(WIDTH):  # a logarithm in doubles is no vector
                    r[3 * k, e] = math.log1p(r[3 * y, e]) if what == 10 else math.log(r[3 * y, e])
                a, b, off = logged(load(r, 3 * k), a, b, off, 1.0 if what == 10 else 0.0)
            elif what == 13:
                a, b, off = spread_out(a, b, off)
            else:
                for e in range(WIDTH):
                    one, other = r[3 * y : 3 * y + 3, e], r[3 * z : 3 * z + 3, e]
                    ball = step(what, one[0], one[1], one[2], other[0], other[1], other[2])
                    r[3 * k, e], r[3 * k + 1, e], r[3 * k + 2, e] = ball
                a, b, off = get(r, k)
            put(r, k, a, b, off)
        for j in range(count):
            term = scaled(get(r, results[j]), get(x, long))
            for p in range(long):
                at = j * long + p
                a, b, off = scaled(term, get(x, p))
                c, d, left = get(total, at)
                a, b, off = added(a, b, off, c, d, left)
                put(total, at, a, b, off)
    for j in range(count):
        for p in range(long):
            at = 3 * (j * long + p)
            high = low = off = 0.0
            for e in range(WIDTH):
                high, low = add(high, low, total[at, e], total[at + 1, e])
                off = UPWARD * (off + total[at + 2, e] + SHARP * abs(high))
            found[j, p, 0], found[j, p, 1], found[j, p, 2] = high, low, off


@loop
def get(r, k):
    """A ball of two doubles at each of several nodes."""
    return load(r, 3 * k), load(r, 3 * k + 1), load(r, 3 * k + 2)


@loop
def put(r, k, high, low, off):
    """Put balls down; their radii were rounded to nearest."""
    store(r, 3 * k, high)
    store(r, 3 * k + 1, low)
    store(r, 3 * k + 2, UPWARD * off)


@loop
def scaled(one, other):
    """Product of two balls that are tuples."""
    return multiplied(one[0], one[1], one[2], other[0], other[1], other[2])


moments = loop(
    _moments,
    signature_of(
        *("real 3", "real 2", "real 3", "real 2"),
        *("whole 1", "whole 2", "real 2", "whole 1", "real 3"),
    ),
)
