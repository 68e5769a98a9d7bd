"""Compiled loops of Hessians, in doubles and in two: a program of rates along every axis."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import numpy as np

from flows.arithmetic.kept import loop
from flows.arithmetic.signatures import signature_of
from flows.core.rates_along import plain_rates, twofold_rates

__all__ = ["convex", "hessian", "twofold_hessian"]


def _hessian(y, operation, operands, constants, results, found):
    """Rates of the gradient along each axis, in rows of `found`, shape (N, N).

    The program is as of :class:`flows.core.axis_field.Code`, of variables that are the entries and
    then those of a direction.
    """
    n = len(y)
    r = plain_rates(y, np.eye(n), operation, operands, constants)
    for axis in range(n):
        for i in range(n):
            found[axis, i] = r[results[i], axis]


# Of operation, operands, constants and results.
_PROGRAM = ("whole 1", "whole 2", "real 2", "whole 1")
hessian = loop(_hessian, signature_of("real 1", *_PROGRAM, "real 2"))


def _convex(times, states, rounded, operation, operands, constants, results):
    """Whether Hessians at states (K, N) have no eigenvalue below `-1/s` at their times, (K,).

    The part `rounded` of the largest entry is taken to be rounding. Hessians beyond doubles count
    as not convex, and the caller evaluates them in balls.
    """
    n = states.shape[1]
    found, low = np.empty((n, n)), np.empty((n, n))
    axes = np.eye(n)
    for k in range(len(times)):
        r = plain_rates(states[k], axes, operation, operands, constants)
        largest = 0.0
        for i in range(n):
            for j in range(n):
                found[i, j] = r[results[i], j]
                largest = max(largest, abs(found[i, j]))
        if not largest < np.inf:
            return False
        for i in range(n):  # Cholesky
            for j in range(i + 1):
                total = found[i, j] + (1.0 / times[k] + rounded * largest if i == j else 0.0)
                for m in range(j):
                    total -= low[i, m] * low[j, m]
                if j < i:
                    low[i, j] = total / low[j, j]
                elif total > 0.0:
                    low[i, i] = np.sqrt(total)
                else:
                    return False
    return True


convex = loop(_convex, signature_of("real 1", "real 2", "real", *_PROGRAM, returns="truth"))


def _twofold_hessian(y, operation, operands, constants, results, found):
    """Rates as of `_hessian` in two doubles, of entries (N, 2), in rows of `found` (N, N, 2)."""
    n = len(y)
    axes = np.zeros((n, n, 2))
    for i in range(n):
        axes[i, i, 0] = 1.0
    r = twofold_rates(y, axes, operation, operands, constants)
    for axis in range(n):
        for i in range(n):
            for part in range(2):
                found[axis, i, part] = r[results[i], part, axis]


twofold_hessian = loop(_twofold_hessian, signature_of("real 2", *_PROGRAM, "real 3"))
