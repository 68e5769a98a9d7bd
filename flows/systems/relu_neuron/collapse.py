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

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from flows.arithmetic.kept import inner, kept, outer
from flows.arithmetic.signatures import signature_of
from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.sphere import make_least
from flows.systems.relu_neuron import lone
from flows.systems.relu_neuron.pairs import lowered, signed
from flows.systems.relu_neuron.state import SoundState
from symbolic.language import lower
from symbolic.systems.relu_neuron import pair

# A minimum of D above this fraction of the size of its terms is rounding, not a way down.
NOISE = 1e-13
# The search for the minimum looks at this many random directions, and polishes the best few.
RANDOM_PER_DIMENSION = 8
POLISHED = 6


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
    units, norms, weight, half = _terms(mu, state, extra)
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


def _terms(mu: Array, state: SoundState, extra: int) -> tuple[Array, Array, Array, Array]:
    """Unit vectors of neurons and teacher, their lengths and multiplicities, and ``r/2``."""
    others = np.vstack([state.neurons, np.eye(1, state.r.shape[0])])
    norms = np.linalg.norm(others, axis=1)
    alive = norms > 0
    units = _wider(others[alive] / norms[alive, None], extra)
    return units, norms[alive], signed(mu)[alive], 0.5 * _wider(state.r, extra)


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
    rows = np.vstack([state.neurons, np.eye(1, q), state.r[None], _random(q)])
    rows = rows[np.linalg.norm(rows, axis=1) > 0]
    rows = np.vstack([rows, -rows])
    starts = _wider(rows, int(room))
    if room:
        starts[:, -1] = 0.1 * np.linalg.norm(starts, axis=1)
    starts /= np.linalg.norm(starts, axis=1, keepdims=True)
    least, data = _search(mu, state, int(room))
    guess = None if guess is None else guess[None]
    size = terms_size(mu, state)
    found = [least(data, some, POLISHED, size) for some in (starts, guess) if some is not None]
    value, where = min(found, key=lambda pair: float(pair[0]))
    return float(value), where


@functools.cache
def _random(q: int) -> Array:
    """Return the directions at which every search looks."""
    return np.random.default_rng(0).normal(size=(RANDOM_PER_DIMENSION * q, q))


def _search(mu: Array, state: SoundState, extra: int) -> tuple[Callable[..., Any], Any]:
    """Return the search of :func:`flows.core.sphere.make_least` and its data."""
    if not lone.lonely(state):
        return _compiled(), _terms(mu, state, extra)
    at = _lone_slope(mu, state, extra)

    def plainly(_: Any, u: Array, gradient: Array) -> float:
        value, gradient[:] = at(u)
        return float(value)

    search = make_least(plainly)

    def least(data: Any, starts: Array, count: int, size: float) -> tuple[float, Array]:
        # All directions at once take the time of one.
        best = np.argsort(at(starts)[0])[:count]
        found: tuple[float, Array] = search(data, starts[best], count, size)
        return found

    return least, None


@functools.cache
@uncollected()
def _compiled() -> Callable[..., Any]:
    """Return the search where no neuron is alone, compiled."""
    data = (tuple, "real 2", "real 1", "real 1", "real 1")
    found = (tuple, "real", "real 1")
    signature = signature_of(data, "real 2", "whole", "real", returns=found)

    def make() -> Any:
        return outer(make_least(inner(make_slope())))

    return cast("Callable[..., Any]", kept((make_least, make_slope), signature, make))


def make_slope() -> Callable[..., float]:
    """Make ``at(data, u, gradient)`` of a unit vector ``u``: ``D`` and its gradient.

    It is what :func:`slope` is, one direction at a time, to be compiled. ``data`` is that of
    :func:`_terms`.
    """
    sizes = (pair.ALPHA, pair.BETA, pair.THETA)
    pull = outer(lower.lower(pair.pair_gradient(), sizes, "math"), counts=False)

    def at(data, u, gradient):  # type: ignore[no-untyped-def]
        units, norms, weight, half = data
        gradient[:] = half
        along = 0.0
        for j in range(len(norms)):
            minus, plus = 0.0, 0.0
            for i in range(len(u)):
                minus += (u[i] - units[j, i]) ** 2
                plus += (u[i] + units[j, i]) ** 2
            theta = 2.0 * math.atan2(math.sqrt(minus), math.sqrt(plus))
            unit, chord = pull(1.0, norms[j], theta)
            along += weight[j] * unit
            for i in range(len(u)):
                gradient[i] += weight[j] * chord * (u[i] - units[j, i])
        value = 0.0
        for i in range(len(u)):
            gradient[i] += along * u[i]
            value += gradient[i] * u[i]
        return value

    return at


def terms_size(mu: Array, state: SoundState) -> float:
    """Size of the terms of ``D``, the yardstick of its rounding."""
    if lone.lonely(state):
        return float(lone.reach(mu, state))
    norms = np.linalg.norm(state.neurons, axis=1)
    return float(np.sum(mu * norms) + 1.0)
