"""Score matching with many digits for means on a line: an oracle with formulas of its own.

With `psi_i` the posterior of a component at the node `x`, `v = sum_k psi_k mu_k` and
`J_i = dv/dmu_i = psi_i (1 + (mu_i - v)(x - mu_i))`, the loss is `E v^2`, its gradient `2 E v J_i`,
and its Hessian `2 E[J_i J_j + v dJ_i/dmu_j]`, by the rule of :mod:`flows.systems.mixture.exact`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp
from scipy.optimize import brentq

from flows.core.errors import InputError
from flows.core.system import Smooth
from flows.systems.mixture.exact import GUARD, line_flow, nodes
from flows.systems.mixture.sound import Frame, SoundState
from symbolic.language.lower import lower
from symbolic.systems.score_matching.stationary import POINT, stationary_loss, stationary_slope

__all__ = ["Stationary", "expectations", "flow", "stationary_point"]

# Half the gradient of coincident components is their weight times the mean.
FACTOR = 2
# Digits of the rule that finds a root in doubles, and how near it comes.
ROUGH, NEARBY = 15, 1e-12
# Digits beyond those of a stationary point: its slope is of order one beside it.
SPARE = 8


def expectations(
    means: Sequence[Any], weights: Sequence[Any], digits: int, hessian: bool = False
) -> tuple[Any, list[Any], Any]:
    """Loss, gradient and Hessian of a mixture on a line, from their definitions.

    Parameters
    ----------
    means, weights : sequence of k numbers
        Components; the weights, such as how many equal ones each stands for, are divided by their
        sum. The gradient is that by all that one stands for, moved together.
    digits : int
        Digits of the result, for means above ``10^-5``.
    hessian : bool
        Whether second derivatives are wanted.

    Returns
    -------
    loss, gradient, hessian : mpf, list of k mpf, k lists of k mpf
        The Hessian is zero where it was not asked for.
    """
    k = len(means)
    with mp.workdps(digits + GUARD):
        mu = [mp.mpf(m) for m in means]
        parts = [mp.mpf(w) for w in weights]
        loss, slope = mp.zero, [mp.zero] * k
        curve = [[mp.zero] * k for _ in range(k)]
        for x, w in nodes(mu, digits + GUARD):
            p = [a * mp.exp(m * x - m * m / 2) for a, m in zip(parts, mu, strict=True)]
            total = mp.fsum(p)
            psi = [q / total for q in p]
            v = mp.fdot(psi, mu)
            moved = [q * (1 + (m - v) * (x - m)) for q, m in zip(psi, mu, strict=True)]
            loss += w * v * v
            slope = [s + 2 * w * v * j for s, j in zip(slope, moved, strict=True)]
            for i in range(k if hessian else 0):
                away = x - mu[i]
                for j in range(k):
                    own = mp.mpf(i == j)
                    # J_i by mu_j: its posterior, mu_i - v, x - mu_i.
                    turn = moved[i] * (own - psi[j]) * (x - mu[j])
                    turn += psi[i] * ((own - moved[j]) * away - own * (mu[i] - v))
                    curve[i][j] += 2 * w * (moved[i] * moved[j] + v * turn)
        return loss, slope, curve


def flow(frame: Frame, state: SoundState, digits: int) -> Smooth:
    """Flow of the distinct components on a line; see :class:`flows.core.system.Smooth`."""
    return line_flow(frame, state, digits, expectations, FACTOR)


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
        x, w = np.array(nodes([s, -s], ROUGH), dtype=float).T
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
        rule = nodes([s, -s], digits + spare, parts)
        middle, *right = (w * integrand(s, x, n - 3)[which] for x, w in rule[len(rule) // 2 :])
        return middle + 2 * mp.fsum(right)  # both integrands are even

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
