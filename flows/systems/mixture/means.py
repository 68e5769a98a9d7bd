"""Components of a Gaussian mixture in the form in which they are summed without cancellation.

``k`` distinct components in ``r`` dimensions; component ``i`` has the weight ``W_i``, and the
gradient of a loss by its mean is ``pull_i`` times its weight,

    pull_i = linear_i + E[...]

Three forms, each for the means where it has no terms that cancel:

* near, all means short: ``linear_i`` is the mean ``m = sum_i W_i mu_i``, the rest of third order;
* cluster, all means close to each other: the same, with densities relative to ``N(m, I)``, so that
  offsets of any size keep their relative accuracy;
* far, means apart: ``linear`` is the mean of the component at *home* (that which the target takes
  for its own), and the rest lives where other components take over, however far out that is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array

FAR, NEAR, CLUSTER = 1, 2, 3
# A component is at home if its posterior weight at the target is at least this.
CERTAIN = 0.99
# Means shorter than this take the near form, and those within this distance of their mean the
# cluster form; at this length all forms keep their digits.
SHORT = 0.5
# Offsets in a cluster below this are none: their squares would underflow.
UNSEEN = 1e-120


class Means(NamedTuple):
    """Distinct components, in the form in which they are summed; of several states at once, too.

    Parameters
    ----------
    mu, deviation : ndarray, shape (..., k, r)
        Means, and means less ``mean``.
    mean : ndarray, shape (..., r)
        ``sum_i W_i mu_i``.
    weight : ndarray, shape (k,)
        ``W_i``.
    form : int
        ``NEAR``, ``CLUSTER`` or ``FAR``, that of all states.
    """

    mu: Array
    deviation: Array
    mean: Array
    weight: Array
    form: int

    def at(self, index: Any) -> Means:
        """Some of several states."""
        return Means(
            self.mu[index], self.deviation[index], self.mean[index], self.weight, self.form
        )

    @property
    def at_home(self) -> NDArray[np.bool_]:
        """Which component has the largest density at the target, shape (..., k)."""
        logs = np.log(self.weight) - 0.5 * (self.mu**2).sum(axis=-1)
        return np.asarray(np.arange(len(self.weight)) == logs.argmax(axis=-1)[..., None])

    @property
    def home(self) -> int:
        """Component with the largest density at the target, of one state."""
        return int((np.log(self.weight) - 0.5 * (self.mu**2).sum(axis=1)).argmax())

    @property
    def constant(self) -> tuple[Any, Any]:
        """What the KL divergence and ``E|v|^2`` are if no node counts."""
        if self.form == FAR:
            home = self.at_home
            square = np.where(home[..., None], self.mu, 0.0)
            square = (square**2).sum(axis=(-2, -1))
            return square / 2 - np.log(np.where(home, self.weight, 0.0).sum(axis=-1)), square
        square = (self.mean**2).sum(axis=-1)
        return square / 2 * (self.form == CLUSTER), 0.0 * square

    @property
    def linear(self) -> Array:
        """Linear part of the pulls, shape (..., k, r)."""
        if self.form != FAR:
            return np.broadcast_to(self.mean[..., None, :], self.mu.shape)
        return np.where(self.at_home[..., None], self.mu / self.weight[:, None], 0.0)

    @property
    def linear_curve(self) -> Array:
        """Derivative of ``linear_i`` by ``mu_j``, shape (k, k), the same in each coordinate."""
        if self.form != FAR:
            return np.broadcast_to(self.weight, (len(self.weight),) * 2)
        part = np.zeros((len(self.weight),) * 2)
        part[self.home, self.home] = 1 / self.weight[self.home]
        return part
