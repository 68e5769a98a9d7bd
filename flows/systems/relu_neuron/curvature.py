"""Curvature of the loss along the flow: the Hessian of the neurons on their velocity."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.systems.relu_neuron.geometry import gradient
from flows.systems.relu_neuron.pairs import pairs, unflipped
from flows.systems.relu_neuron.state import Frame, SoundState
from symbolic.language import lower
from symbolic.systems.relu_neuron import pair as relu_neuron

__all__ = ["curvature"]


@functools.cache
def _blocks() -> Callable[..., Any]:
    """Coefficients of the Hessian's blocks as a NumPy function of ``alpha, beta, theta``."""
    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    return lower.lower(relu_neuron.pair_hessian(), sizes, "numpy")


def curvature(frame: Frame, states: SoundState) -> Array:
    r"""Rayleigh quotient ``<g, H g>/|g|^2`` of the Hessian ``H`` on the velocity ``g``.

    .. math:: \langle g, H g \rangle = \tfrac12 |\sum_i g_i|^2 + \sum_{ij} \mu_j \left[ g_i^T
              \frac{\partial^2 e}{\partial a^2} g_i + g_i^T \frac{\partial^2 e}{\partial a
              \partial b} g_j \right]

    Parameters
    ----------
    frame : Frame
        Frame of the run.
    states : SoundState
        States at ``T`` times.

    Returns
    -------
    ndarray, shape (T,)
        NaN where a neuron is zero, and where nothing moves.
    """
    mu, geometry = frame.multiplicity, pairs(states)
    minus, plus = unflipped(geometry, *np.indices(geometry.theta.shape[-2:]))
    units = geometry.sign[..., None] * geometry.units
    velocity = -gradient(mu, states, geometry)
    return _quotient(mu, geometry.norms, units, minus, plus, velocity)


def _quotient(
    multiplicity: Array, norms: Array, units: Array, minus: Array, plus: Array, velocity: Array
) -> Array:
    """Quotient from the geometry of ``k`` distinct neurons and the teacher, and velocities."""
    k = len(multiplicity)
    signed = np.append(multiplicity, -1.0)
    difference, total = minus[..., :k, :, :], plus[..., :k, :, :]
    chord, antichord = np.linalg.norm(difference, axis=-1), np.linalg.norm(total, axis=-1)
    size = np.where(norms > 0, norms, np.nan)
    theta = 2 * np.arctan2(chord, antichord)
    spread, shift, twist = _blocks()(size[..., :k, None], size[..., None, :], theta)
    # Where the vectors are aligned or opposite the directions do not exist, and sin(theta) is zero.
    plane = (chord > 0) & (antichord > 0)
    c, s = (
        x / np.where(plane, length, 1.0)[..., None]
        for x, length in ((difference, chord), (total, antichord))
    )
    half = (chord / 2)[..., None]
    toward = half * s - np.sqrt(1 - np.minimum(half, 1.0) ** 2) * c  # unit(bbar - cos abar)
    g = velocity[..., :, None, :]
    square = np.sum(velocity**2, axis=-1)
    own = square[..., None] - np.sum(units[..., :k, :] * velocity, axis=-1)[..., None] ** 2
    own = own + np.sum(toward * g, axis=-1) ** 2
    own = np.where(plane, spread * own, 0.0)
    partner = velocity[..., None, :, :]
    across = shift[..., :k] * np.sum(g * partner, axis=-1)
    turned = _on(s, g, partner, k) - _on(c, g, partner, k)
    across = across + np.where(plane[..., :k], twist[..., :k] * turned, 0.0)
    mu = multiplicity
    together = np.sum(np.sum(mu[:, None] * velocity, axis=-2) ** 2, axis=-1) / 2
    form = (
        together
        + np.sum(mu[:, None] * (own * signed).sum(axis=-1, keepdims=True), axis=(-2, -1))
        + np.sum(mu[:, None] * mu * across, axis=(-2, -1))
    )
    with np.errstate(all="ignore"):
        return form / np.sum(mu * square, axis=-1)


def _on(direction: Array, g: Array, partner: Array, k: int) -> Array:
    """Product of the parts of both velocities along a direction of each pair of neurons."""
    direction = direction[..., :k, :]
    return np.sum(direction * g, axis=-1) * np.sum(direction * partner, axis=-1)
