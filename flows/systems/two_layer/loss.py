"""The loss of a network, with the methods that own losses have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import Code
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.balls import PairBalls
from flows.systems.hidden_layer.network import Network
from flows.systems.hidden_layer.program import codes_of
from flows.systems.own.energy import MOST_TOGETHER

__all__ = ["PairLoss"]


@dataclass(frozen=True)
class PairLoss:
    """Value, gradient and Hessian of flat states, as of :class:`flows.systems.own.loss.Loss`.

    Parameters
    ----------
    network : Network
        Students and teachers.
    """

    network: Network

    @property
    def averaged(self) -> bool:
        """Never: kernels are in closed form."""
        return False

    @property
    def exact(self) -> PairBalls:
        """The loss in balls."""
        return PairBalls(self.network)

    @property
    def codes(self) -> tuple[Code | None, Code | None]:
        """Programs of the gradient and of its rates, of few entries; none of equal students."""
        network = self.network
        few = network.size <= MOST_TOGETHER and not network.counts
        found = codes_of(network) if few else None
        if found is None:
            return None, None
        gradient, _, rates = found
        return gradient._replace(results=gradient.results[: network.size]), rates

    @property
    def y(self) -> range:
        """As many as there are entries."""
        return range(self.network.size)

    def at(self, y: Array) -> tuple[Array, Array]:
        """Value and gradient of states, shapes (...) and (..., N)."""
        with np.errstate(all="ignore"):
            return arrays.loss(self.network, y), arrays.gradient(self.network, y)

    def hessian(self, y: Array, rule: Any = None) -> Array:
        """Hessian of states, shape (..., N, N)."""
        with np.errstate(all="ignore"):
            return arrays.hessian(self.network, y)

    def hessians(self, states: Array) -> Array:
        """Hessians of many states, shape (T, N, N)."""
        return self.hessian(states)
