"""Expectations of a Gaussian mixture, by rules whose error follows from its distances."""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.expectations.hermite import Rule
from flows.expectations.sampled import confident
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import Means
from flows.systems.mixture.rules import Nodes, home_ahead, roomy, rule, unseen

# Averages of terms below this are zero: their digits are lost to underflow.
UNDERFLOW = 1e-250
TINY = float(np.finfo(float).tiny)
# States that are summed at once: their axes and rules are found together.
TOGETHER = 256


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
        Relative error of each, relative to the magnitude of what is averaged; the worst.
    nodes : int or ndarray
        Number of nodes.
    rule : Rule or None
        Nodes at one state, None of several.
    """

    kl: Any
    fisher: Any
    pull: Array
    size: Any
    sizes: tuple[Any, Any]
    error: Any
    nodes: Any
    rule: Any = None


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
    numbers = np.concatenate([x.ravel() for x in means[:4]])
    return _expect(calculus, numbers.tobytes(), means.mu.shape, means.form, tolerance)


# The pieces of a run ask for the same state up to three times in a row.
@functools.lru_cache(maxsize=4)
def _expect(
    calculus: Calculus, held: bytes, shape: tuple[int, int], form: int, tolerance: float
) -> Expected:
    numbers, (k, r) = np.frombuffer(held).copy(), shape
    mu, deviation = numbers[: 2 * k * r].reshape(2, k, r)
    means = Means(mu, deviation, numbers[2 * k * r : -k], numbers[-k:], form)
    several = expect_several(calculus, means.at(None), tolerance)
    names = "kl", "fisher", "size", "error", "nodes"
    parts = {name: getattr(several, name)[0].item() for name in names}
    sizes = several.sizes[0][0].item(), several.sizes[1][0].item()
    return Expected(pull=several.pull[0], sizes=sizes, rule=several.rule, **parts)


def expect_several(calculus: Calculus, means: Means, tolerance: float) -> Expected:
    """:func:`expect` at several states; nothing in the result at one depends on the others.

    Parameters
    ----------
    calculus, tolerance : Calculus, float
        As for :func:`expect`.
    means : Means
        With a leading axis.
    """
    count, k, r = means.mu.shape
    terms, numbers = np.zeros((count, 2, 2 + k * r)), np.zeros((count, 2))
    last = Rule(np.zeros((0, r)), np.zeros(0), "exact")
    if k > 1:
        for first in range(0, count, TOGETHER):
            some = slice(first, first + TOGETHER)
            last = _sum(calculus, means.at(some), tolerance, terms[some], numbers[some])
    (kl, fisher), sums, size = means.constant, terms[:, 0], terms[:, 1]
    if k == 1:  # all of both losses, in any form
        fisher = (means.mean**2).sum(axis=-1)
        kl = fisher / 2
    return Expected(
        kl=kl + sums[:, 0],
        fisher=fisher + sums[:, 1],
        pull=sums[:, 2:].reshape(count, k, r),
        size=size[:, 2:].max(axis=1),
        sizes=(size[:, 0] + abs(kl), size[:, 1] + abs(fisher)),
        error=numbers[:, 0],
        nodes=numbers[:, 1].astype(int),
        rule=last if count == 1 else None,
    )


def _sum(calculus: Calculus, means: Means, tolerance: float, terms: Array, numbers: Array) -> Rule:
    """Set sums, errors and numbers of nodes of several states; the rule of the last one."""
    from flows.systems.mixture.axes import frames
    from flows.systems.mixture.sums import components_of, of_list

    frame, count = frames(means, unseen(tolerance), 0.0), len(means.mu)
    widths, last = roomy(frame.widths, 1.0), Rule(np.zeros((0, 0)), np.zeros(0), "")
    # Neighbours with the same widths have the same rule, where no nodes are left out.
    keys = [
        (tuple(w), t if home_ahead(means.at(t)) else None) for t, w in enumerate(widths.tolist())
    ]
    for _, group in itertools.groupby(range(count), keys.__getitem__):
        some = np.array(list(group))
        one = means.at(some[0])
        found = rule(one, frame.at(some[:1]), widths[some[0]], tolerance, moves=0.0, curve=False)
        if found is None:
            for t in some:
                last = _random(calculus, means.at(t), tolerance, terms[t], numbers[t])
            continue
        parts = components_of(means.at(some), frame.axes[some])
        terms[some] = of_list(means.form, calculus, parts, found.numbers)
        numbers[some] = found.error, found.size
        if count == 1:
            last = as_rule(found, frame.axes[0])
    return last


def as_rule(found: Nodes, axes: Array) -> Rule:
    """Nodes along axes as a rule."""
    from flows.systems.mixture.nodes import unpacked

    nodes, weights = unpacked(found.numbers, found.size, len(axes))
    return Rule(nodes @ axes, weights, f"product of {found.size}")


def curve_rule(means: Means, tolerance: float) -> Rule | None:
    """Rule for second derivatives at a state; None if there are too many nodes."""
    from flows.systems.mixture.axes import frames

    frame = frames(means.at(None), unseen(tolerance), 0.0)
    widths = roomy(frame.widths[0], 1.0)
    found = rule(means, frame, widths, tolerance, moves=0.0, curve=True)
    return None if found is None else as_rule(found, frame.axes[0])


def _random(
    calculus: Calculus, means: Means, tolerance: float, terms: Array, numbers: Array
) -> Rule:
    """Set sums by random points, with a confidence interval as their error."""
    from flows.systems.mixture.nodes import packed
    from flows.systems.mixture.sums import components_of, of_list

    parts, pulls = components_of(means.at(None)), np.s_[2:]

    def evaluate(points: Rule) -> tuple[Array, ...]:
        numbers = packed(points.nodes, points.weights)
        sums[:] = of_list(means.form, calculus, parts, numbers)[0]
        size = np.array([*sums[1, :2], sums[1, pulls].max()])
        size = np.where(size > UNDERFLOW, size, 1.0)
        pair = sums[0, :1], sums[0, 1:2]
        return tuple(np.append(x, y) for x, y in zip((*pair, sums[0, pulls]), size, strict=True))

    sums = np.zeros_like(terms)
    found = confident(evaluate, means.mu.shape[1], tolerance)
    terms[0] = np.concatenate([values[:-1] for values in found.values])
    terms[1, :2], terms[1, pulls] = sums[1, :2], sums[1, pulls].max()
    numbers[:] = found.error, len(found.rule)
    return found.rule
