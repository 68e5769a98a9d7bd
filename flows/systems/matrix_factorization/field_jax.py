"""The gradient flow of deep linear chains in JAX: :mod:`flows.systems.matrix_factorization.field`.

The same raw numbers and the same laws of layers, residual and defects, real or complex; the
Jacobian is what JAX differentiates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flows.core.chart import Chart


def raw_field(chart: Chart) -> tuple[Callable[[Any, Any], Any], Any]:
    """Raw field of a chart and its argument, the strength ``a``.

    Parameters
    ----------
    chart : Chart
        Of :class:`flows.MatrixFactorization`.

    Returns
    -------
    callable, ndarray
        ``field(x, a)``, shape (M,): the same function for all chains of one shape, so that
        compiled code is used again.
    """
    return _field(*map(int, chart.shape)), chart.weights[0]


@functools.cache
def _field(depth: int, d: int, is_complex: int) -> Callable[[Any, Any], Any]:
    def field(x: Any, strength: Any) -> Any:
        numbers, decay = x[:-2], x[-2:]
        if is_complex:
            numbers = jax.lax.complex(numbers[0::2], numbers[1::2])
        matrices = numbers.reshape(-1, d, d)
        w, f, defects = matrices[:depth], matrices[depth], matrices[depth + 1 :]
        # Without the Hermitian part rounding in the other one would grow as the defects decay.
        defects = (defects + _adjoint(defects)) / 2
        size_e, size_d = jnp.exp(-decay)
        outer, inside = _products(w)
        descent = _adjoint(outer) @ f @ _adjoint(inside)
        ascent = _balance_ascent(w, defects)
        fall_e = _quotient(_square(descent), _square(f))
        fall_d = 2 * strength * _quotient(_square(ascent), _square(defects))
        half = ascent[:-1] @ _adjoint(w[:-1]) - _adjoint(w[1:]) @ ascent[1:]
        velocity = jnp.concatenate(
            [
                size_e * descent - strength * size_d * ascent,
                (fall_e * f - jnp.sum(outer @ descent @ inside, axis=0))[None],
                fall_d * defects - strength * (half + _adjoint(half)),
            ]
        ).ravel()
        if is_complex:
            velocity = jnp.stack([velocity.real, velocity.imag], axis=-1).ravel()
        return jnp.concatenate([velocity, jnp.stack([fall_e, fall_d])])

    return field


def _products(layers: Any) -> tuple[Any, Any]:
    """``P_j = W_N ... W_{j+1}`` and ``Q_j = W_{j-1} ... W_1`` for every layer."""
    one = jnp.eye(layers.shape[-1], dtype=layers.dtype)
    outer, inside = [one], [one]
    for j in range(1, len(layers)):
        outer.append(outer[-1] @ layers[-j])
        inside.append(layers[j - 1] @ inside[-1])
    return jnp.stack(outer[::-1]), jnp.stack(inside)


def _balance_ascent(layers: Any, defects: Any) -> Any:
    """``Delta_{j,j+1} W_j - W_j Delta_{j-1,j}``."""
    nothing = jnp.zeros_like(layers[:1])
    return jnp.concatenate([defects @ layers[:-1], nothing]) - jnp.concatenate(
        [nothing, layers[1:] @ defects]
    )


def _adjoint(matrix: Any) -> Any:
    return jnp.conj(jnp.swapaxes(matrix, -1, -2))


def _square(matrices: Any) -> Any:
    return jnp.sum(jnp.real(matrices) ** 2 + jnp.imag(matrices) ** 2)


def _quotient(above: Any, below: Any) -> Any:
    """Quotient; zero where there is nothing to decay."""
    return above / jnp.where(below == 0, 1.0, below)
