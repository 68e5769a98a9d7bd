"""Compiled sums over lists of nodes: losses, pulls and their derivatives, of one state or several.

The nodes of a block are vectors of doubles (:mod:`flows.arithmetic.vectors`), and
:mod:`flows.systems.mixture.integrands` is what is added of them.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from flows.arithmetic.kept import kept, outer, shared, unfolded, unlocked
from flows.arithmetic.numbers import lanes
from flows.arithmetic.pointers import address_of, caller
from flows.arithmetic.signatures import signature_of
from flows.arithmetic.vectors import (
    WIDTH,
    larger,
    load,
    magnitude,
    spread,
    store,
    total,
    where_less,
)
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.threads import out_of_turn
from flows.expectations.hermite import Rule
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.integrands import Components, Functions, define, rows
from flows.systems.mixture.means import FAR, Means
from flows.systems.mixture.node_functions import density, divergence, log_of_more, logarithm
from flows.systems.mixture.nodes import packed

# Terms whose sums take longer than it takes to hand the turn over.
MANY = 20_000
COMPONENTS = (Components, "real 2", "real 2", "real 1", "real 1", "whole", "real 2")
SIGNATURE = signature_of(COMPONENTS, "real 1", "truth", "real 2", "real 1")
CURVING = signature_of(COMPONENTS, "real 1", "real 4")

# Vectors of nodes, which stay in registers: nothing of a block is called.
VECTORS = replace(
    lanes(),
    function=unfolded,
    zero=unfolded(lambda: spread(0.0)),
    larger=larger,
    magnitude=magnitude,
    pick=where_less,
)
FUNCTIONS = Functions(logarithm, density, divergence, log_of_more)


@shared
def room_for(k: int, r: int) -> int:
    """Numbers that sums need to work in."""
    return (rows(k, r) + r + 2 * (2 + k * r)) * WIDTH


@unfolded
def _turned(along, axes, x):
    """Set the coordinates of a block of nodes that are given along axes."""
    r = len(axes)
    for a in range(r):
        at = spread(0.0)
        for b in range(r):
            at += axes[b, a] * load(along, b)
        store(x, a, at)


def make_sums(form: int, calculus: Calculus) -> Callable[..., None]:
    """Make ``sums(components, nodes, whole, terms, space)`` of a loss in one of the forms.

    ``terms``, shape (2, 2 + k r), becomes KL divergence, ``E|v|^2`` and the pulls, without their
    constant and linear parts, and the magnitudes of their terms; the pulls alone where the whole is
    not wanted. ``space`` is room of the size that :func:`room_for` says.
    """
    add_block, width = define(VECTORS, FUNCTIONS, form, calculus).first, WIDTH

    def sums(components, nodes, whole, terms, space):
        k, r = components.mu.shape
        places = terms.shape[1]
        x, acc = space[rows(k, r) * width :], space[(rows(k, r) + r) * width :]
        for place in range(2 * places):
            store(acc, place, spread(0.0))
        for first in range(0, len(nodes), (1 + r) * width):
            _turned(nodes[first + width :], components.axes, x)
            add_block(components, whole, x, nodes[first:], space, acc)
        for place in range(places):
            terms[0, place] = total(load(acc, place))
            if whole:
                terms[1, place] = total(load(acc, places + place))

    return sums


def make_curve(form: int, calculus: Calculus) -> Callable[..., None]:
    """Make ``curve(components, nodes, out)``, of a list of nodes.

    ``out``, shape (k, r, k, r), becomes the derivative of ``pull_i`` by ``mu_j``.
    """
    add_block, width = define(VECTORS, FUNCTIONS, form, calculus).second, WIDTH

    def curve(components, nodes, out):
        k, r = components.mu.shape
        room, sums = np.empty(rows(k, r) * width), np.zeros((k * r) ** 2 * width)
        x, weight = np.empty(r * width), components.weight
        for first in range(0, len(nodes), (1 + r) * width):
            _turned(nodes[first + width :], components.axes, x)
            add_block(components, x, nodes[first:], room, sums)
        for i in range(k):
            for j in range(i, k):
                for a in range(r):
                    for c in range(r):
                        entry = total(load(sums, ((i * r + a) * k + j) * r + c))
                        out[i, a, j, c] = entry
                        # The rate of a loss is a gradient: its derivative is symmetric.
                        out[j, c, i, a] = entry * (weight[i] / weight[j])

    return curve


@functools.cache
@uncollected()
def compiled(make: Callable[..., Any], signature: Any, form: int, calculus: Calculus) -> Any:
    """Sums or second derivatives of a loss in one of the forms, compiled once a version."""
    counts = make is make_curve  # the other makes no array
    return kept(
        (make, form, calculus), signature, lambda: outer(make(form, calculus), counts=counts)
    )


@functools.cache
def addresses(form: int, calculus: Calculus) -> tuple[int, int]:
    """Where compiled sums of a loss are, and second derivatives."""
    both = (make_sums, SIGNATURE), (make_curve, CURVING)
    sums, curve = (address_of(compiled(*one, form, calculus)) for one in both)
    return sums, curve


call_sums = caller(SIGNATURE)


@unlocked
def _several(where, together, numbers, terms, space):
    for t in range(len(terms)):
        mu, deviation, centre, weight, home, axes = together
        one = Components(mu[t], deviation[t], centre[t], weight, home[t], axes[t])
        call_sums(where, (one, numbers, True, terms[t], space))


def components_of(means: Means, axes: Any = None) -> Components:
    """Components of one state or several as compiled sums take them.

    ``axes`` are those along which nodes are given, the coordinates' own by default. Who is at home
    is decided once, by the means: last bits decide between two that are equally near.
    """
    mu, deviation, centre = means[:3]
    home: Any = np.zeros(mu.shape[:-2], np.int64)
    if means.form == FAR:
        home = means.at_home.argmax(axis=-1)
        centre = np.take_along_axis(mu, home[..., None, None], axis=-2)[..., 0, :]
        deviation = mu - centre[..., None, :]
    if axes is None:
        r = mu.shape[-1]
        axes = np.zeros((*mu.shape[:-2], r, r)) + np.eye(r)
    mu, deviation, centre, axes = map(np.ascontiguousarray, (mu, deviation, centre, axes))
    return Components(mu, deviation, centre, means.weight, home if home.ndim else int(home), axes)


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
    count, k, r = components.mu.shape
    terms, space = np.zeros((count, 2, 2 + k * r)), np.empty(room_for(k, r))
    with out_of_turn() if count * len(numbers) >= MANY else nullcontext():
        _several(addresses(form, calculus)[0], tuple(components), numbers, terms, space)
    return terms


def curve(calculus: Calculus, means: Means, rule: Rule) -> Array:
    """Derivative of ``pull_i`` by ``mu_j`` at one state, shape (k, r, k, r)."""
    found = np.zeros(means.mu.shape * 2)
    numbers = packed(rule.nodes, rule.weights)
    compiled(make_curve, CURVING, means.form, calculus)(components_of(means), numbers, found)
    return found
