"""Deep linear chains with many digits: the flow of the layers alone, by the same text."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath import mp
from numpy.typing import NDArray

from flows.arithmetic import lists
from flows.core.arrays import Array
from flows.core.chart import plainly
from flows.core.system import Smooth
from flows.systems.matrix_factorization import field as text
from flows.systems.matrix_factorization.state import SoundState

__all__ = ["smooth"]


def smooth(shape: NDArray[np.int64], weights: Array, state: SoundState, digits: int) -> Smooth:
    """Flow of the layers of one state.

    Parameters
    ----------
    shape, weights : ndarray
        Of :func:`flows.systems.matrix_factorization.field.define_layers`.
    state : SoundState
        The start.
    digits : int
        Working precision of what is decoded.

    Returns
    -------
    Smooth
        Its numbers are the entries of the layers, of complex ones real and imaginary part in turn.
    """
    sizes, known = shape.tolist(), weights.tolist()
    chain, one = text.layer_sizes(sizes)[0], sizes[1] ** 2 * (1 + sizes[2])
    decimals = lists.decimals()
    slopes = lists.field_of(text.define_layers, text.layer_sizes, decimals)
    point = lists.field_of(text.define_point, text.point_sizes, decimals)

    def field(x: list[Any]) -> list[Any]:
        return slopes(x, known, sizes)

    def jacobian(x: list[Any]) -> Array:
        # In doubles: it steers Newton's method and decides no digit.
        return plainly(text.make_layers, np.array(x, dtype=float), weights, shape)[1]

    def decode(x: list[Any]) -> SoundState:
        with mp.workdps(digits):
            found = point(x, known, sizes)
            parts = found[:one], found[one:chain]
            norms = [mp.sqrt(mp.fsum(v * v for v in part)) for part in parts]
            decay = [-mp.log(norm) if norm else mp.zero for norm in norms]
            units = [v / (norm or 1) for part, norm in zip(parts, norms, strict=True) for v in part]
            return SoundState(np.array([*units, *found[chain:], *decay], dtype=float))

    return Smooth(field, jacobian, state.x[chain:-2].tolist(), decode)
