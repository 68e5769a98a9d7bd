"""The raw field of a mixture for compiled steps: lanes one after the other.

The sums over nodes take several nodes at a time already, and every lane has a rule of its own.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.chart import Lanes
from flows.systems.mixture.field import LIMITS

__all__ = ["LANES"]


def workspace(shape: NDArray[np.int64]) -> int:
    """Rows that the field needs to work in: one lane, alone."""
    k, r, count, coarse = (int(shape[x]) for x in (0, 1, 2, 7))
    return 2 * k * r + 2 * k + (count + coarse) * (1 + r) + LIMITS + k


def make_field(lanes: int) -> Callable[..., None]:
    """Compile the field, see :class:`flows.core.chart.Lanes`."""
    import numba

    from flows.systems.mixture.field_compiled import OPTIONS, call_core

    inner: Any = numba.njit(**OPTIONS)

    @inner
    def field(x, weights, shape, out, work):
        size, count = x.shape[0], weights.shape[0]
        room = work.reshape(work.size)
        one, slope, constants = room[:size], room[size : 2 * size], room[2 * size :][:count]
        for e in range(lanes):
            for i in range(size):
                one[i] = x[i, e]
            for i in range(count):
                constants[i] = weights[i, e]
            call_core(shape[6], (one, constants, shape, slope, work, False))
            for i in range(size):
                out[i, e] = slope[i]

    made: Callable[..., None] = field
    return made


def make_look() -> Callable[..., bool]:
    """Compile what tells that a piece is outgrown, see :class:`flows.core.chart.Lanes`."""
    import numba

    from flows.systems.mixture.field_compiled import LINEAR, OPTIONS, outgrown, positions

    inner: Any = numba.njit(**OPTIONS)

    @inner
    def look(x, weights, shape, work):
        if shape[3] == LINEAR:
            return False
        k, r = shape[0], shape[1]
        one, constants = x.reshape(x.size), weights.reshape(weights.size)
        room = work.reshape(work.size)
        mu, deviation = room[: k * r].reshape((k, r)), room[k * r : 2 * k * r].reshape((k, r))
        mean, limits = room[2 * k * r :][:r], constants[constants.size - LIMITS - k :]
        positions(one, constants[:k], constants[k : 2 * k], shape[3], mu, deviation, mean)
        return outgrown(mu, deviation, limits)

    made: Callable[..., bool] = look
    return made


# Rodas5P takes as long for a decade as so many explicit steps.
PATIENCE = 100
LANES = Lanes(make_field, workspace, alone=True, patience=PATIENCE, look=make_look)
