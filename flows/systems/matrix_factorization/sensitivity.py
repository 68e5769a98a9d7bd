r"""How far errors of the layers move what is computed from them, by norms alone.

Layer `W_j` is known to `delta_j` in Frobenius norm: to rounding, relative to itself, and to what
the tolerance `\epsilon` left when it was `|W_j|`, as differences of squares keep their errors,

.. math:: \delta_j(t) = \epsilon \, \max_{t' \le t} |W_j(t')|^2 / |W_j(t)|

With `s_j = |W_j|_2`, `c_j = prod_{k != j} s_k` and relative errors `e_j = delta_j / s_j`,

.. math:: \delta (P_j^H E Q_j^H) \le c_j |E| \Big(\epsilon + \sum_{k \ne j} e_k\Big), \qquad
          \delta (\Delta_j W_j) \le |\Delta_j| (\epsilon s_j + \delta_j),

.. math:: \delta (Z^{-1} B) \le |Z^{-1}| (\delta B + \delta Z \, |Z^{-1} B|), \qquad
          |\sigma_i(X + \delta X) - \sigma_i(X)| \le |\delta X|

(Weyl; a norm likewise). The rate of a norm or a singular value, `Re u^H X_dot v`, takes another
direction of `X_dot` where `|\delta X|` turns `u` and `v`: by `|\delta X|` over the distance to the
next singular value, those with the other sign included. The rate of the residual is a product of
the residual and the velocity of `W`, and is negative at every state; beside a saddle it is as small
as the rounding of that product, which alone is stated.

Where a residual stays, layers are followed in their modes (:mod:`.modes`), each relative to
itself, and entries between modes follow them. A mode then keeps the relative error with which it
came there, and so do the velocity of the layers, which is a product of modes that fail, and their
singular values. What steps leave in entries that are damped is at right angles to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import EPSILON, Array

__all__ = ["SENSITIVE", "balance_left", "feature_errors"]

# Rounding of a product or a decomposition, in units of the norms of its factors.
ROUNDING = 8.0
# Part of an error of steps that is left in directions which the flow damps, at right angles to
# that of modes that fail; 5e-6 at worst in 100 chains.
DAMPED = 1e-4

#: Features whose errors take the singular values of all layers.
SENSITIVE = (
    *("fit_speed", "balance_speed", "gradient_norm", "loss_dot", "residual_dot"),
    *("layer_defect", "layer_square"),
    *("layer_value", "singular_value", "main", "main_dot", "skew", "skew_dot", "even", "even_dot"),
)


@np.errstate(all="ignore")
def feature_errors(
    depth: int,
    strength: float,
    sigma: float,
    features: dict[str, Array],
    relative: Array,
    residual: tuple[Array, NDArray[np.bool_]],
) -> dict[str, Array]:
    """Absolute errors of features along a run of layers.

    Parameters
    ----------
    depth : int
        Number of layers `N`.
    strength : float
        The regularisation `a`.
    sigma : float
        Largest singular value of the target.
    features : dict
        :func:`flows.systems.matrix_factorization.features.monitors` at `T` times.
    relative : ndarray, shape (T,)
        Errors that steps leave in the layers, relative to their norms.
    residual : tuple of ndarray, shapes (T, 2) and (T,)
        Relative errors of residual and defects; where the residual stays.

    Returns
    -------
    dict
        By name, of the features' shapes.
    """
    doubts, stays = residual
    values = features["layer_value"].reshape(len(relative), depth, -1)
    d = values.shape[-1]
    norm, size, least = np.sqrt((values**2).sum(axis=-1)), values[..., 0], values[..., -1]
    rounding, steps = ROUNDING * EPSILON * d * depth, relative[:, None]
    delta = rounding * norm + steps * np.maximum.accumulate(norm**2, axis=0) / norm
    part = np.divide(delta, size, out=np.zeros_like(delta), where=size > 0)
    rest = np.stack([np.delete(size, j, axis=1).prod(axis=1) for j in range(depth)], axis=1)
    others = part.sum(axis=1, keepdims=True) - part
    # Modes, and by how much more than steps leave they are off, relative to themselves.
    largest = np.maximum.accumulate(norm[..., None] * values, axis=0)
    came = largest / np.where(values > 0, values, np.inf) ** 2
    before = np.maximum.accumulate(~stays[::-1])[::-1]
    first = int(before.sum())  # since when the residual stays
    came[first:] = 1.0 + came[min(first, len(came) - 1)]
    modes = steps[..., None] * np.maximum(came, 1.0)
    each = np.minimum(np.where(before[:, None, None], np.inf, modes * values), delta[..., None])
    each = each + rounding * norm[..., None]

    own = steps + rounding + doubts
    fit = rest * features["residual"][:, None] * (own[:, :1] + others)
    failing = features["fit_speed"] * (own[:, 0] + modes.max(axis=2).sum(axis=1))
    single = np.min(relative, where=relative > 0, initial=np.inf)  # of steps alone
    damped = np.where(relative > 0, DAMPED * single, 0.0) * _total(rest) * features["residual"]
    failing += damped**2 / (features["fit_speed"] + np.hypot(features["fit_speed"], damped))
    usual = np.where(before, np.inf, failing) / _total(fit)
    fit = fit * np.fmin(1.0, usual)[:, None]
    defect = features["defect"]
    beside = np.pad(defect, ((0, 0), (0, 1))) + np.pad(defect, ((0, 0), (1, 0)))
    balance = strength * beside * (own[:, 1:] * size + delta)
    speed = fit + balance
    slope, slope_error = features["gradient_norm"], _total(speed)
    grams = 2 * (norm[:, :-1] * delta[:, :-1] + norm[:, 1:] * delta[:, 1:])

    # A = W_1 and R = Z^-1 B, of the layers in the middle and of the outer ones.
    half = depth // 2 if depth % 2 == 0 else depth - 1
    inverse = 1 / least[:, 1:half].prod(axis=1)
    middle, outer = slice(1, half), slice(half, None)
    b, z_error, b_error = (
        size[:, outer].prod(axis=1),
        *(
            size[:, k].prod(axis=1) * np.expm1(np.log1p(part[:, k]).sum(axis=1))
            for k in (middle, outer)
        ),
    )
    # At odd depth the unitary polar factor of Z takes the place of Z^-1.
    r = inverse * b if depth % 2 == 0 else b
    bound = inverse if depth % 2 == 0 else np.ones_like(inverse)
    r_error = bound * b_error + inverse * z_error * r
    pair = delta[:, 0] + r_error
    # Velocities of Z and B, at most, and their errors.
    z_dot, b_dot = (slope * _slopes(size[:, k]) for k in (middle, outer))
    z_doubt, b_doubt = (
        slope_error * _slopes(size[:, k]) + slope * _slopes(size[:, k]) * part[:, k].sum(axis=1)
        for k in (middle, outer)
    )
    r_dot = bound * b_dot + inverse * z_dot * r
    r_doubt = bound * b_doubt + inverse * (
        z_error * bound * b_dot + z_doubt * r + 2 * inverse * z_error * z_dot * r + z_dot * r_error
    )
    moving, doubt = slope + r_dot, speed[:, 0] + r_doubt

    root = float(np.sqrt(sigma))
    errors = {
        "fit_speed": _total(fit),
        "balance_speed": _total(balance),
        "gradient_norm": slope_error,
        "loss_dot": (2 * slope + slope_error) * slope_error,
        "residual_dot": rounding * _slopes(size) * features["fit_speed"],
        "layer_defect": _total(grams),
        "layer_square": ((2 * norm + delta) * delta).sum(axis=1),
        "layer_value": each.reshape(len(relative), -1),
        "singular_value": np.minimum(
            (rest * delta).sum(axis=1)[:, None],
            np.where(before[:, None], np.inf, features["singular_value"] * _product(each / values))
            + rounding * size.prod(axis=1)[:, None],
        ),
        "main": np.repeat(pair[:, None], d, axis=1),
        "main_dot": doubt[:, None]
        + 2 * moving[:, None] * np.minimum(1.0, pair[:, None] / _gaps(features["main"])),
    }
    for name in ("skew", "even"):
        errors[name] = root * pair
        turned = np.minimum(1.0, root * pair / features[name])
        errors[f"{name}_dot"] = root * (doubt + 2 * moving * np.nan_to_num(turned, nan=1.0))
    return errors


def balance_left(depth: int, strength: float, values: Array, t: Array) -> Array:
    """What is left at most of a balancing loss that is not followed, as a part of its start.

    At every state it decays at the rate `4 a m^2 / (2 + (M/m)^2)` at least, with the least and the
    largest singular value of all layers (claim `balance_decays`, for `N <= 5`).

    Parameters
    ----------
    depth : int
        Number of layers `N`.
    strength : float
        The regularisation `a`.
    values : ndarray, shape (T, N d)
        Singular values of the layers.
    t : ndarray, shape (T,)
        Times; between two of them the smaller rate is taken.
    """
    if depth > 5:
        return np.ones(len(t))
    least, largest = values.min(axis=1), values.max(axis=1)
    rate = 4 * strength * least**4 / np.maximum(2 * least**2 + largest**2, np.finfo(float).tiny)
    passed = np.minimum(rate[1:], rate[:-1]) * np.diff(t)
    return np.exp(-np.concatenate([[0.0], np.cumsum(passed)]))


def _total(parts: Array) -> Array:
    """Norm of all parts together."""
    return np.asarray(np.sqrt((parts**2).sum(axis=1)))


def _product(parts: Array) -> Array:
    """Relative error of products over layers, of those of their factors."""
    return np.asarray(np.expm1(np.log1p(np.nan_to_num(parts, nan=np.inf)).sum(axis=1)))


def _slopes(size: Array) -> Array:
    """Norm of the derivative of a product by its factors."""
    count = size.shape[1]
    each = [np.delete(size, j, axis=1).prod(axis=1) for j in range(count)]
    return _total(np.stack(each, axis=1)) if count else np.zeros(len(size))


def _gaps(values: Array) -> Array:
    """Distance of each singular value from the next one, zero between those of both signs."""
    gaps = np.abs(np.diff(values, axis=1))
    edge = np.full((len(values), 1), np.inf)
    nearest = np.minimum(np.hstack([edge, gaps]), np.hstack([gaps, edge]))
    return np.asarray(np.minimum(nearest, 2 * values))
