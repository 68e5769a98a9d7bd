"""The gradient flow of the ReLU neuron in JAX: the raw field of `field.py`.

The same charts and the same derived pair terms, lowered for JAX; what JAX differentiates takes the
Jacobian of the pairs from the derived Hessian. Sums over pairs are written for arrays, so that
they can be batched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flows.core.chart import Chart
from flows.systems.relu_neuron import lone
from flows.systems.relu_neuron.field import BESIDE, LONE, PARALLEL, RESIDUAL
from symbolic.language import lower
from symbolic.systems.relu_neuron import pair as relu_neuron

SIZES = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)


class Weights(NamedTuple):
    """Multiplicities with the teacher's -1, and whether the chart is the residual one."""

    mu: Any
    residual: Any


class Geometry(NamedTuple):
    """Pairs of neuron ``i`` and neuron or teacher ``j``, as in `field.py`.

    ``units`` (k, q), ``norms`` (k+1,), ``minus`` (k, k+1, q), ``theta`` and ``other`` (k, k+1),
    which is false at ``i = j``.
    """

    units: Any
    norms: Any
    minus: Any
    theta: Any
    other: Any


def raw_field(chart: Chart) -> tuple[Callable[[Any, Any], Any], Any]:
    """Raw field of a chart and its arguments.

    Parameters
    ----------
    chart : Chart
        Of :class:`flows.ReLUNeuron`.

    Returns
    -------
    callable, arguments
        ``field(x, arguments)``, shape (k q,): always one of two functions, so that compiled code
        is used again; direct and residual charts share one.
    """
    if chart.shape[2] == PARALLEL:
        return parallel_field, chart.weights
    if chart.shape[2] == LONE:
        return lone_field, chart.weights
    if chart.shape[2] == BESIDE:
        return beside_field, chart.weights
    return field, Weights(chart.weights, float(chart.shape[2] == RESIDUAL))


def parallel_field(x: Any, mass: Any) -> Any:
    """Neurons along the teacher: ``x' = -M/2 x`` on either side."""
    return -0.5 * mass * x


def lone_field(x: Any, mu: Any) -> Any:
    """One neuron beside the teacher, the others on the far side: see `lone.py`."""
    blocks = x.reshape(mu.shape[0] - 1, -1)
    linear = 0.5 * jnp.concatenate([blocks[:1], mu[1:-1, None] * blocks[1:]])
    return -(mu[:-1, None] ** _first(mu) * (_lone_pulls(blocks, mu, False) + linear)).ravel()


def beside_field(x: Any, mu: Any) -> Any:
    """One neuron beside the teacher and short ones, in residual and deviations."""
    blocks, weight = x.reshape(mu.shape[0] - 1, -1), mu[:-1, None]
    r, mass = blocks[0], jnp.sum(mu[:-1])
    d = r * mu[0] / mass - jnp.sum(weight[1:] * blocks[1:], axis=0)
    out = -_lone_pulls(jnp.concatenate([d[None], blocks[1:] + r / mass]), mu, True)
    total = jnp.sum(weight * out, axis=0)
    return jnp.concatenate([(total - 0.5 * mass * r)[None], out[1:] - total / mass]).ravel()


def _first(mu: Any) -> Any:
    """One for the first neuron, zero for the others."""
    return np.eye(1, mu.shape[0] - 1).T


def _lone_pulls(blocks: Any, mu: Any, near: bool) -> Any:
    """What each neuron feels, without the linear parts that are its own, or all of them."""
    d, weight = blocks[0], mu[1:-1]
    rows = blocks.at[0, 0].add(1.0)
    size = jnp.maximum(jnp.max(jnp.abs(rows), axis=1, keepdims=True), lone.TINY)
    g = geometry(rows / size)
    lengths = (g.norms[:-1, None] * size)[1:, 0]
    theta = g.theta[:, 1:-1]
    others = np.eye(mu.shape[0] - 1)[:, 1:] == 0
    gap = jnp.where(others, -theta if near else np.pi - theta, 0.0)
    pulls = jnp.sin(theta)[..., None] * g.units[:, None] + gap[..., None] * g.units[1:]
    pull = jnp.sum((weight * lengths)[:, None] * pulls, axis=1) / (2 * np.pi)
    return lone.together(g.units, d, near, jnp).at[0].set(lone.own(d, jnp)) + pull


def field(x: Any, weights: Weights) -> Any:
    """Raw field of a direct or residual chart, shape (k q,).

    Cost ``k^2 q``. Finite with all derivatives where neurons are aligned.
    """
    mu, residual = weights.mu[:-1, None], weights.residual > 0
    blocks = x.reshape(mu.shape[0], -1)
    pairs = -pair_gradients(neurons_of(blocks, weights), weights.mu)
    # Direct chart: the residual acts on each neuron. Residual chart: on itself alone.
    r = jnp.sum(mu * blocks, axis=0) - jnp.eye(1, blocks.shape[1])[0]
    mass, total = jnp.sum(mu), jnp.sum(mu * pairs, axis=0)
    deviations = pairs - total / mass
    residual_blocks = jnp.concatenate([(total - 0.5 * mass * blocks[0])[None], deviations[1:]])
    return jnp.where(residual, residual_blocks, pairs - 0.5 * r).ravel()


@jax.custom_jvp
def pair_gradients(neurons: Any, mu: Any) -> Any:
    """Sum over the pairs of each neuron of their gradients, shape (k, q).

    Its derivative by the neurons is :func:`pair_hessians`; multiplicities are constants.
    """
    g = geometry(neurons)
    turn, pull = _pair_gradient()(g.norms[:-1, None], g.norms[None, :], g.theta)
    weight = jnp.where(g.other, mu, 0.0)
    own = jnp.sum(weight * turn, axis=1)[:, None] * g.units
    return own + jnp.sum((weight * pull)[..., None] * g.minus, axis=1)


@pair_gradients.defjvp
def _pair_gradients_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    neurons, mu = primals
    matrix = pair_hessians(neurons, mu)
    moved = matrix @ tangents[0].ravel()
    return pair_gradients(neurons, mu), moved.reshape(neurons.shape)


def pair_hessians(neurons: Any, mu: Any) -> Any:
    """Jacobian of :func:`pair_gradients`, shape (k q, k q), finite where neurons are aligned."""
    k, q = neurons.shape
    g = geometry(neurons)
    spread, shift, twist = _pair_hessian()(g.norms[:-1, None], g.norms[None, :], g.theta)
    weight = jnp.where(g.other, mu, 0.0)[..., None, None]
    plus = g.units[:, None] + jnp.concatenate([g.units, jnp.eye(1, q)])
    chord, antichord = _length(g.minus)[..., None], _length(plus)[..., None]
    # Aligned vectors have no plane; what multiplies it vanishes there.
    across, between = g.minus * _inverse(chord), plus * _inverse(antichord)
    tangent = 0.5 * (chord * between - antichord * across)
    one = np.eye(q)
    spread = spread[..., None, None] * (one - _square(g.units)[:, None] + _square(tangent))
    own = jnp.sum(weight * spread, axis=1)
    twist = twist[..., None, None] * (_square(between) - _square(across))
    other = (weight * (shift[..., None, None] * one + twist))[:, :k]
    blocks = other + np.eye(k)[..., None, None] * own[:, None]
    return jnp.swapaxes(blocks, 1, 2).reshape(k * q, k * q)


def neurons_of(blocks: Any, weights: Weights) -> Any:
    """Neurons (k, q) of the blocks of a chart."""
    mu = weights.mu[:-1]
    mean = (jnp.eye(1, blocks.shape[1])[0] + blocks[0]) / jnp.sum(mu)
    first = -jnp.sum(mu[1:, None] * blocks[1:], axis=0) / mu[0]
    from_residual = mean + jnp.concatenate([first[None], blocks[1:]])
    return jnp.where(weights.residual > 0, from_residual, blocks)


def residual_blocks(neurons: Any, mu: Any) -> Any:
    """Blocks (k, q) of the residual chart of these neurons; ``mu`` (k+1,)."""
    teacher = jnp.eye(1, neurons.shape[1])[0]
    r = mu[:-1] @ neurons - teacher
    return jnp.concatenate([r[None], neurons[1:] - (teacher + r) / jnp.sum(mu[:-1])])


def geometry(neurons: Any) -> Geometry:
    """Geometry of the pairs without cancellation, the teacher being the last one."""
    k, q = neurons.shape
    w = jnp.concatenate([neurons, jnp.eye(1, q)])
    across = jnp.sum(w[:, 1:] ** 2, axis=1)
    square = w[:, 0] ** 2 + across
    # Inside a step a neuron may meet zero; the step will be refused or end there.
    norms = jnp.sqrt(jnp.maximum(square, 1e-300))
    units = w / norms[:, None]
    along = units[:, 0]
    near = across / norms**2 / jnp.where(along > 0, 1.0 + along, 1.0)
    m = jnp.where(along > 0, near, 1.0 - along)  # 1 - cos without subtracting cosines
    minus = units[:k, None] - units[None]
    minus = minus.at[..., 0].set(m - m[:k, None])
    plus = units[:k, None] + units[None]
    chord, antichord = _length(minus), _length(plus)
    other = ~np.eye(k, k + 1, dtype=bool)
    return Geometry(units[:k], norms, minus, 2.0 * jnp.arctan2(chord, antichord), other)


def energy(x: Any, weights: Weights) -> Any:
    """Loss of a raw state in units of ``|v|^2``.

    ``L = |r|^2/4 + 1/2 sum_jl mu_j mu_l e(w_j, w_l)``.
    """
    mu = weights.mu
    blocks = x.reshape(mu.shape[0] - 1, -1)
    g = geometry(neurons_of(blocks, weights))
    direct = mu[:-1] @ blocks - jnp.eye(1, blocks.shape[1])[0]
    r = jnp.where(weights.residual > 0, blocks[0], direct)
    e = _pair_energy()(g.norms[:-1, None], g.norms[None, :], g.theta)[0]
    # Pairs with the teacher stand once in this table and twice in the sum.
    twice = jnp.where(jnp.arange(mu.shape[0]) < mu.shape[0] - 1, 0.5, 1.0)
    return jnp.sum(r**2) / 4 + jnp.sum(jnp.where(g.other, twice * mu[:-1, None] * mu * e, 0.0))


@functools.cache
def _pair_gradient() -> Callable[..., Any]:
    return lower.lower(relu_neuron.pair_gradient(), SIZES, "jax")


@functools.cache
def _pair_hessian() -> Callable[..., Any]:
    return lower.lower(relu_neuron.pair_hessian(), SIZES, "jax")


@functools.cache
def _pair_energy() -> Callable[..., Any]:
    return lower.lower((relu_neuron.pair_energy(),), SIZES, "jax")


def _length(x: Any) -> Any:
    """Length along the last axis, with derivative zero at zero."""
    square = jnp.sum(x * x, axis=-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def _inverse(length: Any) -> Any:
    """Inverse of a length; zero at zero, with its derivative."""
    return jnp.where(length > 0, 1.0 / jnp.where(length > 0, length, 1.0), 0.0)


def _square(x: Any) -> Any:
    """Product ``x x^T`` of vectors along the last axis."""
    return x[..., :, None] * x[..., None, :]
