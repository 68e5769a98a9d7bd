"""Compiled loops of Hessians, in doubles and in two: a program of rates along every axis."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import numba
import numpy as np

from flows.core.compiled import loop
from flows.core.twofold_loop import moves, plain, step

__all__ = ["hessian", "twofold_hessian"]


def _hessian(y, operation, operands, constants, results, found):
    """Rates of the gradient along each axis, in rows of `found`, shape (N, N).

    The program is as of :class:`flows.core.axis_field.Code`, of variables that are the entries and
    then those of a direction.
    """
    n = len(y)
    first = 2 * n + len(constants)
    r = np.empty(first + len(operation))
    r[:n] = y
    for i in range(len(constants)):
        r[2 * n + i] = constants[i, 0]
    moving = moves(n, first, operation, operands)
    for axis in range(n):
        r[n : 2 * n] = 0.0
        r[n + axis] = 1.0
        for k in range(len(operation)):
            if axis > 0 and not moving[k]:
                continue
            r[first + k] = plain(operation[k], r[operands[k, 0]], r[operands[k, 1]])
        for i in range(n):
            found[axis, i] = r[results[i]]


_reals, _whole = numba.float64, numba.int64
hessian = loop(
    _hessian,
    numba.void(
        _reals[::1],
        _whole[::1],
        _whole[:, ::1],
        _reals[:, ::1],
        _whole[::1],
        _reals[:, ::1],
    ),
)


def _twofold_hessian(y, operation, operands, constants, results, found):
    """Rates as of `_hessian` in two doubles, of entries (N, 2), in rows of `found` (N, N, 2)."""
    n = len(y)
    first = 2 * n + len(constants)
    r = np.zeros((first + len(operation), 2))
    r[:n] = y
    r[2 * n : first] = constants[:, :2]
    moving = moves(n, first, operation, operands)
    for axis in range(n):
        r[n : 2 * n] = 0.0
        r[n + axis, 0] = 1.0
        for k in range(len(operation)):
            if axis > 0 and not moving[k]:
                continue
            a, b = operands[k, 0], operands[k, 1]
            r[first + k, 0], r[first + k, 1], _ = step(
                operation[k], r[a, 0], r[a, 1], 0.0, r[b, 0], r[b, 1], 0.0
            )
        for i in range(n):
            found[axis, i] = r[results[i]]


twofold_hessian = loop(
    _twofold_hessian,
    numba.void(
        _reals[:, ::1],
        _whole[::1],
        _whole[:, ::1],
        _reals[:, ::1],
        _whole[::1],
        _reals[:, :, ::1],
    ),
)
