r"""Loss, gradient and Hessian of two layers in doubles, of one state or of many at once.

Angles come from differences and sums of unit vectors, so that small ones are right to their last
bits; sums over pairs cancel near a minimum, to the rounding of their largest terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array, lengths
from flows.systems.hidden_layer.network import Network, kernel_of

__all__ = ["gradient", "hessian", "loss"]


class _Pairs(NamedTuple):
    """Pairs of students (first index) with students and teachers (second index).

    Parameters
    ----------
    w, u, mu : ndarray, shapes (..., n, d), (..., n + m, d), (..., n + m)
        Students, all neurons, what they count.
    values : sequence of ndarray, shape (..., n, n + m)
        `k, 2 k_A, 2 k_B, k_C`; with a kink of `e` in place of `k`, zero for a student with itself.
    minus, plus : ndarray, shape (..., n, n + m, d), or None
        With a kink: differences and sums of unit vectors.
    sizes : tuple of ndarray
        What the kernel's functions take.
    """

    w: Array
    u: Array
    mu: Array
    values: Sequence[Array]
    minus: Any
    plus: Any
    sizes: tuple[Array, Array, Array]


def _pairs(network: Network, y: Array) -> _Pairs:
    w, a = network.split(y)
    w, a = w / network.roots[:, None], a * network.roots
    lead = y.shape[:-1]
    v = np.broadcast_to(network.digits[..., 0], (*lead, len(network.teachers), network.d))
    b = np.broadcast_to(-np.array(network.weights), (*lead, len(network.weights)))
    u, mu = np.concatenate([w, v], axis=-2), np.concatenate([a, b], axis=-1)
    kernel, n = kernel_of(network.activation, "numpy"), network.students
    if not kernel.bent:
        square = np.sum(u * u, axis=-1)
        shape = (*lead, n, u.shape[-2])
        sizes = (
            np.broadcast_to(square[..., :n, None], shape),
            np.broadcast_to(square[..., None, :], shape),
            w @ np.swapaxes(u, -1, -2),
        )
        return _Pairs(w, u, mu, _filled(kernel.pair(*sizes), shape), None, None, sizes)
    norm = lengths(u)
    unit = u / np.where(norm > 0, norm, 1.0)[..., None]
    minus = unit[..., :n, None, :] - unit[..., None, :, :]
    plus = unit[..., :n, None, :] + unit[..., None, :, :]
    theta = 2 * np.arctan2(np.linalg.norm(minus, axis=-1), np.linalg.norm(plus, axis=-1))
    alive = np.where(norm > 0, norm, np.nan)
    sizes = (
        np.broadcast_to(alive[..., :n, None], theta.shape),
        np.broadcast_to(alive[..., None, :], theta.shape),
        theta,
    )
    return _Pairs(w, u, mu, _filled(kernel.pair(*sizes), theta.shape), minus, plus, sizes)


def _filled(values: Sequence[Any], shape: tuple[int, ...]) -> list[Array]:
    return [np.broadcast_to(np.asarray(x, dtype=float), shape) for x in values]


def loss(network: Network, y: Array) -> Array:
    """Loss of flat states, shape (...); its error is a few roundings of its largest terms."""
    found, n = _pairs(network, y), network.students
    kernel, mu = kernel_of(network.activation, "numpy"), found.mu
    teachers = np.concatenate([v for v in network.digits[..., 0]])
    taught = Network(
        len(network.teachers), network.teachers, (), network.weights, network.activation
    )
    among = _pairs(taught, teachers)
    inner, outer = found.values[0][..., :n], found.values[0][..., n:]
    b = np.array(network.weights)
    total = np.einsum("...i,...j,...ij->...", mu[..., :n], mu[..., :n], inner) / 2
    total = total - np.einsum("...i,j,...ij->...", mu[..., :n], b, outer)
    total = total + np.einsum("i,j,ij->", b, b, among.values[0][:, : len(b)]) / 2
    if not kernel.bent:
        return np.asarray(total)
    residual = np.sum(mu[..., None] * found.u, axis=-2)
    return np.asarray(kernel.linear * np.sum(residual**2, axis=-1) / 2 + kernel.kink * total)


def gradient(network: Network, y: Array) -> Array:
    """Gradient of flat states, shape (..., N); zero for a neuron at zero, where there is a kink."""
    found, n = _pairs(network, y), network.students
    kernel, mu = kernel_of(network.activation, "numpy"), found.mu
    value, by_own, _, by_other = found.values
    own = np.sum(mu[..., None, :] * by_own, axis=-1)[..., None] * found.w
    weighted = mu[..., None, :] * by_other
    if kernel.bent:
        # The coefficient of `a` and of `b = |b|(abar - (abar - bbar))` in terms of the difference.
        alpha, beta, _ = found.sizes
        along = np.sum(weighted * beta / alpha, axis=-1)[..., None] * found.w
        opposite = np.einsum("...iq,...iqd->...id", weighted * beta, found.minus)
        residual = np.sum(mu[..., None] * found.u, axis=-2)[..., None, :]
        slope = kernel.linear * residual + kernel.kink * (own + along - opposite)
        by_output = kernel.linear * np.sum(found.w * residual, axis=-1)
        by_output = by_output + kernel.kink * np.sum(mu[..., None, :] * value, axis=-1)
        dead = np.isnan(alpha[..., 0])
        slope = np.where(dead[..., None], 0.0, slope)
        by_output = np.where(dead, 0.0, by_output)
    else:
        slope = own + weighted @ found.u
        by_output = np.sum(mu[..., None, :] * value, axis=-1)
    return network.joined(mu[..., :n, None] * slope, by_output) * network.stretch


def hessian(network: Network, y: Array) -> Array:
    """Hessian of flat states, shape (..., N, N); NaN where a neuron is zero, with a kink."""
    found, n, d, lead = _pairs(network, y), network.students, network.d, y.shape[:-1]
    kernel, mu = kernel_of(network.activation, "numpy"), found.mu
    value, by_own, _, by_other = found.values
    w, u, eye = found.w, found.u, np.eye(d)
    if kernel.bent:
        own, cross = _bent_blocks(found)
        own, cross = kernel.kink * own, kernel.kink * cross
        by_own, value = (
            kernel.kink * by_own,
            kernel.kink * value + kernel.linear * (w @ np.swapaxes(u, -1, -2)),
        )
        by_other = kernel.linear + kernel.kink * by_other
        cross = cross + kernel.linear * eye
    else:
        own, cross = _smooth_blocks(found, kernel.curves(*found.sizes))
    kappa, slope, bend = _filled(kernel.own(np.sum(w**2, axis=-1)), (*lead, n))
    a, others, i = mu[..., :n], mu[..., None, :] * (1 - np.eye(n, mu.shape[-1])), np.arange(n)
    blocks = (a[..., :, None] * a[..., None, :])[..., None, None] * cross[..., :n, :, :]
    outer = w[..., :, None] * w[..., None, :]
    mine = slope[..., None, None] * eye + 2 * bend[..., None, None] * outer
    alone = (a**2)[..., None, None] * mine
    blocks[..., i, i, :, :] = alone + a[..., None, None] * np.einsum(
        "...iq,...iqxz->...ixz", others, own
    )
    matrix = np.swapaxes(blocks, -3, -2).reshape(*lead, n * d, n * d)
    stretch = network.stretch[:, None] * network.stretch
    if not network.trained:
        return np.asarray((matrix + np.swapaxes(matrix, -1, -2)) / 2 * stretch)
    pull = by_own[..., None] * w[..., :, None, :] + by_other[..., None] * u[..., None, :, :]
    mixed = a[..., None, None] * pull[..., :n, :]
    mixed[..., i, i, :] = 2 * (a * slope)[..., None] * w + np.einsum(
        "...iq,...iqx->...ix", others, pull
    )
    mixed = np.swapaxes(mixed, -1, -2).reshape(*lead, n * d, n)
    outputs = value[..., :n].copy()
    outputs[..., i, i] = kappa
    rows = [matrix, mixed], [np.swapaxes(mixed, -1, -2), outputs]
    full = np.concatenate([np.concatenate(row, axis=-1) for row in rows], axis=-2)
    return np.asarray((full + np.swapaxes(full, -1, -2)) / 2 * stretch)


def _bent_blocks(found: _Pairs) -> tuple[Array, Array]:
    """Second derivatives of `e(a, b)` by `aa` and by `ab`, regular at aligned and opposite ones."""
    kernel = kernel_of("relu", "numpy")
    shape, eye = found.minus.shape[:-1], np.eye(found.minus.shape[-1])
    spread, _, twist = _filled(kernel.curves(*found.sizes), shape)
    chord, antichord = (np.linalg.norm(x, axis=-1) for x in (found.minus, found.plus))
    # Directions across do not exist at aligned and opposite vectors; their coefficient is zero.
    plane = (chord > 0) & (antichord > 0)
    c, s = (
        x / np.where(plane, length, 1.0)[..., None]
        for x, length in ((found.minus, chord), (found.plus, antichord))
    )
    half = (chord / 2)[..., None]
    across = half * s - np.sqrt(1 - np.minimum(half, 1.0) ** 2) * c
    unit = found.w / found.sizes[0][..., :1]
    turn = across[..., :, None] * across[..., None, :]
    flat = eye - unit[..., :, None] * unit[..., None, :]
    spread, twist = (np.where(plane, x, 0.0)[..., None, None] for x in (spread, twist))
    own = spread * (flat[..., :, None, :, :] + turn)
    cross = twist * (s[..., :, None] * s[..., None, :] - c[..., :, None] * c[..., None, :])
    return own, cross + found.values[3][..., None, None] * eye


def _smooth_blocks(found: _Pairs, curves: Sequence[Any]) -> tuple[Array, Array]:
    """Second derivatives of a smooth kernel by `aa` and by `ab`."""
    shape, eye = found.values[0].shape, np.eye(found.w.shape[-1])
    aa, _, ab, ac, bc, cc = (x[..., None, None] for x in _filled(curves, shape))
    by_own, by_other = (found.values[k][..., None, None] for k in (1, 3))
    w, u = np.broadcast_arrays(found.w[..., :, None, :], found.u[..., None, :, :])
    ww, wu, uu = (x[..., :, None] * z[..., None, :] for x, z in ((w, w), (w, u), (u, u)))
    uw = np.swapaxes(wu, -1, -2)
    own = by_own * eye + 4 * aa * ww + 2 * ac * (wu + uw) + cc * uu
    return own, by_other * eye + 4 * ab * wu + 2 * ac * ww + 2 * bc * uu + cc * uw
