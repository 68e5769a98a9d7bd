"""The span of teachers and start, in which a run stays: coordinates with many digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.balls import dot, precision
from flows.systems.own.embedded import BITS, span_of
from flows.systems.own.exact import from_doubles, to_doubles

__all__ = ["Frame", "coordinates", "frame_of", "restored", "scaled", "teachers_in"]


@dataclass(frozen=True)
class Frame:
    """Where the coordinates of a run come from.

    Parameters
    ----------
    unit : float
        `T0`, the time at which the flow begins to move; NaN where states are doubles.
    basis : ndarray, shape (r, d, K)
        Orthonormal vectors, each entry a sum of doubles; the user's own axes where these are no
        more than the neurons.
    first, count : ndarray of int, shape (k,)
        The first student of each class of equal students, and the size of the class.
    member : ndarray of int, shape (n,)
        Which distinct one each student is.
    """

    unit: Any
    basis: Array
    first: NDArray[np.intp]
    count: NDArray[np.intp]
    member: NDArray[np.intp]


def scaled(row: list[Any], count: int) -> list[Any]:
    """Entries times the root of a count."""
    if count == 1:
        return row
    with precision(BITS):
        return [(x * arb(int(count)).sqrt()).mid() for x in row]


def frame_of(neurons: Array) -> Array:
    """Basis of the span of neurons, shape (N, d): the user's axes, or fewer where there are fewer.

    Vectors of few entries stay as they are, since then nothing is rounded.
    """
    count, d = neurons.shape
    if d <= count:
        return np.eye(d)[..., None]
    return span_of(neurons)


def coordinates(basis: Array, neurons: Array) -> list[list[Any]]:
    """Exact coordinates of neurons, shape (N, d)."""
    if len(basis) == basis.shape[1]:
        return [[arb(x) for x in v] for v in neurons.tolist()]
    rows = [from_doubles(row) for row in basis]
    with precision(BITS):
        exact = [[arb(x) for x in v] for v in neurons.tolist()]
        return [[dot(row, v).mid() for row in rows] for v in exact]


def restored(basis: Array, w: Array) -> Array:
    """Neurons of coordinates, shape (..., r), as doubles of shape (..., d)."""
    return np.asarray(w @ basis[..., 0])


def teachers_in(basis: Array, teachers: Sequence[Sequence[float]]) -> Any:
    """Coordinates of the teachers as tuples of sums of doubles."""
    rows = coordinates(basis, np.array(teachers))
    return tuple(tuple(tuple(x) for x in to_doubles(row).tolist()) for row in rows)
