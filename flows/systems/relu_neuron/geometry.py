"""Sound coordinates of the ReLU neuron: reduction, geometry of the pairs, features.

Units: the teacher has length one and lies along ``e_1``; time does not change, lengths scale by
``|v|`` and the loss by ``|v|^2`` (the flow is homogeneous of degree one).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from flows.core import double_double as dd
from flows.core.arrays import Array
from flows.core.problem import ATOL_PER_RTOL
from flows.core.system import State
from symbolic.language import lower
from symbolic.systems.relu_neuron import pair as relu_neuron

# A transverse part below this fraction of its neuron is rounding of the input, not geometry.
PARALLEL = 4 * np.finfo(float).eps
# Neurons nearer to their mean than this part of their transverse length are followed no closer: the
# rounding of the field moves them by more than tight steps could bear.
COINCIDENT = 1e-8
# Roundings of a neuron that add up in a run, and what an error is more at those that are not
# followed; measured against fifty digits.
ROUNDINGS, UNFOLLOWED = 100.0, 30.0
# A neuron that is shorter than it was by this is known to less than the tolerance of the steps.
SHRUNK = 1e4


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


def reduce(neurons: Array, teacher: Array) -> tuple[Frame, SoundState]:
    """Bring neurons into sound coordinates, in double-double arithmetic where digits cancel.

    Parameters
    ----------
    neurons : ndarray, shape (n, d)
        User's neurons.
    teacher : ndarray, shape (d,)
        User's teacher.

    Returns
    -------
    Frame, SoundState
        ``p <= min(n, d - 1)`` transverse dimensions; cost ``n^2 d``.

    Accuracy
    --------
    Each number carries a relative rounding error of its own neuron's transverse part (or of the
    residual), however small that is beside the neuron.
    """
    # Adding zero makes the two signs of zero one; a row's bytes then say which neuron it is.
    index: dict[bytes, int] = {}
    member = np.array([index.setdefault((w + 0.0).tobytes(), len(index)) for w in neurons])
    count = np.bincount(member)
    distinct = neurons[np.unique(member, return_index=True)[1]]

    v = dd.exact(teacher)
    square = dd.dot(teacher, teacher)
    unit = float(np.sqrt(square.high))
    along = dd.divide(dd.dot(distinct, teacher), square)
    shadow = dd.multiply(dd.Pair(along.high[:, None], along.low[:, None]), v)
    across = dd.add(dd.exact(distinct), dd.Pair(-shadow.high, -shadow.low))
    size = np.linalg.norm(distinct, axis=1)
    transverse = across.high / unit
    flat = np.linalg.norm(across.high, axis=1) <= PARALLEL * size
    transverse[flat] = 0.0

    basis, z = _coordinates(transverse, teacher / unit)
    mu = count.astype(float)
    weighted = dd.multiply(along, dd.exact(mu))
    r_along = dd.add(dd.total(weighted, axis=0), dd.exact(np.array(-1.0)))
    live = ~flat
    across_sum = (
        dd.total(
            dd.multiply(dd.Pair(across.high[live], across.low[live]), dd.exact(mu[live, None])),
            axis=0,
        ).high
        if live.any()
        else np.zeros_like(teacher)
    )
    r = np.concatenate([[r_along.high], basis.T @ across_sum / unit])
    return Frame(teacher, basis, mu, member), SoundState(along.high, z, r)


def _coordinates(transverse: Array, direction: Array) -> tuple[Array, Array]:
    """Orthonormal basis of the transverse span and coordinates in it."""
    size = np.linalg.norm(transverse, axis=1)
    live = size > 0
    d = direction.shape[0]
    if not live.any() or d == 1:
        return np.zeros((d, 0)), np.zeros((transverse.shape[0], 0))
    scaled = (transverse[live] / size[live, None]).T
    q, r, _ = scipy.linalg.qr(scaled, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diag(r)) > 8 * len(size) * np.finfo(float).eps))
    basis = q[:, : min(rank, d - 1)]
    # Exactly orthogonal to the teacher, to the last bit that doubles allow.
    basis -= np.outer(direction, direction @ basis)
    z = np.zeros((transverse.shape[0], basis.shape[1]))
    z[live] = (scaled.T @ basis) * size[live, None]
    return basis, z


def restore(frame: Frame, state: SoundState) -> Array:
    """User's neurons, shape (..., n, d), of sound state(s)."""
    basis = frame.basis[:, : state.z.shape[-1]]
    neurons = state.h[..., None] * frame.teacher + (state.z @ basis.T) * frame.unit
    return neurons[..., frame.member, :]


class Pairs(NamedTuple):
    """Geometry of all pairs of neurons, the teacher being the last one.

    Neurons on the far side of the teacher (``h < 0``) are flipped, ``sign = -1``: with
    ``e(a, b) = e(a, -b) - a.b / 2`` no pair then contributes a large term that others cancel.

    ``units`` (..., k+1, q) and ``norms`` (..., k+1); ``minus`` and ``plus`` (..., k+1, k+1, q)
    are differences and sums of unit vectors; ``theta`` (..., k+1, k+1) angles; ``sign``
    (..., k+1).
    """

    units: Array
    norms: Array
    minus: Array
    plus: Array
    theta: Array
    sign: Array


def pairs(state: SoundState) -> Pairs:
    """Geometry of ``state`` without cancellation; a neuron at zero has the unit vector zero."""
    shape = state.h.shape[:-1]
    h = np.concatenate([state.h, np.ones((*shape, 1))], axis=-1)
    z = np.concatenate([state.z, np.zeros((*shape, 1, state.z.shape[-1]))], axis=-2)
    sign = np.where(h < 0, -1.0, 1.0)
    zeta = np.linalg.norm(z, axis=-1)
    norms = np.hypot(h, zeta)
    safe = np.where(norms > 0, norms, 1.0)
    units = np.concatenate([np.abs(h)[..., None], sign[..., None] * z], axis=-1) / safe[..., None]
    # 1 - cos without subtracting cosines.
    m = (zeta / safe) ** 2 / (1 + units[..., 0])
    minus = units[..., :, None, :] - units[..., None, :, :]
    minus[..., 0] = m[..., None, :] - m[..., :, None]
    plus = units[..., :, None, :] + units[..., None, :, :]
    theta = 2 * np.arctan2(np.linalg.norm(minus, axis=-1), np.linalg.norm(plus, axis=-1))
    return Pairs(units, norms, minus, plus, theta, sign)


def unflipped(g: Pairs) -> tuple[Array, Array]:
    """Differences and sums of the unit vectors as they are, (..., k+1, k+1, q)."""
    sign = g.sign[..., :, None, None]
    same = sign * g.sign[..., None, :, None] > 0
    return sign * np.where(same, g.minus, g.plus), sign * np.where(same, g.plus, g.minus)


def flipped_residual(multiplicity: Array, state: SoundState) -> Array:
    """Residual of the flipped neurons, ``r - 2 sum over h < 0 of mu_i w_i``."""
    weight = np.where(state.h < 0, -2.0 * multiplicity, 0.0)[..., None]
    neurons = np.concatenate([state.h[..., None], state.z], axis=-1)
    return state.r + np.sum(weight * neurons, axis=-2)


@functools.cache
def lowered() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Pair energy and pair gradient as NumPy functions of ``alpha, beta, theta``."""
    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    energy = lower.lower((relu_neuron.pair_energy(),), sizes, "numpy")
    return energy, lower.lower(relu_neuron.pair_gradient(), sizes, "numpy")


def signed(multiplicity: Array) -> Array:
    """Multiplicities with the teacher's -1 appended."""
    return np.append(multiplicity, -1.0)


def gradient(multiplicity: Array, state: SoundState, geometry: Pairs | None = None) -> Array:
    """Gradient of each distinct neuron, shape (..., k, q); zero where a neuron is at zero.

    ``grad_i = r/4 + s_i [ r~/4 + sum_j mu_j de(w~_i, w~_j)/dw~_i ]`` with the flipped neurons
    ``w~_i = s_i w_i`` and their residual ``r~``.
    """
    g = geometry or pairs(state)
    k = state.h.shape[-1]
    unit, chord = lowered()[1](g.norms[..., :k, None], g.norms[..., None, :], g.theta[..., :k, :])
    mu = signed(multiplicity)
    own = np.sum(mu * unit, axis=-1)[..., None] * g.units[..., :k, :]
    across = np.sum((mu * chord)[..., None] * g.minus[..., :k, :, :], axis=-2)
    even = 0.25 * flipped_residual(multiplicity, state)[..., None, :] + own + across
    total = 0.25 * state.r[..., None, :] + g.sign[..., :k, None] * even
    return np.where(g.norms[..., :k, None] > 0, total, 0.0)


def energy(multiplicity: Array, state: SoundState) -> tuple[Array, Array]:
    """Loss in units of ``|v|^2``, and a bound of its rounding error, both of shape (...).

    ``L = (|r|^2 + |r~|^2)/8 + 1/2 sum_jl mu_j mu_l e(w~_j, w~_l)``, see :class:`Pairs`. The bound
    adds the rounding of the terms and the effect of the rounding of the unit vectors on the
    angles, ``|de/dtheta| <= |a||b| theta sin(theta) / (2 pi)``.
    """
    g = pairs(state)
    eps = np.finfo(float).eps
    mu = signed(multiplicity) * g.norms
    weight = mu[..., :, None] * mu[..., None, :]
    terms = weight * lowered()[0](1.0, 1.0, g.theta)[0]
    residuals = state.r**2 + flipped_residual(multiplicity, state) ** 2
    square = np.sum(residuals, axis=-1) / 8
    value = square + np.sum(terms, axis=(-2, -1)) / 2
    off_axis = np.linalg.norm(g.units[..., 1:], axis=-1)
    angle_error = 8 * eps * (off_axis[..., :, None] + off_axis[..., None, :])
    slope = np.abs(weight) * g.theta * np.sin(g.theta) / (2 * np.pi)
    error = 16 * eps * (square + np.sum(np.abs(terms), axis=(-2, -1))) + np.sum(
        slope * angle_error, axis=(-2, -1)
    )
    return value, error


def rounding(multiplicity: Array, state: SoundState) -> tuple[Array, Array]:
    """How far neurons are apart, and the relative error of that from the rounding of the neurons.

    Neurons that hardly differ are known to `C eps max |z_i|`, and their distances from the mean `w`
    to `x = C eps max |z_i| / max |w_i - w|`.

    Returns
    -------
    apart, relative : ndarray, shape (...)
        `max |w_i - w|` in units of ``|v|``, and `x`; zero where nothing can be told apart.
    """
    mu = multiplicity * ((state.h != 0) | (state.z != 0).any(axis=-1))
    neurons = np.concatenate([state.h[..., None], state.z], axis=-1)
    count = np.maximum(np.sum(mu, axis=-1), 1.0)[..., None, None]
    mean = np.sum(mu[..., None] * neurons, axis=-2, keepdims=True) / count
    apart = np.max(np.where(mu > 0, np.linalg.norm(neurons - mean, axis=-1), 0.0), axis=-1)
    reach = np.max(np.linalg.norm(state.z, axis=-1), axis=-1)
    known = (np.sum(mu > 0, axis=-1) > 1) & (apart > 0)
    error = ROUNDINGS * np.finfo(float).eps * reach
    error = np.where(apart < COINCIDENT * reach, UNFOLLOWED * error, error)
    return apart, np.where(known, error / np.where(known, apart, 1.0), 0.0)


def errors(count: int, features: dict[str, Array], t: Array, tolerance: Array) -> dict[str, Array]:
    r"""Absolute errors of features: rounding of distances, and what steps leave in the residual.

    With the largest `x` of :func:`rounding` so far, since the flow keeps relative errors of
    distances, these are known to `d = x max |w_i - w|`. The loss moves by `|grad L| d + n d^2/2` at
    most, since its Hessian is at most `n`; once the distances determine it, where it is cubic in
    them, by `(1 + x)^3 - 1` of itself. The smaller one counts; rates and gradients likewise. The
    residual is followed as far as it matters for the loss, not relative to itself: to the absolute
    tolerance of neurons of the length `max |w_i - w|`, which the flow damps by `1 + t/2` at least,
    its rate being `n/2`. (So it was for five solvers and tolerances up to t = 1e14.)

    A neuron that falls exponentially, opposite to the teacher, is followed to the tolerance of the
    length that it had, and to rounding beside the others: far below, nothing of it is known.

    Parameters
    ----------
    count : int
        The number of neurons `n`.
    features : dict
        What :func:`features` gives at ``T`` times.
    t, tolerance : ndarray, shape (T,)
        Times, and the relative error that the tolerance of the steps leaves.
    """
    relative = np.maximum.accumulate(features["rounding"])
    shrunk, off = _shrunk(features["norm"], tolerance)
    absolute = np.maximum(relative * features["apart"], off)
    relative = np.maximum(relative, shrunk)
    slope, (i, j) = features["gradient_norm"], np.triu_indices(count, 1)

    def part(name: str, power: int, most: Array) -> Array:
        """Error of a quantity that distances determine as a power, at most this."""
        value = np.abs(features[name])
        grown = np.expm1(power * np.log1p(relative)).reshape(-1, *[1] * (value.ndim - 1))
        most = most.reshape(-1, *[1] * (value.ndim - 1))
        return np.minimum(grown * value, most)

    left = ATOL_PER_RTOL * tolerance * np.minimum(1.0, features["apart"]) / (1 + t / 2)
    fastest = np.abs(features["distance_dot"]).max(axis=1, initial=0.0)
    closing = np.minimum(np.expm1(2 * np.log1p(relative)) * fastest, count * absolute)
    turned = absolute[:, None] / np.maximum(features["zeta"], np.finfo(float).tiny)
    pairs = turned[:, i] + turned[:, j]
    return {
        "loss": part("loss", 3, (slope + count * absolute / 2) * absolute),
        "loss_dot": part("loss_dot", 4, (2 * slope + count * absolute) * count * absolute),
        "gradient_norm": part("gradient_norm", 2, count * absolute),
        "rho": part("rho", 2, absolute) + left,
        "rho_dot": part("rho_dot", 2, count * absolute) + count * left,
        "residual_norm": part("residual_norm", 2, absolute) + left,
        "distance": np.broadcast_to(absolute[:, None], pairs.shape),
        "distance_dot": np.broadcast_to(closing[:, None], pairs.shape),
        "kappa": pairs,
        "kappa_dot": count * pairs,
    }


def _shrunk(norms: Array, tolerance: Array) -> tuple[Array, Array]:
    """Relative and absolute error of neurons that are far shorter than they were, shape (T,)."""
    longest = np.maximum.accumulate(np.nan_to_num(norms), axis=0)
    few = (norms > 0) & (longest > SHRUNK * norms)
    off = ATOL_PER_RTOL * tolerance[:, None] * longest + np.finfo(float).eps
    relative = np.where(few, off / np.where(few, norms, 1.0), 0.0)
    return relative.max(axis=1, initial=0.0), np.where(few, off, 0.0).max(axis=1, initial=0.0)


def features(frame: Frame, state: SoundState) -> dict[str, Array]:
    """Features of potentials and claims at several times, with their rates along the flow.

    Parameters
    ----------
    frame : Frame
        Frame of the run.
    state : SoundState
        States at ``T`` times.

    Returns
    -------
    dict
        Arrays of shape (T, n) for neurons, (T, n(n-1)/2) for pairs ``i < j``, (T,) for the state,
        in the user's units; ``X_dot`` is the derivative of ``X`` by time, from the state.
    """
    unit = frame.unit
    g = pairs(state)
    slope = -gradient(frame.multiplicity, state, g)
    square = np.sum(frame.multiplicity * np.sum(slope**2, axis=-1), axis=-1)
    size = np.linalg.norm(state.r, axis=-1)
    out = {
        "loss": energy(frame.multiplicity, state)[0] * unit**2,
        "loss_dot": -square * unit**2,
        "gradient_norm": np.sqrt(square) * unit,
        "rho": state.r[..., 0] * unit,
        "rho_dot": np.sum(frame.multiplicity * slope[..., 0], axis=-1) * unit,
        "residual_norm": size * unit,
    }
    apart, out["rounding"] = rounding(frame.multiplicity, state)
    out["apart"] = apart * unit
    minus, plus = unflipped(g)
    m = frame.member
    h, z, norm = state.h[:, m], state.z[:, m, :], g.norms[:, m]
    h_dot, z_dot = slope[:, m, 0], slope[:, m, 1:]
    zeta, zeta_dot = _length(z, z_dot)
    live = np.where(norm > 0, norm, np.nan)
    out |= {
        "h": h * unit,
        "h_dot": h_dot * unit,
        "zeta": zeta * unit,
        "zeta_dot": zeta_dot * unit,
        "norm": norm * unit,
        "norm_dot": (h / live * h_dot + zeta / live * zeta_dot) * unit,
        "theta": np.where(norm > 0, np.arctan2(zeta, h), np.nan),
        "theta_dot": (h / live * zeta_dot - zeta / live * h_dot) / live,
    }
    i, j = np.triu_indices(len(m), 1)
    distance, distance_dot = _length(z[:, i] - z[:, j], z_dot[:, i] - z_dot[:, j])
    reach = np.where(zeta > np.finfo(float).tiny, zeta, np.nan)[..., None]
    along, along_dot = z / reach, z_dot / reach
    kappa, kappa_dot = _angle(
        along[:, i] - along[:, j], along[:, i] + along[:, j], along_dot[:, i], along_dot[:, j]
    )
    w_dot = slope[:, m] / live[..., None]
    theta_pair, theta_pair_dot = _angle(
        minus[:, m[i], m[j]], plus[:, m[i], m[j]], w_dot[:, i], w_dot[:, j]
    )
    return out | {
        "distance": distance * unit,
        "distance_dot": distance_dot * unit,
        "kappa": kappa,
        "kappa_dot": kappa_dot,
        "theta_pair": theta_pair,
        "theta_pair_dot": theta_pair_dot,
    }


def _length(a: Array, a_dot: Array) -> tuple[Array, Array]:
    """Length of ``a`` and its rate; at zero the rate is the speed it leaves with."""
    length = np.linalg.norm(a, axis=-1)
    safe = np.where(length > 0, length, 1.0)[..., None]
    rate = np.sum(a / safe * a_dot, axis=-1)
    return length, np.where(length > 0, rate, np.linalg.norm(a_dot, axis=-1))


def _angle(minus: Array, plus: Array, a_dot: Array, b_dot: Array) -> tuple[Array, Array]:
    """Angle between unit vectors ``a``, ``b`` and its rate; nan where one does not exist.

    Arguments are ``a - b``, ``a + b`` and the rates of the vectors divided by their lengths. The
    rate is that of the great-circle distance: ``- n_ab.a' - n_ba.b'`` with the unit tangents
    ``n`` towards each other; at 0 and pi, where they do not exist, it is zero.
    """
    chord = np.linalg.norm(minus, axis=-1)
    antichord = np.linalg.norm(plus, axis=-1)
    plane = (chord > 0) & (antichord > 0)
    outer = (chord**2 / 4)[..., None]
    scale = 2 / np.where(plane, chord * antichord, 1.0)
    toward_b = outer * plus - (1 - outer) * minus
    toward_a = outer * plus + (1 - outer) * minus
    rate = -np.sum(toward_b * a_dot + toward_a * b_dot, axis=-1) * scale
    angle = 2 * np.arctan2(chord, antichord)
    return angle, np.where(plane | np.isnan(angle), rate, 0.0)
