"""Loss, gradient and Hessian at one state of a user, with the digits of doubles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.balls import PairBalls
from flows.systems.hidden_layer.network import Network
from flows.systems.own.exact import is_sharp, is_steep, value_of

__all__ = ["Values"]


@dataclass(frozen=True)
class Values:
    """Functions of a user's state, of shape (n, d), or (n, d + 1) with trained outputs.

    Parameters
    ----------
    network : Network
        Students and teachers.
    """

    network: Network

    def loss(self, state: Array) -> float:
        """Loss, to the last digits of doubles; 0 where 1700 bits do not tell it from zero."""
        found = self._both(state, lambda both: is_sharp(both[:1]))
        return max(0.0, float(found[0]))  # never -0.0

    def gradient(self, state: Array) -> Array:
        """Gradient of the loss, of the state's shape: zero at a student at a kink, at zero."""
        found = np.array([float(x) for x in self._both(state, is_steep)[1:]])
        return self.network.shaped(found)

    def hessian(self, state: Array) -> Array:
        """Hessian of the loss, rows in the order of ``state.ravel()``; NaN at a student at zero.

        Accuracy: a few roundings of its largest entry.
        """
        places = np.arange(state.size, dtype=float).reshape(state.shape)
        order = self._flat(places).astype(int)
        matrix = arrays.hessian(self.network, self._flat(state))
        found = np.empty_like(matrix)
        found[np.ix_(order, order)] = matrix
        return found

    def _flat(self, state: Array) -> Array:
        d, trained = self.network.d, self.network.trained
        return self.network.joined(state[:, :d], state[:, d] if trained else state[:, 0])

    def _both(self, state: Array, small: Any) -> Any:
        """Loss and gradient in balls."""
        exact, y = PairBalls(self.network), [arb(x) for x in self._flat(state).tolist()]
        found = value_of(lambda: exact.both(y), small)
        return [0.0] * (1 + len(y)) if found is None else found
