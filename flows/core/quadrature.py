r"""Expectations over `N(0, I_r)` of functions on arrays, with a measured error.

.. math:: E f(x) \approx \sum_j w_j f(x_j)

Posteriors of a Gaussian mixture are analytic in each coordinate up to poles at the distance
`b = pi/D` from the real line, `D` the largest distance of two means along it. So rules that
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

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from flows.core.arrays import Array

__all__ = ["TENSOR_DIMENSIONS", "Refined", "Rule", "gauss", "random", "refine", "sparse", "tensor"]

#: Tensor rules up to this dimension.
TENSOR_DIMENSIONS = 4
#: More nodes than this are not tried: a field with them takes about a second.
BUDGET = 4_000_000

# The ladder of an axis: Gauss-Hermite rules of these sizes, then trapezoidal rules of steps
# 1/2, 1/2^(3/2), ... Two nodes are the zeros of the second Hermite polynomial, where what matters
# may vanish: the lowest rung is for THIN axes only, those along which the means differ by less than
# this part of their largest distance, so that another axis knows the size.
GAUSS = (2, 4, 6, 8, 12, 16, 24, 32)
FIRST_STEP = 0.5
LAST_RUNG = len(GAUSS) + 20
# Sizes between which a rule is the nearest one.
BETWEEN = np.sqrt(np.array(GAUSS[1:]) * np.array(GAUSS[:-1], dtype=float))
# Gauss-Hermite nodes a digit of base e, for means that are one and for each unit of their distance:
# what runs of three means in the plane needed at tolerances from 1e-4 to 1e-12.
ALONE, APART = 0.1, 0.85
THIN, LOWEST = 1e-4, 1
# Nodes end where the density is below exp(-40) of what it is where the integrand lives, and those
# of tensor products are left out where their weight is, by the number of nodes that may be.
NEGLIGIBLE, LEFT_OUT = 40.0, 1e-4
# ... and is looked for below this: above, something small has not been seen yet.
STALLED, ROUNDED = 3, 1e-9
# Larger rules are not kept for the next state: making one takes less time than using it.
KEPT = 200_000
# ... and of so many rules of fewer nodes than this.
SMALL = 2_000
# A ball has at least this part of the cube around it, in up to TENSOR_DIMENSIONS dimensions.
BALL = 0.3
SPARSE_LEVELS = range(2, 9)
REPLICATES = 8
SOBOL_POWERS = range(8, 18)
# Standard errors of the mean of REPLICATES that make an interval of confidence 99.9 %
# (Student's t with seven degrees of freedom).
CONFIDENCE = 5.4

Values = tuple[Array, ...]


class Rule(NamedTuple):
    """Nodes and weights of a rule for `N(0, I_r)`.

    Parameters
    ----------
    nodes : ndarray, shape (M, r)
        Nodes.
    weights : ndarray, shape (M,)
        Weights, of sum one (up to the tail that is left out).
    label : str
        What it is, for people.
    """

    nodes: Array
    weights: Array
    label: str

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.weights)


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


@functools.cache
def gauss(size: int) -> tuple[Array, Array]:
    """Gauss-Hermite nodes and weights for `N(0, 1)`, symmetric to the last bit.

    Parameters
    ----------
    size : int
        Number of nodes; exact for polynomials of degree ``2 size - 1``.
    """
    x, w = np.polynomial.hermite_e.hermegauss(size)
    x, w = (x - x[::-1]) / 2, (w + w[::-1]) / 2
    return x, w / np.sum(w)


@functools.cache
def _trapezoid(rung: int, reach: float) -> tuple[Array, Array]:
    """Trapezoidal rule number ``rung`` on `[-end, end]`, beyond which weights are negligible."""
    step = FIRST_STEP * 2 ** (-rung / 2)
    end = min(
        math.sqrt(2 * NEGLIGIBLE + reach**2 / 4), math.sqrt(-2 * math.log(least_weight(reach)))
    )
    last = math.ceil(end / step)
    x: Array = step * np.arange(-last, last + 1, dtype=np.float64)
    return x, step * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _axis(rung: int, reach: float, window: tuple[float, float]) -> tuple[Array, Array]:
    """Rule of one coordinate, number ``rung`` of the ladder, without what is left out anyway."""
    x, w = gauss(GAUSS[rung]) if rung < len(GAUSS) else _trapezoid(rung - len(GAUSS), reach)
    inside = (x >= window[0]) & (x <= window[1]) & (w > least_weight(reach))
    return x[inside], w[inside]


def _axes(
    rungs: tuple[int, ...], reach: float, window: tuple[float, float]
) -> list[tuple[Array, Array]]:
    """Rules of all coordinates; the window is one of the first."""
    windows = [window, *[(-math.inf, math.inf)] * (len(rungs) - 1)]
    return [_axis(rung, reach, w) for rung, w in zip(rungs, windows, strict=True)]


def least_weight(reach: float) -> float:
    """Weight below which a node is left out."""
    # Halfway to the longest mean the density is exp(-reach^2/8), and fields are that small.
    return LEFT_OUT * math.exp(-NEGLIGIBLE - min(reach, 70.0) ** 2 / 8)


def tensor(
    rungs: tuple[int, ...], reach: float, window: tuple[float, float] = (-math.inf, math.inf)
) -> Rule:
    """Tensor product of the rules ``rungs`` of the ladder, without nodes of negligible weight.

    Parameters
    ----------
    rungs : tuple of int
        Number on the ladder, for each coordinate: Gauss-Hermite first, then trapezoidal rules.
    reach : float
        Length of the longest mean; components take over at half of it.
    window : tuple of float
        Nodes outside of it, along the first coordinate, are left out.

    Returns
    -------
    Rule
        Its error is exponentially small in the number of nodes along each axis.
    """
    most = _most(rungs, reach, window)
    make = _small if most <= SMALL else _tensor if most <= KEPT else _tensor.__wrapped__
    return make(rungs, reach, window)


@functools.lru_cache(maxsize=32)
def _tensor(rungs: tuple[int, ...], reach: float, window: tuple[float, float]) -> Rule:
    """Rule of :func:`tensor`."""
    nodes, weights, least = np.zeros((1, 0)), np.ones(1), least_weight(reach)
    for x, w in _axes(rungs, reach, window):
        products = (weights[:, None] * w).ravel()
        kept = np.flatnonzero(products > least)
        before, here = np.divmod(kept, max(len(x), 1))
        nodes, weights = np.column_stack([nodes[before], x[here]]), products[kept]
    return Rule(np.ascontiguousarray(nodes), weights, f"tensor {rungs}")


@functools.lru_cache(maxsize=512)
def _small(rungs: tuple[int, ...], reach: float, window: tuple[float, float]) -> Rule:
    """:func:`_tensor` of few nodes, which many states ask for in turn."""
    return _tensor.__wrapped__(rungs, reach, window)


@functools.lru_cache(maxsize=512)
def _most(rungs: tuple[int, ...], reach: float, window: tuple[float, float]) -> int:
    """Most nodes that a tensor product can have, before it is made."""
    return math.prod(len(x) for x, _ in _axes(rungs, reach, window))


@functools.lru_cache(maxsize=16)
def sparse(r: int, level: int) -> Rule:
    r"""Smolyak's sparse grid of Gauss-Hermite rules, exact for total degree ``2 level - 1``.

    .. math:: \sum_{|k| = level + r - 1 - j} (-1)^j \binom{r - 1}{j} Q_{k_1} \otimes \dots
              \otimes Q_{k_r}, \qquad k_i \geq 1

    Parameters
    ----------
    r : int
        Dimension.
    level : int
        At least 1.

    Returns
    -------
    Rule
        Weights of both signs.
    """
    found: dict[bytes, tuple[Array, float]] = {}
    for j in range(min(r, level)):
        sign = (-1) ** j * math.comb(r - 1, j)
        for excess in _compositions(level - 1 - j, r):
            live = [i for i, e in enumerate(excess) if e]
            axes = [gauss(excess[i] + 1) for i in live]
            for picked in itertools.product(*(range(excess[i] + 1) for i in live)):
                node = np.zeros(r)
                weight = float(sign)
                for i, (x, w), k in zip(live, axes, picked, strict=True):
                    node[i] = x[k]
                    weight *= w[k]
                key = (node + 0.0).tobytes()
                found[key] = (node, found.get(key, (node, 0.0))[1] + weight)
    nodes, weights = zip(*found.values(), strict=True)
    return Rule(np.array(nodes), np.array(weights), f"sparse level {level}")


def _compositions(total: int, parts: int) -> Iterable[tuple[int, ...]]:
    """Tuples of ``parts`` non-negative integers of the given sum."""
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        edges = (-1, *bars, total + parts - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


@functools.lru_cache(maxsize=32)
def random(r: int, power: int, replicate: int) -> Rule:
    """Scrambled Sobol points, ``2^power`` of them; replicates are independent.

    Parameters
    ----------
    r : int
        Dimension.
    power : int
        Binary logarithm of the number of points.
    replicate : int
        Seed of the scrambling.

    Returns
    -------
    Rule
        Equal weights.
    """
    from scipy.stats import qmc  # takes half a second

    uniform = qmc.Sobol(r, seed=np.random.default_rng(replicate)).random_base2(power)
    inside = np.clip(uniform, 2.0**-54, 1 - 2.0**-53)  # a scrambled point may round to an end
    size = 2**power
    return Rule(scipy.special.ndtri(inside), np.full(size, 1 / size), f"Sobol 2^{power}")


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
    other = _refine_random(evaluate, len(distances), tolerance, budget)
    return other if other.error < found.error else found


def rounded_reach(reach: Array | float) -> Array:
    """Length for which rules are made, of means of this length or less."""
    return np.asarray(2.0 * np.ceil(np.asarray(reach) / 2))


def axis_rule(rung: int, reach: float) -> tuple[Array, Array]:
    """Rule of one coordinate, number ``rung`` of the ladder."""
    return _axis(rung, reach, (-math.inf, math.inf))


def first_rungs(distances: Sequence[float], tolerance: float) -> tuple[int, ...]:
    """Rungs of all axes that theory expects to do, a little too low."""
    return tuple(rungs_of(np.array([distances], dtype=float), tolerance)[0].tolist())


def rungs_of(
    distances: Array, tolerance: float, needs: tuple[float, float] = (ALONE, APART)
) -> NDArray[np.int64]:
    """:func:`first_rungs` of several states, both of shape (T, r).

    ``needs`` are nodes a digit of base e, for means that are one and for each unit of distance.
    """
    from flows.core.rungs import expected  # Numba loads where it is first needed

    distances = np.ascontiguousarray(distances, dtype=float)
    found = np.empty(distances.shape, np.int64)
    ladder = BETWEEN, float(GAUSS[-1]), FIRST_STEP, THIN, LOWEST, LAST_RUNG
    expected()(distances, -math.log(tolerance), *needs, *ladder, found)
    return found


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
            if BALL * _most(rungs, reach, window) > budget:
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


def _refine_random(
    evaluate: Callable[[Rule], Values], r: int, tolerance: float, budget: int
) -> Refined:
    """Double the points until the confidence interval is narrow enough."""
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
