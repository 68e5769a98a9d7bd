"""What the oracles with many digits share: a rule for means on a line, and the flow of a loss.

The trapezoidal rule has an error that falls with its step like `exp(-2 pi b / h)`, `b` the distance
of the poles of the posteriors. Digits that cancel for small means are simply there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mpmath import mp

from flows.core.arrays import Array
from flows.core.system import Smooth
from flows.systems.mixture.forms import components
from flows.systems.mixture.means import FAR
from flows.systems.mixture.sound import Frame, SoundState

__all__ = ["GUARD", "LineLoss", "line_flow", "nodes"]

# Digits that cancel between terms of order one and a loss of 1e-16.
GUARD = 20

#: From means, weights, digits, and whether second derivatives are wanted, to loss, gradient and
#: Hessian of a mixture on a line.
LineLoss = Callable[[Sequence[Any], Sequence[Any], int, bool], tuple[Any, list[Any], Any]]


def nodes(means: Sequence[Any], digits: int, parts: int = 1) -> list[tuple[Any, Any]]:
    """Nodes and weights that integrate posteriors of these means.

    Parameters
    ----------
    means : sequence of k mpf
        Components on a line.
    digits : int
        Digits of the sums, absolute where the means are short.
    parts : int
        Into how many parts each step is cut, to measure the error.

    Returns
    -------
    list of (mpf, mpf)
        Trapezoidal rule for ``N(0, 1)``.
    """
    decay = digits * mp.log(10)
    reach = max(abs(m) for m in means)
    end = mp.sqrt(2 * decay + reach**2) + reach
    poles = mp.pi / max(max(means) - min(means), mp.mpf("0.1"))
    # Without poles, the Gaussian itself asks for exp(-2 pi^2 / h^2).
    step = min(2 * mp.pi * poles / decay, mp.pi * mp.sqrt(2 / decay)) / parts
    count = int(end / step) + 1
    right = [(j * step, step * mp.npdf(j * step)) for j in range(1, count + 1)]
    return [*((-x, w) for x, w in reversed(right)), (mp.zero, step * mp.npdf(0)), *right]


def line_flow(frame: Frame, state: SoundState, digits: int, loss: LineLoss, factor: int) -> Smooth:
    """Flow of the distinct components on a line, for one loss.

    Parameters
    ----------
    frame, state : Frame, SoundState
        Start; components of the frame are copies of equal weight.
    digits : int
        Digits of the flow.
    loss : callable
        Loss with its derivatives.
    factor : int
        ``f`` in ``grad_i = f W_i pull_i``, ``mu_i' = -rate_i pull_i``.
    """
    weights = frame.weight.tolist()
    with mp.workdps(digits + GUARD):  # a sum in doubles would round a cluster's offsets
        x0 = [mp.mpf(x) + mp.mpf(float(state.centre[0])) for x in state.offset[:, 0].tolist()]
        share = [mp.mpf(r) / w / factor for r, w in zip(frame.rate.tolist(), weights, strict=True)]

    def field(x: list[Any]) -> list[Any]:
        slope = loss(x, weights, digits, False)[1]
        return [-s * m for s, m in zip(slope, share, strict=True)]

    def jacobian(x: list[Any]) -> Array:
        curve = np.array(loss(x, weights, 15, True)[2], dtype=float)
        return np.array(-curve * np.array(share, dtype=float)[:, None])

    def decode(x: list[Any]) -> SoundState:
        with mp.workdps(digits):
            mean = mp.fsum(w * m for w, m in zip(weights, x, strict=True)) / mp.fsum(weights)
            offset = np.array([[float(m - mean)] for m in x])
        found = SoundState(offset, np.array([float(mean)]))
        if components(frame, found).form == FAR:  # apart, each mean keeps its own digits
            return SoundState(np.array([[float(m)] for m in x]), np.zeros(1))
        return found

    return Smooth(field, jacobian, x0, decode)
