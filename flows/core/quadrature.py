r"""Expectations over `N(0, I_r)` of functions on arrays, with a measured error.

.. math:: E f(x) \approx \sum_j w_j f(x_j)

Sigmoids of affine forms are analytic in each coordinate up to poles at the distance `b = pi/D` from
the real line, `D` the largest slope along it. So rules that
converge exponentially are used, and each for what it does best (`q = -log(tolerance)`):

* Gauss-Hermite, about `(q D / 2 pi)^2` nodes: few for small means, far too many for large ones;
* the trapezoidal rule, a composite rule whose error `exp(-2 pi b / h)` depends on its step alone:
  it reaches as far as it is told, and has nodes where components far from the origin take over;
* up to four dimensions, tensor products of these, each axis with its own number of nodes;
* beyond, sparse grids (Smolyak's combination of Gauss-Hermite rules) while the means are small, and
  otherwise scrambled Sobol points, whose error is a confidence interval.

The error of a rule is the difference to a finer one, never a formula; :func:`refine` makes it
small.

Sources: Trefethen & Weideman 2014, SIAM Review 56(3) (trapezoidal rule); Wasilkowski & Wozniakowski
1995, J. Complexity 11 (combination formula); Owen 1995 (scrambling).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.quadrature_rules import (
    FIRST_STEP,
    GAUSS,
    LAST_RUNG,
    Rule,
    gauss,
    most_nodes,
    random,
    sparse,
    tensor,
)

__all__ = ["TENSOR_DIMENSIONS", "Refined", "Rule", "gauss", "random", "refine", "sparse", "tensor"]

#: Tensor rules up to this dimension.
TENSOR_DIMENSIONS = 4
#: More nodes than this are not tried: a field with them takes about a second.
BUDGET = 4_000_000

# Sizes between which a rule is the nearest one.
BETWEEN = np.sqrt(np.array(GAUSS[1:]) * np.array(GAUSS[:-1], dtype=float))
# Gauss-Hermite nodes a digit of base e, for means that are one and for each unit of their distance:
# what runs of three means in the plane needed at tolerances from 1e-4 to 1e-12.
ALONE, APART = 0.1, 0.85
THIN, LOWEST = 1e-4, 1
# An error that has not halved so many times is rounding, which is looked for below the second
# number only: above, something small has not been seen yet.
STALLED, ROUNDED = 3, 1e-9
# A ball has at least this part of the cube around it, in up to TENSOR_DIMENSIONS dimensions.
BALL = 0.3
SPARSE_LEVELS = range(2, 9)
REPLICATES = 8
SOBOL_POWERS = range(8, 18)
# Standard errors of the mean of REPLICATES that make an interval of confidence 99.9 %
# (Student's t with seven degrees of freedom).
CONFIDENCE = 5.4

Values = tuple[Array, ...]


class Refined(NamedTuple):
    """Expectations with their error.

    Parameters
    ----------
    values : tuple of ndarray
        What the integrand returned, summed by ``rule``.
    error : float
        Measured relative error: of each array, the largest difference to a finer rule (or the
        half-width of the confidence interval) relative to its largest entry; the worst of them.
    rule : Rule
        The rule.
    changes : tuple of float
        The same differences, of each array, as they are: absolute errors.
    """

    values: Values
    error: float
    rule: Rule
    changes: tuple[float, ...]


def _relative(a: Values, b: Values) -> float:
    """Largest difference relative to the largest entry, of each array; the worst of them."""
    return max(
        _ratio(np.abs(x - y), np.maximum(np.abs(x), np.abs(y))) for x, y in zip(a, b, strict=True)
    )


def _changes(a: Values, b: Values) -> tuple[float, ...]:
    """Largest difference of each array."""
    return tuple(float(np.max(np.abs(x - y), initial=0.0)) for x, y in zip(a, b, strict=True))


def _ratio(difference: Array, size: Array) -> float:
    worst = float(np.max(difference, initial=0.0))
    if not math.isfinite(worst):
        return math.inf
    return worst / float(np.max(size)) if worst else 0.0


def refine(
    evaluate: Callable[[Rule], Values],
    distances: Sequence[float],
    reach: float,
    tolerance: float,
    budget: int = BUDGET,
    window: tuple[float, float] = (-math.inf, math.inf),
) -> Refined:
    """Choose a rule whose measured error is below ``tolerance``.

    Parameters
    ----------
    evaluate : callable
        From a rule to sums over its nodes: a tuple of arrays.
    distances : sequence of float
        Largest distance of two means along each coordinate, from which the first guess is made;
        its length is the dimension `r`.
    reach : float
        Length of the longest mean.
    tolerance : float
        Relative error asked for.
    budget : int
        Most nodes of a rule.
    window : tuple of float
        Outside of it, along the first coordinate, there is nothing to see; for tensor rules.

    Returns
    -------
    Refined
        With the error reached, which is above ``tolerance`` if the budget does not allow for it.
    """
    # Rounded, so that runs whose means move a little use the same rule.
    reach = float(rounded_reach(reach))
    if len(distances) <= TENSOR_DIMENSIONS:
        return _refine_tensor(evaluate, distances, reach, tolerance, budget, window)
    found = _refine_sparse(evaluate, len(distances), tolerance, budget)
    if found.error <= tolerance:
        return found
    other = confident(evaluate, len(distances), tolerance, budget)
    return other if other.error < found.error else found


def rounded_reach(reach: Array | float) -> Array:
    """Length for which rules are made, of means of this length or less."""
    return np.asarray(2.0 * np.ceil(np.asarray(reach) / 2))


def first_rungs(distances: Sequence[float], tolerance: float) -> tuple[int, ...]:
    """Rungs of all axes that theory expects to do, a little too low."""
    digits, longest = -math.log(tolerance), max(distances)

    def rung(d: float) -> int:
        size = digits * (ALONE + APART * d)
        if d < THIN * longest:
            return 0
        if size <= GAUSS[-1]:
            return max(LOWEST, int(np.searchsorted(BETWEEN, size)))
        if not math.isfinite(size):
            return LAST_RUNG
        halved = math.ceil(2 * math.log2(FIRST_STEP * digits * d / (2 * math.pi**2)))
        return min(LAST_RUNG, len(GAUSS) + max(0, halved))

    return tuple(map(rung, distances))


def _lower(rungs: tuple[int, ...]) -> tuple[int, ...]:
    """One rung down on every axis that has another one to go to."""
    return tuple(max(min(k, LOWEST), k - 1) for k in rungs)


def _refine_tensor(
    evaluate: Callable[[Rule], Values],
    distances: Sequence[float],
    reach: float,
    tolerance: float,
    budget: int,
    window: tuple[float, float],
) -> Refined:
    """Raise the rungs of those axes on which the next rung still changes the result."""
    known: dict[tuple[int, ...], Values] = {}

    def at(rungs: tuple[int, ...]) -> Values | None:
        if rungs not in known:
            if BALL * most_nodes(rungs, reach, window) > budget:
                return None
            rule = tensor(rungs, reach, window)
            if len(rule) > budget:
                return None
            known[rungs] = evaluate(rule)
        return known[rungs]

    rungs = first_rungs(distances, tolerance)
    while (values := at(rungs)) is None and max(rungs) > LOWEST:
        rungs = _lower(rungs)
    assert values is not None  # the lowest rungs of four axes are 256 nodes
    best, stalled = math.inf, 0
    changes: tuple[float, ...] = (math.inf,) * len(values)
    while True:
        errors, before, coarser, parts = [], best, changes, []
        for axis in range(len(rungs)):
            finer = at(tuple(k + (i == axis) for i, k in enumerate(rungs)))
            errors.append(math.inf if finer is None else _relative(values, finer))
            parts.append(changes if finer is None else _changes(values, finer))
        best, changes = sum(errors), tuple(map(sum, zip(*parts, strict=True)))
        if math.isinf(best):  # no room for a finer rule
            if math.isfinite(before) or max(rungs) <= LOWEST:
                best, changes = before, coarser  # those of the coarser one
                break
            rungs = _lower(rungs)
            values = at(rungs)
            assert values is not None
            continue
        # An error that no longer halves is rounding.
        stalled = stalled + 1 if best > before / 2 and best < ROUNDED else 0
        if best <= tolerance or stalled == STALLED:
            break
        share = tolerance / len(rungs)
        higher = tuple(min(k + (e > share), LAST_RUNG) for k, e in zip(rungs, errors, strict=True))
        improved = at(higher) if higher != rungs else None
        if improved is None:
            break
        rungs, values = higher, improved
    return Refined(values, best, tensor(rungs, reach, window), changes)


def _refine_sparse(
    evaluate: Callable[[Rule], Values], r: int, tolerance: float, budget: int
) -> Refined:
    """Raise the level as long as it pays: for large means sparse grids do not converge."""
    rule = sparse(r, SPARSE_LEVELS[0])
    values, error = evaluate(rule), math.inf
    changes: tuple[float, ...] = (math.inf,) * len(values)
    for level in SPARSE_LEVELS[1:]:
        # A level costs about this much more than the one before.
        if len(rule) * (2 * r) / level > budget / 20:
            break
        finer = sparse(r, level)
        found = evaluate(finer)
        change = _relative(values, found)
        if change <= tolerance:
            return Refined(values, change, rule, _changes(values, found))
        if change > error:
            break
        changes = _changes(values, found)
        rule, values, error = finer, found, change
    return Refined(values, error, rule, changes)


def confident(
    evaluate: Callable[[Rule], Values], r: int, tolerance: float, budget: int = BUDGET
) -> Refined:
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
    changes = tuple(float(np.max(width, initial=0.0)) for width in widths)
    return Refined(values, error, together, changes)
