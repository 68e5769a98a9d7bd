"""Compiled: what sums need of sound states, at one state or at many.

Nothing at one state depends on the others.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from flows.arithmetic.kept import kept
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, SHORT

# A weighted sum of offsets below this part of the largest one is rounding.
SUMMED = 8 * float(np.finfo(float).eps)


def _part(offset, centre, weight, mu, deviation, mean, form):
    """Set means, their deviations from the weighted mean, that mean, and the form."""
    count, k, r = offset.shape
    for t in range(count):
        largest = 0.0
        for i in range(k):
            for a in range(r):
                largest = max(largest, abs(offset[t, i, a]))
        for a in range(r):
            shift = 0.0
            for i in range(k):
                shift += weight[i] * offset[t, i, a]
            # Offsets from the weighted mean sum to their rounding, late in a run above the mean.
            if abs(shift) <= SUMMED * largest:
                shift = 0.0
            mean[t, a] = centre[t, a] + shift
            for i in range(k):
                deviation[t, i, a] = offset[t, i, a] - shift
        length, spread = 0.0, 0.0
        for i in range(k):
            one, other = 0.0, 0.0
            for a in range(r):
                mu[t, i, a] = offset[t, i, a] + centre[t, a]
                one += mu[t, i, a] * mu[t, i, a]
                other += deviation[t, i, a] * deviation[t, i, a]
            # What is not a number is far.
            length, spread = one if not one <= length else length, max(spread, other)
        together = CLUSTER if spread <= SHORT * SHORT else FAR
        form[t] = NEAR if length <= SHORT * SHORT else together


@functools.cache
@uncollected()
def _parts() -> Callable[..., None]:
    states, matrix = numba.float64[:, :, ::1], numba.float64[:, ::1]
    # No products and sums that are fused: what is exactly zero stays so.
    signature = numba.void(
        states, matrix, numba.float64[::1], states, states, matrix, numba.int64[::1]
    )
    make = functools.partial(numba.njit(signature, nogil=True, error_model="numpy"), _part)
    return cast("Callable[..., None]", kept(("parts of", _part), signature, make))


def parts_of(
    offset: Array, centre: Array, weight: Array
) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Means, deviations, weighted means and forms.

    Parameters
    ----------
    offset : ndarray, shape (T, k, r)
        Means less ``centre``.
    centre : ndarray, shape (T, r)
        Their centre.
    weight : ndarray, shape (k,)
        ``W_i``.

    Returns
    -------
    mu, deviation : ndarray, shape (T, k, r)
        Means, and means less ``mean``.
    mean : ndarray, shape (T, r)
        ``sum_i W_i mu_i``.
    form : ndarray of int, shape (T,)
        ``NEAR``, ``CLUSTER`` or ``FAR``.
    """
    offset, centre = np.ascontiguousarray(offset), np.ascontiguousarray(centre)
    found: Any = (
        np.empty_like(offset),
        np.empty_like(offset),
        np.empty_like(centre),
        np.empty(len(offset), np.int64),
    )
    _parts()(offset, centre, weight, *found)
    return cast("tuple[Array, Array, Array, NDArray[np.int64]]", found)
