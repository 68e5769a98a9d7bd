"""Expectations of a Gaussian mixture with a measured error, by nodes where they are needed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.quadrature import (
    TENSOR_DIMENSIONS,
    Refined,
    Rule,
    Values,
    refine,
    rounded_reach,
    rungs_of,
    tensor,
)
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.layers import Part, parts_of
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, Means
from flows.systems.mixture.product_rule import Product, trimmed
from flows.systems.mixture.sums import components_of, moments

if TYPE_CHECKING:
    from flows.systems.mixture.survey import Survey

# A part whose largest value is exp of less than this is zero in doubles, whatever multiplies it.
VANISHED = -1000.0
# Averages of terms below this are zero: their digits are lost to underflow.
UNDERFLOW = 1e-250
# Gauss-Hermite nodes a digit of base e, for means that are one and for each unit of their distance,
# that a form takes for both losses and the pulls: what runs of three means in the plane needed. A
# climb that begins there ends at once, and none begins much higher.
NEEDS = {NEAR: (0.21, 0.72), CLUSTER: (0.13, 0.85), FAR: (0.08, 0.95)}
# What compiled refinements say where they have measured an error.
MEASURED = 0.0
TINY = np.finfo(float).tiny
# Expectations that have a leading axis where they are those of several states.
LED = ("kl", "fisher", "pull", "size", "error", "nodes")


class Expected(NamedTuple):
    """Expectations at a state, or at several ones: arrays along a leading axis.

    Parameters
    ----------
    kl, fisher : float or ndarray
        KL divergence and ``E|v|^2``.
    pull : ndarray, shape (..., k, r)
        Pulls, without their linear part.
    size : float or ndarray
        Magnitude of what is averaged in the pulls.
    sizes : tuple of float or of ndarray
        Those of the terms of ``kl`` and ``fisher``.
    error : float or ndarray
        Measured relative error: of each, relative to the magnitude of what is averaged; the worst.
    nodes : int or ndarray
        Number of nodes.
    rule : Rule or None
        Nodes; None of several states, and where it is a product.
    product : Product or None
        The tensor rule that it is, where it is one.
    """

    kl: Any
    fisher: Any
    pull: Array
    size: Any
    sizes: tuple[Any, Any]
    error: Any
    nodes: Any
    rule: Any
    product: Product | None = None

    def rule_for(self, means: Means) -> Rule:
        """Nodes at a state whose expectations these are, without those that add nothing."""
        if self.product is None:
            assert self.rule is not None, "expectations at several states have no rule"
            return self.rule
        return trimmed(self.product.rule(self.product.rungs), means)


def expect(calculus: Calculus, means: Means, tolerance: float) -> Expected:
    """Both losses and the pulls of one, by a rule that reaches ``tolerance`` if one can.

    Parameters
    ----------
    calculus : Calculus
        The loss's derived integrands.
    means : Means
        Components.
    tolerance : float
        Relative error asked for.
    """
    return _expect(calculus, *(x.tobytes() for x in means[:4]), means.form, tolerance)


# The pieces of a run ask for the same state up to three times in a row.
@functools.lru_cache(maxsize=4)
def _expect(
    calculus: Calculus,
    mu_: bytes,
    deviation_: bytes,
    mean_: bytes,
    weight_: bytes,
    form: int,
    tolerance: float,
) -> Expected:
    mu, deviation, mean, weight = (
        np.frombuffer(x).copy() for x in (mu_, deviation_, mean_, weight_)
    )
    mu, deviation = mu.reshape(len(weight), -1), deviation.reshape(len(weight), -1)
    means = Means(mu, deviation, mean, weight, form)
    none = Rule(np.zeros((0, len(mean))), np.zeros(0), "exact")
    if len(weight) == 1:
        square = float(np.sum(mean**2))
        sizes = square / 2, square
        return Expected(square / 2, square, np.zeros_like(mu), 0.0, sizes, 0.0, 0, none)

    look = _survey(means.at(None))
    if not look.split[0] and len(mean) <= TENSOR_DIMENSIONS:
        compiled = _climbed(calculus, means, look, tolerance)
        if compiled is not None:
            return compiled

    def part_of(part: Part) -> Refined:
        if part.peak < VANISHED:
            # The size of what is averaged stands last; that of nothing is one.
            nothing = tuple(np.append(np.zeros(count), 1.0) for count in (1, 1, mu.size))
            return Refined(nothing, 0.0, none, (0.0,) * len(nothing))
        size: list[Array] = []

        def evaluate(rule: Rule) -> Values:
            found = moments(calculus, means, part.rule(rule, means))
            # What an error is relative to stands last; any rule knows it well enough.
            size.append(np.where(found.size > UNDERFLOW, found.size, 1.0))
            sums = (np.array(found.kl), np.array(found.fisher), found.pull)
            return tuple(np.append(x, y) for x, y in zip(sums, size[0], strict=True))

        reach = float(look.reach[0])
        found = refine(evaluate, part.distances, reach, tolerance, window=part.window)
        return found._replace(rule=part.rule(found.rule, means))

    return _together(means, [part_of(part) for part in parts_of(means, look)])


def expect_several(calculus: Calculus, means: Means, tolerance: float) -> Expected:
    """:func:`expect` at several states, in compiled code where its rules go far enough.

    Parameters
    ----------
    calculus, tolerance : Calculus, float
        As for :func:`expect`.
    means : Means
        With a leading axis. Nothing in the result at one state depends on the others.
    """
    count, k, r = means.mu.shape
    alone = np.full(count, True)
    terms, numbers = np.zeros((count, 2, 2 + k * r)), np.zeros((count, 3))
    if k > 1 and r <= TENSOR_DIMENSIONS:
        look = _survey(means)
        some = np.flatnonzero(~look.split)
        climbed = _climb(calculus, means.at(some), look.at(some), tolerance)
        terms[some], numbers[some] = climbed[:2]
        alone[some] = numbers[some, 0] != MEASURED
    (kl, fisher), sums, size = means.constant, terms[:, 0], terms[:, 1]
    found = Expected(
        kl=kl + sums[:, 0],
        fisher=fisher + sums[:, 1],
        pull=sums[:, 2:].reshape(count, k, r),
        size=size[:, 2],
        sizes=(size[:, 0] + abs(kl), size[:, 1] + abs(fisher)),
        error=numbers[:, 1],
        nodes=numbers[:, 2],
        rule=None,
    )
    for t in np.flatnonzero(alone):
        one = expect(calculus, means.at(t), tolerance)
        found.sizes[0][t], found.sizes[1][t] = one.sizes
        for name in LED:
            getattr(found, name)[t] = getattr(one, name)
    return found


def _survey(means: Means) -> Survey:
    from flows.systems.mixture.survey import survey  # Numba loads where it is first needed

    return survey(means)


def _climb(
    calculus: Calculus, means: Means, look: Survey, tolerance: float
) -> tuple[Array, Array, NDArray[np.int64], Array]:
    """Sums and numbers of :func:`.sums_compiled.climbed`; rungs, reach of rules."""
    from flows.systems.mixture import sums_compiled

    count, k, r = means.mu.shape
    rungs = rungs_of(look.distances, tolerance, NEEDS[means.form])
    reach = rounded_reach(look.reach)
    terms, numbers = np.empty((count, 2, 2 + k * r)), np.empty((count, 3))
    for one in np.unique(reach) if count > 1 else reach:
        some = np.flatnonzero(reach == one)
        components, higher = components_of(means.at(some), look.home[some]), rungs[some]
        where = look.axes[some], higher, float(one)
        found = sums_compiled.climbed(means.form, calculus, components, *where, tolerance)
        terms[some], numbers[some] = found
        rungs[some] = higher
    return terms, numbers, rungs, reach


def _climbed(calculus: Calculus, means: Means, look: Survey, tolerance: float) -> Expected | None:
    """What compiled code finds at one state where one part is the whole, if it does."""
    terms, numbers, rungs, reach = _climb(calculus, means.at(None), look, tolerance)
    status, error, nodes = numbers[0].tolist()
    if status != MEASURED:
        return None
    sums, size = terms[0]
    (kl, fisher), (by_kl, by_fisher, largest) = means.constant, size[:3].tolist()
    return Expected(
        kl=float(sums[0] + kl),
        fisher=float(sums[1] + fisher),
        pull=sums[2:].reshape(means.mu.shape),
        size=largest,
        sizes=(float(by_kl + abs(kl)), float(by_fisher + abs(fisher))),
        error=error,
        nodes=int(nodes),
        rule=None,
        product=Product(
            look.axes[0],
            look.distances[0],
            rungs[0],
            float(reach[0]),
            tolerance,
            int(look.home[0]),
        ),
    )


def guessed_rule(means: Means, tolerance: float) -> Rule | None:
    """Rule that theory expects to reach a tolerance, not measured; None where it is not tensor."""
    look = _survey(means.at(None))
    if look.split[0] or means.mu.shape[-1] > TENSOR_DIMENSIONS:
        return None
    rungs = rungs_of(look.distances, tolerance)[0]
    rule = tensor(tuple(rungs.tolist()), float(rounded_reach(look.reach[0])))
    return parts_of(means, look)[0].rule(rule, means)


def _together(means: Means, parts: list[Refined]) -> Expected:
    """Sum of the parts, with the constants."""
    kl, fisher, pull = (sum(arrays) for arrays in zip(*(p.values for p in parts), strict=True))
    # Parts of one sum: each error is relative to the size of its own part.
    error = max(
        sum(p.error * p.values[i][-1] for p in parts if p.error) / max(total[-1], TINY)
        for i, total in enumerate((kl, fisher, pull))
    )
    constant = means.constant
    rule = max((p.rule for p in parts), key=len)
    if len(parts) > 1:
        rule = Rule(
            np.concatenate([p.rule.nodes for p in parts]),
            np.concatenate([p.rule.weights for p in parts]),
            f"{len(parts)} x {rule.label}",
        )
    return Expected(
        kl=float(kl[0] + constant[0]),
        fisher=float(fisher[0] + constant[1]),
        pull=pull[:-1].reshape(means.mu.shape),
        size=float(pull[-1]),
        sizes=(float(kl[-1] + abs(constant[0])), float(fisher[-1] + abs(constant[1]))),
        error=float(error),
        nodes=len(rule),
        rule=rule,
    )
