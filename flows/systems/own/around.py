r"""Programs of a gradient by how far one is from a point.

.. math:: \nabla L(c + d) = \nabla L(c) + \Delta(d)

Each step knows its value at `c`, and how far the one at `c + d` is from it, of which no digit is
lost where `d` is short. So two doubles tell gradients that are far below the rounding of `c + d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb

from flows.core.axis_field import Code
from flows.core.balls import precision, split
from flows.systems.own import code as programs
from flows.systems.own.code import ADD, BITS, DIVIDE, MULTIPLY, ROOT, Builder

__all__ = ["gradient_around", "rates_around"]


def gradient_around(code: Code, centre: Sequence[Any], slopes: Sequence[Any]) -> Code | None:
    """Program of a gradient in the displacement `d`; None where a value at the point is no number.

    Parameters
    ----------
    code : Code
        Of the gradient.
    centre, slopes : sequence of N arb
        The point, and the gradient there.
    """
    builder, size = Builder(len(centre)), len(centre)
    with precision(BITS):
        values = [*centre, *(_ball(*x) for x in code.constants.tolist())]
    far = [*range(size), *[builder.zero] * len(code.constants)]
    for operation, (a, b) in zip(code.operation.tolist(), code.operands.tolist(), strict=True):
        x, y, p, q = values[a], values[b], far[a], far[b]
        with precision(BITS):
            if operation == ADD:
                value, moved = x + y, builder.add(p, q)
            elif operation == MULTIPLY:
                value = x * y
                parts = _times(builder, x, q), _times(builder, y, p), builder.multiply(p, q)
                moved = builder.add(*parts)
            elif operation == DIVIDE:
                value = x / y
                change = builder.add(p, _times(builder, -value, q))
                moved = builder.divide(change, builder.add(builder.constant(y), q))
            elif operation == ROOT:
                value = x.sqrt()
                there = builder.root(builder.add(builder.constant(x), p))
                moved = builder.divide(p, builder.add(builder.constant(value), there))
            else:
                value, moved = _of_function(builder, operation, (x, y), (p, q))
        if not value.is_finite():
            return None
        values.append(value)
        far.append(moved)
    at = zip(slopes, code.results.tolist(), strict=True)
    return builder.code([builder.add(builder.constant(g), far[k]) for g, k in at])


def _of_function(
    builder: Builder, operation: int, at: tuple[Any, Any], moved: tuple[int, int]
) -> tuple[Any, int]:
    """Value of an angle or a function, and how far the displacement moves it."""
    (x, y), (p, q) = at, moved
    if operation == programs.ANGLE:
        across = builder.add(_times(builder, y, p), _times(builder, -x, q))
        parts = _times(builder, x, p), _times(builder, y, q)
        along = builder.add(builder.constant(x * x + y * y), *parts)
        return arb.atan2(x, y), builder.angle(across, along)
    if operation == programs.EXPONENTIAL:
        return x.exp(), _times(builder, x.exp(), builder.function(programs.EXPM1, p))
    if operation == programs.LOGARITHM:
        return x.log(), builder.function(programs.LOG1P, _times(builder, 1 / x, p))
    sine, cosine = x.sin_cos()
    value, slope = (sine, cosine) if operation == programs.SINE else (cosine, -sine)
    half = builder.function(programs.SINE, _times(builder, arb(0.5), p))
    bent = _times(builder, -2 * value, builder.multiply(half, half))
    return value, builder.add(_times(builder, slope, builder.function(programs.SINE, p)), bent)


def rates_around(rates: Code, centre: Sequence[Any]) -> Code:
    """Program of the rates of a gradient along a direction, in the displacement."""
    size, known = len(centre), len(rates.constants)
    first = 2 * size + known + size
    # Steps that come first add what is behind the constants, the centre, to the variables.
    parts = first + np.arange(size), size + np.arange(size + known)
    where = np.concatenate([*parts, first + size + np.arange(len(rates.operation))])
    sums = np.column_stack([np.arange(size), 2 * size + known + np.arange(size)])
    with precision(BITS):
        numbers = np.array([split(x) for x in centre])
    return Code(
        np.concatenate([np.full(size, ADD), rates.operation]),
        np.concatenate([sums, where[rates.operands].reshape(-1, 2)]),
        np.concatenate([rates.constants, numbers]),
        where[rates.results],
    )


def _times(builder: Builder, factor: Any, step: int) -> int:
    """What a number makes of a step."""
    return builder.multiply(builder.constant(factor), step) if step != builder.zero else step


def _ball(high: float, low: float, radius: float) -> Any:
    return arb(high) + arb(low) + arb(0, radius)
