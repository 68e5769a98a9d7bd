"""Eigenvalues of the Hessian of two layers, in the span of a run and beyond it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flows.core.arrays import Array
from flows.systems.own.sound_state import SoundState
from flows.systems.two_layer import arrays
from flows.systems.two_layer.network import Network

__all__ = ["MOST_AXES", "least_errors", "least_of", "spectrum"]

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


def least_of(network: Network, beyond: int, states: SoundState) -> Array:
    """Least eigenvalue in all dimensions, shape (T,); NaN of many numbers, and at a kink."""
    found = np.full(len(states), np.nan)
    if network.size > MOST_AXES:
        return found
    for k, y in enumerate(states.x):
        with np.errstate(all="ignore"):
            finite = np.isfinite(arrays.hessian(network, y)).all()
        if finite:
            found[k] = spectrum(network, beyond, y)[0].min()
    return found


def least_errors(network: Network, states: SoundState) -> Array:
    """Errors of :func:`least_of`, of states and of rounding, shape (T,)."""
    with np.errstate(all="ignore"):
        size = np.array([np.linalg.norm(arrays.hessian(network, y)) for y in states.x])
    return np.asarray(np.linalg.norm(states.error, axis=-1) + ROUNDINGS * EPSILON * size)
