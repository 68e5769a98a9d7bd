"""A tensor rule that has been refined for a Gaussian mixture, and its nodes that add something."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.quadrature import GAUSS, Rule, rungs_of, tensor
from flows.systems.mixture.means import FAR, Means

# Rules of a piece serve distances that are larger by the first factor than those at its begin, and
# along thin axes, into which means turn, distances of the second part of the largest one. Where no
# finer rule is known the factor is the third one.
ROOM, TURN, HARDLY = 1.2, 0.1, 1.001
# Rules serve at least this distance along each axis, which hardly takes more nodes than zero.
FREE = 0.1
# No rung of short means is below this one: four nodes may miss too much.
LEAST = 2
# The highest rung that has a finer one.
HIGHEST = len(GAUSS) + 11
# Nodes are left out only where the logarithm of the density at the target is larger by so much for
# the component at home than for others: one that is hardly ahead may soon not be at home any more.
AHEAD = 2.0


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
        if means is not None and trims(means):
            far = means.mu, means.weight, self.home
        return product_nodes.listed(sums_compiled.axis_rules(self.reach), self.axes, rules, far)

    def roomier(self, factors: Array) -> tuple[Array, NDArray[np.int64]]:
        """Distances along the axes, and the rungs that serve up to them.

        Means that are shorter by a factor may still be as far apart along thin axes as these are,
        up to their longest distance, and may have turned. The rungs are as much above theory as
        those of this rule.

        Parameters
        ----------
        factors : ndarray, shape (L,)
            By which the means may be shorter.

        Returns
        -------
        room : ndarray, shape (L, r)
            The distances.
        rungs : ndarray of int, shape (L, r)
            The rungs.
        """
        longest = factors[:, None] * self.distances.max()
        room = np.minimum(np.maximum(ROOM * self.distances, TURN * longest), ROOM * longest)
        room = np.maximum(room, FREE)
        above = self.rungs - rungs_of(self.distances[None], self.tolerance)[0]
        rungs = np.maximum(rungs_of(room, self.tolerance) + above, np.minimum(self.rungs, LEAST))
        rungs[factors >= 1.0] = np.maximum(rungs[factors >= 1.0], self.rungs)
        beyond = rungs > HIGHEST
        return np.where(beyond, HARDLY * self.distances, room), np.where(beyond, self.rungs, rungs)


def trims(means: Means) -> bool:
    """Whether nodes that add nothing are left out, see :func:`trimmed`."""
    if means.form != FAR:
        return False
    logs = np.sort(np.log(means.weight) - 0.5 * (means.mu**2).sum(axis=1))
    return bool(logs[-1] - logs[-2] > AHEAD)


def trimmed(rule: Rule, means: Means, owner: int | None = None) -> Rule:
    """Leave out nodes that add nothing: far means live where one component takes over.

    With an ``owner``, a component that is not at home, only its part of each node is kept: its
    posterior weight over that of all that are not at home.
    """
    if not len(rule) or not trims(means):
        return rule
    from flows.systems.mixture import product_nodes

    who = product_nodes.NOBODY if owner is None else owner
    far = np.ascontiguousarray(means.mu), means.weight, means.home
    nodes, weights = product_nodes.trimmed(rule.nodes, rule.weights, far, who)
    return Rule(nodes, weights, rule.label)
