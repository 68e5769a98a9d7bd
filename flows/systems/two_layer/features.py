"""Numbers of states from which potentials and claims are evaluated, with their rates."""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array
from flows.systems.own.features import SoundState
from flows.systems.two_layer import arrays
from flows.systems.two_layer.network import Network

__all__ = ["errors", "features"]

EPSILON = float(np.finfo(float).eps)
# Roundings of a square of norms.
ROUNDINGS = 8.0


def features(network: Network, degree: int | None, y: Array) -> dict[str, Array]:
    """Norms, outputs and balances of the students, with their rates along the flow.

    Parameters
    ----------
    network : Network
        Students and teachers.
    degree : int, optional
        `p` of a homogeneous activation.
    y : ndarray, shape (T, N)
        Flat states, rounded.

    Returns
    -------
    dict
        Arrays of shape (T, n); balances are NaN where nothing is conserved.
    """
    w, a = network.split(y)
    with np.errstate(all="ignore"):
        w_dot, a_dot = network.split(-arrays.gradient(network, y))
    a_dot = a_dot if network.trained else np.zeros_like(a)
    norm = np.linalg.norm(w, axis=-1)
    norm_dot = np.sum(w * w_dot, axis=-1) / np.where(norm > 0, norm, np.nan)
    balance = np.full(norm.shape, np.nan)
    if network.trained and degree is not None:
        balance = degree * a**2 - norm**2
    # What is conserved has no rate: the sum that says so is left out.
    still = np.where(np.isnan(balance), np.nan, 0.0)
    return {
        "norm": norm,
        "norm_dot": norm_dot,
        "output": np.array(a),
        "output_dot": a_dot,
        "layer_balance_of": balance,
        "layer_balance_of_dot": still,
    }


def errors(found: dict[str, Array], states: SoundState) -> dict[str, Array]:
    """Absolute errors of what :func:`features` gives, from those of the states.

    Parameters
    ----------
    found : dict
        The features.
    states : SoundState
        The states, with their errors.
    """
    off = np.linalg.norm(states.error, axis=-1)[:, None]
    norm, output = found["norm"], np.abs(found["output"])
    size = norm + output
    return {
        "norm": np.broadcast_to(off, norm.shape),
        "output": np.broadcast_to(off, norm.shape),
        # Twice the larger of p and one, for degrees up to two.
        "layer_balance_of": 4 * size * off + ROUNDINGS * EPSILON * size**2,
    }
