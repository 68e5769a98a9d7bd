"""The field of a lone neuron and others for compiled steps: lanes one after the other.

Few members are in such a chart at a time, and its pairs take arctangents, which are not vectorised.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.core.chart import ROOM, Lanes
from flows.systems.relu_neuron import lone_field

__all__ = ["LANES"]


def workspace(shape: NDArray[np.int64]) -> int:
    """Rows that the field needs to work in: one lane, alone."""
    k, q = int(shape[0]), 1 + int(shape[1])
    return (ROOM + 1) * k * q + k + 1


def make_field(lanes: int) -> Callable[..., None]:
    """Compile the field, see :class:`flows.core.chart.Lanes`."""
    import numba

    raw = numba.njit(error_model="numpy")(lone_field.make_raw())

    def field(x, weights, shape, out, work):
        size, count = x.shape[0], weights.shape[0]
        room = work.reshape(work.size)
        slope, constants, one = room[:size], room[size:][:count], room[size + count :]
        for e in range(lanes):
            if weights[0, e] == 0.0:  # no problem in this lane
                for i in range(size):
                    out[i, e] = 0.0
                continue
            for i in range(size):
                one[i] = x[i, e]
            for i in range(count):
                constants[i] = weights[i, e]
            raw(one, constants, shape, slope, slope, False)  # no Jacobian is wanted
            for i in range(size):
                out[i, e] = slope[i]

    # No fused multiply-add: the compiler might fuse in one lane and not in another.
    made: Callable[..., None] = numba.njit(error_model="numpy")(field)
    return made


#: The field as a chart holds it.
LANES = Lanes(make_field, workspace)
