r"""A chain in the basis of its modes, where small singular values keep their digits.

Beside a saddle the residual stays, and some singular values of the chain are small. In a basis that
spreads them over all entries, a velocity has the rounding of the largest layer, which in the time
`t` moves the small values by `1e-16 t`. Unitary turns of the inner spaces, and of the
outer ones together with the target, change no loss:

.. math:: W_j \to T_j^H W_j T_{j-1}, \qquad E \to T_N^H E T_0, \qquad
          \Delta_j \to T_j^H \Delta_j T_j

With the singular vectors of `W_1` and QR factors of the other layers a balanced chain is diagonal.
"""

from __future__ import annotations

import numpy as np

from flows.core.arrays import EPSILON, Array
from flows.systems.matrix_factorization import chains
from flows.systems.matrix_factorization.chains import Matrices, Point, adjoint

__all__ = ["in_modes", "mode_sizes", "modes", "on_defects"]

# Steps of Newton's method, which squares the error; where it does not, the layers stay as they are.
MOST = 4


def modes(layers: Matrices) -> tuple[Matrices, Matrices]:
    """Turns that make a balanced chain diagonal, and the layers turned.

    Parameters
    ----------
    layers : ndarray, shape (N, d, d)
        The layers.

    Returns
    -------
    turns : ndarray, shape (N + 1, d, d)
        `T_0, ..., T_N`.
    turned : ndarray, shape (N, d, d)
        Upper triangular, with diagonals that are not negative, the largest entry first.
    """
    left, values, right_h = np.linalg.svd(layers[0])
    turns, turned = [adjoint(right_h), left], [np.diag(values).astype(layers.dtype)]
    for layer in layers[1:]:
        q, r = np.linalg.qr(layer @ turns[-1])
        diagonal = np.diagonal(r)
        phase = np.where(diagonal == 0, 1.0, diagonal / np.where(diagonal == 0, 1, abs(diagonal)))
        turns.append(q * phase)
        turned.append(phase.conj()[:, None] * r)
    return np.stack(turns), np.stack(turned)


def in_modes(point: Point, turns: Matrices, back: bool = False) -> Point:
    """Turn layers, residual and defects into their modes, or back.

    Parameters
    ----------
    point : Point
        One, or several along a leading axis.
    turns : ndarray, shape (N + 1, d, d)
        Of :func:`modes`.
    back : bool
        Whether the point is in its modes already.

    Returns
    -------
    Point
        The point(s), turned.
    """
    if back:
        turns = adjoint(turns)
    after = adjoint(turns[1:])
    return Point(
        after @ point.layers @ turns[:-1],
        after[-1] @ point.residual @ turns[0],
        after[:-1] @ point.defects @ turns[1:-1],
        point.decay,
    )


def mode_sizes(layers: Matrices) -> Array:
    """Size of each entry of turned layers: that of the larger one of its two modes.

    An entry between two modes moves as fast as that of the residual, and its square moves the
    smaller mode.

    Parameters
    ----------
    layers : ndarray, shape (N, d, d)
        Layers in their modes.

    Returns
    -------
    ndarray, shape (N, d, d)
        Above zero.
    """
    diagonal = np.abs(np.diagonal(layers, axis1=1, axis2=2))
    least = EPSILON * np.abs(layers).max(axis=(1, 2), keepdims=True)
    both = np.maximum(diagonal[:, :, None], diagonal[:, None, :])
    size = np.maximum(both, least)
    return np.where(size == 0, 1.0, size)  # layers at zero stay there


def on_defects(layers: Matrices, defects: Matrices) -> Matrices:
    r"""Turned layers whose defects are the given ones, by Newton's method.

    .. math:: \delta W_j = \Lambda_j W_j - W_j \Lambda_{j-1}, \qquad
              \delta \Delta_j[k, l] = (|s|^2_j + |s|^2_{j+1}) \Lambda_j
              - 2 (s_k s_l)_j \Lambda_{j-1} - 2 (s_k s_l)_{j+1} \Lambda_{j+1}

    for each entry, of diagonal layers with `|s|^2 = s_k^2 + s_l^2`. Otherwise errors that steps
    leave in the defects of the layers would stay, and would drive a chain off its saddle once its
    layers are smaller.

    Parameters
    ----------
    layers : ndarray, shape (N, d, d)
        Layers in their modes.
    defects : ndarray, shape (N-1, d, d)
        The defects as they are.

    Returns
    -------
    ndarray, shape (N, d, d)
        The layers, or the given ones where Newton's method comes no nearer to the defects.
    """
    s = np.diagonal(layers, axis1=1, axis2=2).real
    each = s[:, :, None] ** 2 + s[:, None, :] ** 2
    pairs = s[:, :, None] * s[:, None, :]
    count = len(defects)
    matrix = np.zeros((*each.shape[1:], count, count))
    inner = np.arange(count - 1)
    matrix[..., np.arange(count), np.arange(count)] = np.moveaxis(each[:-1] + each[1:], 0, -1)
    matrix[..., inner, inner + 1] = matrix[..., inner + 1, inner] = np.moveaxis(
        -2 * pairs[1:-1], 0, -1
    )
    # Where layers are zero a defect says nothing of them: they stay.
    inverse = np.linalg.pinv(matrix, hermitian=True)
    unit = np.maximum(pairs[:-1], np.finfo(float).tiny)
    found, least = layers, np.inf
    for _ in range(MOST):
        off = defects - chains.defects(found)
        far = float((np.abs(off) / unit).max())
        if not far < least:
            break
        layers, least = found, far
        turn = (inverse @ np.moveaxis(off, 0, -1)[..., None])[..., 0]
        found = layers + chains.balance_ascent(layers, np.moveaxis(turn, -1, 0))
    return layers
