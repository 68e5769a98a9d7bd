"""The raw field of a mixture for compiled steps, which take one lane at a time.

The sums over nodes take several nodes at a time already, and every lane has rules of its own.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.core.chart import Lanes
from flows.systems.mixture.constants import LINEAR

__all__ = ["LANES"]


def workspace(shape: NDArray[np.int64]) -> int:
    """Rows that the field needs to work in: one lane, alone."""
    from flows.systems.mixture.field_compiled import room_for  # Numba loads where it is needed

    return room_for(int(shape[0]), int(shape[1]))


def make_field(lanes: int) -> Callable[..., None]:
    """Compile the field, see :class:`flows.core.chart.Lanes`."""
    from flows.systems.mixture.field_compiled import call_core, small

    assert lanes == 1

    @small
    def field(x, weights, shape, out, work):
        # One lane alone: its arrays have one axis.
        state, slope = x.reshape(x.size), out.reshape(out.size)
        constants = weights.reshape(weights.size)
        space = work.reshape(work.size)
        call_core(shape[5], (state, constants, shape, slope, weights, False, space))

    made: Callable[..., None] = field
    return made


def make_look() -> Callable[..., bool]:
    """Compile the test whether a piece is outgrown, see :class:`flows.core.chart.Lanes`."""
    from flows.systems.mixture.field_compiled import components_at, small
    from flows.systems.mixture.within import outgrown

    @small
    def look(x, weights, shape, work):
        if shape[2] == LINEAR:
            return False
        one, constants = x.reshape(x.size), weights.reshape(weights.size)
        components, _ = components_at(one, constants, shape, work.reshape(work.size))
        return outgrown(components, constants, shape)

    made: Callable[..., bool] = look
    return made


# Rodas5P takes as long for a decade as so many explicit steps.
PATIENCE = 100
LANES = Lanes(make_field, workspace, alone=True, patience=PATIENCE, look=make_look)
