"""Steps of a piece since its rule was last compared with a finer one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.problem import Stop

__all__ = ["Unproven"]


class Unproven:
    """Steps that may have to be taken anew, after one that need not be.

    Parameters
    ----------
    tau, y : float, ndarray
        Where the piece begins.
    """

    def __init__(self, tau: float, y: Array) -> None:
        self.taus, self.states = np.array([tau]), np.array(y)[None]

    @property
    def proven(self) -> float:
        """Solver time up to which steps need not be taken anew."""
        return float(self.taus[0])

    def add(self, taus: Array, states: Array) -> None:
        """Go on by steps; those that are here already are left out."""
        new = taus > self.taus[-1]
        self.taus = np.concatenate([self.taus, taus[new]])
        self.states = np.concatenate([self.states, states[new]])

    def prove(self, tau: float) -> None:
        """Forget the steps before one at which the rule serves."""
        first = int(np.searchsorted(self.taus, tau))
        self.taus, self.states = self.taus[first:], self.states[first:]

    def cut(self, tau: float, y: Array) -> None:
        """End the steps at a state inside the last one."""
        kept = self.taus < tau
        self.taus = np.append(self.taus[kept], tau)
        self.states = np.concatenate([self.states[kept], np.array(y)[None]])

    def last_before(self, tau: float, serves: Callable[[Array, Array], NDArray[np.bool_]]) -> Stop:
        """Find a step at which a rule serves, before one at which it does not, by bisection.

        Parameters
        ----------
        tau : float
            Solver time of a step at which it does not serve.
        serves : callable
            ``serves(taus, states)``, shapes (S,) and (S, M) to (S,).

        Returns
        -------
        Stop
            The last step known to serve; where the piece begins if there is none.
        """
        good, bad = 0, int(np.searchsorted(self.taus, tau))
        while bad - good > 1:
            middle = (good + bad) // 2
            one = slice(middle, middle + 1)
            good, bad = (
                (middle, bad) if serves(self.taus[one], self.states[one])[0] else (good, middle)
            )
        return Stop(float(self.taus[good]), self.states[good].copy())
