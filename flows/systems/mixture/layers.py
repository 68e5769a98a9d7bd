"""Parts of an expectation that have nodes of their own: the layers in which far components live."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.linalg

from flows.core.arrays import Array
from flows.core.quadrature import Rule
from flows.systems.mixture.means import DROPPED, Means
from flows.systems.mixture.product_rule import trimmed

if TYPE_CHECKING:
    from flows.systems.mixture.survey import Survey

# exp(-SEEN/2) is the weight of what is not seen at all, for a first guess; the rest is measured.
SEEN = 54.0
# A layer may turn with the step across it, so that its nodes resolve this part of the step along
# the layer, too.
ASIDE = 0.02


class Part(NamedTuple):
    """A part of an expectation with nodes of its own: `N(0, I)` does not change under rotations.

    Parameters
    ----------
    axes : ndarray, shape (r, r)
        Orthonormal rows, along which the nodes are.
    distances : list of float
        Largest distance of two means along each, as far as it matters.
    owner : int or None
        Component whose share of each node this is, see `trimmed`.
    window : tuple of float
        Where nodes matter along the first axis.
    peak : float
        Logarithm of the largest value that the owner's weight times the density has, or more.
    """

    axes: Array
    distances: list[float]
    owner: int | None = None
    window: tuple[float, float] = (-math.inf, math.inf)
    peak: float = 0.0

    def rule(self, rule: Rule, means: Means) -> Rule:
        """Nodes of a rule that matter, along the axes."""
        nodes = np.ascontiguousarray(rule.nodes @ self.axes)
        return trimmed(Rule(nodes, rule.weights, rule.label), means, self.owner)


def parts_of(means: Means, look: Survey) -> list[Part]:
    """Nodes for all, or, where one component is at home and others are far, for each of those.

    What is far lives in a thin layer about the plane where its density is that at home, and hardly
    depends on the coordinates along the plane: nodes are dense across it only.
    """
    if look.split[0]:
        return [_across(means, k) for k in range(len(means.mu)) if k != means.home]
    return [Part(look.axes[0], look.distances[0].tolist())]


def _across(means: Means, owner: int) -> Part:
    """Axes across and along the layer of a component."""
    mu, home = means.mu, means.home
    step = mu[owner] - mu[home]
    length = float(np.linalg.norm(step))
    logs = np.log(means.weight) - 0.5 * np.sum(mu**2, axis=1)
    centre = (logs[home] - logs[owner]) / length**2 * step
    # A third component that takes over at the distance b of the layer's centre is seen with the
    # weight exp(-b^2/2) only: so much less of its distance has to be resolved.
    rest = np.delete(mu, [home, owner], axis=0) - mu[owner]
    gap = logs[owner] - np.delete(logs, [home, owner]) - rest @ centre
    b = gap / np.maximum(np.linalg.norm(rest, axis=1), np.finfo(float).tiny)
    rest -= np.outer(rest @ step, step) / length**2
    rest *= np.clip(1 - np.maximum(b, 0.0) ** 2 / SEEN, 0.0, 1.0)[:, None]
    rest = np.vstack([rest, np.zeros_like(step)])
    axes = np.linalg.qr(np.vstack([step, scipy.linalg.svd(rest)[2]]).T)[0].T
    axes[0] = step / length
    # exp(-z^2/2) min(1, exp(length (z - layer))) is below DROPPED of its largest value outside.
    layer = float(axes[0] @ centre)
    decay = -2 * math.log(DROPPED)
    window = (length - math.sqrt((length - layer) ** 2 + decay), math.sqrt(layer**2 + decay))
    distances = [length, *np.maximum(np.ptp(rest @ axes[1:].T, axis=0), ASIDE * length).tolist()]
    highest = min(max(layer, 0.0), length)  # of -z^2/2 + length (z - layer) on this side
    peak = -(highest**2) / 2 - length * (max(layer, 0.0) - highest)
    return Part(axes, distances, owner, window, peak)
