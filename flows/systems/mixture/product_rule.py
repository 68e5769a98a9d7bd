"""A tensor rule that has been refined for a Gaussian mixture, and its nodes that add something."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.quadrature import GAUSS, Rule, rungs_of, tensor
from flows.systems.mixture.means import FAR, Means

# Rules of a piece serve distances that are larger than those they are made for by this factor, and
# along thin axes, into which means turn, this part of the largest.
ROOM, TURN, HARDLY = 1.2, 0.1, 1.001
# A distance that hardly takes more nodes than none.
FREE = 0.1
# No rung of short means is below this one: with four nodes little may have been seen.
LEAST = 2
# The highest rung that a finer one is known of.
HIGHEST = len(GAUSS) + 11
# Nodes are left out about a component at home that is ahead of the others by so much of the
# logarithm of its density at the target: one that is hardly ahead may soon be at home no more.
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
        """Distances along the axes and the rungs that serve up to them, both of shape (L, r).

        Means that are shorter by a factor may be as far apart along other axes as they are, up to
        the longest, and may have turned. The rungs are as much above theory as its own are.
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
