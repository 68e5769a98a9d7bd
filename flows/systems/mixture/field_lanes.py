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

__all__ = ["LANES"]


def workspace(shape: NDArray[np.int64]) -> int:
    """Rows that the field needs to work in: one lane, alone."""
    k, r, count = (int(x) for x in shape[:3])
    return 2 * k * r + 2 * k + count * (1 + r)


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


# Rodas5P takes as long for a decade as so many explicit steps.
PATIENCE = 100
LANES = Lanes(make_field, workspace, alone=True, patience=PATIENCE)
