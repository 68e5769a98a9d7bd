"""Whether the rule of a chart in doubles serves at a state, and whether any rule does."""

from __future__ import annotations

import math

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart
from flows.systems.own.loss import Loss, estimate
from flows.systems.own.plain_field import unpack_rule

__all__ = ["RESERVE", "failure", "rule_is_off"]

#: A rule is chosen to this part of the error that it may have, and used until it has that error.
RESERVE = 0.1
TINY = float(np.finfo(float).tiny)


def rule_is_off(loss: Loss, y: Array, chart: Chart, tolerance: float) -> float:
    """Error of the gradient by the rule of a chart, in units of the error that it may have.

    Parameters
    ----------
    loss : Loss
        With an expectation.
    y : ndarray, shape (N,)
        The state.
    chart : Chart
        With the rule in its constant arguments.
    tolerance : float
        Relative error asked of expectations.

    Returns
    -------
    float
        Infinite where no rule tells it.
    """
    found = estimate(loss, y, RESERVE * tolerance, careful=False)
    rule = unpack_rule(loss, chart.weights, chart.shape)
    if rule is None:
        return math.inf
    total, _ = loss.summed(y, rule)
    wrong = float(np.max(np.abs(total[1:] - found.gradient)))
    if not (math.isfinite(found.error) and math.isfinite(wrong)):
        return math.inf
    allowed = max(tolerance, found.floor) * float(np.abs(found.gradient).max())
    return wrong / max(allowed, TINY)


def failure(loss: Loss, y: Array, tolerance: float) -> str:
    """Why the field cannot be computed at a state to a relative error, or nothing."""
    if not loss.averaged:
        return ""
    found = estimate(loss, y, RESERVE * tolerance, careful=False)
    if math.isfinite(found.error) and found.error <= max(tolerance, found.floor):
        return ""
    known = f"known to {found.error:.2g} only" if math.isfinite(found.error) else "known by no rule"
    return (
        f"the expectation is {known}, {tolerance:.2g} was asked for:"
        " take a larger rtol, fewer dimensions, or a closed form"
    )
