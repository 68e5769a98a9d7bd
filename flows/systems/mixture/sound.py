"""Sound coordinates of means: an orthonormal frame, and offsets from a centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.system import State


@dataclass(frozen=True)
class Frame:
    """What leads from sound coordinates back to the user's.

    Parameters
    ----------
    basis : ndarray, shape (d, r)
        Orthonormal basis of the span of the means, the principal axes of their deviations first.
    weight : ndarray, shape (k,)
        Weight of each distinct component, that of all coincident ones together.
    rate : ndarray, shape (k,)
        How fast one of them moves: its own weight times what the loss and the clock add.
    member : ndarray, shape (n,)
        Which distinct component each of the user's is.
    """

    basis: Array
    weight: Array
    rate: Array
    member: NDArray[np.intp]

    @property
    def multiplicity(self) -> Array:
        """How many of the user's components each distinct one stands for."""
        return np.bincount(self.member).astype(float)


@dataclass(frozen=True)
class SoundState(State):
    """State(s) in sound coordinates, for ``k`` distinct components.

    Parameters
    ----------
    offset : ndarray, shape (..., k, r)
        Means less ``centre``.
    centre : ndarray, shape (..., r)
        The weighted mean where the means are close to each other, so that offsets keep their
        digits; the target, 0, where they are apart.
    """

    rank: ClassVar[dict[str, int]] = {"offset": 2, "centre": 1}
    offset: Array
    centre: Array

    @property
    def mu(self) -> Array:
        """Means, shape (..., k, r)."""
        return self.offset + self.centre[..., None, :]


def restore(frame: Frame, state: SoundState) -> Array:
    """User's means less the target, times the scale, shape (..., n, d), of sound state(s)."""
    return (state.mu @ frame.basis.T)[..., frame.member, :]
