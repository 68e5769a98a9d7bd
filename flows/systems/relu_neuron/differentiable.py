"""A whole run of the neurons as a differentiable function of where it starts, in JAX."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Clock
from flows.core.system import DifferentiableFlow
from flows.systems.relu_neuron.field_jax import Weights, energy, field, residual_blocks
from flows.systems.relu_neuron.state import Frame, SoundState

__all__ = ["differentiable"]


def differentiable(frame: Frame, state: SoundState) -> DifferentiableFlow:
    """Flow in the residual chart, whose blocks are smooth functions of the start.

    By symmetry nothing changes to first order orthogonally to the span, and coincident neurons
    share their derivative.
    """

    def user(loss: float, slope: Array) -> tuple[float, Array]:
        each = slope / frame.multiplicity[:, None]
        gradient = each[:, :1] * frame.teacher + frame.unit * (each[:, 1:] @ frame.basis.T)
        return loss * frame.unit**2, gradient[frame.member]

    neurons = state.neurons
    mu = np.append(frame.multiplicity, -1.0)
    weights = Weights(mu, np.asarray(1.0))
    return DifferentiableFlow(neurons, _clock(neurons, mu), field, weights, _start, energy, user)


def _start(neurons: Any, weights: Weights) -> Any:
    return residual_blocks(neurons, weights.mu).ravel()


def _clock(neurons: Array, mu: Array) -> Clock:
    """Clock in which the residual chart of these neurons is of order one."""
    k, q = neurons.shape
    if k == 1:  # the residual decays like exp(-m t/2)
        return Clock(0.0, np.full(q, mu[0] / 2), exponential=True)
    reach = min(1.0, float(np.max(np.linalg.norm(neurons[:, 1:], axis=1)))) or 1.0
    decay = np.ones((k, q))
    decay[1:, 0] = 0.0
    return Clock(0.0, decay.ravel(), 1.0 / reach)
