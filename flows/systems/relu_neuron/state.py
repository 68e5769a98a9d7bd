"""States of the ReLU neuron in sound coordinates, and the frame that leads back to the user's.

Units: the teacher has length one and lies along ``e_1``; time does not change, lengths scale by
``|v|`` and the loss by ``|v|^2`` (the flow is homogeneous of degree one).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.system import State


@dataclass(frozen=True)
class Frame:
    """What leads from sound coordinates back to the user's.

    Parameters
    ----------
    teacher : ndarray, shape (d,)
        The teacher ``v``.
    basis : ndarray, shape (d, p)
        Orthonormal basis of the transverse span, orthogonal to ``v``.
    multiplicity : ndarray, shape (k,)
        How many coincident neurons each distinct one stands for.
    member : ndarray, shape (n,)
        Which distinct neuron each of the user's neurons is.
    """

    teacher: Array
    basis: Array
    multiplicity: Array
    member: NDArray[np.intp]

    @property
    def unit(self) -> float:
        """Length ``|v|``, the unit of the sound coordinates."""
        return float(scipy.linalg.norm(self.teacher))


@dataclass(frozen=True)
class SoundState(State):
    """State(s) in sound coordinates, for ``k`` distinct neurons.

    Parameters
    ----------
    h : ndarray, shape (..., k)
        Parts along the teacher.
    z : ndarray, shape (..., k, p)
        Transverse parts.
    r : ndarray, shape (..., 1 + p)
        Residual ``sum_i mu_i w_i - v``: redundant in exact arithmetic, and what keeps the tail
        exact in doubles.
    """

    rank: ClassVar[dict[str, int]] = {"h": 1, "z": 2, "r": 1}
    h: Array
    z: Array
    r: Array

    @property
    def neurons(self) -> Array:
        """Neurons, shape (..., k, 1 + p): the part along the teacher first."""
        return np.concatenate([self.h[..., None], self.z], axis=-1)
