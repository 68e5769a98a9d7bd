"""Eigenvalues of the Hessian of two layers, in the span of a run and beyond it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flows.core.arrays import EPSILON, Array
from flows.core.together import evaluated_together
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.network import Network

__all__ = ["curvatures", "spectrum"]

# Of eigenvalues, in roundings of the largest one.
ROUNDINGS = 8.0
#: A spectrum of more eigenvalues would cost more than the run.
MOST_AXES = 150
FEATURES = (
    *("eigenvalue", "eigenvalue_dot", "eigenvalue_error"),
    *("least_eigenvalue", "least_eigenvalue_error"),
)


def spectrum(network: Network, beyond: int, y: Array) -> tuple[Array, Array]:
    """Eigenvalues of the Hessian at a flat state, and how often each of them counts.

    In each dimension beyond the span it is one and the same matrix, `n x n`.

    Parameters
    ----------
    network : Network
        In the coordinates of the span.
    beyond : int
        How many dimensions are outside it.
    y : ndarray, shape (N,)
        The state.
    """
    if not beyond:
        found = _eigenvalues(arrays.hessian(network, y))
        return found, np.ones(len(found))
    wider = replace(network, teachers=tuple((*v, (0.0,)) for v in network.teachers))
    w, a = network.split(y)
    matrix = arrays.hessian(wider, wider.joined(np.pad(w, ((0, 0), (0, 1))), a))
    extra = np.arange(network.students) * (network.d + 1) + network.d
    within = np.setdiff1d(np.arange(len(matrix)), extra)
    blocks = [_eigenvalues(matrix[np.ix_(k, k)]) for k in (within, extra)]
    return np.concatenate(blocks), np.repeat([1.0, float(beyond)], [len(b) for b in blocks])


def _eigenvalues(matrix: Array) -> Array:
    """Eigenvalues, increasing; NaN of a matrix that is not finite, as at a kink."""
    known = np.isfinite(matrix).all()
    return np.asarray(np.linalg.eigvalsh(matrix) if known else matrix[0] * np.nan, dtype=float)


def curvatures(
    whole: Callable[[Any], Network],
    beyond: Callable[[Any], int],
    flat: Callable[[Any, Any], Array],
    off: Callable[[Any], Array],
) -> Mapping[str, Callable[[Any, Any], Array]]:
    """Features that eigenvalues make, with their errors: they cost more than steps do.

    Those in the span are increasing, shape (T, N); the least one is that in all dimensions. Both
    are NaN of many numbers, and at a kink.

    Parameters
    ----------
    whole, beyond, flat : callable
        Of a frame, network of all students and dimensions outside the span; of a frame and states,
        flat states of all students.
    off : callable
        Of states, how far they are off, shape (T,).
    """

    def of_states(frame: Any, states: Any) -> dict[str, Array]:
        network, y, extra = whole(frame), flat(frame, states), beyond(frame)
        found: Array = np.full(y.shape, np.nan)
        rounding: Array = np.zeros(len(y))
        if network.size <= MOST_AXES:
            with np.errstate(all="ignore"):
                found = np.array([spectrum(network, extra, state)[0] for state in y])
            found = found.reshape(len(y), network.size + network.students * (extra > 0))
            rounding = ROUNDINGS * EPSILON * np.linalg.norm(found[:, : network.size], axis=1)
        error = off(states) + rounding
        return {
            "eigenvalue": found[:, : network.size],
            "eigenvalue_dot": np.full(y.shape, np.nan),
            "eigenvalue_error": np.broadcast_to(error[:, None], y.shape),
            "least_eigenvalue": found.min(axis=1),
            "least_eigenvalue_error": error,
        }

    return evaluated_together(FEATURES, of_states)
