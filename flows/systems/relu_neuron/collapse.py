"""Neurons at zero: the flow continued as the curve of maximal slope.

The gradient flow is not Lipschitz where a neuron vanishes. To first order a neuron ``s u`` put at
zero, ``|u| = 1``, changes the loss by ``s D(u)``,

    D(u) = 1/2 r.u + sum_j mu_j |w_j| (sin theta_j - theta_j cos theta_j) / (2 pi),

with ``theta_j`` the angle between ``u`` and ``w_j`` (the derivative of the pair energy by
``|a|``). The curve of maximal slope leaves along the minimiser of ``D`` on the unit sphere, with
speed ``-D``, if that minimum is negative; otherwise the neuron stays at zero.
Source: Ambrosio, Gigli & Savare, Gradient Flows (2008), chapter 1, for curves of maximal slope.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize

from flows.core.arrays import Array
from flows.core.threads import one_thread
from flows.systems.relu_neuron import lone
from flows.systems.relu_neuron.pairs import lowered, signed
from flows.systems.relu_neuron.state import SoundState

# A minimum of D above this fraction of the size of its terms is rounding, not a way down.
NOISE = 1e-13
# The search for the minimum looks at this many random directions, and polishes the best few.
RANDOM_PER_DIMENSION = 8
POLISHED = 3


def slope(u: Array, mu: Array, state: SoundState) -> tuple[Array, Array]:
    """``D`` and its gradient at ``u`` (any length; ``D`` is homogeneous of degree one).

    Parameters
    ----------
    u : ndarray, shape (..., 1 + p) or longer
        Directions; coordinates beyond ``1 + p`` are orthogonal to everything in the state.
    mu : ndarray, shape (k,)
        Multiplicities.
    state : SoundState
        One state.

    Returns
    -------
    ndarray, ndarray
        ``D(u)``, shape (...), and ``dD/du``, of the shape of ``u``.
    """
    return _slope(mu, state, u.shape[-1] - state.r.shape[0])(u)


def _slope(mu: Array, state: SoundState, extra: int) -> Callable[[Array], tuple[Array, Array]]:
    """Return ``D`` and its gradient as a function of ``u`` with so many coordinates more."""
    if lone.lonely(state):
        return _lone_slope(mu, state, extra)
    others = np.vstack([np.column_stack([state.h, state.z]), np.eye(1, state.r.shape[0])])
    norms = np.linalg.norm(others, axis=1)
    alive = norms > 0
    norms, weight = norms[alive], signed(mu)[alive]
    units = _wider(others[alive] / norms[:, None], extra)
    half = 0.5 * _wider(state.r, extra)
    turn = lowered()[1]

    def at(u: Array) -> tuple[Array, Array]:
        own = u / _length(u)[..., None]
        minus, plus = own[..., None, :] - units, own[..., None, :] + units
        theta = 2 * np.arctan2(_length(minus), _length(plus))
        unit, chord = turn(1.0, norms, theta)
        gradient = (
            half
            + np.sum(weight * unit, axis=-1)[..., None] * own
            + np.sum((weight * chord)[..., None] * minus, axis=-2)
        )
        # Euler: D is homogeneous of degree one.
        return np.sum(gradient * u, axis=-1), gradient

    return at


def _lone_slope(mu: Array, state: SoundState, extra: int) -> Callable[[Array], tuple[Array, Array]]:
    """Return ``D`` where one neuron is beside the teacher, whose pulls nearly cancel."""
    s = lone.lone(mu, state)
    units, weight, d = _wider(s.units, extra), s.mu * s.norms / (2 * np.pi), _wider(s.d, extra)
    half = _wider(s.r, extra) / 2

    def at(u: Array) -> tuple[Array, Array]:
        own = u / _length(u)[..., None]
        minus, plus = _length(own[..., None, :] - units), _length(own[..., None, :] + units)
        along = np.sum(weight * minus * plus / 2, axis=-1)[..., None] * own
        near = own[..., :1] > 0
        gap = np.where(near & s.near, -2 * np.arctan2(minus, plus), 2 * np.arctan2(plus, minus))
        gradient = lone.together(own, d, near) + np.where(near, half, 0.0) + along
        gradient = gradient + np.sum((weight * gap)[..., None] * units, axis=-2)
        return np.sum(gradient * u, axis=-1), gradient

    return at


def _length(vectors: Array) -> Array:
    """Lengths along the last axis; for a few short vectors twice as fast as NumPy's norm."""
    return np.sqrt(np.sum(vectors * vectors, axis=-1))


def _wider(vectors: Array, extra: int) -> Array:
    """Vectors with so many zeros behind; many times as fast as `np.pad`."""
    return np.concatenate([vectors, np.zeros((*vectors.shape[:-1], extra))], axis=-1)


def steepest(
    mu: Array, state: SoundState, room: bool, guess: Array | None = None
) -> tuple[float, Array]:
    """Minimum of ``D`` over the unit sphere and where it is attained.

    Parameters
    ----------
    mu, state
        As in :func:`slope`.
    room : bool
        Whether the space has a dimension outside the state's span; one is searched too.
    guess : ndarray, optional
        Where the minimum was a little before.

    Returns
    -------
    float, ndarray
        ``min D`` and the minimiser, shape (1 + p + room,).

    Accuracy
    --------
    Quasi-Newton search from the best of the directions of the neurons, the teacher, the residual
    and random ones.
    """
    q = state.r.shape[0]
    if q + room == 1:
        ends = np.array([[1.0], [-1.0]])
        values = slope(ends, mu, state)[0]
        return float(values.min()), ends[int(np.argmin(values))]
    random = np.random.default_rng(0).normal(size=(RANDOM_PER_DIMENSION * q, q))
    rows = np.vstack([np.column_stack([state.h, state.z]), np.eye(1, q), state.r[None], random])
    rows = rows[np.linalg.norm(rows, axis=1) > 0]
    rows = np.vstack([rows, -rows])
    starts = _wider(rows, int(room))
    if room:
        starts[:, -1] = 0.1 * np.linalg.norm(starts, axis=1)
    starts /= np.linalg.norm(starts, axis=1, keepdims=True)
    at = _slope(mu, state, int(room))
    starts = starts[np.argsort(at(starts)[0])[:POLISHED]]
    if guess is not None:
        starts = np.vstack([starts[:1], guess])

    def on_sphere(x: Array) -> tuple[float, Array]:
        size = float(np.linalg.norm(x))
        value, gradient = at(x)
        return float(value) / size, (gradient - value / size * x / size) / size

    best, where = np.inf, starts[0]
    with one_thread():
        for x in starts:
            found = scipy.optimize.minimize(
                on_sphere, x, jac=True, method="L-BFGS-B", options={"ftol": 1e-13, "gtol": 1e-10}
            )
            if found.fun < best:
                best, where = float(found.fun), found.x / np.linalg.norm(found.x)
    return best, where


def terms_size(mu: Array, state: SoundState) -> float:
    """Size of the terms of ``D``, the yardstick of its rounding."""
    if lone.lonely(state):
        return float(lone.reach(mu, state))
    norms = np.linalg.norm(np.column_stack([state.h, state.z]), axis=1)
    return float(np.sum(mu * norms) + 1.0)
