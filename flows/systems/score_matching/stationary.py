"""The stationary point of score matching with positive loss, with many digits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from mpmath import mp
from scipy.optimize import brentq

from flows.core.errors import InputError
from flows.expectations.lines import in_balls
from flows.systems.mixture.exact import GUARD, nodes
from symbolic.language.lower import lower
from symbolic.systems.score_matching.stationary import POINT, stationary_loss, stationary_slope

__all__ = ["Stationary", "stationary_point"]

# Digits of the rule that finds a root in doubles, and how near it comes.
ROUGH, NEARBY = 15, 1e-12
# Digits beyond those of a stationary point: its slope is of order one beside it.
SPARE = 8
# Bits of nodes beyond those that are worked with.
BITS = 10


class Stationary(NamedTuple):
    """Means ``s, -s, 0, ..., 0`` where the gradient vanishes and the loss does not.

    Parameters
    ----------
    point : mpf
        ``s``.
    error : mpf
        The slope of the loss changes its sign within this distance of ``s``, by a rule of half the
        step too.
    loss : mpf
        Loss there.
    """

    point: Any
    error: Any
    loss: Any


def _rough_point(integrand: Callable[..., Any], n: int) -> float:
    """Zero of the mean slope in doubles."""

    def mean(s: float) -> float:
        x, w = nodes([s, -s], ROUGH).nodes
        return float(w @ integrand(s, x, n - 3)[0])

    low, high = 1.0, 2.0
    while mean(high) > 0:
        low, high = high, 1.5 * high
    return float(brentq(mean, low, high, xtol=NEARBY))


@functools.cache
def stationary_point(n: int, digits: int = 15) -> Stationary:
    """Find the stationary point of Theorem 3.1: the maximum of the loss on a line.

    Parameters
    ----------
    n : int
        Number of components, at least 3: there is no such point of two.
    digits : int
        Digits of the point.

    Returns
    -------
    Stationary
        The point with its measured error.

    Raises
    ------
    InputError
        If ``n`` is less than 3.

    Notes
    -----
    Source: Zhang, Xu, Zhou, Fazel & Du 2026, arXiv 2511.22069, Theorem 3.1; the condition is that
    of :mod:`symbolic.systems.score_matching.stationary`.
    """
    if n < 3:
        raise InputError(f"a stationary point of positive loss needs n >= 3, got {n}")
    wanted = (stationary_slope(), stationary_loss())
    integrand = lower(wanted, POINT, "mpmath")

    def mean(s: Any, which: int, parts: int, spare: int = SPARE) -> Any:
        # Both integrands are even.
        rule = in_balls(nodes([s, -s], digits + spare, parts), mp.prec + BITS, True)
        return mp.fsum(mp.mpf(w) * integrand(s, mp.mpf(x), n - 3)[which] for x, w in rule)

    with mp.workdps(digits + SPARE):
        near = mp.mpf(_rough_point(lower(wanted[:1], POINT, "numpy"), n))
        first, second = (
            mp.findroot(lambda s, p=parts: mean(s, 0, p), (near, near * (1 + NEARBY)))
            for parts in (1, 2)
        )
        error = abs(first - second) + mp.mpf(10) ** -(digits + 1)
        while not mean(second - error, 0, 2) > 0 > mean(second + error, 0, 2):
            error *= 2
    with mp.workdps(digits + GUARD):
        return Stationary(second, error, mean(second, 1, 1, GUARD))
