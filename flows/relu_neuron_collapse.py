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

import numpy as np
import scipy.optimize

from flows.relu_neuron_geometry import Sound, lowered, signed
from flows.self_similar import Array

# A minimum of D above this fraction of the size of its terms is rounding, not a way down.
NOISE = 1e-13
STARTS = 16


def slope(u: Array, mu: Array, state: Sound) -> tuple[float, Array]:
    """``D`` and its gradient at ``u`` (any length; ``D`` is homogeneous of degree one).

    Parameters
    ----------
    u : ndarray, shape (1 + p,) or longer
        Direction; coordinates beyond ``1 + p`` are orthogonal to everything in the state.
    mu : ndarray, shape (k,)
        Multiplicities.
    state : Sound
        One state.

    Returns
    -------
    float, ndarray
        ``D(u)`` and ``dD/du``.
    """
    others = np.vstack([np.column_stack([state.h, state.z]), np.eye(1, state.r.shape[0])])
    others = np.pad(others, [(0, 0), (0, len(u) - others.shape[1])])
    r = np.pad(state.r, (0, len(u) - state.r.shape[0]))
    norms = np.linalg.norm(others, axis=1)
    alive = norms > 0
    others, norms, weight = others[alive], norms[alive], signed(mu)[alive]
    size = float(np.linalg.norm(u))
    own = u / size
    minus = own - others / norms[:, None]
    plus = own + others / norms[:, None]
    theta = 2 * np.arctan2(np.linalg.norm(minus, axis=1), np.linalg.norm(plus, axis=1))
    unit, chord = lowered()[1](1.0, norms, theta)
    gradient = 0.5 * r + np.sum(weight * unit) * own + (weight * chord) @ minus
    # Euler: D is homogeneous of degree one.
    return float(gradient @ u), gradient


def steepest(mu: Array, state: Sound, room: bool, seed: int = 0) -> tuple[float, Array]:
    """Minimum of ``D`` over the unit sphere and where it is attained.

    Parameters
    ----------
    mu, state
        As in :func:`slope`.
    room : bool
        Whether the space has a dimension outside the state's span; one is searched too.
    seed : int
        Seed of the random starts of the search.

    Returns
    -------
    float, ndarray
        ``min D`` and the minimiser, shape (1 + p + room,).

    Accuracy
    --------
    Multi-start quasi-Newton search: the best of the local minima reached from the directions of
    the neurons, the teacher, the residual and random ones.
    """
    q = state.r.shape[0]
    if q + room == 1:
        values = [(slope(np.array([s]), mu, state)[0], np.array([s])) for s in (1.0, -1.0)]
        return min(values, key=lambda pair: pair[0])
    rng = np.random.default_rng(seed)
    rows = np.vstack([np.column_stack([state.h, state.z]), np.eye(1, q), state.r[None]])
    rows = rows[np.linalg.norm(rows, axis=1) > 0]
    rows = np.vstack([rows, -rows, rng.normal(size=(STARTS, q))])
    starts = np.pad(rows, [(0, 0), (0, int(room))])
    if room:
        starts[:, -1] = 0.1 * np.linalg.norm(starts, axis=1)

    def on_sphere(x: Array) -> tuple[float, Array]:
        size = float(np.linalg.norm(x))
        value, gradient = slope(x, mu, state)
        return value / size, (gradient - value / size * x / size) / size

    best, where = np.inf, starts[0]
    for x in starts:
        found = scipy.optimize.minimize(on_sphere, x / np.linalg.norm(x), jac=True,
                                        method="L-BFGS-B",
                                        options={"ftol": 1e-15, "gtol": 1e-12})  # fmt: skip
        if found.fun < best:
            best, where = float(found.fun), found.x / np.linalg.norm(found.x)
    return best, where


def terms_size(mu: Array, state: Sound) -> float:
    """Size of the terms of ``D``, the yardstick of its rounding."""
    norms = np.linalg.norm(np.column_stack([state.h, state.z]), axis=1)
    return float(np.sum(mu * norms) + 1.0)
