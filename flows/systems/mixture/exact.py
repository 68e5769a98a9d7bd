"""Means on a line with many digits: a rule, and the flow of a loss by the text that runs follow."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb
from mpmath import mp

from flows.arithmetic.lists import balls
from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.system import Smooth
from flows.expectations.lines import Axis, Line, in_balls
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.derivatives import slopes
from flows.systems.mixture.forms import components
from flows.systems.mixture.integrands import PULL, Components, Functions, define, rows
from flows.systems.mixture.means import CLUSTER, FAR
from flows.systems.mixture.sound import Frame, SoundState

__all__ = ["GUARD", "line_flow", "nodes", "pulls"]

# Digits that cancel between terms of order one and a loss of 1e-16.
GUARD = 20
# Steps are powers of two to this, so that nearby states have the same nodes.
STEPS = 8


# Of thin balls, one node at a time: the text of clusters loses no digits that are asked for.
FUNCTIONS = Functions(
    log=arb.log,
    density=lambda x: x.expm1() - x,
    divergence=lambda x: x - x.log1p(),
    log_of_more=lambda x, y: x.log1p(),
)


def nodes(means: Sequence[Any], digits: int, parts: int = 1) -> Axis:
    """Trapezoidal rule for `N(0, 1)` that integrates posteriors of these means.

    Its error falls with its step like `exp(-2 pi b / h)`, `b` the distance of the poles.

    Parameters
    ----------
    means : sequence of k numbers
        Components on a line.
    digits : int
        Digits of the sums, absolute where the means are short.
    parts : int
        Into how many parts each step is cut, to measure the error.
    """
    decay, ends = digits * math.log(10), [float(m) for m in means]
    reach = max(map(abs, ends))
    poles = math.pi / max(max(ends) - min(ends), 0.1)
    # Without poles, the Gaussian itself asks for exp(-2 pi^2 / h^2).
    step = min(2 * math.pi * poles / decay, math.pi * math.sqrt(2 / decay))
    step = 2.0 ** (math.floor(STEPS * math.log2(step)) / STEPS) / parts
    count = int((math.sqrt(2 * decay + reach**2) + reach) / step) + 1
    return Axis(Line(), step, -count, count)


@functools.cache
def _adder(calculus: Calculus) -> Callable[..., None]:
    return define(balls(), FUNCTIONS, CLUSTER, calculus).first


def pulls(calculus: Calculus, means: Sequence[Any], weights: Sequence[Any], digits: int) -> Any:
    """Pulls of means on a line, a list of balls.

    Parameters
    ----------
    calculus : Calculus
        The loss's derived integrands.
    means, weights : sequence of k numbers
        Components; the weights are divided by their sum.
    digits : int
        Digits of the result, for means above ``10^-5``.
    """
    bits, k = math.ceil((digits + GUARD) * math.log2(10)), len(means)
    with precision(bits):
        mu, total = [arb(m) for m in means], sum(map(arb, weights), arb(0))
        share = [arb(w) / total for w in weights]
        mean = sum((w * m for w, m in zip(share, mu, strict=True)), arb(0))
        places, deviations = np.empty((2, k, 1), object)
        places[:, 0], deviations[:, 0] = mu, [m - mean for m in mu]
        found = Components(places, deviations, np.array([mean]), np.array(share), 0, np.eye(1))
        add, room, sums = _adder(calculus), [arb(0)] * rows(k, 1), [arb(0)] * (PULL + k)
        for x, w in in_balls(nodes(means, digits + GUARD), bits, False):
            add(found, False, [x], [w], room, sums)
        return [mean + pull for pull in sums[PULL:]]


def line_flow(calculus: Calculus, frame: Frame, state: SoundState, digits: int) -> Smooth:
    """Flow of the distinct components on a line; see :class:`flows.core.system.Smooth`.

    Components of the frame are copies of equal weight; ``mu_i' = -rate_i pull_i``.
    """
    weights = frame.weight.tolist()
    with mp.workdps(digits + GUARD):  # a sum in doubles would round a cluster's offsets
        x0 = [mp.mpf(x) + mp.mpf(float(state.centre[0])) for x in state.offset[:, 0].tolist()]
        total = mp.fsum(weights)
        rates = [mp.mpf(rate) / total for rate in frame.rate.tolist()]

    def field(x: list[Any]) -> list[Any]:
        found = pulls(calculus, x, weights, digits)
        return [-rate * mp.mpf(pull) for rate, pull in zip(rates, found, strict=True)]

    def jacobian(x: list[Any]) -> Array:
        # In doubles: it steers Newton's method and decides no digit.
        return -slopes(calculus, frame, decode(x))[:, 0, :, 0]

    def decode(x: list[Any]) -> SoundState:
        with mp.workdps(digits):
            mean = mp.fsum(w * m for w, m in zip(weights, x, strict=True)) / mp.fsum(weights)
            offset = np.array([[float(m - mean)] for m in x])
        found = SoundState(offset, np.array([float(mean)]))
        if components(frame, found).form == FAR:  # apart, each mean keeps its own digits
            return SoundState(np.array([[float(m)] for m in x]), np.zeros(1))
        return found

    return Smooth(field, jacobian, x0, decode)
