"""Errors of the features of a run: rounding of the losses, and what errors of the layers do."""

from __future__ import annotations

import functools

import numpy as np

from flows.core.arrays import Array
from flows.core.features import Features
from flows.systems.matrix_factorization.pieces import LONG, stays
from flows.systems.matrix_factorization.sensitivity import SENSITIVE, balance_left, feature_errors
from flows.systems.matrix_factorization.state import SoundState

__all__ = ["errors", "growth"]

# The error that all steps within one e-fold leave, and the error that is stated anyway; both in
# units of the tolerance of a step.
STEPS, ALLOWED = 10.0, 100.0
# Below this speed nothing is known of a way out.
LEAST = 1e-100
# Rounding of a speed, in units of the norms of its factors: a rise within it is none.
ROUNDING = 4.0


def growth(speed: Array, residual: Array, t: Array, values: Array, depth: int) -> Array:
    r"""By how much more than usual a run is wrong that has passed by a saddle.

    Beside the saddle the speed of the layers is least, `v`, and from there on it grows at a rate
    `r`, so that the part of the layers which leads away is `v/r` there. Its error is
    `\epsilon |W|` at first, and grows while the speed falls from `v_0` to `v`. It grows by `v_0/v`
    beside a saddle of two layers, whose rates in and out are the same, and by the root `N - 1` of
    that for `N` layers, whose speed is the power `N - 1` of their size. So

    .. math:: \epsilon \to \epsilon \, \frac{r |W|}{v} \Big(\frac{v_0}{v}\Big)^{1/(N - 1)}

    Parameters
    ----------
    speed, t : ndarray, shape (T,)
        Speed without that of the balancing term, which falls faster, and times.
    residual : ndarray, shape (T,)
        Norm `|E|` of the residual: speeds of modes that fail fall below the rounding of
        `W^{N - 1} E`, and do not rise before they are above it again.
    values : ndarray, shape (d,)
        Singular values of the target: `|W|` is that of balanced layers which fit it, as errors of
        larger ones fall with these.
    depth : int
        Number of layers `N`.

    Returns
    -------
    ndarray, shape (T,)
        What is added to one, that of a usual run; zero as long as the speed has not risen again.
    """
    speed = np.maximum(np.nan_to_num(speed), LEAST)
    fallen = (np.maximum.accumulate(speed) / speed) ** (1 / (depth - 1))
    size = np.sqrt(depth * np.sum(values ** (2 / depth)))
    slope = np.sqrt(depth) * values.max() ** (1 - 1 / depth)
    rounding = ROUNDING * np.finfo(float).eps * len(values) * slope * residual
    unsure, found = size * fallen / speed, np.zeros(len(speed))
    for k in range(1, len(speed)):
        rise = (speed[k] - rounding[k]) / speed[:k]
        rate = np.log(np.maximum(rise, 1.0)) / (t[k] - t[:k])
        found[k] = (unsure[:k] * rate * np.clip(rise - 1, 0.0, 1.0)).max()
    return np.maximum(0.0, STEPS / ALLOWED * np.maximum.accumulate(found) - 1.0)


def errors(
    depth: int,
    strength: float,
    target: Array,
    rounding: dict[str, Array],
    states: SoundState,
    features: dict[str, Array],
    t: Array,
    tolerance: Array,
) -> dict[str, Array]:
    """Absolute errors of features beside the relative one of the solver's tolerance.

    Parameters
    ----------
    depth : int
        Number of layers `N`.
    strength : float
        The regularisation `a`.
    target : ndarray, shape (d,)
        Singular values of the target.
    rounding : dict
        What rounding leaves unknown of the losses.
    states, features, t, tolerance : SoundState, dict, ndarray, ndarray
        As of :meth:`flows.core.system.System.errors`.
    """
    # The start is exact; later, layers have moved under the loosest tolerance so far.
    relative = np.where(t > 0, tolerance, 0.0)
    found = dict(rounding)
    if not features["defect"].any():
        # Defects of a balanced start are rounding that no variable follows.
        left = balance_left(depth, strength, features["layer_value"], t)
        found["loss_balance"] = found["loss_balance"] * left
    # Magnitudes are exponentials of g and q, which are known relative to themselves.
    doubts = relative[:, None] * np.abs(states.x[:, -2:])
    with np.errstate(over="ignore"):  # where it overflows nothing is known
        once, twice = np.expm1(doubts), np.expm1(2 * doubts)
    parts = {
        "loss_fit": features["residual"] ** 2 / 2,
        "loss_balance": strength / 4 * (features["defect"] ** 2).sum(axis=1),
    }
    for k, (name, value) in enumerate(parts.items()):
        found[name] = found[name] + _times(value, twice[:, k])
    found["loss"] = found["loss_fit"] + found["loss_balance"]
    found["residual"] = _times(features["residual"], once[:, 0])
    # Each defect is known relative to all of them, as one may pass by zero.
    defects = np.sqrt((features["defect"] ** 2).sum(axis=1))
    every = _times(defects, relative + once[:, 1])
    found["defect"] = np.where(features["defect"] > 0, every[:, None], 0.0)
    # These take the singular values of all layers, for which not everyone asks.
    late = (t > LONG) & stays(features["residual"], target)
    given = strength, target.max(), features, relative, (once, late)
    doubts_of = functools.cache(lambda: feature_errors(depth, *given))
    return Features(found, {k: functools.partial(lambda k: doubts_of()[k], k) for k in SENSITIVE})


def _times(value: Array, doubt: Array) -> Array:
    """Error of a value; infinite, of one that is zero too, where nothing is known."""
    return np.asarray(
        np.where(np.isinf(doubt), np.inf, value * np.where(np.isinf(doubt), 0, doubt))
    )
