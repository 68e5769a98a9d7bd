"""Geometry of all pairs of neurons and teacher, without cancellation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.systems.relu_neuron.state import SoundState
from symbolic.language import lower
from symbolic.systems.relu_neuron import pair as relu_neuron


class Pairs(NamedTuple):
    """Geometry of all pairs of neurons, the teacher being the last one.

    Neurons on the far side of the teacher (``h < 0``) are flipped, ``sign = -1``: with
    ``e(a, b) = e(a, -b) - a.b / 2`` no pair then contributes a large term that others cancel.

    ``units`` (..., k+1, q) and ``norms`` (..., k+1); ``minus`` and ``plus`` (..., k+1, k+1, q)
    are differences and sums of unit vectors; ``theta`` (..., k+1, k+1) angles; ``sign``
    (..., k+1).
    """

    units: Array
    norms: Array
    minus: Array
    plus: Array
    theta: Array
    sign: Array


def pairs(state: SoundState) -> Pairs:
    """Geometry of ``state`` without cancellation; a neuron at zero has the unit vector zero."""
    shape = state.h.shape[:-1]
    h = np.concatenate([state.h, np.ones((*shape, 1))], axis=-1)
    z = np.concatenate([state.z, np.zeros((*shape, 1, state.z.shape[-1]))], axis=-2)
    sign = np.where(h < 0, -1.0, 1.0)
    zeta = np.linalg.norm(z, axis=-1)
    norms = np.hypot(h, zeta)
    safe = np.where(norms > 0, norms, 1.0)
    units = np.concatenate([np.abs(h)[..., None], sign[..., None] * z], axis=-1) / safe[..., None]
    # 1 - cos without subtracting cosines.
    m = (zeta / safe) ** 2 / (1 + units[..., 0])
    minus = units[..., :, None, :] - units[..., None, :, :]
    minus[..., 0] = m[..., None, :] - m[..., :, None]
    plus = units[..., :, None, :] + units[..., None, :, :]
    i, j = np.triu_indices(units.shape[-2], 1)
    chord, antichord = (np.linalg.norm(each_pair(x, i, j), axis=-1) for x in (minus, plus))
    theta = both_ways(2 * np.arctan2(chord, antichord), i, j)
    return Pairs(units, norms, minus, plus, theta, sign)


def each_pair(vectors: Array, i: NDArray[np.intp], j: NDArray[np.intp]) -> Array:
    """Vectors (..., pairs, q) of pairs, from those of all, (..., k+1, k+1, q)."""
    *lead, count, _, q = vectors.shape
    return np.take(vectors.reshape(*lead, count * count, q), i * count + j, axis=-2)


def both_ways(values: Array, i: NDArray[np.intp], j: NDArray[np.intp]) -> Array:
    """Symmetric matrices (..., k+1, k+1) of values of pairs; zero on the diagonal."""
    count = j[-1] + 1
    found = np.zeros((*values.shape[:-1], count, count))
    found[..., i, j] = found[..., j, i] = values
    return found


def unflipped(g: Pairs, i: Any, j: Any) -> tuple[Array, Array]:
    """Differences and sums of the unit vectors of pairs as they are, (..., pairs, q)."""
    sign, minus, plus = g.sign[..., i, None], g.minus[..., i, j, :], g.plus[..., i, j, :]
    same = sign * g.sign[..., j, None] > 0
    return sign * np.where(same, minus, plus), sign * np.where(same, plus, minus)


def flipped_residual(multiplicity: Array, state: SoundState) -> Array:
    """Residual of the flipped neurons, ``r - 2 sum over h < 0 of mu_i w_i``."""
    weight = np.where(state.h < 0, -2.0 * multiplicity, 0.0)[..., None]
    neurons = state.neurons
    return state.r + np.sum(weight * neurons, axis=-2)


@functools.cache
def lowered() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Pair energy and pair gradient as NumPy functions of ``alpha, beta, theta``."""
    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    energy = lower.lower((relu_neuron.pair_energy(),), sizes, "numpy")
    return energy, lower.lower(relu_neuron.pair_gradient(), sizes, "numpy")


def signed(multiplicity: Array) -> Array:
    """Multiplicities with the teacher's -1 appended."""
    return np.append(multiplicity, -1.0)
