"""Compiled sums at several states, called from Python: by a list of nodes, or up the ladder."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import numba
import numpy as np

from flows.core import quadrature_rules
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.compiled import kept
from flows.core.pointers import address_of, caller
from flows.core.threads import out_of_turn
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.ladder import (
    SIGNATURE,
    TOP,
    Found,
    Ladder,
    make_sums,
    room_for,
    sums_of,
)
from flows.systems.mixture.node_functions import OPTIONS
from flows.systems.mixture.node_lists import packed
from flows.systems.mixture.node_posteriors import MATRIX, VECTOR, Components

# States whose sums take longer than it takes to hand the turn over.
MANY = 64
_WHOLE = numba.int64[::1]
_STATES = numba.float64[:, :, ::1]
_call = caller(SIGNATURE)
_SEVERAL = numba.void(
    numba.int64, _STATES, _STATES, MATRIX, VECTOR, _WHOLE, VECTOR,
    VECTOR, VECTOR, _WHOLE, _STATES, numba.int64[:, ::1], numba.float64, numba.float64,
    _STATES, MATRIX,
)  # fmt: skip


def _several(
    address, mu, deviation, mean, weight, home, nodes,
    x, w, begin, axes, rungs, least, tolerance, terms, numbers,
):  # fmt: skip
    space = np.empty(room_for(mu.shape[1], mu.shape[2]))
    for t in range(len(mu)):
        _call(
            address,
            (
                Components(mu[t], deviation[t], mean[t], weight, home[t]),
                nodes,
                Ladder(x, w, begin, axes[t], rungs[t], least, tolerance),
                Found(terms[t], numbers[t], space),
            ),
        )


@functools.cache
@uncollected()
def several() -> Callable[..., None]:
    """Sums at several states, one after the other, without the interpreter's lock.

    Its arguments: address of :func:`sums_of`; those of :class:`Components`, a list of nodes, those
    of :class:`Ladder` and :class:`Found`, with a leading axis where they differ from state to
    state.
    """
    made: Any = kept(
        ("sums at several states", make_sums),
        _SEVERAL,
        lambda: numba.njit(_SEVERAL, nogil=True, **OPTIONS)(_several),
    )
    return cast("Callable[..., None]", made)


@functools.cache
def address(form: int, calculus: Calculus) -> int:
    """Address of :func:`sums_of`."""
    return address_of(sums_of(form, calculus))


@functools.lru_cache(maxsize=32)
def axis_rules(reach: float) -> tuple[Array, Array, Any, float]:
    """Nodes and weights of all rungs for means of this length; the weight of what is left out."""
    rules = [quadrature_rules.axis_rule(rung, reach) for rung in range(TOP + 1)]
    begin = np.cumsum([0, *(len(w) for _, w in rules)])
    x, w = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    return x, w, begin, quadrature_rules.least_weight(reach)


_NOTHING = np.zeros(1), np.zeros(1), np.zeros(1, np.int64), np.zeros((1, 1))


def of_list(form: int, calculus: Calculus, components: Components, rule: Any) -> Array:
    """Sums over the nodes of a rule, and magnitudes of their terms, shape (..., 2, 2 + k r).

    The components may be those of several states, as for :func:`climbed`.
    """
    count, r = len(components.mu), components.mean.shape[1]
    terms, numbers = np.zeros((count, 2, 2 + components.mu[0].size)), np.zeros((count, 3))
    x, w, begin, _ = _NOTHING
    several()(
        address(form, calculus),
        *components,
        packed(rule.nodes, rule.weights),
        x,
        w,
        begin,
        np.zeros((count, r, r)),
        np.zeros((count, r), np.int64),
        0.0,
        0.0,
        terms,
        numbers,
    )
    return terms


def climbed(
    form: int,
    calculus: Calculus,
    components: Components,
    axes: Array,
    rungs: Any,
    reach: float,
    tolerance: float,
) -> tuple[Array, Array]:
    """Sums at several states by tensor rules whose measured error is below the tolerance.

    Parameters
    ----------
    form, calculus : int, Calculus
        Which sums.
    components : Components
        With a leading axis of ``T`` states, the weights but.
    axes : ndarray, shape (T, r, r)
        Orthonormal rows along which the nodes are.
    rungs : ndarray of int, shape (T, r)
        Where to begin; then, where it ended, for :func:`flows.core.quadrature_rules.tensor`.
    reach : float
        The length for which rules are made, that of all states.
    tolerance : float
        Relative error asked for.

    Returns
    -------
    terms : ndarray, shape (T, 2, 2 + k r)
        Sums and magnitudes.
    numbers : ndarray, shape (T, 3)
        What became of it, the measured error, and the number of nodes; see :class:`Found`.
    """
    x, w, begin, least = axis_rules(reach)
    count = len(components.mu)
    terms, numbers = np.zeros((count, 2, 2 + components.mu[0].size)), np.zeros((count, 3))
    with out_of_turn() if count >= MANY else nullcontext():
        several()(
            address(form, calculus),
            *components,
            _NO_NODES,
            x,
            w,
            begin,
            axes,
            rungs,
            least,
            tolerance,
            terms,
            numbers,
        )
    return terms, numbers


_NO_NODES = np.zeros(0)
