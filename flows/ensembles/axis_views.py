r"""Compiled: loss and gradient at outputs of one chart, side by side.

Loss and gradient come from plain doubles around the centre of a chart,

.. math:: L = L_0 + g \cdot u + r(u), \qquad \nabla L = g + M u + \nabla r(u)

with `L_0`, `g` from two doubles there. As the outputs are in the same chart, its axes and Hessian
are the same numbers for all of them.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.pairs import gather, joined, product
from flows.arithmetic.vectors import load, spread, store
from flows.ensembles.axis_charts import registers_of
from flows.solvers.near_flow import LANES, change
from flows.solvers.near_plan import PARTS

__all__ = ["Views", "align", "locate", "look_over", "views_of"]


class Views(NamedTuple):
    """Outputs of a chart, the last axis.

    ``registers`` (R, 5, lanes): of the loss; ``u``, ``slope`` (N, lanes): increments, and gradients
    along the axes; ``value`` (lanes,): losses, NaN where they are not known; ``far``, ``there`` (N,
    2, lanes): increments by their units, and places, in two doubles; ``matrix`` (N, N): the Hessian
    along the axes; ``row`` (lanes,): which outputs they are; ``count`` (1,): how many.
    """

    registers: Any
    u: Any
    slope: Any
    value: Any
    far: Any
    there: Any
    matrix: Any
    row: Any
    count: Any


@inner
def views_of(loss, n):
    """Room for outputs of a chart."""
    return Views(
        np.zeros((registers_of(n, loss), PARTS, LANES)),
        np.zeros((n, LANES)),
        np.zeros((n, LANES)),
        np.zeros(LANES),
        np.zeros((n, 2, LANES)),
        np.zeros((n, 2, LANES)),
        np.zeros((n, n)),
        np.zeros(LANES, np.int64),
        np.zeros(1, np.int64),
    )


@lean
def align(views, charts, k):
    """Turn outputs, but not the chart's end, from the coordinates of states to the axes."""
    axes, size, n = charts.axes[k], charts.size[k], len(views.u)
    for i in range(n):
        total = spread(0.0)
        for j in range(n):
            total += axes[j, i, 0] * load(views.u, j)
        store(views.far, 2 * i, total / size[i])
    for i in range(n):
        for w in range(1, views.count[0]):
            views.u[i, w] = views.far[i, 0, w]


@lean
def look_over(views, near, here, k, e, value):
    """Put down losses and gradients along the axes, in the chart of a lane."""
    n, r, results, slope = len(views.u), views.registers, value.results, here.charts.slope[k]
    axes, size, linear = here.charts.axes[k], here.charts.size[k], spread(0.0)
    for i in range(n):
        for j in range(n):
            views.matrix[i, j] = here.matrix[k, i, j] * size[j]
    for i in value.read:
        store(r, i * PARTS, spread(near.registers[i, 0, e]))
    for i in range(n):
        moved, there = spread(0.0), spread(slope[i])
        for j in range(n):
            u = load(views.u, j)
            moved += (axes[i, j, 0] * size[j]) * u
            there += views.matrix[i, j] * u
        store(r, i * PARTS + 1, moved)
        store(views.slope, i, there)
        linear += (slope[i] * size[i]) * load(views.u, i)
    change(value, r)
    for i in range(n):
        there = load(views.slope, i)
        for j in range(n):
            there += axes[j, i, 0] * load(r, results[1 + j] * PARTS + 2)
        store(views.slope, i, there)
    at = results[0] * PARTS
    store(views.value, 0, load(r, at) + (linear + load(r, at + 2)))


@lean
def locate(views, charts, k):
    """Put down the places of outputs, in two doubles."""
    axes, size, far, there = charts.axes[k], charts.size[k], views.far, views.there
    for j in range(len(far)):
        one, other = product(load(views.u, j), size[j])
        store(far, 2 * j, one)
        store(far, 2 * j + 1, other)
    for i in range(len(far)):
        high, low = spread(charts.centre[k, i, 0]), spread(charts.centre[k, i, 1])
        for j in range(len(far)):
            one, other = load(far, 2 * j), load(far, 2 * j + 1)
            high, low = gather(high, low, axes[i, j, 0], axes[i, j, 1], one, other)
        high, low = joined(high, low)
        store(there, 2 * i, high)
        store(there, 2 * i + 1, low)
