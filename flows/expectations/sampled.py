"""Expectations over `N(0, I_r)` by random points, with a confidence interval.

Scrambled Sobol points, several independent sets of them (Owen 1995). They serve where means span so
many directions that rules with a bound take too many nodes, and what they state is no bound, but an
interval of known confidence: so they are no part of the rules of :mod:`flows.expectations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.expectations.hermite import Rule, random

__all__ = ["Sampled", "confident"]

#: More nodes than this are not tried: a field with them takes about a second.
BUDGET = 4_000_000
REPLICATES = 8
SOBOL_POWERS = range(8, 18)
# Standard errors of the mean of REPLICATES that make an interval of confidence 99.9 %
# (Student's t with seven degrees of freedom).
CONFIDENCE = 5.4

Values = tuple[Array, ...]


class Sampled(NamedTuple):
    """Expectations with a confidence interval.

    Parameters
    ----------
    values : tuple of ndarray
        What the integrand returned, summed by ``rule``.
    error : float
        Half-width of the interval of each array, at its largest, relative to its largest entry; the
        worst of them.
    rule : Rule
        All points.
    """

    values: Values
    error: float
    rule: Rule


def _ratio(difference: Array, size: Array) -> float:
    worst = float(np.max(difference, initial=0.0))
    if not math.isfinite(worst):
        return math.inf
    return worst / float(np.max(size)) if worst else 0.0


def confident(
    evaluate: Callable[[Rule], Values], r: int, tolerance: float, budget: int = BUDGET
) -> Sampled:
    """Double random points until the confidence interval is narrow enough, or they are too many."""
    for power in SOBOL_POWERS:
        if REPLICATES * 2 ** (power + 1) > budget:
            break
        rules = [random(r, power, k) for k in range(REPLICATES)]
        samples = [evaluate(rule) for rule in rules]
        values = tuple(np.mean(parts, axis=0) for parts in zip(*samples, strict=True))
        widths = [
            CONFIDENCE * np.std(parts, axis=0, ddof=1) / math.sqrt(REPLICATES)
            for parts in zip(*samples, strict=True)
        ]
        error = max(_ratio(w, np.abs(mean)) for w, mean in zip(widths, values, strict=True))
        if error <= tolerance:
            break
    nodes = np.concatenate([rule.nodes for rule in rules])
    together = Rule(nodes, np.full(len(nodes), 1 / len(nodes)), f"{REPLICATES} x {rules[0].label}")
    return Sampled(values, error, together)
