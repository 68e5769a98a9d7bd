"""Sound coordinates of the ReLU neuron: reduction, loss and gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from flows.core import double_double as dd
from flows.core.arrays import Array
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
# Neurons nearer to their mean than this part of their transverse length are followed no closer: the
# rounding of the field moves them by more than tight steps could bear.
COINCIDENT = 1e-8
# Neurons below this length count as zero.
SMALLEST = 1e-290
# Cosine between the teacher and a neuron that is well on its far side.
OPPOSED = -0.5


def reduce(neurons: Array, teacher: Array) -> tuple[Frame, SoundState]:
    """Bring neurons into sound coordinates, in double-double arithmetic where digits cancel.

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
    # Adding zero makes the two signs of zero one; a row's bytes then say which neuron it is.
    index: dict[bytes, int] = {}
    member = np.array([index.setdefault((w + 0.0).tobytes(), len(index)) for w in neurons])
    count = np.bincount(member)
    distinct = neurons
    if len(index) < len(neurons):
        distinct = neurons[np.unique(member, return_index=True)[1]]
    mu = count.astype(float)
    if np.count_nonzero(teacher) == 1 and np.abs(teacher).max() == 1.0:
        return _along_axis(neurons, distinct, teacher, mu, member)

    v = dd.exact(teacher)
    square = dd.dot(teacher, teacher)
    unit = float(np.sqrt(square.high))
    along = dd.divide(dd.dot(distinct, teacher), square)
    shadow = dd.multiply(dd.Pair(along.high[:, None], along.low[:, None]), v)
    across = dd.add(dd.exact(distinct), dd.Pair(-shadow.high, -shadow.low))
    size = np.linalg.norm(distinct, axis=1)
    transverse = across.high / unit
    flat = np.linalg.norm(across.high, axis=1) <= PARALLEL * size
    transverse[flat] = 0.0

    basis, z = _coordinates(transverse, teacher / unit)
    weighted = dd.multiply(along, dd.exact(mu))
    r_along = dd.add(dd.total(weighted, axis=0), dd.exact(np.array(-1.0)))
    live = ~flat
    across_sum = (
        dd.total(
            dd.multiply(dd.Pair(across.high[live], across.low[live]), dd.exact(mu[live, None])),
            axis=0,
        ).high
        if live.any()
        else np.zeros_like(teacher)
    )
    r = np.concatenate([[r_along.high], basis.T @ across_sum / unit])
    return Frame(teacher, basis, mu, member), SoundState(along.high, z, r)


def _along_axis(
    neurons: Array, distinct: Array, teacher: Array, mu: Array, member: NDArray[np.intp]
) -> tuple[Frame, SoundState]:
    """Reduction for a unit teacher along an axis: parts are entries, and sums are rounded once."""
    axis = int(np.argmax(np.abs(teacher)))
    h, transverse = distinct[:, axis] * teacher[axis], distinct.copy()
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
