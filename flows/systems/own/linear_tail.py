r"""Charts in which a flow is linear to all digits of a step, as on exponential tails.

.. math:: Q^T \nabla L(c + Q v) = g + M v + R(v), \qquad M = Q^T H(c) Q

There two doubles of the state do not tell the gradient, but those of `g` and `M` tell it without
cancellation, at any energy. That `R` is below what a field may be off is looked at where the linear
flow ends, and half-way: it grows like the square of the way.
"""

from __future__ import annotations

import functools

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import AxisField, Code
from flows.systems.own.code import ADD, MULTIPLY

__all__ = ["linear_field", "way"]


def way(slopes: Array, h: Array, passed: float) -> Array:
    """Increment along each axis after a time, by its own curvature."""
    with np.errstate(all="ignore"):
        rate = h * passed
        moved = -slopes * np.where(rate == 0, passed, -np.expm1(-rate) / h)
    # Nothing grows out of nothing.
    found: Array = np.where(slopes == 0, 0.0, moved)
    return found


@functools.lru_cache(maxsize=32)
def _program(size: int, affine: bool) -> Code:
    """Program of `g + M v`, or of `M d` in the second half of the variables; constants are zero."""
    variables, first = (size, size) if affine else (2 * size, 0)
    constants = first + size * size  # `g`, where there is one, and the rows of `M`
    lines: list[tuple[int, int, int]] = []
    results = []
    for i in range(size):
        total = variables + i if affine else -1
        for k in range(size):
            lines.append((MULTIPLY, variables - size + k, variables + first + size * i + k))
            part = variables + constants + len(lines) - 1
            if total >= 0:
                lines.append((ADD, total, part))
                part += 1
            total = part
        results.append(total)
    table = np.array(lines, dtype=np.int64)
    return Code(
        table[:, 0].copy(),
        table[:, 1:].copy(),
        np.zeros((constants, 3)),
        np.array(results, dtype=np.int64),
    )


def linear_field(
    slopes: Array,
    matrix: Array,
    units: tuple[Array, Array, Array],
    bounds: tuple[float, float, float, float],
) -> AxisField:
    """Flow of `g + M v` as data for compiled steps.

    Parameters
    ----------
    slopes, matrix : ndarray, shape (N, 3) and (N * N, 3)
        `g` and `M`: high and low doubles, and radii.
    units : tuple of ndarray
        Sizes, floored curvatures and what the field may be off, of :class:`AxisField`.
    bounds : tuple of float
        Its time, energies and end.
    """
    size = len(slopes)
    gradient, rates = _program(size, True), _program(size, False)
    axes = np.zeros((size, size, 2))
    axes[..., 0] = np.eye(size)
    return AxisField(
        gradient._replace(constants=np.concatenate([slopes, matrix])),
        rates._replace(constants=matrix.copy()),
        np.zeros((size, 3)),
        axes,
        *units,
        *bounds,
    )
