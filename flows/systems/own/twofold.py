r"""Balls of two doubles: the gradient of a loss along the axes of a chart, in compiled code.

A number is `high + low` with a radius, as in ball arithmetic with 104 bits. The program of the
gradient (:mod:`symbolic.language.program`) is data for one compiled loop
(:mod:`flows.core.enclosed_program`), so that nothing is compiled for a loss. Where the radius is
too large, the caller takes more bits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import AxisField, Code
from flows.core.balls import precision, split
from flows.systems.own.code import BITS, coded
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import program_of, rates_code

__all__ = ["Twofold", "code_of", "rates_of", "twofold_axes", "value_code_of"]


@functools.lru_cache(maxsize=64)
def code_of(loss: Loss) -> Code | None:
    """Code of the gradient as data; None where it takes what two doubles do not compute."""
    if loss.averaged:
        return None
    program = program_of(loss.form.plain, loss.y)
    return coded(loss.y, program.steps, program.results[1:])


@functools.lru_cache(maxsize=64)
def value_code_of(loss: Loss) -> Code | None:
    """Code of the loss and its gradient as data, in which the steps of the gradient come first."""
    program = program_of(loss.form.plain, loss.y)
    return coded(loss.y, program.steps, program.results, late=1)


def rates_of(loss: Loss) -> Code | None:
    """Program of its rates along a direction."""
    return None if loss.averaged else rates_code(loss.form.plain, loss.y)


def twofold_axes(axes: Array) -> Array:
    r"""Columns that are orthonormal to the digits of two doubles, beside those in doubles.

    .. math:: Q \to Q + Q (I - Q^T Q)/2

    Parameters
    ----------
    axes : ndarray, shape (N, N)
        Columns, orthonormal to rounding.

    Returns
    -------
    ndarray, shape (N, N, 2)
        High and low doubles.
    """
    from flows.core.enclosed_program import defect  # Numba, where it is needed

    lacks = np.empty(axes.shape)
    defect(np.ascontiguousarray(axes), lacks)
    change = axes @ lacks / 2
    high = axes + change
    return np.stack([high, change - (high - axes)], axis=-1)


class Twofold:
    """The gradient in a chart, in two doubles.

    Parameters
    ----------
    code : Code
        Of the gradient.
    centre : list of arb
        The exact state around which the chart is.
    axes : ndarray, shape (N, N, 2)
        Its axes, the columns, of :func:`twofold_axes`.
    """

    def __init__(self, code: Code, centre: Sequence[Any], axes: Array) -> None:
        size = len(centre)
        self._code = code
        with precision(BITS):
            self._centre = np.array([split(x) for x in centre])
        self._axes = axes
        self._registers = np.empty((size + len(code.constants) + len(code.operation), 3))
        self._registers[size : size + len(code.constants)] = code.constants

    def gradient(self, u: Array, unit: Array) -> Array:
        """Gradient along the axes at the increment ``u`` in these units: high, low, radius."""
        from flows.core.enclosed_program import evaluate  # Numba, where it is needed

        found = np.empty((len(u), 3))
        evaluate(
            u.copy(),  # CVODE's arrays are read-only
            unit,
            self._centre,
            self._axes,
            self._code.operation,
            self._code.operands,
            self._code.results,
            self._registers,
            found,
        )
        return found

    def field(
        self,
        rates: Code,
        size: Array,
        floored: Array,
        allowed: Array,
        bounds: tuple[float, float, float, float],
    ) -> AxisField:
        """The flow along the axes, with these parts of :class:`AxisField`."""
        return AxisField(
            self._code, rates, self._centre, self._axes, size, floored, allowed, *bounds
        )
