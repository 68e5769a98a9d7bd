"""Who is on the target, who recedes, whether the loss is on a plateau.

A regime changes where one of a few smooth functions of the state, its *marks*, passes through zero.
"""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array
from flows.systems.mixture.expectation import UNDERFLOW
from flows.systems.mixture.means import CERTAIN

# A component at home is locked on the target within 1/(3n), the radius of Theorem 2.1.
RADIUS = 1 / 3
# A plateau: the loss changes by less than this part of itself in the time that has passed.
SLOW = 0.05


def regimes(
    times: Array, weight: Array, mu: Array, velocity: Array, fisher: Array, n: int, unit: float
) -> tuple[Array, Array]:
    """Regimes of states, a row of ones and zeros each.

    Parameters
    ----------
    times : ndarray, shape (T,)
        When.
    weight : ndarray, shape (k,)
        Of the distinct components.
    mu, velocity : ndarray, shape (T, k, r)
        Means and their velocities.
    fisher : ndarray, shape (T,)
        ``E|v|^2``.
    n, unit : int, float
        Number of the user's components, and their length over that of means.

    Returns
    -------
    found : ndarray, shape (T, 2 k + 1)
        Who is on the target, who recedes while another one is there, and whether the loss is
        on a plateau.
    marks : ndarray, shape (T, 3 k + 1)
        Functions of the state one of which changes its sign where the regime changes.
    """
    square, speed = (mu * mu).sum(axis=-1), (velocity * velocity).sum(axis=-1)
    near = RADIUS / n - np.sqrt(square)
    # Of the nearest one it is no zero, however far all of them are.
    certain = weight * np.exp((square.min(axis=-1, keepdims=True) - square) / 2)
    certain = certain / certain.sum(axis=-1, keepdims=True) - CERTAIN
    outward = (mu * velocity).sum(axis=-1)
    moves = (np.round(n * weight) * speed).sum(axis=-1)
    slow = (SLOW * fisher - unit * unit * moves * times)[:, None]
    locked = (certain >= 0) & (near >= 0)
    recedes = (outward > 0) & (certain < 0) & locked.any(axis=-1, keepdims=True)
    plateau = (slow >= 0) & (fisher[:, None] > UNDERFLOW)
    marks = np.concatenate([near, certain, outward, slow], axis=-1)
    return np.concatenate([locked, recedes, plateau], axis=-1).astype(float), marks
