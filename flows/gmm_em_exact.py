"""Gradient EM with many digits for means on a line: an oracle with formulas of its own.

The gradient is the definition `E psi_i (mu_i - x)`, the loss `-E log(p/p_0)`, by the trapezoidal
rule, whose error falls with its step like `exp(-2 pi b / h)`, `b` the distance of the poles of
`psi`.
Digits that cancel for small means are simply there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mpmath import mp

from flows.gmm_em_pieces import Frame, Sound
from flows.self_similar import Array
from flows.system import Smooth

__all__ = ["expectations", "flow"]

# Digits that cancel between terms of order one and a loss of 1e-16.
GUARD = 20


def _nodes(means: Sequence[Any], digits: int) -> list[tuple[Any, Any]]:
    """Nodes and weights that integrate posteriors of these means to ``digits`` digits."""
    decay = digits * mp.log(10)
    reach = max(abs(m) for m in means)
    end = mp.sqrt(2 * decay + reach**2) + reach
    poles = mp.pi / max(max(means) - min(means), mp.mpf("0.1"))
    # Without poles, the Gaussian itself asks for exp(-2 pi^2 / h^2).
    step = min(2 * mp.pi * poles / decay, mp.pi * mp.sqrt(2 / decay))
    count = int(end / step) + 1
    return [(j * step, step * mp.npdf(j * step)) for j in range(-count, count + 1)]


def expectations(
    means: Sequence[Any], weights: Sequence[Any], digits: int, hessian: bool = False
) -> tuple[Any, list[Any], Any]:
    """Loss, gradient and Hessian of a mixture on a line, from their definitions.

    Parameters
    ----------
    means, weights : sequence of k numbers
        Components; the weights have sum one.
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
        for x, w in _nodes(mu, digits + GUARD):
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


def flow(frame: Frame, state: Sound, digits: int) -> Smooth:
    """Flow of the distinct components on a line; see :class:`flows.system.Smooth`."""
    count = frame.multiplicity.tolist()
    weights = frame.weight.tolist()
    x0 = state.mu[:, 0].tolist()

    def field(x: list[Any]) -> list[Any]:
        slope = expectations(x, weights, digits)[1]
        return [-s / m for s, m in zip(slope, count, strict=True)]

    def jacobian(x: list[Any]) -> Array:
        curve = np.array(expectations(x, weights, 15, hessian=True)[2], dtype=float)
        return np.array(-curve / np.array(count)[:, None])

    def decode(x: list[Any]) -> Sound:
        with mp.workdps(digits):
            total = mp.fsum(weights)
            mean = mp.fsum(w * m for w, m in zip(weights, x, strict=True)) / total
            deviation = [float(m - mean) for m in x]
        return Sound(np.array(deviation)[:, None], np.array([float(mean)]))

    return Smooth(field, jacobian, x0, decode)
