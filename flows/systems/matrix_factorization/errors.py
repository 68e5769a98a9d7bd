"""Errors of the features of a run: rounding of the losses, and what errors of the layers do."""

from __future__ import annotations

import functools

import numpy as np

from flows.core.arrays import Array
from flows.core.features import Features
from flows.core.problem import ATOL_PER_RTOL
from flows.systems.matrix_factorization.pieces import DRIFT, LONG
from flows.systems.matrix_factorization.sensitivity import SENSITIVE, balance_left, feature_errors
from flows.systems.matrix_factorization.state import SoundState

__all__ = ["errors"]


def errors(
    depth: int,
    strength: float,
    sigma: float,
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
    sigma : float
        Largest singular value of the target.
    rounding : dict
        What rounding leaves unknown of the losses.
    states, features, t, tolerance : SoundState, dict, ndarray, ndarray
        As of :meth:`flows.core.system.System.errors`.
    """
    # The start is exact; later, layers have moved under the loosest tolerance so far.
    relative = np.where(t > 0, tolerance, 0.0)
    noise = np.zeros(len(t))
    if (t > LONG).any():
        largest = features["layer_value"].max(axis=1)
        drift = DRIFT * t * features["residual"] * largest ** (depth - 1)
        noise = np.where(t > LONG, drift, 0.0)
    absolute = ATOL_PER_RTOL * relative * np.maximum.accumulate(noise)
    found = dict(rounding)
    if not features["defect"].any():
        # Defects of a balanced start are rounding that no variable follows.
        left = balance_left(depth, strength, features["layer_value"], t)
        found["loss_balance"] = found["loss_balance"] * left
    # Magnitudes are exponentials of g and q, which are known relative to themselves.
    doubts = relative[:, None] * np.abs(states.x[:, -2:])
    parts = {
        "loss_fit": features["residual"] ** 2 / 2,
        "loss_balance": strength / 4 * (features["defect"] ** 2).sum(axis=1),
    }
    for k, (name, value) in enumerate(parts.items()):
        found[name] = found[name] + value * np.expm1(2 * doubts[:, k])
    found["loss"] = found["loss_fit"] + found["loss_balance"]
    found["residual"] = features["residual"] * np.expm1(doubts[:, 0])
    found["defect"] = features["defect"] * np.expm1(doubts[:, 1:])
    # These take the singular values of all layers, for which not everyone asks.
    doubts_of = functools.cache(
        lambda: feature_errors(depth, strength, sigma, features, relative, absolute)
    )
    return Features(found, {k: functools.partial(lambda k: doubts_of()[k], k) for k in SENSITIVE})
