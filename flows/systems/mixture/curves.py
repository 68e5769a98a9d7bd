"""Second derivatives of a loss of a Gaussian mixture, summed over the nodes of a rule."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np

from flows.arithmetic.kept import kept
from flows.arithmetic.vectors import WIDTH, load, total
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.quadrature_rules import Rule
from flows.systems.mixture import node_blocks
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import Means
from flows.systems.mixture.node_functions import OPTIONS
from flows.systems.mixture.node_posteriors import (
    COMPONENTS,
    VECTOR,
    Components,
    rows,
    turned,
)
from flows.systems.mixture.nodes import packed
from flows.systems.mixture.sums import components_of

SIGNATURE = numba.void(COMPONENTS, VECTOR, numba.float64[:, :, :, ::1])
Curving = Callable[[Components, Array, Array], None]


def make_curve(form: int, calculus: Calculus) -> Curving:
    """Compile ``curve(components, nodes, out)``, of a list of nodes.

    ``out``, shape (k, r, k, r), becomes the derivative of ``pull_i`` by ``mu_j``.
    """
    add_block = node_blocks.BLOCKS[form](calculus).second
    inner: Any = numba.njit(**OPTIONS)
    width = WIDTH

    def curve(components, nodes, out):
        k, r = components.mu.shape
        room, sums = np.empty(rows(k, r) * width), np.zeros((k * r) ** 2 * width)
        pairs, x = np.zeros(k * k * width), np.empty(r * width)
        for first in range(0, len(nodes), (1 + r) * width):
            held = nodes[first:]
            turned(nodes[first + width :], components.axes, x)
            add_block(components, x, held, room, pairs, sums)
        for i in range(k):
            for j in range(i, k):
                both = total(load(pairs, i * k + j))
                for a in range(r):
                    for c in range(r):
                        entry = total(load(sums, ((i * r + a) * k + j) * r + c))
                        if a == c:
                            entry += components.weight[j] * both
                        out[i, a, j, c] = entry
                        if i != j:  # the rate of a loss is a gradient: its derivative, symmetric
                            ratio = components.weight[i] / components.weight[j]
                            out[j, c, i, a] = entry * ratio

    return cast("Curving", inner(curve))


@functools.cache
@uncollected()
def curve_of(form: int, calculus: Calculus) -> Curving:
    """Second derivatives in one of the forms, compiled once a version of what they are made of."""
    make = functools.partial(make_curve, form, calculus)
    return cast("Curving", kept((make_curve, form, calculus), SIGNATURE, make))


def curve(calculus: Calculus, means: Means, rule: Rule) -> Array:
    """Derivative of ``pull_i`` by ``mu_j`` at one state, shape (k, r, k, r)."""
    found = np.zeros(means.mu.shape * 2)
    curve_of(means.form, calculus)(components_of(means), packed(rule.nodes, rule.weights), found)
    return found
