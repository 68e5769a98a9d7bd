"""Loss, gradient and Hessian at one state of a user, with the digits of doubles."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.balls import PairBalls
from flows.systems.hidden_layer.network import Network
from flows.systems.own.exact import is_sharp, is_steep, value_of

__all__ = ["gradient", "hessian", "loss"]


def loss(network: Network, state: Array) -> float:
    """Loss of a state, to the last digits of doubles; 0 where 1700 bits do not tell it from zero.

    Parameters
    ----------
    network : Network
        Students and teachers.
    state : ndarray, shape (n, d), or (n, d + 1) with trained outputs
        The user's.
    """
    found = _both(network, state, lambda both: is_sharp(both[:1]))
    return max(0.0, float(found[0]))  # never -0.0


def gradient(network: Network, state: Array) -> Array:
    """Gradient of the loss, of the state's shape: zero at a student at a kink, at zero."""
    found = np.array([float(x) for x in _both(network, state, is_steep)[1:]])
    return network.shaped(found)


def hessian(network: Network, state: Array) -> Array:
    """Hessian of the loss, rows in the order of ``state.ravel()``; NaN at a student that is zero.

    Accuracy: a few roundings of its largest entry.
    """
    order = _flat(network, np.arange(state.size, dtype=float).reshape(state.shape)).astype(int)
    matrix = arrays.hessian(network, _flat(network, state))
    found = np.empty_like(matrix)
    found[np.ix_(order, order)] = matrix
    return found


def _flat(network: Network, state: Array) -> Array:
    d = network.d
    return network.joined(state[:, :d], state[:, d] if network.trained else state[:, 0])


def _both(network: Network, state: Array, small: Any) -> Any:
    """Loss and gradient in balls."""
    exact, y = PairBalls(network), [arb(x) for x in _flat(network, state).tolist()]
    found = value_of(lambda: exact.both(y), small)
    return [0.0] * (1 + len(y)) if found is None else found
