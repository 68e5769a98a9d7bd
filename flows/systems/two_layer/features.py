"""Numbers of states from which potentials and claims are evaluated, with their rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb
from numpy.typing import NDArray

from flows.core.arrays import EPSILON, Array, lengths
from flows.core.balls import dot, precision
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.balls import PairBalls
from flows.systems.hidden_layer.network import Network, kernel_of
from flows.systems.own.exact import from_doubles
from flows.systems.own.sound_state import SoundState
from flows.systems.two_layer.late_time import clusters
from symbolic.systems.two_layer.pair import named

__all__ = ["ALONE", "FEATURES", "WITH_ERRORS", "Motion", "errors", "features", "motion_of"]

#: Names of the numbers of a time, of those of a student or a teacher, all with rates; and of those
#: that have errors of their own.
_ALONE = ("lone_residual", "cluster_constant", "cluster_most", "cluster_least", "output_gap")
_EACH = ("norm", "output", "layer_balance_of", "share", "residual")
ALONE, FEATURES = (
    tuple(each for name in names for each in (name, f"{name}_dot"))
    for names in (_ALONE, (*_EACH, *_ALONE))
)
WITH_ERRORS = ("norm", "output", "layer_balance_of", "share")

# Roundings of a square of norms.
ROUNDINGS = 8.0
# Bits of sums in which all but a part of 1e-24 cancels.
BITS = 400


class Motion(NamedTuple):
    """Flat states of distinct students, and how they move.

    Parameters
    ----------
    y, slopes : ndarray, shape (T, N)
        States and gradients.
    which, share : ndarray, shape (T, k)
        As of :func:`clusters`.
    residual, residual_dot : ndarray, shape (T, m)
        Lengths of the residuals with their rates; NaN where a teacher has no student.
    """

    y: Array
    slopes: Array
    which: Any
    share: Array
    residual: Array
    residual_dot: Array


def motion_of(network: Network, states: SoundState) -> Motion:
    """Motion of states, with all digits where these are exact."""
    which, share = clusters(network, *network.split(states.x))
    slopes, residual, residual_dot = _residuals(network, which, states)
    return Motion(states.x, slopes, which, share, residual, residual_dot)


def features(
    network: Network, motion: Motion, member: NDArray[np.intp], count: NDArray[np.intp]
) -> dict[str, Array]:
    r"""Norms, outputs, balances and shares of students, residuals of teachers, with their rates.

    .. math:: r_j = \sum_{i \in j} a_i w_i - b_j v_j

    Parameters
    ----------
    network : Network
        Distinct students, and teachers, in the coordinates of the run.
    motion : Motion
        `T` states.
    member, count : ndarray of int, shapes (n,) and (k,)
        Which distinct one each student is, and for how many each of these stands: `c` of them are
        `\sqrt c` times as long as one, and have an output of as much.

    Returns
    -------
    dict
        Arrays of shape (T,), (T, n) or (T, m); NaN where nothing is conserved, and where a teacher
        has no student.
    """
    w, a = network.split(motion.y)
    w_dot, a_dot = network.split(-motion.slopes)
    a_dot = a_dot if network.trained else np.zeros_like(a)
    which, share = motion.which, motion.share
    residual, residual_dot = motion.residual, motion.residual_dot
    norm = lengths(w)
    norm_dot = np.sum(w * w_dot, axis=-1) / np.where(norm > 0, norm, np.nan)
    degree, balance = named(network.activation).degree, np.full(norm.shape, np.nan)
    if network.trained and degree is not None:
        balance = degree * a**2 - norm**2
    v, b = network.digits[..., 0], np.array(network.weights)
    mine = v[which] / (b * np.sum(v**2, axis=1))[which][..., None]
    share_dot = np.sum((a_dot[..., None] * w + a[..., None] * w_dot) * mine, axis=-1)
    sizes = np.sum(which[..., None] == np.arange(len(b)), axis=1)
    own = np.take_along_axis(sizes, np.maximum(which, 0), axis=1)
    lone, lone_dot = _largest(np.where(sizes == 1, residual, np.nan), residual_dot)
    gap, _ = _largest(np.abs(_sums(network.roots * a, which, len(b)) - b), residual_dot)
    share_dot = np.where(which < 0, np.nan, share_dot)
    with np.errstate(all="ignore"):  # of outputs that vanish
        constant, constant_dot = _constant(network, which, own, (a, a_dot), (share, share_dot))
    still, root = np.zeros(len(motion.y)), np.sqrt(count)
    each = {
        "norm": norm / root,
        "norm_dot": norm_dot / root,
        "output": a / root,
        "output_dot": a_dot / root,
        "layer_balance_of": balance / count,
        # What is conserved has no rate: the sum that says so is left out.
        "layer_balance_of_dot": np.where(np.isnan(balance), np.nan, 0.0),
        "share": share / count,
        "share_dot": share_dot / count,
    }
    return {name: x[:, member] for name, x in each.items()} | {
        "residual": residual,
        "residual_dot": residual_dot,
        "lone_residual": lone,
        "lone_residual_dot": lone_dot,
        "cluster_constant": constant,
        "cluster_constant_dot": constant_dot,
        "cluster_most": np.max(sizes, axis=1) * 1.0,
        "cluster_most_dot": still,
        "cluster_least": np.where((which < 0).any(axis=1), 0.0, np.min(sizes, axis=1)),
        "cluster_least_dot": still,
        "output_gap": gap,
        "output_gap_dot": np.full(len(motion.y), np.nan),
    }


def _residuals(network: Network, which: Any, states: SoundState) -> tuple[Array, Array, Array]:
    """Gradients, and lengths of residuals with their rates, of exact states with all digits."""
    m, n = len(network.teachers), network.students
    size = np.full((len(states.x), m), np.nan)
    rate = size.copy()
    if not states.exact:
        with np.errstate(all="ignore"):
            return arrays.gradient(network, states.x), size, rate
    exact, slopes = PairBalls(network), np.zeros_like(states.x)
    teachers = [from_doubles(v) for v in network.digits]
    weights = [arb(b) for b in network.weights]
    with precision(BITS):
        each = [] if network.trained else zip(network.outputs, network.many, strict=True)
        fixed = [arb(x) * arb(c).sqrt() for x, c in each]
    for k, digits in enumerate(states.digits):
        place = from_doubles(digits)
        with precision(BITS):
            speed = [-x for x in exact.both(place)[1:]]
            slopes[k] = [-float(x) for x in speed]
            w, a = _rows(place, n, network.d, fixed)
            w_dot, a_dot = _rows(speed, n, network.d, [arb(0)] * len(fixed))
            for j in range(m):
                students = np.flatnonzero(which[k] == j).tolist()
                if not students:
                    continue
                r = [-weights[j] * x for x in teachers[j]]
                r_dot = [arb(0)] * network.d
                for i in students:
                    r = [s + a[i] * x for s, x in zip(r, w[i], strict=True)]
                    moved = zip(r_dot, w[i], w_dot[i], strict=True)
                    r_dot = [s + a_dot[i] * x + a[i] * z for s, x, z in moved]
                length = dot(r, r).nonnegative_part().sqrt()
                size[k, j] = float(length)
                rate[k, j] = float(dot(r, r_dot) / length) if length > 0 else np.nan
    return slopes, size, rate


def _rows(
    flat: Sequence[Any], n: int, d: int, fixed: Sequence[Any]
) -> tuple[list[Any], Sequence[Any]]:
    return [flat[i * d : (i + 1) * d] for i in range(n)], flat[n * d :] or fixed


def _sums(a: Array, which: Any, count: int) -> Array:
    """Sum of the outputs of the students of each teacher."""
    return np.stack([np.sum(np.where(which == j, a, 0.0), axis=1) for j in range(count)], axis=1)


def _largest(values: Array, rates: Array) -> tuple[Array, Array]:
    """Largest one that is not NaN, with its rate; NaN where none is."""
    ranked = np.where(np.isnan(values), -np.inf, values)
    pick = np.argmax(ranked, axis=1)[:, None]
    most, rate = (np.take_along_axis(x, pick, axis=1)[:, 0] for x in (ranked, rates))
    found = np.isfinite(most)
    return np.where(found, most, np.nan), np.where(found, rate, np.nan)


def _constant(
    network: Network,
    which: Any,
    own: Any,
    outputs: tuple[Array, Array],
    shares: tuple[Array, Array],
) -> tuple[Array, Array]:
    r"""Constant to which `t^3 L` tends if all clusters are pairs or single students; its rate.

    .. math:: \frac{\pi^2}{3 \kappa^2} \sum_j (A_j (1 - A_j))^2 |b_j v_j|^2
              \left( \frac{p_j + q_j}{p_j q_j} \right)^3

    NaN elsewhere. Outputs and shares come with their rates.
    """
    kernel, size = kernel_of(network.activation, "numpy"), len(which)
    if not kernel.bent:
        return np.full(size, np.nan), np.full(size, np.nan)
    (a, a_dot), (share, share_dot) = outputs, shares
    v, b = network.digits[..., 0], np.array(network.weights)
    total, rate = np.zeros(size), np.zeros(size)
    for j, square in enumerate(b**2 * np.sum(v**2, axis=1)):
        pair = (which == j) & (own == 2)
        has = pair.any(axis=1)
        # One where there is no pair: an output or a share may be zero there.
        output, part_of = np.where(pair, a, 1.0), np.where(pair, share, 1.0)
        product = np.prod(part_of, axis=1)
        relative = np.sum(np.where(pair, share_dot / part_of, 0.0), axis=1)
        spread = np.sum(np.where(pair, 1 / output**2, 0.0), axis=1)
        widens = np.sum(np.where(pair, -2 * a_dot / output**3, 0.0), axis=1)
        part = np.where(has, product**2 * square * spread**3, 0.0)
        total += part
        rate += part * (2 * relative + 3 * widens / np.where(has, spread, 1.0))
    single = ((own == 1) | (own == 2)).all(axis=1) & (which >= 0).all(axis=1)
    factor = np.where(single & np.isfinite(total), np.pi**2 / (3 * kernel.kink**2), np.nan)
    return factor * total, factor * rate


def errors(network: Network, found: dict[str, Array], states: SoundState) -> dict[str, Array]:
    """Absolute errors of the :func:`features`, from the errors of the states.

    Parameters
    ----------
    network : Network
        With the teachers.
    found : dict
        The features.
    states : SoundState
        The states, with their errors.
    """
    off = states.off[:, None]
    norm, output = found["norm"], np.abs(found["output"])
    size = norm + output
    taught = np.linalg.norm(network.digits[..., 0], axis=1) * np.abs(network.weights)
    return {
        "norm": np.broadcast_to(off, norm.shape),
        "output": np.broadcast_to(off, norm.shape),
        "share": size * off / taught.min(),
        # Twice the larger of p and one, for degrees up to two.
        "layer_balance_of": 4 * size * off + ROUNDINGS * EPSILON * size**2,
    }
