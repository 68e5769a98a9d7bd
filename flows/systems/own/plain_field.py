"""Field of a loss in doubles as a chart has it, with the rule of its expectation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import wrap_plain
from flows.core.quadrature_rules import Rule
from flows.systems.own.loss import Loss

__all__ = ["field_of", "pack_rule", "unpack_rule"]


@functools.lru_cache(maxsize=32)
def field_of(loss: Loss) -> Callable[..., None]:
    """Field and Jacobian of a chart, with its clock.

    The rule of an expectation comes in the constant arguments, see :func:`pack_rule`.
    """

    def field(
        x: Array, weights: Array, shape: Any, out: Array, jacobian: Array, want_jacobian: bool
    ) -> None:
        rule = unpack_rule(weights, shape) if loss.averaged else None
        out[:] = -(loss.at(x)[1] if rule is None else loss.summed(x, rule)[0][1:])
        if want_jacobian:
            jacobian[:] = -loss.hessian(x, rule)

    return wrap_plain(field)


def pack_rule(size: int, rule: Rule | None) -> tuple[Array, NDArray[np.int64]]:
    """Constant arguments `weights` and `shape` of a chart: nodes and weights, and their numbers."""
    if rule is None:
        return np.zeros(0), np.array([size, 0, 0])
    weights = np.concatenate([rule.nodes.ravel(), rule.weights])
    return weights, np.array([size, *rule.nodes.shape])


def unpack_rule(weights: Array, shape: Any) -> Rule:
    """Rule of a chart's constant arguments."""
    _, count, dimension = (int(k) for k in shape)
    nodes = weights[: count * dimension].reshape(count, dimension)
    return Rule(nodes, weights[count * dimension :], "of the chart")
