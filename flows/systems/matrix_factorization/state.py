"""Sound coordinates of a chain of layers: the target is diagonal, residual and defects are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from flows.core.arrays import Array
from flows.core.system import State
from flows.systems.matrix_factorization import chains

# Defects of balanced layers are rounding of this relative order, and are zero.
ROUNDING = 4 * np.finfo(float).eps


@dataclass(frozen=True)
class Frame:
    """Singular vectors of the target `Sigma = U S V^H`; the identity if it is diagonal already.

    Parameters
    ----------
    left, right : ndarray, shape (d, d) or (d, 2 d)
        `U` and `V`; of complex matrices real and imaginary parts in turn.
    values : ndarray, shape (d,)
        The diagonal `S`.
    rounding : ndarray, shape (2,)
        Rounding of the residual and of the defects of the start, in units of their first
        magnitudes (absolute where they are zero).
    """

    left: Array
    right: Array
    values: Array
    rounding: Array


@dataclass(frozen=True)
class SoundState(State):
    """Layers, residual and defects as the solver's raw numbers.

    Parameters
    ----------
    x : ndarray, shape (..., M)
        See :func:`flows.systems.matrix_factorization.chains.unpack`; the target is diagonal.
    """

    x: Array

    rank: ClassVar[dict[str, int]] = {"x": 1}


def of_layers(layers: chains.Matrices, diagonal: Any) -> chains.Point:
    """Point of layers, in the basis in which the target is diagonal."""
    residual = np.diag(diagonal) - chains.chain(layers)
    defects = chains.defects(layers)
    defects[np.abs(defects).max(axis=(1, 2)) <= ROUNDING * chains.square(layers, 3)] = 0
    decay = np.zeros(2)
    for k, part in enumerate((residual, defects)):
        if size := float(np.linalg.norm(part)):
            decay[k] = -np.log(size)
            part /= size
    return chains.Point(layers, residual, defects, decay)
