"""A tensor rule that has been refined for a Gaussian mixture, and its nodes that add something."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.quadrature import Rule, rungs_of, tensor
from flows.systems.mixture.means import FAR, Means


class Product(NamedTuple):
    """A tensor rule that has been refined.

    Parameters
    ----------
    axes : ndarray, shape (r, r)
        Orthonormal rows along which the nodes are.
    distances : ndarray, shape (r,)
        Largest distance of two means along each.
    rungs : ndarray of int, shape (r,)
        Rules of the axes.
    reach : float
        Length of means for which they are made.
    tolerance : float
        Relative error for which it was refined.
    home : int
        Component with the largest density at the target, for the far form.
    """

    axes: Array
    distances: Array
    rungs: NDArray[np.int64]
    reach: float
    tolerance: float
    home: int

    def rule(self, rungs: NDArray[np.int64]) -> Rule:
        """All nodes of the rule of these rungs."""
        found = tensor(tuple(rungs.tolist()), self.reach)
        return Rule(np.ascontiguousarray(found.nodes @ self.axes), found.weights, found.label)

    def guess(self, tolerance: float) -> NDArray[np.int64]:
        """Rungs that theory expects to reach a larger tolerance, none above its own."""
        return np.minimum(self.rungs, rungs_of(self.distances[None], tolerance)[0])

    def listed(
        self, rules: NDArray[np.int64], means: Means | None = None
    ) -> tuple[Array, NDArray[np.int64]]:
        """Numbers of several rules of its kind and how many nodes each has.

        See :func:`.product_nodes.listed`; ``means`` say which nodes add nothing.
        """
        from flows.systems.mixture import product_nodes, sums_compiled

        far = None
        if means is not None and means.form == FAR:
            far = means.mu, means.weight, self.home
        return product_nodes.listed(sums_compiled.axis_rules(self.reach), self.axes, rules, far)

    def shorter(self, factors: Array) -> NDArray[np.int64]:
        """Rungs for means that are shorter by factors, as much above theory as its own are.

        Along the other axes they may have stayed as far apart as they are, up to the longest.
        """
        longest = np.concatenate([[1.0], factors])[:, None] * self.distances.max()
        distances = np.minimum(self.distances, longest)
        expected = rungs_of(distances, self.tolerance)
        return np.asarray(np.minimum(self.rungs, expected[1:] + (self.rungs - expected[0])))


def trimmed(rule: Rule, means: Means, owner: int | None = None) -> Rule:
    """Leave out nodes that add nothing: far means live where one component takes over.

    With an ``owner``, a component that is not at home, only its part of each node is kept: its
    posterior weight over that of all that are not at home.
    """
    if means.form != FAR or not len(rule):
        return rule
    from flows.systems.mixture import product_nodes

    who = product_nodes.NOBODY if owner is None else owner
    far = np.ascontiguousarray(means.mu), means.weight, means.home
    nodes, weights = product_nodes.trimmed(rule.nodes, rule.weights, far, who)
    return Rule(nodes, weights, rule.label)
