r"""The gradient flow of deep linear chains in sound coordinates.

Near the optimum the residual `E = Sigma - W` and the defects `Delta_j` are small differences of
layers of order one, so they are variables of their own, each as a magnitude and a direction,

.. math:: E = e^{-g} F, \qquad \Delta_j = e^{-q} D_j,

and keep all their digits while they decay to the end of the range of doubles. Their laws are linear
in them (:mod:`symbolic.systems.matrix_factorization.calculus`; `L_reg` leaves `W` in place):

.. math:: \dot E = -\sum_j P_j P_j^H E Q_j^H Q_j, \qquad
          \dot W_j = P_j^H E Q_j^H - a X_j, \qquad X_j = \Delta_j W_j - W_j \Delta_{j-1},

.. math:: \dot\Delta_j = -a \left(X_j W_j^H + W_j X_j^H
          - X_{j+1}^H W_{j+1} - W_{j+1}^H X_{j+1}\right)

with `P_j = W_N ... W_{j+1}`, `Q_j = W_{j-1} ... W_1`; `g` and `q` take the Rayleigh quotients, so
that `F` and `D` keep their norms. The stiff part of a large `a` acts on the defects alone. Layers
are arrays (..., N, d, d), defects (..., N-1, d, d); leading axes are times, or directions of a
Jacobian. This file only reduces over layers, and one evaluation costs `d^3`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array

Matrices = NDArray[Any]  # real or complex, the matrices in the last two axes


class Point(NamedTuple):
    """Layers, direction and logarithm of residual and defects; or a velocity of these.

    Parameters
    ----------
    layers : ndarray, shape (..., N, d, d)
        `W_1, ..., W_N`.
    residual : ndarray, shape (..., d, d)
        `F`.
    defects : ndarray, shape (..., N-1, d, d)
        `D_1, ..., D_{N-1}`.
    decay : ndarray, shape (..., 2)
        `g` and `q`.
    """

    layers: Matrices
    residual: Matrices
    defects: Matrices
    decay: Array


def unpack(x: Array, shape: Sequence[int] | NDArray[np.int64]) -> Point:
    """Point of raw numbers.

    Parameters
    ----------
    x : ndarray, shape (..., M)
        Raw state.
    shape : sequence of int
        `depth`, `d`, and 1 for complex matrices or 0.

    Returns
    -------
    Point
        Its arrays.
    """
    depth, d, is_complex = (int(k) for k in shape)
    blocks = np.ascontiguousarray(x[..., :-2])
    matrices = (blocks.view(complex) if is_complex else blocks).reshape(*x.shape[:-1], -1, d, d)
    return Point(
        matrices[..., :depth, :, :],
        matrices[..., depth, :, :],
        matrices[..., depth + 1 :, :, :],
        x[..., -2:],
    )


def pack(point: Point) -> Array:
    """Raw numbers of a point, shape (..., M); the inverse of :func:`unpack`."""
    matrices = np.concatenate(
        [point.layers, point.residual[..., None, :, :], point.defects], axis=-3
    )
    flat = matrices.reshape(*matrices.shape[:-3], -1)
    return np.concatenate([flat.view(float), point.decay], axis=-1)


def reals(matrices: Matrices) -> int:
    """How many real numbers matrices hold."""
    return int(matrices.size) * (1 + (matrices.dtype.kind == "c"))


def adjoint(matrix: Matrices) -> Matrices:
    """Conjugate transpose."""
    transposed = matrix.swapaxes(-1, -2)
    return transposed.conj() if matrix.dtype.kind == "c" else transposed


def inner(left: Matrices, right: Matrices, axes: int = 2) -> Any:
    """Inner product `Re tr(left^H right)`, summed over the last ``axes`` axes."""
    product = left.conj() * right if left.dtype.kind == "c" else left * right
    return product.real.sum(axis=tuple(range(-axes, 0)))


def square(matrices: Matrices, axes: int = 2) -> Any:
    """Squared Frobenius norm, summed over the last ``axes`` axes."""
    return inner(matrices, matrices, axes)


def products(layers: Matrices) -> tuple[Matrices, Matrices]:
    """`P_j = W_N ... W_{j+1}` and `Q_j = W_{j-1} ... W_1` for every layer."""
    outer, inside = np.empty_like(layers), np.empty_like(layers)
    outer[..., -1, :, :] = inside[..., 0, :, :] = np.eye(layers.shape[-1])
    depth = layers.shape[-3]
    before, after = layers[..., 0, :, :], layers[..., -1, :, :]
    for j in range(1, depth):
        inside[..., j, :, :], outer[..., -j - 1, :, :] = before, after
        if j + 1 < depth:
            before, after = layers[..., j, :, :] @ before, after @ layers[..., -j - 1, :, :]
    return outer, inside


def chain(layers: Matrices) -> Matrices:
    """End-to-end matrix `W_N ... W_1`."""
    product = layers[..., 0, :, :]
    for j in range(1, layers.shape[-3]):
        product = layers[..., j, :, :] @ product
    return product


def defects(layers: Matrices) -> Matrices:
    """`Delta_{j,j+1} = W_j W_j^H - W_{j+1}^H W_{j+1}`."""
    before, after = layers[..., :-1, :, :], layers[..., 1:, :, :]
    return before @ adjoint(before) - adjoint(after) @ after


def fit_descent(layers: Matrices, residual: Matrices) -> Matrices:
    """`-grad_j L_ori = P_j^H E Q_j^H`."""
    outer, inside = products(layers)
    return adjoint(outer) @ residual[..., None, :, :] @ adjoint(inside)


def balance_ascent(layers: Matrices, defect: Matrices) -> Matrices:
    """`grad_j L_reg / a = Delta_{j,j+1} W_j - W_j Delta_{j-1,j}`."""
    after = defect @ layers[..., :-1, :, :]
    ascent = np.zeros((*after.shape[:-3], *layers.shape[-3:]), after.dtype)
    ascent[..., :-1, :, :] = after
    ascent[..., 1:, :, :] -= layers[..., 1:, :, :] @ defect
    return ascent


def moved(layers: Matrices, velocities: Matrices) -> Matrices:
    """Velocity `sum_j P_j dW_j/dt Q_j` of the end-to-end matrix when the layers move."""
    outer, inside = products(layers)
    return (outer @ velocities @ inside).sum(axis=-3)


# A trial step of a solver may lead far away; it is rejected for what is not finite.
@np.errstate(over="ignore", invalid="ignore")
def field(point: Point, strength: float) -> Point:
    """Velocity of a point along the flow.

    Parameters
    ----------
    point : Point
        Where.
    strength : float
        The regularisation `a`.

    Returns
    -------
    Point
        Time derivatives.
    """
    w, f, d = point.layers, point.residual, _hermitian(point.defects)
    size_e, size_d = _each(np.exp(-point.decay))
    outer, inside = products(w)
    fall = np.empty_like(point.decay)
    descent = adjoint(outer) @ f[..., None, :, :] @ adjoint(inside)
    ascent = balance_ascent(w, d)
    fall_e = _quotient(square(descent, 3), square(f))
    fall_d = 2 * strength * _quotient(square(ascent, 3), square(d, 3))
    fall[..., 0], fall[..., 1] = fall_e, fall_d
    return Point(
        size_e * descent - strength * size_d * ascent,
        fall_e[..., None, None] * f - (outer @ descent @ inside).sum(axis=-3),
        fall_d[..., None, None, None] * d - strength * _defect_motion(w, ascent),
        fall,
    )


@np.errstate(over="ignore", invalid="ignore")
def tangent(point: Point, step: Point, strength: float) -> Point:
    """Exact derivative of :func:`field` in a direction (the Jacobian times a vector).

    Parameters
    ----------
    point : Point
        Where.
    step : Point
        Directions; leading axes are allowed.
    strength : float
        The regularisation `a`.

    Returns
    -------
    Point
        Derivatives, with the leading axes of `step`.
    """
    w, f, d = point.layers, point.residual, _hermitian(point.defects)
    dw, df, dd = step.layers, step.residual, _hermitian(step.defects)
    sizes = np.exp(-point.decay)
    size_e, size_d = _each(sizes)
    d_size_e, d_size_d = _each(-sizes * step.decay)
    outer, inside = products(w)
    d_outer, d_inside = _product_motion(w, dw, outer, inside)
    one_f, one_df = f[..., None, :, :], df[..., None, :, :]
    p, q = adjoint(outer), adjoint(inside)
    descent = p @ one_f @ q
    d_descent = adjoint(d_outer) @ (one_f @ q) + p @ (one_df @ q + one_f @ adjoint(d_inside))
    ascent = balance_ascent(w, d)
    d_ascent = balance_ascent(dw, d) + balance_ascent(w, dd)
    d_moved = d_outer @ (descent @ inside) + outer @ (d_descent @ inside + descent @ d_inside)
    square_f, square_d = square(f), square(d, 3)
    fall_e = _quotient(square(descent, 3), square_f)
    fall_d = 2 * strength * _quotient(square(ascent, 3), square_d)
    d_fall_e = 2 * _quotient(inner(descent, d_descent, 3) - fall_e * inner(f, df), square_f)
    d_fall_d = 2 * _quotient(
        2 * strength * inner(ascent, d_ascent, 3) - fall_d * inner(d, dd, 3), square_d
    )
    motion = _defect_motion(dw, ascent) + _defect_motion(w, d_ascent)
    return Point(
        size_e * d_descent
        + d_size_e * descent
        - strength * (size_d * d_ascent + d_size_d * ascent),
        d_fall_e[..., None, None] * f + fall_e[..., None, None] * df - d_moved.sum(axis=-3),
        d_fall_d[..., None, None, None] * d
        + fall_d[..., None, None, None] * dd
        - strength * motion,
        np.stack([d_fall_e, d_fall_d], axis=-1),
    )


def raw(
    x: Array,
    weights: Array,
    shape: NDArray[np.int64],
    out: Array,
    jacobian: Array,
    want_jacobian: bool,
) -> None:
    """Field and Jacobian in the form of :func:`flows.core.chart.wrap_plain`.

    Parameters
    ----------
    x : ndarray, shape (M,)
        Raw state.
    weights : ndarray, shape (1,)
        The regularisation `a`.
    shape : ndarray
        `depth`, `d`, and 1 for complex matrices or 0.
    out, jacobian : ndarray
        Filled with the velocity and, if wanted, the Jacobian.
    want_jacobian : bool
        Whether it is.
    """
    point = unpack(x, shape)
    out[:] = pack(field(point, weights[0]))
    if want_jacobian:
        directions = unpack(np.eye(x.size), shape)
        jacobian[:] = pack(tangent(point, directions, weights[0])).T


def _each(pair: Array) -> tuple[Array, Array]:
    """Two numbers a point, ready to multiply its layers."""
    return pair[..., 0, None, None, None], pair[..., 1, None, None, None]


def _hermitian(matrix: Matrices) -> Matrices:
    """Hermitian part: without it rounding in the other part would grow as the defects decay."""
    return (matrix + adjoint(matrix)) / 2


def _quotient(above: Any, below: Any) -> Any:
    """Quotient; zero where there is nothing to decay."""
    return above / np.where(below == 0, 1.0, below)


def _defect_motion(layers: Matrices, ascent: Matrices) -> Matrices:
    """`X_j W_j^H - W_{j+1}^H X_{j+1}` plus its adjoint, for every pair."""
    half = (
        ascent[..., :-1, :, :] @ adjoint(layers[..., :-1, :, :])
        - adjoint(layers[..., 1:, :, :]) @ ascent[..., 1:, :, :]
    )
    return half + adjoint(half)


def _product_motion(
    layers: Matrices, steps: Matrices, outer: Matrices, inside: Matrices
) -> tuple[Matrices, Matrices]:
    """Derivatives of :func:`products`."""
    d_outer, d_inside = np.zeros_like(steps), np.zeros_like(steps)
    for j in range(1, layers.shape[-3]):
        d_inside[..., j, :, :] = (
            layers[..., j - 1, :, :] @ d_inside[..., j - 1, :, :]
            + steps[..., j - 1, :, :] @ inside[..., j - 1, :, :]
        )
        d_outer[..., -j - 1, :, :] = (
            d_outer[..., -j, :, :] @ layers[..., -j, :, :]
            + outer[..., -j, :, :] @ steps[..., -j, :, :]
        )
    return d_outer, d_inside
