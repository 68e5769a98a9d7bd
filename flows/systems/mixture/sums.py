"""Compiled sums over lists of nodes: losses and pulls of one state, or of several."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import numba
import numpy as np
from numba.extending import register_jitable

from flows.arithmetic.kept import kept
from flows.arithmetic.pointers import address_of, caller
from flows.arithmetic.vectors import WIDTH, load, spread, store, total
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.threads import out_of_turn
from flows.systems.mixture import node_blocks
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import FAR, Means
from flows.systems.mixture.node_functions import INNER, KERNEL, OPTIONS
from flows.systems.mixture.node_posteriors import (
    COMPONENTS,
    MATRIX,
    VECTOR,
    Components,
    rows,
    turned,
)

# Terms whose sums take longer than it takes to hand the turn over.
MANY = 20_000
_WHOLE = numba.int64[::1]
_STATES = numba.float64[:, :, ::1]
SIGNATURE = numba.void(COMPONENTS, VECTOR, numba.boolean, MATRIX, VECTOR)

#: ``sums(components, nodes, whole, terms, space)``, see :func:`make_sums`.
Summing = Callable[[Components, Array, bool, Array, Array], None]


@register_jitable(**INNER)
def room_for(k: int, r: int) -> int:
    """Numbers that sums need to work in."""
    return (rows(k, r) + r + 2 * (2 + k * r)) * WIDTH


def make_sums(form: int, calculus: Calculus) -> Summing:
    """Compile the sums of a loss in one of the forms.

    ``terms``, shape (2, 2 + k r), becomes KL divergence, ``E|v|^2`` and the pulls, without their
    constant and linear parts, and the magnitudes of their terms; the pulls alone where the whole is
    not wanted. ``space`` is room of the size that :func:`room_for` says.
    """
    add_block = node_blocks.BLOCKS[form](calculus).first
    width = WIDTH

    def sums(components, nodes, whole, terms, space):
        k, r = components.mu.shape
        places = terms.shape[1]
        x, acc = space[rows(k, r) * width :], space[(rows(k, r) + r) * width :]
        for place in range(2 * places):
            store(acc, place, spread(0.0))
        for first in range(0, len(nodes), (1 + r) * width):
            turned(nodes[first + width :], components.axes, x)
            add_block(components, whole, x, nodes[first:], space, acc)
        for place in range(places):
            terms[0, place] = total(load(acc, place))
            if whole:
                terms[1, place] = total(load(acc, places + place))

    return cast("Summing", numba.njit(**KERNEL)(sums))


@functools.cache
@uncollected()
def sums_of(form: int, calculus: Calculus) -> Summing:
    """Sums of a loss in one of the forms, compiled once a version of what it is made from."""
    make = functools.partial(make_sums, form, calculus)
    return cast("Summing", kept((make_sums, form, calculus), SIGNATURE, make))


@functools.cache
def address(form: int, calculus: Calculus) -> int:
    """Address of :func:`sums_of`."""
    return address_of(sums_of(form, calculus))


call_sums = caller(SIGNATURE)
_SEVERAL = numba.void(
    numba.int64, _STATES, _STATES, MATRIX, VECTOR, _WHOLE, _STATES, VECTOR, _STATES
)


def _several(where, mu, deviation, mean, weight, home, axes, nodes, terms):
    space = np.empty(room_for(mu.shape[1], mu.shape[2]))
    for t in range(len(mu)):
        one = Components(mu[t], deviation[t], mean[t], weight, home[t], axes[t])
        call_sums(where, (one, nodes, True, terms[t], space))


@functools.cache
@uncollected()
def _compiled() -> Callable[..., None]:
    made: Any = kept(
        ("sums at several states", make_sums),
        _SEVERAL,
        lambda: numba.njit(_SEVERAL, nogil=True, **OPTIONS)(_several),
    )
    return cast("Callable[..., None]", made)


def components_of(means: Means, axes: Any = None) -> Components:
    """Components of one state or several as compiled sums take them.

    ``axes`` are those along which nodes are given, the coordinates' own by default. Who is at home
    is decided once, by the means: last bits decide between two that are equally near.
    """
    mu, deviation, mean = (np.ascontiguousarray(x) for x in means[:3])
    home: Any = np.zeros(mu.shape[:-2], np.int64)
    if means.form == FAR:
        home = means.at_home.argmax(axis=-1)
    if axes is None:
        r = mu.shape[-1]
        axes = np.zeros((*mu.shape[:-2], r, r)) + np.eye(r)
    at = home if home.ndim else int(home)
    return Components(mu, deviation, mean, means.weight, at, np.ascontiguousarray(axes))


def of_list(form: int, calculus: Calculus, components: Components, numbers: Array) -> Array:
    """Sums over a list of nodes, and magnitudes of their terms, shape (T, 2, 2 + k r).

    Parameters
    ----------
    form, calculus : int, Calculus
        Which sums.
    components : Components
        With a leading axis of ``T`` states, the weights but.
    numbers : ndarray
        The list (:mod:`flows.systems.mixture.nodes`), along the axes of the components.
    """
    count = len(components.mu)
    terms = np.zeros((count, 2, 2 + components.mu[0].size))
    with out_of_turn() if count * len(numbers) >= MANY else nullcontext():
        _compiled()(address(form, calculus), *components, numbers, terms)
    return terms
