r"""What a travelling cluster does to errors: along its mean they grow with its deviations.

To first order the deviations `y_i` of a cluster with the mean `m` follow

.. math:: \dot y_i = \kappa r_i (m \cdot y_i) m, \qquad \dot m = -Q m, \qquad
          Q = \sum_i W_i r_i

with the rates `r_i` and `\kappa = 1` for the KL divergence, `\kappa = 2` for `E|v|^2`
(:func:`symbolic.systems.score_matching.cluster.derive_cluster`). So what is along the mean grows by
up to `exp(E(0) - E(t))`, `E = \kappa max_i r_i |m|^2/(2 Q)`, while what is across stays; and an
error of a step along the mean, small next to all deviations, may end up larger than they are.

Of several clusters far from each other each has the target's points that are nearest to it,
a part `p` in the half-space or cone `R`, where all of `v` is its own mean `c`. With its weight `w`

.. math:: \dot c = -\frac{p}{w} \bar r c, \qquad
          \dot y_i = \kappa \frac{p}{w} r_i\, ((c - E[x | R]) \cdot y_i)\, c

to first order, with `\bar r` the average of its rates; for `E|v|^2` half of it is
`(c \cdot y_i)(c - E[x | R])`, with the same part along `c`.
As `E[x | R] \cdot c \ge 0`, what is along `c` grows by
`exp(\kappa max_i r_i |c|^2/(2 \bar r))` or less: the same exponent, of each cluster by itself.
"""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array
from flows.core.problem import ATOL_PER_RTOL

# Deviations are known to this part of their size, or less; errors of steps need not be smaller.
ROUNDING = 1e-15
# Runs are allowed the errors of a hundred steps.
ALLOWED = 1e-2
# ... and every e-fold of deviations adds so many times as many: a relative error of the mean is one
# of their growth's logarithm.
FOLD = 2.0
# An exponent below this is none.
NONE = 1.0
# Beyond, an exponential is as good as infinite.
MOST = 700.0


def exponent(weight: Array, rate: Array, mean: Array, stretch: float) -> Array:
    """Logarithm of the growth that is left to deviations along means, shape (..., r) to (...)."""
    fastest = float(rate.max()) / float(weight @ rate)
    return np.asarray(stretch * fastest * (mean * mean).sum(axis=-1) / 2)


def fineness(left: Array, tolerance: float) -> Array:
    """Factor of absolute tolerances of deviations to which this growth is left.

    ``tolerance`` is that of the field, at most that of a step.
    """
    rounded = min(1.0, ROUNDING / (ATOL_PER_RTOL * max(tolerance, ROUNDING)))
    return np.maximum(np.exp(-np.minimum(left, MOST)), rounded)


def grows(left: Array) -> bool:
    """Whether there is growth left that counts."""
    return bool(left.max(initial=0.0) >= NONE)


def magnification(
    left: Array, mean: Array, deviation: Array, local: Array, spread: Array | None = None
) -> Array:
    """By how much relative errors of deviations grow, in units of what runs are allowed anyway.

    Parameters
    ----------
    left : ndarray, shape (T,)
        Logarithms of the growth that is left.
    mean : ndarray, shape (T, r)
        Means of the clusters.
    deviation : ndarray, shape (T, k, r)
        Deviations from them.
    local : ndarray, shape (T,)
        Errors of steps, as lengths, over their relative tolerance.
    spread : ndarray, shape (T,), optional
        Largest deviation of all means, next to which those of a cluster matter; without it, the
        cluster's own.

    Returns
    -------
    ndarray, shape (T,)
        Zero where nothing has grown. Errors of all e-folds add up, and errors along the mean grow
        like what is there, or, where nothing is, by the whole growth.
    """
    times = len(left)
    if not grows(left):
        return np.zeros(times)
    left, tiny = np.minimum.accumulate(left), float(np.finfo(float).tiny)
    size = np.sqrt((deviation**2).sum(axis=-1)).max(axis=-1)
    if spread is not None:  # what was a cluster and is none any more is as wide as all means
        size = np.where((size == 0) & (np.maximum.accumulate(size) > 0), spread, size)
    direction = mean / np.maximum(np.sqrt((mean**2).sum(axis=-1)), tiny)[:, None]
    along = np.abs((deviation * direction[:, None, :]).sum(axis=-1)).max(axis=-1)
    # From the time of a row to that of a column: the growth, and the largest deviations there were.
    later = np.arange(times) >= np.arange(times)[:, None]
    largest = np.maximum.accumulate(np.where(later, size, 0.0), axis=1)
    widest = largest
    if spread is not None:
        widest = np.maximum.accumulate(np.where(later, spread, 0.0), axis=1)
    widest = np.maximum(widest, tiny)
    growth = np.where(later, np.clip(left[:, None] - left, 0.0, MOST), 0.0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        grown = local[:, None] * np.exp(growth)
        # Where nothing is there at all, there is no such bound.
        worst = np.fmin(grown, (local / np.maximum(along, tiny))[:, None] * largest) / widest
        risen = np.log(np.maximum(largest, tiny) / np.maximum(size, tiny)[:, None])
    found = ALLOWED * worst + FOLD * largest / widest * np.clip(risen, 0.0, growth)
    return np.asarray(np.where(later, found, 0.0).max(axis=0))
