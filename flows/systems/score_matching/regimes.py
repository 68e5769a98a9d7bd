"""Compiled: who is on the target, who recedes, whether the loss is on a plateau.

A regime changes where one of a few smooth functions of the state, its *marks*, passes through zero.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np

from flows.arithmetic.kept import kept
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.systems.mixture.expectation import UNDERFLOW
from flows.systems.mixture.means import CERTAIN

# A component at home is locked on the target within 1/(3n), the radius of Theorem 2.1.
RADIUS = 1 / 3
# A plateau: the loss changes by less than this part of itself in the time that has passed.
SLOW = 0.05


def _regimes(times, weight, mu, velocity, fisher, n, unit, found, marks):
    """Set rows of k numbers for locked, k for receding ones and one for a plateau; and of marks."""
    count, k, r = mu.shape
    for t in range(count):
        total, square, anyone = 0.0, 0.0, False
        for i in range(k):
            one, speed = 0.0, 0.0
            for a in range(r):
                one += mu[t, i, a] * mu[t, i, a]
                speed += velocity[t, i, a] * velocity[t, i, a]
            total += weight[i] * math.exp(-one / 2)
            square += round(n * weight[i]) * speed
        for i in range(k):
            one, outward = 0.0, 0.0
            for a in range(r):
                one += mu[t, i, a] * mu[t, i, a]
                outward += mu[t, i, a] * velocity[t, i, a]
            marks[t, i] = RADIUS / n - math.sqrt(one)
            marks[t, k + i] = weight[i] * math.exp(-one / 2) / total - CERTAIN
            marks[t, 2 * k + i] = outward
            certain = marks[t, k + i] >= 0.0
            locked = certain and marks[t, i] >= 0.0
            anyone = anyone or locked
            found[t, i], found[t, k + i] = locked, outward > 0.0 and not certain
        for i in range(k):
            found[t, k + i] *= anyone
        marks[t, 3 * k] = SLOW * fisher[t] - unit * unit * square * times[t]
        found[t, 2 * k] = marks[t, 3 * k] >= 0.0 and fisher[t] > UNDERFLOW


@functools.cache
@uncollected()
def _compiled() -> Callable[..., None]:
    states, matrix, vector = numba.float64[:, :, ::1], numba.float64[:, ::1], numba.float64[::1]
    number = numba.float64
    signature = numba.void(vector, vector, states, states, vector, number, number, matrix, matrix)
    make: Any = functools.partial(numba.njit(signature, nogil=True, error_model="numpy"), _regimes)
    return cast("Callable[..., None]", kept(("regimes", _regimes), signature, make))


def regimes(
    times: Array, weight: Array, mu: Array, velocity: Array, fisher: Array, n: int, unit: float
) -> tuple[Array, Array]:
    """Regimes of states, a row of ones and zeros each.

    Parameters
    ----------
    times : ndarray, shape (T,)
        When.
    weight : ndarray, shape (k,)
        Of the distinct components.
    mu, velocity : ndarray, shape (T, k, r)
        Means and their velocities.
    fisher : ndarray, shape (T,)
        ``E|v|^2``.
    n, unit : int, float
        Number of the user's components, and their length over that of means.

    Returns
    -------
    found : ndarray, shape (T, 2 k + 1)
        Who is on the target, who recedes while another one is there, and whether the loss is
        on a plateau.
    marks : ndarray, shape (T, 3 k + 1)
        Functions of the state one of which changes its sign where the regime changes.
    """
    count, k, _ = mu.shape
    found, marks = np.empty((count, 2 * k + 1)), np.empty((count, 3 * k + 1))
    _compiled()(times, weight, mu, velocity, fisher, float(n), float(unit), found, marks)
    return found, marks
