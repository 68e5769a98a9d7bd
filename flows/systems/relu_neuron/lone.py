r"""One neuron beside the teacher, all others far or short: loss, gradient and slope at zero.

While the others are on the far side everything decays exponentially, they and the distance
`d = mu_0 w_0 - v` alike, far below the rounding of the neuron `w_0` and the teacher, whose pulls
nearly cancel. One that turns to the near side then stays as short as it is. With the kernel

.. math:: K(a, b) = E \, \mathrm{relu}(a \cdot x) \, \mathrm{relu}(b \cdot x), \qquad
          2\pi \frac{\partial K}{\partial a} = |b| \sin\theta \, \bar a + (\pi - \theta) \, b

what neuron and teacher pull together is a difference that is taken exactly,

.. math:: 2\pi \left[\frac{\partial K}{\partial a}(a, v + d) - \frac{\partial K}{\partial a}(a, v)
          \right] = \Delta \, \bar a + (\pi - \theta') \, d + (\theta - \theta') \, v,
          \qquad \Delta = |(v + d)_\perp| - |v_\perp|

with the parts orthogonal to `a`; `theta'` is the angle between `a` and `v + d`. On the near side
the linear parts, `b/2` of each vector, are left to the residual: `pi - theta` becomes `-theta`.
Source: equation 4 of Xu & Du, arXiv 2302.10034, for the derivative of the kernel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array, lengths
from flows.systems.relu_neuron.pairs import Pairs, lowered, pairs
from flows.systems.relu_neuron.state import SoundState

TINY = 1e-300
# Neurons beside the lone one are this short at most.
SHORT = 1e-3


class Lone(NamedTuple):
    """States whose neurons are far or short but for one.

    ``first`` (...): which one; ``mu`` (..., k): multiplicities, 0 of that one; ``d`` (..., q): its
    distance from the teacher; ``r`` (..., q): residual without the far neurons; ``near`` (..., k):
    whether a neuron is on the side of the teacher; ``units`` (..., k, q), ``norms`` (..., k): the
    neurons.
    """

    first: Any
    mu: Array
    d: Array
    r: Array
    near: Any
    units: Array
    norms: Array
    pairs: Pairs


def lonely(state: SoundState) -> Any:
    """Whether all neurons but one lie on the far side of the teacher or are short, shape (...)."""
    short = (np.abs(state.h) < SHORT) & (np.abs(state.z) < SHORT).all(axis=-1)
    beside = (state.h > 0) & ~short
    return np.sum(beside, axis=-1) == 1


def lone(multiplicity: Array, state: SoundState) -> Lone:
    """Geometry of states that are :func:`lonely`, of neurons down to the smallest double."""
    first, mu, d, size = _beside(multiplicity, state)
    near = state.h > 0
    r = state.r - np.sum(np.where(near, 0.0, mu)[..., None] * state.neurons, axis=-2)
    g = pairs(SoundState(state.h / size, state.z / size[..., None], state.r))
    units = (g.sign[..., None] * g.units)[..., :-1, :]
    return Lone(first, mu, d, r, near, units, g.norms[..., :-1] * size, g)


def _beside(multiplicity: Array, state: SoundState) -> tuple[Any, Array, Array, Array]:
    """Which is the lone neuron, multiplicities of the others, its distance, sizes of neurons."""
    first = np.argmax(state.h, axis=-1)
    others = np.arange(state.h.shape[-1]) != first[..., None]
    mu, neurons = np.where(others, multiplicity, 0.0), state.neurons
    # Directions do not depend on lengths, whose squares may underflow.
    size = np.max(np.abs(neurons), axis=-1)
    d = state.r - np.sum(mu[..., None] * neurons, axis=-2)
    return first, mu, d, np.where(size > 0, size, 1.0)


def together(u: Array, d: Array, near: Any) -> Array:
    """What neuron and teacher pull together at unit vectors ``u``, shape (..., q).

    Without the linear part ``d/2`` where ``near``.
    """
    along, off, now, d_along, longer = _aside(u, d)
    turned = np.arctan2(d_along * off - longer * along, along * (along + d_along) + off * now)
    ahead = along + d_along
    open_ = np.where(near, -np.arctan2(now, ahead), np.arctan2(now, -ahead))
    pull = longer * u + open_ * d
    found: Array = np.concatenate([pull[..., :1] + turned, pull[..., 1:]], axis=-1)
    return found / (2 * np.pi)


def _aside(u: Array, d: Array) -> tuple[Array, ...]:
    """Parts of the teacher along unit vectors and across them, and those of `v + d` and `d`.

    They are `v` along and across, `v + d` across, `d` along, and how much longer the second one
    across is than the first.
    """
    along, off = u[..., :1], _kept(u[..., 1:])
    v = np.concatenate([off**2, -along * u[..., 1:]], axis=-1)  # the teacher, orthogonal to u
    d_along = np.sum(d * u, axis=-1, keepdims=True)
    across = d - d_along * u
    now = _kept(v + across)
    longer = np.sum(across * (2 * v + across), axis=-1, keepdims=True) / (off + now + TINY)
    return along, off, now, d_along, longer


def own(d: Array) -> Array:
    """What the lone neuron feels of itself and the teacher, without ``d/2``, shape (..., q)."""
    across = _kept(d[..., 1:])
    length = np.sqrt((1 + d[..., :1]) ** 2 + across**2)
    psi = np.arctan2(across, 1 + d[..., :1])
    sine, cosine = across / length, (1 + d[..., :1]) / length
    turned = np.concatenate([psi - sine * cosine, -sine * d[..., 1:] / length], axis=-1)
    return turned / (2 * np.pi)


def _kept(x: Array) -> Array:
    """Length along the last axis, which is kept."""
    return lengths(x)[..., None]


def _pull(s: Lone) -> Array:
    """Sum over the other neurons of what they pull at each neuron, shape (..., k, q)."""
    k = s.norms.shape[-1]
    theta, sign = s.pairs.theta[..., :k, :k], s.pairs.sign[..., :k]
    same_sign = sign[..., :, None] == sign[..., None, :]
    both = s.near[..., :, None] & s.near[..., None, :]
    open_ = np.where(both, -theta, np.where(same_sign, np.pi - theta, theta))
    weight = (s.mu * s.norms)[..., None, :] / (2 * np.pi)
    along = np.sum(weight * np.sin(theta), axis=-1)[..., None] * s.units
    return along + np.sum((weight * open_)[..., None] * s.units[..., None, :, :], axis=-2)


def gradient(multiplicity: Array, state: SoundState, known: Lone | None = None) -> Array:
    """Gradient of each neuron, shape (..., k, q), to full relative accuracy; zero at zero."""
    s = known or lone(multiplicity, state)
    here = np.arange(s.mu.shape[-1]) == s.first[..., None]
    near = s.near[..., None]
    both = together(s.units, s.d[..., None, :], near)
    both = np.where(here[..., None], own(s.d)[..., None, :], both)
    both = both + np.where(near, s.r[..., None, :] / 2, 0.0)
    return np.where(s.norms[..., None] > 0, both + _pull(s), 0.0)


def energy(multiplicity: Array, state: SoundState, known: Lone | None = None) -> Array:
    """Loss in units of ``|v|^2``, shape (...), to full relative accuracy."""
    s = known or lone(multiplicity, state)
    k = s.norms.shape[-1]
    ahead, across = 1 + s.d[..., 0], lengths(s.d[..., 1:])
    bend = np.hypot(ahead, across) * _cap(np.arctan2(across, ahead))
    far = np.sum(s.units * together(s.units, s.d[..., None, :], False), axis=-1)
    first = np.where(s.near, _near_energy(s), far)
    theta, sign = s.pairs.theta[..., :k, :k], s.pairs.sign[..., :k]
    same_sign = sign[..., :, None] == sign[..., None, :]
    both = s.near[..., :, None] & s.near[..., None, :]
    # The kernel is e(a, -b), the pair energy of a vector and the opposite of the other.
    pair = _cap(np.where(both | ~same_sign, theta, np.pi - theta))
    weight = s.mu * s.norms
    each = first + np.sum(weight[..., None, :] * pair, axis=-1) / 2
    value: Array = np.sum(s.r**2, axis=-1) / 4 - bend + np.sum(weight * each, axis=-1)
    return value


def _cap(theta: Array) -> Array:
    """Pair energy of unit vectors, `(sin - theta cos) / (2 pi)`."""
    value: Array = lowered()[0](1.0, 1.0, theta)[0]
    return value


def _near_energy(s: Lone) -> Array:
    r"""Pair energy of unit vectors with lone neuron and teacher together, shape (..., k).

    With the tangents `T`, `T'` of the angles, `s = (T' - T)/(1 + T T')` and `H(T) = T - atan T`,

    .. math:: 2\pi (e' - e) = b_\parallel' \, [s T T' + H(s)] + d_\parallel H(T).
    """
    along, off, now, d_along, longer = (x[..., 0] for x in _aside(s.units, s.d[..., None, :]))
    along = np.where(s.near, along, 1.0)
    ahead = along + d_along
    tangent, other = off / along, now / ahead
    moved = (longer * along - off * d_along) / (along * ahead) / (1 + tangent * other)
    total = ahead * (moved * tangent * other / (2 * np.pi) + _tangent_cap(moved))
    value: Array = total + d_along * _tangent_cap(tangent)
    return value


def _tangent_cap(tangent: Array) -> Array:
    """Return `(T - atan T) / (2 pi)` without cancellation."""
    return np.sign(tangent) * _cap(np.arctan(np.abs(tangent))) * np.hypot(1.0, tangent)


def reach(multiplicity: Array, state: SoundState) -> Array:
    """Size of what the rest is made of, ``|d|`` and the other neurons together, shape (...)."""
    _, mu, d, size = _beside(multiplicity, state)
    across = np.linalg.norm(state.z / size[..., None], axis=-1)
    norms = np.hypot(state.h / size, across) * size
    found: Array = _kept(d)[..., 0] + np.sum(mu * norms, axis=-1)
    return found
