"""Random starts of a chain of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.systems.matrix_factorization.chains import adjoint

__all__ = ["balanced_layers", "gaussian_layers"]


def gaussian_layers(
    generator: np.random.Generator, scale: float, depth: int, d: int, is_complex: bool
) -> NDArray[Any]:
    """Independent Gaussian entries of standard deviation `scale`, shape (depth, d, d).

    Real and imaginary parts of a complex entry share the variance equally.
    """
    return scale * _normal(generator, depth, d, is_complex)


def balanced_layers(
    generator: np.random.Generator, scale: float, depth: int, d: int, is_complex: bool
) -> NDArray[Any]:
    """Layers without defects, each by itself as in :func:`gaussian_layers`.

    They are `W_j = F_j S F_{j-1}^H` with independent uniform unitary `F_0, ..., F_N` and the
    singular values `S` of one Gaussian matrix.
    """
    values = np.linalg.svd(_normal(generator, 1, d, is_complex)[0], compute_uv=False)
    q, r = np.linalg.qr(_normal(generator, depth + 1, d, is_complex))
    # QR is unique up to these phases, and Householder's choice is not uniform.
    phases = np.diagonal(r, axis1=-2, axis2=-1)
    unitary = q * (phases / np.abs(phases))[:, None, :]
    return np.asarray(scale * (unitary[1:] * values) @ adjoint(unitary[:-1]))


def _normal(generator: np.random.Generator, count: int, d: int, is_complex: bool) -> NDArray[Any]:
    """Independent normal matrices."""
    shape = (count, d, d)
    if not is_complex:
        return generator.normal(size=shape)
    return (generator.normal(size=shape) + 1j * generator.normal(size=shape)) / np.sqrt(2)
