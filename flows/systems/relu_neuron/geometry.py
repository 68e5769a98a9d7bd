"""Sound coordinates of the ReLU neuron: reduction, loss and gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg
from flint import arb_mat
from numpy.typing import NDArray

from flows.core.arrays import Array, distinct
from flows.core.balls import precision
from flows.systems.relu_neuron import lone
from flows.systems.relu_neuron.pairs import (
    Pairs,
    both_ways,
    flipped_residual,
    lowered,
    pairs,
    signed,
)
from flows.systems.relu_neuron.state import Frame, SoundState

# A transverse part below this fraction of its neuron is rounding of the input, not geometry.
PARALLEL = 4 * np.finfo(float).eps
# Bits of projections on the teacher: what is left across it may be 1e-15 of a neuron.
BITS = 200
# Neurons nearer to their mean than this part of their transverse length are followed no closer: the
# rounding of the field moves them by more than tight steps could bear.
COINCIDENT = 1e-8
# Neurons below this length count as zero.
SMALLEST = 1e-290
# Cosine between the teacher and a neuron that is well on its far side.
OPPOSED = -0.5


def reduce(neurons: Array, teacher: Array) -> tuple[Frame, SoundState]:
    """Bring neurons into sound coordinates, with as many digits as cancel.

    Parameters
    ----------
    neurons : ndarray, shape (n, d)
        User's neurons.
    teacher : ndarray, shape (d,)
        User's teacher.

    Returns
    -------
    Frame, SoundState
        ``p <= min(n, d - 1)`` transverse dimensions; cost ``n^2 d``.

    Accuracy
    --------
    Each number carries a relative rounding error of its own neuron's transverse part (or of the
    residual), however small that is beside the neuron.
    """
    first, count, member = distinct(neurons)
    some, mu = neurons[first], count.astype(float)
    if np.count_nonzero(teacher) == 1 and np.abs(teacher).max() == 1.0:
        return _along_axis(some, teacher, mu, member)

    with precision(BITS):
        w, v, weights = (arb_mat(x.tolist()) for x in (some, teacher[None], mu[None]))
        square = (v * v.transpose())[0, 0]
        along = w * v.transpose() * (1 / square)
        rest, unit = w - along * v, float(square.sqrt())
        across = in_doubles(rest)
        flat = np.linalg.norm(across, axis=1) <= PARALLEL * np.linalg.norm(some, axis=1)
        total = arb_mat([np.where(flat, 0.0, mu).tolist()]) * rest
        h, sums = in_doubles(along)[:, 0], in_doubles(total)[0]
        r_along = float((weights * along)[0, 0] - 1)
    transverse = np.where(flat[:, None], 0.0, across / unit)
    basis, z = _coordinates(transverse, teacher / unit)
    r = np.append(r_along, basis.T @ sums / unit)
    return Frame(teacher, basis, mu, member), SoundState(h, z, r)


def in_doubles(matrix: arb_mat) -> Array:
    """Centres of a matrix of balls."""
    return np.array([[float(x) for x in row] for row in matrix.tolist()])


def _along_axis(
    some: Array, teacher: Array, mu: Array, member: NDArray[np.intp]
) -> tuple[Frame, SoundState]:
    """Reduction for a unit teacher along an axis: parts are entries, and sums are rounded once."""
    axis = int(np.argmax(np.abs(teacher)))
    h, transverse = some[:, axis] * teacher[axis], some.copy()
    transverse[:, axis] = 0.0
    size = np.sqrt(np.sum(transverse * transverse, axis=1))
    flat = size <= PARALLEL * np.hypot(h, size)
    transverse[flat] = 0.0
    basis, z = _coordinates(transverse, teacher)
    sums = [math.fsum(column) for column in transverse[member].T.tolist()]
    along = math.fsum([*h[member].tolist(), -1.0])
    return Frame(teacher, basis, mu, member), SoundState(h, z, np.append(along, basis.T @ sums))


def _coordinates(transverse: Array, direction: Array) -> tuple[Array, Array]:
    """Orthonormal basis of the transverse span and coordinates in it."""
    size = np.linalg.norm(transverse, axis=1)
    live = size > 0
    d = direction.shape[0]
    if not live.any() or d == 1:
        return np.zeros((d, 0)), np.zeros((transverse.shape[0], 0))
    if d == 2:  # there is one direction across
        basis = np.array([[-direction[1]], [direction[0]]]) + 0.0  # no negative zero
        return basis, transverse @ basis
    scaled = (transverse[live] / size[live, None]).T
    q, r, _ = scipy.linalg.qr(scaled, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diag(r)) > 8 * len(size) * np.finfo(float).eps))
    basis = q[:, : min(rank, d - 1)]
    # Exactly orthogonal to the teacher, to the last bit that doubles allow.
    basis -= np.outer(direction, direction @ basis)
    z = np.zeros((transverse.shape[0], basis.shape[1]))
    z[live] = (scaled.T @ basis) * size[live, None]
    return basis, z


def restore(frame: Frame, state: SoundState) -> Array:
    """User's neurons, shape (..., n, d), of sound state(s)."""
    basis = frame.basis[:, : state.z.shape[-1]]
    neurons = state.h[..., None] * frame.teacher + (state.z @ basis.T) * frame.unit
    return neurons[..., frame.member, :]


def gradient(
    multiplicity: Array, state: SoundState, geometry: Pairs | None = None, beside: Any = None
) -> Array:
    """Gradient of each distinct neuron, shape (..., k, q); zero where a neuron is at zero.

    ``grad_i = r/4 + s_i [ r~/4 + sum_j mu_j de(w~_i, w~_j)/dw~_i ]`` with the flipped neurons
    ``w~_i = s_i w_i`` and their residual ``r~``. ``geometry`` and, of lonely states, ``beside``
    (:func:`flows.systems.relu_neuron.lone.lone`) may be known.
    """
    alone = lone.lonely(state)
    if np.all(alone):
        return lone.gradient(multiplicity, state, beside)
    g = geometry or pairs(state)
    k = state.h.shape[-1]
    unit, chord = lowered()[1](g.norms[..., :k, None], g.norms[..., None, :], g.theta[..., :k, :])
    mu = signed(multiplicity)
    own = np.sum(mu * unit, axis=-1)[..., None] * g.units[..., :k, :]
    across = np.sum((mu * chord)[..., None] * g.minus[..., :k, :, :], axis=-2)
    even = 0.25 * flipped_residual(multiplicity, state)[..., None, :] + own + across
    total = 0.25 * state.r[..., None, :] + g.sign[..., :k, None] * even
    total = np.where(g.norms[..., :k, None] > 0, total, 0.0)
    if np.any(alone):
        total[alone] = lone.gradient(multiplicity, state.at(alone), beside)
    return total


def energy(
    multiplicity: Array, state: SoundState, geometry: Pairs | None = None, beside: Any = None
) -> Array:
    """Loss in units of ``|v|^2``, shape (...).

    ``L = (|r|^2 + |r~|^2)/8 + 1/2 sum_jl mu_j mu_l e(w~_j, w~_l)``, see :class:`Pairs`. What may be
    known is as for :func:`gradient`.
    """
    g = geometry or pairs(state)
    mu = signed(multiplicity) * g.norms
    i, j = np.triu_indices(mu.shape[-1], 1)
    each = both_ways(lowered()[0](1.0, 1.0, g.theta[..., i, j])[0], i, j)
    terms = mu[..., :, None] * mu[..., None, :] * each
    residuals = state.r**2 + flipped_residual(multiplicity, state) ** 2
    value = np.asarray(np.sum(residuals, axis=-1) / 8 + np.sum(terms, axis=(-2, -1)) / 2)
    alone = lone.lonely(state)
    if np.any(alone):
        value[alone] = lone.energy(multiplicity, state.at(alone), beside)
    return value
