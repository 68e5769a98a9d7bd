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

In all of them deviations and rates are linear in the blocks and the pulls, by matrices among the
constants (:mod:`flows.systems.mixture.constants`).

Compiled steps take one state at a time: the sums over nodes take several nodes at a time already,
and every state has rules of its own.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.arithmetic.kept import lean
from flows.core.chart import Lanes, wrapped_once
from flows.systems.mixture import velocities
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import LINEAR, Levels
from flows.systems.mixture.within import outgrown

# Rodas5P takes as long for a decade as so many explicit steps.
PATIENCE = 100


def field() -> Callable[..., None]:
    """Raw field with the clocks around it, the same object every time."""
    return wrapped_once(velocities.make_raw, arrays=True)


def shape(
    calculus: Calculus, sizes: tuple[int, int], levels: Levels, kind: int, constants: int
) -> NDArray[np.int64]:
    """Shape argument of the raw field.

    It is ``(k, r, chart)``, where the sums are, the number of levels and of all constants; then, of
    each level, the nodes of its two rules, and the pivots of the axes.
    """
    head = [*sizes, kind, *velocities.addresses(kind, calculus), len(levels.widths), constants]
    pivots = levels.pivots if len(levels.pivots) else np.zeros(2 * sizes[1], np.int64)
    return np.concatenate([head, levels.counts, pivots]).astype(np.int64)


def workspace(shape: NDArray[np.int64]) -> int:
    """Numbers that the field needs to work in: one state, alone."""
    return velocities.room_for(int(shape[0]), int(shape[1]))


def make_field(lanes: int) -> Callable[..., None]:
    """Compile the field, see :class:`flows.core.chart.Lanes`."""
    assert lanes == 1

    @lean
    def field(x, weights, shape, out, work):
        # One state alone: its arrays have one axis.
        state, slope = x.reshape(x.size), out.reshape(out.size)
        constants, space = weights.reshape(weights.size), work.reshape(work.size)
        velocities.call_core(shape[5], (state, constants, shape, slope, weights, False, space))

    made: Callable[..., None] = field
    return made


def make_look() -> Callable[..., bool]:
    """Compile what tells that a piece is outgrown, see :class:`flows.core.chart.Lanes`."""

    @lean
    def look(x, weights, shape, work):
        if shape[2] == LINEAR:
            return False
        one, constants = x.reshape(x.size), weights.reshape(weights.size)
        space = work.reshape(work.size)
        components = velocities.components_at(one, constants, shape, space)
        return outgrown(components, constants, shape)

    made: Callable[..., bool] = look
    return made


#: The field as a chart holds it.
LANES = Lanes(make_field, workspace, alone=True, patience=PATIENCE, look=make_look)
