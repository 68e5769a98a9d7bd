"""Matrices of deep linear chains in NumPy: points, products, residuals and defects.

Layers are arrays (..., N, d, d), defects (..., N-1, d, d); leading axes are times. Laws:
:mod:`flows.systems.matrix_factorization.field`.
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
        matrices[..., depth:, :, :],
        matrices[..., 0, :, :],
        matrices[..., 1:depth, :, :],
        x[..., -2:],
    )


def pack(point: Point) -> Array:
    """Raw numbers of a point, shape (..., M); the inverse of :func:`unpack`."""
    matrices = np.concatenate(
        [point.residual[..., None, :, :], point.defects, point.layers], axis=-3
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
