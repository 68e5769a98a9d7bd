"""Nodes of tensor products of rules, compiled: a block of them at a time, and lists of all.

A list leaves out what adds nothing: far means live where one component takes over.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.compiled import kept
from flows.core.vectors import WIDTH
from flows.systems.mixture.means import DROPPED, NO_RULE
from flows.systems.mixture.node_functions import INNER, OPTIONS
from flows.systems.mixture.node_lists import length, pack

#: Instead of a component: none.
NOBODY = -1

small: Any = numba.njit(**OPTIONS, **INNER)
compiled: Any = numba.njit(**OPTIONS)


class Ladder(NamedTuple):
    """Rules of an axis by their rungs, and what is asked of a refinement.

    Parameters
    ----------
    x, w : ndarray
        Nodes and weights of all rungs, one after the other.
    begin : ndarray of int, shape (TOP + 2,)
        Where those of a rung begin.
    axes : ndarray, shape (r, r)
        Orthonormal rows along which the nodes are.
    rungs : ndarray of int, shape (r,)
        Where to begin; then, where it ended.
    least : float
        Weight below which a node is left out.
    tolerance : float
        Relative error asked for; 0 where no ladder is to be climbed and the nodes are those of a
        list, and negative where their pulls are wanted alone.
    """

    x: Array
    w: Array
    begin: Any
    axes: Array
    rungs: Any
    least: float
    tolerance: float


class Place(NamedTuple):
    """Where a product of rules stands, with the weight and the place of its first axes."""

    index: Any
    partial: Any
    at: Any
    centre: Any


@small
def next_of_product(ladder, rungs, place, x, held):
    """Fill a block from a tensor product of rules, on from a place; how many it got."""
    index, partial, at, centre = place
    r, q, level, axes = len(rungs), 0, at[0], ladder.axes
    while level >= 0 and q < WIDTH:
        first = ladder.begin[rungs[level]]
        count = ladder.begin[rungs[level] + 1] - first
        i, whole = index[level], partial[level]
        if level == r - 1:  # the last axis runs fastest
            while i < count and q < WIDTH:
                weight = whole * ladder.w[first + i]
                if weight > ladder.least:
                    held[q] = weight
                    for a in range(r):
                        along = ladder.x[first + i] * axes[level, a]
                        x[a * WIDTH + q] = centre[level, a] + along
                    q += 1
                i += 1
            index[level] = i
            if i == count:
                level -= 1
                if level >= 0:
                    index[level] += 1
            continue
        if i == count:
            level -= 1
            if level >= 0:
                index[level] += 1
            continue
        weight = whole * ladder.w[first + i]
        if weight > ladder.least:
            for a in range(r):
                along = ladder.x[first + i] * axes[level, a]
                centre[level + 1, a] = centre[level, a] + along
            level += 1
            partial[level], index[level] = weight, 0
        else:
            index[level] += 1
    at[0] = level
    for rest in range(q if q else WIDTH, WIDTH):  # nodes of no weight
        held[rest] = 0.0
        for a in range(r):
            x[a * WIDTH + rest] = x[a * WIDTH]
    return q


@compiled
def trim(nodes, weights, count, mu, weight, home, owner, share):
    """Keep those of the first ``count`` nodes that add something; how many these are.

    With an ``owner``, a component that is not at home, only its part of each node is kept: its
    posterior weight over that of all that are not at home. ``share`` is room, shape (count, k).
    """
    k, r = mu.shape
    most = np.zeros(k)
    for n in range(count):
        highest, total = -np.inf, 0.0
        for i in range(k):
            log = math.log(weight[i])
            for a in range(r):
                log += (nodes[n, a] - 0.5 * mu[i, a]) * mu[i, a]
            share[n, i] = log
            highest = max(highest, log)
        for i in range(k):
            share[n, i] = math.exp(share[n, i] - highest)
            total += share[n, i]
        scale, share[n, home] = weights[n] / total, 0.0
        if owner != NOBODY:
            others = 0.0
            for i in range(k):
                others += share[n, i]
            part = share[n, owner] / others if others > 0.0 else 0.0
            scale *= part
            weights[n] *= part
        for i in range(k):
            share[n, i] *= scale
            most[i] = max(most[i], share[n, i])
    kept_nodes = 0
    for n in range(count):
        adds = False
        for i in range(k):
            adds = adds or share[n, i] > DROPPED * most[i]
        if adds:
            weights[kept_nodes] = weights[n]
            for a in range(r):
                nodes[kept_nodes, a] = nodes[n, a]
            kept_nodes += 1
    return kept_nodes


@compiled
def _list(ladder, rules, mu, weight, home):
    """Lists of nodes of rules of these rungs, one after the other, and how many each has.

    Those that add nothing are left out where there is a component at home.
    """
    r, k, most, room = len(ladder.axes), len(weight), 0, 0
    for rungs in rules:
        size = 0 if rungs[0] == NO_RULE else 1
        for a in range(r):
            if size > 0:
                size *= ladder.begin[rungs[a] + 1] - ladder.begin[rungs[a]]
        most, room = max(most, size), room + length(size, r)
    numbers, counts, at = np.empty(room), np.zeros(len(rules), np.int64), 0
    nodes, weights, share = np.empty((most, r)), np.empty(most), np.empty((most, k))
    place = Place(np.zeros(r, np.int64), np.zeros(r), np.zeros(1, np.int64), np.zeros((r, r)))
    x, held = np.empty(r * WIDTH), np.empty(WIDTH)
    for rule in range(len(rules)):
        if rules[rule, 0] == NO_RULE:
            continue
        place.at[0], place.index[0], place.partial[0] = 0, 0, 1.0
        count, q = 0, 1
        while q:
            q = next_of_product(ladder, rules[rule], place, x, held)
            for p in range(q):
                weights[count + p] = held[p]
                for a in range(r):
                    nodes[count + p, a] = x[a * WIDTH + p]
            count += q
        if home != NOBODY:
            count = trim(nodes, weights, count, mu, weight, home, NOBODY, share)
        pack(nodes, weights, count, numbers[at:])
        counts[rule], at = count, at + length(count, r)
    return numbers[:at].copy(), counts


def _listed(x, w, begin, axes, least, rules, mu, weight, home):
    return _list(Ladder(x, w, begin, axes, begin, least, 0.0), rules, mu, weight, home)


def _trimmed(nodes, weights, mu, weight, home, owner):
    share = np.empty((len(weights), len(weight)))
    return trim(nodes, weights, len(weights), mu, weight, home, owner, share)


_MATRIX, _VECTOR, _WHOLE = numba.float64[:, ::1], numba.float64[::1], numba.int64[::1]
_LISTING = numba.types.Tuple((_VECTOR, _WHOLE))(
    _VECTOR, _VECTOR, _WHOLE, _MATRIX, numba.float64,
    numba.int64[:, ::1], _MATRIX, _VECTOR, numba.int64,
)  # fmt: skip
_TRIMMING = numba.int64(_MATRIX, _VECTOR, _MATRIX, _VECTOR, numba.int64, numba.int64)


@functools.cache
@uncollected()
def _compiled(name: str) -> Any:
    functions: Any = {"list": (_LISTING, _listed), "trim": (_TRIMMING, _trimmed)}
    signature, function = functions[name]
    make = functools.partial(numba.njit(signature, nogil=True, **OPTIONS), function)
    return kept((name, "of nodes"), signature, make)


def listed(
    table: tuple[Array, Array, Any, float], axes: Array, rules: NDArray[np.int64], far: Any = None
) -> tuple[Array, NDArray[np.int64]]:
    """Lists of nodes of several products of rules, one after the other.

    Parameters
    ----------
    table : tuple
        Rules of an axis, and the weight below which a node is left out, as :class:`Ladder` has.
    axes : ndarray, shape (r, r)
        Along which the nodes are.
    rules : ndarray of int, shape (L, r)
        Rungs of each; `NO_RULE` for one without nodes.
    far : (ndarray, ndarray, int), optional
        Means, weights and the component at home of a far form, whose nodes are trimmed.

    Returns
    -------
    numbers : ndarray
        Those of all lists, see :mod:`flows.systems.mixture.node_lists`.
    counts : ndarray of int, shape (L,)
        Nodes of each.
    """
    mu, weight, home = (axes, axes[0], NOBODY) if far is None else far
    x, w, begin, least = table
    found: tuple[Array, NDArray[np.int64]] = _compiled("list")(
        x, w, begin, axes, least, rules, mu, weight, home
    )
    return found


def trimmed(
    nodes: Array, weights: Array, far: tuple[Array, Array, int], owner: int = NOBODY
) -> tuple[Array, Array]:
    """Nodes and weights without those that add nothing, see :func:`trim`."""
    nodes, weights = nodes.copy(), weights.copy()
    count = _compiled("trim")(nodes, weights, *far, owner)
    return nodes[:count].copy(), weights[:count].copy()
