"""The flow of the neurons in JAX: fields of charts; runs to be differentiated by their start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from flows.arithmetic.arrays import field_of, value_of
from flows.core.arrays import Array
from flows.core.chart import Chart, Clock
from flows.core.system import DifferentiableFlow
from flows.systems.relu_neuron import lone_definition
from flows.systems.relu_neuron.definition import BESIDE, LONE, RESIDUAL, define, define_loss, sizes
from flows.systems.relu_neuron.state import Frame, SoundState

__all__ = ["differentiable", "raw_field"]


def raw_field(chart: Chart) -> tuple[Callable[[Any, Any], Any], Any]:
    """Raw field of a chart and its arguments: ``field(x, arguments)``, shape (k q,)."""
    shape = tuple(map(int, chart.shape))
    text = lone_definition.define if shape[2] in (LONE, BESIDE) else define
    return field_of(text, sizes, shape), chart.weights


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
    shape = (len(neurons), neurons.shape[1] - 1, RESIDUAL)
    field, loss = (make(text, sizes, shape) for make, text in _TEXTS)
    return DifferentiableFlow(neurons, _clock(neurons, mu), field, mu, residual_blocks, loss, user)


_TEXTS = (field_of, define), (value_of, define_loss)


def residual_blocks(neurons: Any, mu: Any) -> Any:
    """State (k q,) of the residual chart of neurons (k, q); ``mu`` (k+1,)."""
    teacher = jnp.eye(1, neurons.shape[1])[0]
    r = mu[:-1] @ neurons - teacher
    return jnp.concatenate([r[None], neurons[1:] - (teacher + r) / jnp.sum(mu[:-1])]).ravel()


def _clock(neurons: Array, mu: Array) -> Clock:
    """Clock in which the residual chart of these neurons is of order one."""
    k, q = neurons.shape
    if k == 1:  # the residual decays like exp(-m t/2)
        return Clock(0.0, np.full(q, mu[0] / 2), exponential=True)
    reach = min(1.0, float(np.max(np.linalg.norm(neurons[:, 1:], axis=1)))) or 1.0
    decay = np.ones((k, q))
    decay[1:, 0] = 0.0
    return Clock(0.0, decay.ravel(), 1.0 / reach)
