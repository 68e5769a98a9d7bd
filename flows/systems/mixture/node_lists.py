"""Lists of nodes as compiled sums read them, block by block.

A block is a vector of weights, then one of each coordinate (:mod:`flows.core.vectors`), so that
sums take both as they lie in memory. Those that the last block has too many have no weight.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numba.extending import register_jitable

from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.compiled import kept
from flows.core.vectors import WIDTH
from flows.systems.mixture.node_functions import INNER, OPTIONS


@register_jitable(**INNER)
def length(count: int, r: int) -> int:
    """Numbers of a list of so many nodes."""
    return (count + WIDTH - 1) // WIDTH * WIDTH * (1 + r)


@register_jitable(**INNER)
def pack(nodes: Array, weights: Array, count: int, out: Array) -> None:
    """Write the first ``count`` nodes and their weights as a list."""
    r = nodes.shape[1]
    for block in range((count + WIDTH - 1) // WIDTH):
        first, begin = block * WIDTH, block * WIDTH * (1 + r)
        for q in range(WIDTH):
            one = min(first + q, count - 1)
            out[begin + q] = weights[one] if first + q < count else 0.0
            for a in range(r):
                out[begin + (1 + a) * WIDTH + q] = nodes[one, a]


def _pack(nodes, weights, out):
    pack(nodes, weights, len(weights), out)


_MATRIX, _VECTOR = numba.float64[:, ::1], numba.float64[::1]
_SIGNATURE = numba.void(_MATRIX, _VECTOR, _VECTOR)


@functools.cache
@uncollected()
def _compiled() -> Any:
    make = functools.partial(numba.njit(_SIGNATURE, **OPTIONS), _pack)
    return kept(("list of nodes", _pack), _SIGNATURE, make)


def packed(nodes: Array, weights: Array) -> Array:
    """List of nodes, shape (M, r), and their weights."""
    out = np.empty(length(len(weights), nodes.shape[1]))
    _compiled()(np.ascontiguousarray(nodes), np.ascontiguousarray(weights), out)
    return out
