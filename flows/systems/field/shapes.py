"""States as a user writes them: flat arrays, or arrays by the names of the blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError

__all__ = ["Shapes", "flat", "pack", "unpack"]

#: Shapes of the blocks by name, in their order.
Shapes = Mapping[str, tuple[int, ...]]


def pack(shapes: Shapes, values: Mapping[str, Any]) -> Array:
    """Flat state of arrays by the names of the blocks.

    Raises
    ------
    InputError
        For other names, or an array of another shape.
    """
    if set(values) != set(shapes):
        given = (x if isinstance(x, str) else f"{type(x).__name__} {x}" for x in values)
        raise InputError(f"expected the blocks {', '.join(shapes)}, got {', '.join(given)}")
    parts = []
    for name, shape in shapes.items():
        try:
            part = np.asarray(values[name], dtype=float)
        except (ValueError, TypeError):
            raise InputError(f"block {name} must hold real numbers") from None
        if part.shape == (*shape, 1) and len(shape) == 1:
            part = part[:, 0]  # a column, as the block is written
        if part.shape != shape:
            raise InputError(f"block {name} must have shape {shape}, got {part.shape}")
        parts.append(part.ravel())
    return np.concatenate(parts)


def unpack(shapes: Shapes, state: Any) -> dict[str, Array]:
    """Arrays of the blocks by name, of a state or of states with leading axes."""
    y, found, first = np.asarray(state, dtype=float), {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        found[name] = y[..., first : first + size].reshape((*y.shape[:-1], *shape))
        first += size
    return found


def flat(shapes: Shapes, state: Any) -> Array:
    """State as a flat array; where there is only one block, also the block itself.

    Raises
    ------
    InputError
        For what is no array of real numbers, or one of another shape.
    """
    if isinstance(state, Mapping):
        state = pack(shapes, state)
    try:
        array = np.asarray(state)
    except ValueError:
        raise InputError("a state must be an array; its rows differ") from None
    size = sum(map(math.prod, shapes.values()))
    if len(shapes) == 1 and array.dtype.kind in "iuf" and array.ndim > 1:
        ((name, shape),) = shapes.items()
        if array.shape in (shape, (*shape, 1)):  # a vector may be a column
            array = pack(shapes, {name: array})
        expected = f"or the block of shape {shape}"
    else:
        expected = "or arrays by block"
    if array.dtype.kind not in "iuf" or array.shape != (size,):
        raise InputError(
            f"a state must be {size} real numbers, {expected}, got"
            f" {array.dtype} of shape {array.shape}"
        )
    return array.astype(float)
