"""Eigenvalues of the Hessian of two layers, in the span of a run and beyond it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.network import Network

__all__ = ["curvatures", "spectrum"]

EPSILON = float(np.finfo(float).eps)
# Of eigenvalues, in roundings of the largest one.
ROUNDINGS = 8.0
#: A spectrum of more eigenvalues would cost more than the run.
MOST_AXES = 150


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
        found = np.linalg.eigvalsh(arrays.hessian(network, y))
        return np.asarray(found, dtype=float), np.ones(len(found))
    wider = replace(network, teachers=tuple((*v, (0.0,)) for v in network.teachers))
    w, a = network.split(y)
    matrix = arrays.hessian(wider, wider.joined(np.pad(w, ((0, 0), (0, 1))), a))
    extra = np.arange(network.students) * (network.d + 1) + network.d
    within = np.setdiff1d(np.arange(len(matrix)), extra)
    blocks = [np.linalg.eigvalsh(matrix[np.ix_(k, k)]) for k in (within, extra)]
    values = np.concatenate(blocks).astype(float)
    return values, np.repeat([1.0, float(beyond)], [len(b) for b in blocks])


def spectra(network: Network, y: Array) -> Array:
    """Eigenvalues in the span at flat states, increasing, shape (T, N)."""
    if network.size > MOST_AXES:
        return np.full(y.shape, np.nan)
    with np.errstate(all="ignore"):
        found = [arrays.hessian(network, state) for state in y]
    values = [np.linalg.eigvalsh(h) if np.isfinite(h).all() else h[0] * np.nan for h in found]
    return np.array(values).reshape(y.shape)


def curvatures(
    whole: Callable[[Any], Network],
    beyond: Callable[[Any], int],
    flat: Callable[[Any, Any], Array],
    off: Callable[[Any], Array],
) -> Mapping[str, Callable[[Any, Any], Array]]:
    """Features that eigenvalues make, with their errors: they cost more than steps do.

    Parameters
    ----------
    whole, beyond, flat : callable
        Of a frame, network of all students and dimensions outside the span; of a frame and states,
        flat states of all students.
    off : callable
        Of states, how far they are off, shape (T,).
    """

    def all_of(frame: Any, states: Any) -> Array:
        return spectra(whole(frame), flat(frame, states))

    def unknown(frame: Any, states: Any) -> Array:
        return np.full(flat(frame, states).shape, np.nan)

    def least(frame: Any, states: Any) -> Array:
        return least_of(whole(frame), beyond(frame), flat(frame, states))

    def least_error(frame: Any, states: Any) -> Array:
        return off(states) + rounding(whole(frame), flat(frame, states))

    def error(frame: Any, states: Any) -> Array:
        shape = flat(frame, states).shape
        return np.broadcast_to(least_error(frame, states)[:, None], shape)

    return {
        "eigenvalue": all_of,
        "eigenvalue_dot": unknown,
        "eigenvalue_error": error,
        "least_eigenvalue": least,
        "least_eigenvalue_error": least_error,
    }


def least_of(network: Network, beyond: int, y: Array) -> Array:
    """Least eigenvalue in all dimensions, shape (T,); NaN of many numbers, and at a kink."""
    found = np.full(len(y), np.nan)
    if network.size > MOST_AXES:
        return found
    for k, state in enumerate(y):
        with np.errstate(all="ignore"):
            finite = np.isfinite(arrays.hessian(network, state)).all()
        if finite:
            found[k] = spectrum(network, beyond, state)[0].min()
    return found


def rounding(network: Network, y: Array) -> Array:
    """Rounding of eigenvalues, shape (T,)."""
    if network.size > MOST_AXES:
        return np.zeros(len(y))
    with np.errstate(all="ignore"):
        size = np.array([np.linalg.norm(arrays.hessian(network, state)) for state in y])
    return np.asarray(ROUNDINGS * EPSILON * size)
