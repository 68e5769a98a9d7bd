r"""How far a change may still go if several powers of time, which cancel for now, make it up.

A change `x` per unit of `\log t` that looks like one power of time may be a sum of three,

.. math:: x = \sum_{j=1}^3 b_j e^{-r_j \log t}, \qquad \text{which adds up to} \quad
   \sum_j b_j e^{-r_j \log t}/r_j

from here on: what is slow and cancels now does not later. No single look distinguishes these sums,
and a stretch does, the better the longer it is. So all sums of three rates of a list are fitted to
it, and of those that fit about as well as the best one the extremes are taken.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from flows.core.arrays import Array

__all__ = ["reach"]

# Rates: those of the first powers of log t at late times, and of powers of time, so close to each
# other that three of them make up any between.
RATES = np.array([0.02, 0.05, 0.1, 0.16, 0.24, 0.33, 0.45, 0.6, 0.8, 1.0, 1.3, 1.7])
# A time that is counted from another one makes of a power those of the next rates, too.
SHIFT = np.array([1.0, 2.0])
# Three of the first rates and of the one that is seen, with these.
COUNT = len(RATES) + 1
SUMS = np.array([(*k, COUNT, COUNT + 1) for k in itertools.combinations(range(COUNT), 3)])
# A sum fits if it is off by no more than so many times the best one, whose rates are as little
# those of the change. Of 5000 random laws of three powers and a logarithm, of which a third cancel,
# three are beside their limit with 10, and none with 20.
FITS = 20.0
# Fewer times do not separate three powers.
LEAST = 6


def reach(change: Array, log_t: Array, noise: float, rate: float, left: float) -> float:
    """Largest distance of what a change may add up to from what it seems to.

    Parameters
    ----------
    change : ndarray, shape (T,)
        Change per unit of `log t`.
    log_t : ndarray, shape (T,)
        Logarithms of the times, increasing.
    noise : float
        Absolute error of the change.
    rate : float
        Rate of one power that it looks like; NaN of none.
    left : float
        What it seems to add up to from the last time on.

    Returns
    -------
    float
        Infinite for fewer than six times.
    """
    if len(change) < LEAST:
        return math.inf
    weight = 1 / np.maximum(np.hypot(change, noise), np.finfo(float).tiny)
    seen = rate if rate > RATES[0] else RATES[-1]
    rates = np.concatenate([RATES, [seen], seen + SHIFT])
    powers = np.exp(-np.outer(rates, log_t - log_t[-1])) * weight
    design = np.swapaxes(powers[SUMS], 1, 2)
    parts = np.linalg.pinv(design) @ (change * weight)
    residual = (design @ parts[..., None])[..., 0] - change * weight
    misfit = np.sqrt(np.mean(residual**2, axis=1))
    fits = misfit <= max(FITS * float(misfit.min()), noise * float(weight.min()))
    sums = np.sum(parts / rates[SUMS], axis=1)[fits]
    return float(np.abs(sums - left).max())
