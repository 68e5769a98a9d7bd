"""Raw fields of a Gaussian mixture's gradient flow, in the coordinates of its charts.

``k`` distinct components in ``r`` dimensions move by ``mu_i' = -rate_i pull_i``, with the pulls of
:mod:`flows.systems.mixture.sums_compiled`. Charts of the raw state, ``k`` blocks of ``r`` numbers
each:

* linear, one distinct component: ``mu' = -rate mu``;
* far: block ``i`` is ``mu_i``;
* near and cluster: block 0 is the mean ``m``, block ``i`` the deviation
  ``x_i = mu_i / rate_i - m / Q``, ``Q = sum_i W_i rate_i``; component 0 follows from
  ``sum_i W_i rate_i x_i = 0``. With ``pull_i = m + p_i``,

      m' = -Q (m + p),        x_i' = p - p_i,        p = sum_i W_i rate_i p_i / Q,

  the stiff linear part acts on ``m`` alone: the slow deviations do not feel it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import wrapped_once
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import LIMITS, Levels


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


def _make_raw() -> Callable[..., None]:
    from flows.systems.mixture import field_compiled  # Numba loads where it is first needed

    return field_compiled.make_raw()


def field() -> Callable[..., None]:
    """Raw field with the clocks around it, the same object every time."""
    return wrapped_once(_make_raw, arrays=True)


def shape(
    calculus: Calculus, sizes: tuple[int, int], levels: Levels, kind: int
) -> NDArray[np.int64]:
    """Shape argument of the raw field.

    It is ``(k, r, chart)``, where the sums are, the number of levels and of all constants; then, of
    each level, the nodes of its two rules, and the pivots of the axes.
    """
    from flows.systems.mixture import field_compiled

    k, r = sizes
    count = len(levels.widths)
    where = levels.axes.size + levels.widths.size
    constants = 2 * k + where + len(levels.numbers) + (LIMITS + 2 * k * r + k if count else 0)
    sums = field_compiled.addresses(kind, calculus)
    head = [k, r, kind, *sums, count, constants]
    pivots = levels.pivots if len(levels.pivots) else np.zeros(2 * r, np.int64)
    return np.concatenate([head, levels.counts, pivots]).astype(np.int64)
