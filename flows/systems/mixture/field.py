"""Raw fields of a Gaussian mixture's gradient flow, in the coordinates of its charts.

``k`` distinct components in ``r`` dimensions move by ``mu_i' = -rate_i pull_i``, with the pulls of
:mod:`flows.systems.mixture.sums`. Charts of the raw state, ``k`` blocks of ``r`` numbers
each:

* linear, one distinct component: ``mu' = -rate mu``;
* far: block ``i`` is ``mu_i``;
* near and cluster: block 0 is the mean ``m``, block ``i`` the deviation
  ``x_i = mu_i / rate_i - m / Q``, ``Q = sum_i W_i rate_i``; component 0 follows from
  ``sum_i W_i rate_i x_i = 0``. With ``pull_i = m + p_i``,

      m' = -Q (m + p),        x_i' = p - p_i,        p = sum_i W_i rate_i p_i / Q,

  the stiff linear part acts on ``m`` alone: the slow deviations do not feel it.

Compiled steps take one state at a time: the sums over nodes take several nodes at a time already,
and every state has rules of its own.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import Lanes, wrapped_once
from flows.systems.mixture import velocities
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import LIMITS, LINEAR, Levels
from flows.systems.mixture.within import outgrown

# Rodas5P takes as long for a decade as so many explicit steps.
PATIENCE = 100


def excess(weight: Array, rate: Array) -> Array:
    """How much faster each component follows the mean's pull, exactly zero for equal rates."""
    if np.ptp(rate) == 0:
        return np.zeros_like(rate)
    return np.asarray(rate / np.sum(weight * rate) - 1.0)


def from_blocks(blocks: Array, weight: Array, rate: Array) -> tuple[Array, Array]:
    """Mean and deviations of near blocks, shapes (..., r) and (..., k, r)."""
    share = weight * rate
    mean, slow = blocks[..., 0, :], blocks[..., 1:, :]
    first = -np.sum((share[1:] / share[0])[:, None] * slow, axis=-2, keepdims=True)
    slow = np.concatenate([first, slow], axis=-2)
    shift = excess(weight, rate)[:, None] * mean[..., None, :]
    return mean, rate[:, None] * slow + shift


def field() -> Callable[..., None]:
    """Raw field with the clocks around it, the same object every time."""
    return wrapped_once(velocities.make_raw, arrays=True)


def shape(
    calculus: Calculus, sizes: tuple[int, int], levels: Levels, kind: int
) -> NDArray[np.int64]:
    """Shape argument of the raw field.

    It is ``(k, r, chart)``, where the sums are, the number of levels and of all constants; then, of
    each level, the nodes of its two rules, and the pivots of the axes.
    """
    k, r = sizes
    count = len(levels.widths)
    where = levels.axes.size + levels.widths.size
    constants = 2 * k + where + len(levels.numbers) + (LIMITS + 2 * k * r + k if count else 0)
    sums = velocities.addresses(kind, calculus)
    head = [k, r, kind, *sums, count, constants]
    pivots = levels.pivots if len(levels.pivots) else np.zeros(2 * r, np.int64)
    return np.concatenate([head, levels.counts, pivots]).astype(np.int64)


def workspace(shape: NDArray[np.int64]) -> int:
    """Numbers that the field needs to work in: one state, alone."""
    return velocities.room_for(int(shape[0]), int(shape[1]))


def make_field(lanes: int) -> Callable[..., None]:
    """Compile the field, see :class:`flows.core.chart.Lanes`."""
    assert lanes == 1

    @velocities.small
    def field(x, weights, shape, out, work):
        # One state alone: its arrays have one axis.
        state, slope = x.reshape(x.size), out.reshape(out.size)
        constants, space = weights.reshape(weights.size), work.reshape(work.size)
        velocities.call_core(shape[5], (state, constants, shape, slope, weights, False, space))

    made: Callable[..., None] = field
    return made


def make_look() -> Callable[..., bool]:
    """Compile what tells that a piece is outgrown, see :class:`flows.core.chart.Lanes`."""

    @velocities.small
    def look(x, weights, shape, work):
        if shape[2] == LINEAR:
            return False
        one, constants = x.reshape(x.size), weights.reshape(weights.size)
        space = work.reshape(work.size)
        components, _ = velocities.components_at(one, constants, shape, space)
        return outgrown(components, constants, shape)

    made: Callable[..., bool] = look
    return made


#: The field as a chart holds it.
LANES = Lanes(make_field, workspace, alone=True, patience=PATIENCE, look=make_look)
