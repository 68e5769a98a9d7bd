"""Field of a loss in doubles as a chart has it, with the rule of its expectation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import wrap_plain
from flows.expectations.hermite import Rule
from flows.systems.own.by_forms import Formed
from flows.systems.own.loss import Loss

__all__ = ["Turning", "field_of", "pack_rule", "unpack_rule"]


@functools.lru_cache(maxsize=32)
def field_of(loss: Loss) -> Callable[..., None]:
    """Field and Jacobian of a chart, with its clock.

    The rule of an expectation comes in the constant arguments, see :func:`pack_rule`.
    """

    def field(
        x: Array, weights: Array, shape: Any, out: Array, jacobian: Array, want_jacobian: bool
    ) -> None:
        rule = unpack_rule(loss, weights, shape)
        out[:] = -(loss.at(x)[1] if rule is None else loss.summed(x, rule)[0][1:])
        if want_jacobian:
            jacobian[:] = -loss.hessian(x, rule)

    return wrap_plain(field)


@dataclass(frozen=True, eq=False)
class Turning:
    """Nodes in the plane of the forms, which turns as a state moves: they turn with it.

    What averages leave of a gradient lies in that plane, but the rest of a loss, and forms that
    stretch some entries more than others, lead out of it.

    Parameters
    ----------
    formed : Formed
        The integrand.
    places, axes : ndarray, shapes (M, k) and (d, k)
        Nodes along axes of the plane where they were chosen.
    weights : ndarray, shape (M,)
        Weights.
    """

    formed: Formed
    places: Array
    axes: Array
    weights: Array

    def rules(self, y: Array) -> tuple[tuple[Formed, Rule], ...]:
        """Nodes at a state."""
        axes = self.formed.forms.turned(self.axes, y)
        return ((self.formed, Rule(self.places @ axes.T, self.weights, "of the chart")),)


def pack_rule(loss: Loss, y: Array, rule: Rule | None) -> tuple[Array, NDArray[np.int64]]:
    """Constant arguments `weights` and `shape` of a chart: nodes, axes of their plane, weights."""
    if rule is None:
        return np.zeros(0), np.array([len(y), 0, 0, 0])
    nodes, axes = rule.nodes, np.zeros((rule.nodes.shape[1], 0))
    if loss.measured is None:
        plane = loss.formed.forms.plane(y).axes
        if plane.shape[1] < len(plane):
            nodes, axes = nodes @ plane, plane
    weights = np.concatenate([nodes.ravel(), axes.ravel(), rule.weights])
    return weights, np.array([len(y), *nodes.shape, axes.size])


def unpack_rule(loss: Loss, weights: Array, shape: Any) -> Rule | Turning | None:
    """Rule of a chart's constant arguments; None of a loss without an expectation."""
    _, count, k, size = (int(n) for n in shape)
    if not count:
        return None
    nodes, axes, shares = np.split(weights, [count * k, count * k + size])
    if not size:
        return Rule(nodes.reshape(count, k), shares, "of the chart")
    return Turning(loss.formed, nodes.reshape(count, k), axes.reshape(-1, k), shares)
