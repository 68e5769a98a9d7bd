"""Curvature of the loss along the flow: the Hessian of the neurons on their velocity."""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array
from flows.systems.relu_neuron.charted import charted, rest_of
from flows.systems.relu_neuron.state import Frame, SoundState

__all__ = ["curvature"]


def curvature(frame: Frame, states: SoundState) -> Array:
    r"""Rayleigh quotient ``<g, H g>/|g|^2`` of the Hessian ``H`` on the velocity ``g``.

    Along the flow :math:`\dot g = -H g`, so that it is the rate at which the velocity falls,

    .. math:: \langle g, H g \rangle = -\sum_i \mu_i \, \dot w_i \cdot \ddot w_i

    with the Jacobian of the chart times its velocity for the acceleration.

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
    mu, found = frame.multiplicity, np.full(len(states.r), np.nan)
    for some in charted(mu, states, *rest_of(mu, states)):
        if len(some.alive) == len(mu):
            speed = some.slopes.reshape(len(some.which), -1, 1)
            blocks = some.slopes, (some.jacobians @ speed).reshape(some.slopes.shape)
            velocity, change = (np.linalg.solve(some.there, x) for x in blocks)
            weight = mu[some.alive, None]
            form = np.sum(weight * velocity * change, axis=(1, 2))
            with np.errstate(invalid="ignore"):
                found[some.which] = -form / np.sum(weight * velocity**2, axis=(1, 2))
    return found
