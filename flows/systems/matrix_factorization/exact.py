"""Deep linear chains with many digits: the derived gradients, evaluated as they stand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from mpmath import mp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.system import Smooth
from flows.systems.matrix_factorization import field as chains
from flows.systems.matrix_factorization.state import SoundState
from symbolic.language import matrix_calculus
from symbolic.systems.matrix_factorization import chain as symbols

__all__ = ["smooth"]


def smooth(
    shape: NDArray[np.int64],
    strength: float,
    target: Array,
    state: SoundState,
    hessian: Callable[[NDArray[Any]], Array],
    digits: int,
) -> Smooth:
    """Flow of the plain layers of one state.

    Parameters
    ----------
    shape : ndarray
        Depth, size, and whether the layers are complex.
    strength : float
        Strength of the balancing term.
    target : ndarray, shape (d,)
        The diagonal target of the state.
    state : SoundState
        The start.
    hessian : callable
        Hessian of the loss at layers in doubles; it steers Newton's method and decides no digit.
    digits : int
        Working precision of what is decoded.

    Returns
    -------
    Smooth
        Its numbers are the entries of the layers, of complex ones real and imaginary part in turn.
    """
    depth, d, is_complex = int(shape[0]), int(shape[1]), bool(shape[2])
    letters = symbols.layers(depth)
    gradients = [
        fit + balance
        for fit, balance in zip(
            symbols.fit_gradient(letters), symbols.balance_gradient(letters), strict=True
        )
    ]
    known = {symbols.TARGET: mp.diag(target.tolist()), symbols.STRENGTH: strength}

    def matrices(x: list[Any]) -> list[Any]:
        entries = [mp.mpc(*x[k : k + 2]) for k in range(0, len(x), 2)] if is_complex else x
        rows = [entries[k : k + d] for k in range(0, len(entries), d)]
        return [mp.matrix(rows[k : k + d]) for k in range(0, len(rows), d)]

    def numbers(found: list[Any]) -> list[Any]:
        entries = [x for matrix in found for x in matrix]
        return [part for x in entries for part in (x.real, x.imag)] if is_complex else entries

    def doubles(found: list[Any]) -> Any:
        return np.array(
            [m.tolist() for m in found], dtype=complex if is_complex else float
        ).reshape(-1, d, d)

    def field(x: list[Any]) -> list[Any]:
        values = {**known, **dict(zip(letters, matrices(x), strict=True))}
        return numbers([-matrix_calculus.evaluate(g, values) for g in gradients])

    def jacobian(x: list[Any]) -> Array:
        return -hessian(doubles(matrices(x)))

    def decode(x: list[Any]) -> Any:
        with mp.workdps(digits):
            layers = matrices(x)
            residual = known[symbols.TARGET] - matrix_calculus.evaluate(
                symbols.chain(letters), dict(zip(letters, layers, strict=True))
            )
            defects = [v * v.H - w.H * w for v, w in pairwise(layers)]
            groups = ([residual], defects)
            sizes = [mp.sqrt(mp.fsum(abs(x) ** 2 for m in g for x in m)) for g in groups]
            decay = np.array([float(-mp.log(size)) if size else 0.0 for size in sizes])
            directions = [
                doubles([m / size if size else m for m in group])
                for group, size in zip(groups, sizes, strict=True)
            ]
        point = chains.Point(doubles(layers), directions[0][0], directions[1], decay)
        return SoundState(chains.pack(point))

    layers = np.ascontiguousarray(chains.unpack(state.x, shape).layers)
    return Smooth(field, jacobian, layers.view(float).ravel().tolist(), decode)
