r"""Numbers along a run of deep linear chains, and their rates, from which claims are evaluated.

Every rate is the derivative along the flow at the state, `grad Phi . f`; of a singular value
`u^H dM/dt v`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import EPSILON, Array
from flows.systems.matrix_factorization.chains import (
    Matrices,
    Point,
    adjoint,
    balance_ascent,
    chain,
    defects,
    fit_descent,
    inner,
    moved,
    square,
)

__all__ = [
    "SPECTRA",
    "loss_errors",
    "monitors",
    "spectra",
    "start_rounding",
    "two_matrices",
    "unknown_at",
]


# Some are undefined for layers that vanish or leave the doubles: NaN, not a warning.
@np.errstate(all="ignore")
def monitors(point: Point, strength: float) -> dict[str, Array]:
    """Numbers of states and their rates that are sums of products.

    Parameters
    ----------
    point : Point
        States at `T` times, in the basis in which the target is diagonal.
    strength : float
        The regularisation `a`.

    Returns
    -------
    dict
        By name, and `<name>_dot` for the rate: `residual` `|Sigma - W|_F`; `defect`
        `|Delta_{j,j+1}|_F` (T, N-1); `layer_defect`, the norm of all defects as computed from the
        layers; `imbalance`, that of the defects over the squared norm of the layers; the losses
        with their gradients.
    """
    w, residual, defect, descent, ascent = _motion(point, strength)
    velocity = descent - ascent
    size, size_dot = square(w, 3), 2 * inner(w, velocity, 3)
    total, total_dot = _norm(defect, _defect_velocity(w, -ascent), 3)
    fit = square(residual) / 2, -square(descent, 3)
    balance = strength / 4 * square(defect, 3), -square(ascent, 3)
    features = {
        "gradient_norm": np.sqrt(square(velocity, 3)),
        "fit_speed": np.sqrt(square(descent, 3)),
        "balance_speed": np.sqrt(square(ascent, 3)),
    }
    return features | _with_rates(
        {
            "residual": _norm(residual, -moved(w, descent)),
            "defect": _norm(defect, _defect_velocity(w, -ascent)),
            "layer_defect": _norm(defects(w), _defect_velocity(w, -ascent), 3),
            "layer_square": (size, size_dot),
            "imbalance": (total / size, (total_dot - total * size_dot / size) / size),
            "loss": (fit[0] + balance[0], -square(velocity, 3)),
        }
    )


@np.errstate(all="ignore")
def spectra(point: Point, strength: float, target: Array, turn: complex) -> dict[str, Array]:
    """Numbers of states and their rates that come from decompositions.

    Parameters
    ----------
    point, strength
        As for :func:`monitors`.
    target : ndarray, shape (d,)
        The diagonal of the target.
    turn : number
        Determinant of the user's basis: `det W` of the user is `turn` times that of the chain.

    Returns
    -------
    dict
        `singular_value` of `W` (T, d), `singular_speed`, the sum of
        `sigma_i^(2 - 2/N) u_i^H (Sigma - W) v_i` over its singular vectors, and `layer_value` of
        the layers (T, N d); `skew` and `main` (T, d), see :func:`two_matrices`; `determinant`, its
        real part, and `orientation`, that of the chain.
    """
    w, residual, _, descent, ascent = _motion(point, strength)
    velocity = descent - ascent
    (a, r), (a_dot, r_dot) = two_matrices(w, velocity)
    root = np.sqrt(target)
    values, rates = _singular(chain(w), moved(w, descent))
    # What moves the singular values of a balanced chain: u_i^H (Sigma - W) v_i.
    drive, power = _singular(chain(w), residual)[1], 2 - 2 / w.shape[-3]
    speed = np.sum(values**power * drive, axis=-1)
    layer_value, layer_rate = (x.reshape(len(x), -1) for x in _singular(w, velocity))
    return {"singular_speed": speed} | _with_rates(
        {
            "singular_value": (values, rates),
            "layer_value": (layer_value, layer_rate),
            "determinant": _determinant(w, velocity, turn),
            "orientation": _determinant(w, velocity, 1.0),
            "skew": _norm((a - r) * root, (a_dot - r_dot) * root),
            "even": _norm((a + r) * root, (a_dot + r_dot) * root),
            "main": _singular(a + r, a_dot + r_dot),
        }
    )


#: Names of :func:`spectra`.
SPECTRA = (
    "singular_speed",
    *(
        f"{name}{end}"
        for name in (
            "singular_value",
            "layer_value",
            "determinant",
            "orientation",
            "skew",
            "even",
            "main",
        )
        for end in ("", "_dot")
    ),
)


def _motion(point: Point, strength: float) -> tuple[Matrices, Matrices, Matrices, Any, Any]:
    """Layers, residual and defects as they are, and both parts of the gradient."""
    size_e, size_d = np.moveaxis(np.exp(-point.decay), -1, 0)[..., None, None]
    w, residual, defect = point.layers, size_e * point.residual, size_d[..., None] * point.defects
    return w, residual, defect, fit_descent(w, residual), strength * balance_ascent(w, defect)


def _with_rates(numbers: dict[str, tuple[Any, Any]]) -> dict[str, Array]:
    """Values by name, and rates by name and ``_dot``."""
    rates = {f"{name}_dot": rate for name, (_, rate) in numbers.items()}
    return {name: value for name, (value, _) in numbers.items()} | rates


def start_rounding(layers: Matrices, target: Array) -> Array:
    """Rounding of `Sigma - W` and of the defects, as one computes them from layers.

    Parameters
    ----------
    layers : ndarray, shape (N, d, d)
        Layers, turned into the basis in which the target is diagonal.
    target : ndarray, shape (d,)
        That diagonal.

    Returns
    -------
    ndarray, shape (2,)
        Bounds of the errors' norms: a product of matrices of size `d` is right to `d` units of its
        factors' absolute values, and turning the first and the last layer is one more.
    """
    sizes = np.abs(layers)
    fit = (len(sizes) + 1) * np.linalg.norm(chain(sizes)) + np.linalg.norm(target)
    grams = sizes[:-1] @ adjoint(sizes[:-1]) + adjoint(sizes[1:]) @ sizes[1:]
    return EPSILON * sizes.shape[-1] * np.array([fit, np.linalg.norm(grams)])


def loss_errors(point: Point, strength: float, rounding: Array) -> dict[str, Array]:
    r"""Rounding errors of both parts of the loss and of their sum.

    .. math:: \delta |E| = e^{-g} (\epsilon (g + d) |F| + \rho), \qquad
              \delta L_{ori} = |E| \, \delta |E| + (\delta |E|)^2/2

    and in the same way for the defects: the magnitude of a residual `E = e^{-g} F` is no better
    known than `g`, which is a double; its norm is a sum of `d^2` squares; and the rounding `rho` of
    the start goes on living.

    Parameters
    ----------
    point : Point
        States at `T` times.
    strength : float
        The regularisation `a`.
    rounding : ndarray, shape (2,)
        `rho` of residual and defects, in units of `exp(-g)` of the start: :func:`start_rounding`.

    Returns
    -------
    dict
        `loss_fit_error`, `loss_balance_error`, `loss_error`, each (T,).

    Notes
    -----
    Estimates: an error of the start is taken to decay like the residual itself. What the tolerance
    of the solver adds is :meth:`flows.Trajectory.error`.
    """
    norms = np.sqrt(np.stack([square(point.residual), square(point.defects, 3)], axis=-1))
    size = np.exp(-point.decay)
    known = EPSILON * (np.abs(point.decay) + point.layers.shape[-1]) * norms
    # What has decayed to nothing is left out, and its magnitude says how large it may be.
    vanished = (norms == 0) & (point.decay != 0)
    doubt = size * (np.where(vanished, 1.0, known) + rounding)
    parts = np.array([0.5, 0.25 * strength]) * doubt * (2 * size * norms + doubt)
    return {
        "loss_fit_error": parts[..., 0],
        "loss_balance_error": parts[..., 1],
        "loss_error": parts.sum(axis=-1),
    }


def two_matrices(
    layers: Matrices, velocity: Matrices
) -> tuple[tuple[Matrices, Matrices], tuple[Matrices, Matrices]]:
    """`A = W_1` and `R`, whose difference is the skew error and whose sum is the main term.

    `R = (W_m ... W_2)^-1 W_{m+1}^H ... W_N^H` for even depth `N = 2 m`, the paper's
    `W_2^-1 W_3^H W_4^H` at depth four. At odd depth the inverse of the product of the middle layers
    has no such form, and its unitary polar factor takes its place: `R = Q^H W_N^H` with
    `W_{N-1} ... W_2 = Q H`. For a balanced chain `W = U S V^H` both are
    `A = F S^(1/N) V^H`, `R = F S^(1/N) U^H` with one unitary `F`.

    Parameters
    ----------
    layers, velocity : ndarray, shape (T, N, d, d)
        Layers and their velocities.

    Returns
    -------
    pair of pairs of ndarray, shape (T, d, d)
        `(A, R)` and their velocities; not finite where the middle layers are singular.
    """
    depth = layers.shape[-3]
    first, rate = layers[:, 0], velocity[:, 0]
    half = depth // 2 if depth % 2 == 0 else depth - 1
    middle, middle_dot = _product(layers[:, 1:half], velocity[:, 1:half])
    outer, outer_dot = _product(layers[:, half:], velocity[:, half:])
    back, back_dot = adjoint(outer), adjoint(outer_dot)
    if middle is None:
        return (first, back), (rate, back_dot)
    u, s, v_h = np.linalg.svd(middle)
    with np.errstate(all="ignore"):
        if depth % 2 == 0:
            inverse = (adjoint(v_h) / s[..., None, :]) @ adjoint(u)
            inverse_dot = -inverse @ middle_dot @ inverse
        else:
            inner_dot = adjoint(u) @ middle_dot @ adjoint(v_h)
            swirl = (inner_dot - adjoint(inner_dot)) / (s[..., :, None] + s[..., None, :])
            inverse = adjoint(u @ v_h)
            inverse_dot = adjoint(u @ swirl @ v_h)
        return (first, inverse @ back), (rate, inverse_dot @ back + inverse @ back_dot)


def _product(layers: Matrices, velocity: Matrices) -> tuple[Any, Any]:
    """Product of neighbouring layers and its velocity; None for no layers."""
    return (chain(layers), moved(layers, velocity)) if layers.shape[-3] else (None, None)


def _norm(matrices: Matrices, rates: Matrices, axes: int = 2) -> tuple[Array, Array]:
    """Frobenius norm of each matrix, or of several together, and its rate."""
    norm = np.sqrt(square(matrices, axes))
    with np.errstate(all="ignore"):
        return norm, np.where(norm == 0, 0.0, inner(matrices, rates, axes) / norm)


def _singular(matrix: Matrices, rate: Matrices) -> tuple[Array, Array]:
    """Singular values, the largest first, and their rates."""
    undefined = ~np.isfinite(matrix + rate).all(axis=(-2, -1))
    if undefined.any():
        matrix = np.where(undefined[..., None, None], 0.0, matrix)
    u, s, v_h = np.linalg.svd(matrix)
    s_dot = np.diagonal(adjoint(u) @ rate @ adjoint(v_h), axis1=-2, axis2=-1).real
    hidden = undefined[..., None]
    return np.where(hidden, np.nan, s), np.where(hidden, np.nan, s_dot)


def _defect_velocity(layers: Matrices, velocity: Matrices) -> Matrices:
    """Rate of the defects when the layers move."""
    half = velocity[:, :-1] @ adjoint(layers[:, :-1]) - adjoint(layers[:, 1:]) @ velocity[:, 1:]
    return half + adjoint(half)


def _determinant(layers: Matrices, velocity: Matrices, turn: complex) -> tuple[Array, Array]:
    """Real part of the user's `det W`, layer by layer so that small ones keep their sign."""
    each = np.linalg.det(layers)
    value = turn * each.prod(axis=-1)
    u, s, v_h = np.linalg.svd(layers)
    with np.errstate(all="ignore"):
        trace = np.trace(
            adjoint(v_h) / s[..., None, :] @ adjoint(u) @ velocity, axis1=-2, axis2=-1
        ).sum(axis=-1)
        return np.real(value), np.real(value * trace)


def unknown_at(values: Array, lost: NDArray[np.bool_]) -> Array:
    """The values, NaN at the times that are lost."""
    found = np.array(values, dtype=float)
    found[lost] = np.nan
    return found
