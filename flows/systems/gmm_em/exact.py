"""Gradient EM with many digits for means on a line: an oracle with formulas of its own.

The gradient is the definition `E psi_i (mu_i - x)`, the loss `-E log(p/p_0)`, by the rule of
:mod:`flows.systems.mixture.exact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpmath import mp

from flows.core.system import Smooth
from flows.systems.mixture.exact import GUARD, line_flow, nodes
from flows.systems.mixture.sound import Frame, SoundState

__all__ = ["expectations", "flow"]


def expectations(
    means: Sequence[Any], weights: Sequence[Any], digits: int, hessian: bool = False
) -> tuple[Any, list[Any], Any]:
    """Loss, gradient and Hessian of a mixture on a line, from their definitions.

    Parameters
    ----------
    means, weights : sequence of k numbers
        Components; the weights are divided by their sum.
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
        total = mp.fsum(mp.mpf(w) for w in weights)
        pi = [mp.mpf(w) / total for w in weights]
        loss, slope = mp.zero, [mp.zero] * k
        curve = [[mp.zero] * k for _ in range(k)]
        for x, w in nodes(mu, digits + GUARD):
            p = [a * mp.exp(m * x - m * m / 2) for a, m in zip(pi, mu, strict=True)]
            ratio = mp.fsum(p)
            psi = [q / ratio for q in p]
            loss -= w * mp.log(ratio)
            slope = [s + w * q * (m - x) for s, q, m in zip(slope, psi, mu, strict=True)]
            for i in range(k if hessian else 0):
                curve[i][i] += w * psi[i] * (1 - (x - mu[i]) ** 2)
                for j in range(k):
                    curve[i][j] += w * psi[i] * psi[j] * (x - mu[i]) * (x - mu[j])
        return loss, slope, curve


def flow(frame: Frame, state: SoundState, digits: int) -> Smooth:
    """Flow of the distinct components on a line; see :class:`flows.core.system.Smooth`."""
    return line_flow(frame, state, digits, expectations, 1)
