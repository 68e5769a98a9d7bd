"""Features of potentials and claims of a ReLU neuron's run, and their errors."""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array, lengths, moving_length
from flows.core.problem import ATOL_PER_RTOL
from flows.systems.relu_neuron import lone
from flows.systems.relu_neuron.geometry import COINCIDENT, OPPOSED, SMALLEST, energy, gradient
from flows.systems.relu_neuron.pairs import Pairs, pairs, unflipped
from flows.systems.relu_neuron.state import Frame, SoundState

# Roundings of a neuron that add up in a run, and what an error is more at those that are not
# followed; measured against fifty digits.
ROUNDINGS, UNFOLLOWED = 100.0, 30.0
# A neuron that is shorter than it was by this is known to less than the tolerance of the steps.
SHRUNK = 1e4
# Below this part of what it was a loss is below all doubles.
GONE = 1e-304
# The smallest length whose square is a double with all its digits; a relative error that says
# nothing.
SQUARED, UNKNOWN = 1e-153, 1e30


def rounding(multiplicity: Array, state: SoundState) -> tuple[Array, Array]:
    """How far neurons are apart, and the relative error of that from the rounding of the neurons.

    Neurons that hardly differ are known to `C eps max |z_i|`, and their distances from the mean `w`
    to `x = C eps max |z_i| / max |w_i - w|`.

    Returns
    -------
    spread, relative : ndarray, shape (...)
        `max |w_i - w|` in units of ``|v|``, and `x`; zero where no two neurons differ.
    """
    mu = multiplicity * ((state.h != 0) | (state.z != 0).any(axis=-1))
    neurons = state.neurons
    count = np.maximum(np.sum(mu, axis=-1), 1.0)[..., None, None]
    mean = np.sum(mu[..., None] * neurons, axis=-2, keepdims=True) / count
    spread = np.max(np.where(mu > 0, np.linalg.norm(neurons - mean, axis=-1), 0.0), axis=-1)
    reach = np.max(np.linalg.norm(state.z, axis=-1), axis=-1)
    known = (np.sum(mu > 0, axis=-1) > 1) & (spread > 0)
    error = ROUNDINGS * np.finfo(float).eps * reach
    error = np.where(spread < COINCIDENT * reach, UNFOLLOWED * error, error)
    return spread, np.where(known, error / np.where(known, spread, 1.0), 0.0)


def errors(count: int, features: dict[str, Array], t: Array, tolerance: Array) -> dict[str, Array]:
    r"""Absolute errors of features: rounding of distances, and what steps leave in the residual.

    With the largest `x` of :func:`rounding` so far, since the flow keeps relative errors of
    distances, these are known to `d = x max |w_i - w|`. The loss moves by `|grad L| d + n d^2/2` at
    most, since its Hessian is at most `n`; once the distances determine it, where it is cubic in
    them, by `(1 + x)^3 - 1` of itself. The smaller one counts; rates and gradients likewise. The
    residual is followed as far as it matters for the loss, not relative to itself: to the absolute
    tolerance of neurons of the length `max |w_i - w|`, which the flow damps by `1 + t/2` at least,
    its rate being `n/2`. (So it was for five solvers and tolerances up to t = 1e14.)

    A neuron that is far shorter than it was is known to the tolerance of the length that it had and
    to rounding beside the others. But where one neuron is beside the teacher and all others are far
    or short (:mod:`flows.systems.relu_neuron.lone`), these keep the relative error with which they
    came there. What was not zero at the start is none later: it is below the smallest double.

    Parameters
    ----------
    count : int
        The number of neurons `n`.
    features : dict
        What :func:`features` gives at ``T`` times; of several runs, one a leading axis.
    t, tolerance : ndarray, shape (..., T)
        Times, and the relative error that the tolerance of the steps leaves.
    """
    relative = np.maximum.accumulate(features["rounding"], axis=-1)
    shrunk, off = _shrunk(features["norm"], tolerance)
    spread, fading = features["spread"], features["fading"]
    before = np.maximum.accumulate(np.where(fading > 0, 0.0, shrunk), axis=-1)
    shrunk = np.where(fading > 0, before, shrunk)
    off = np.where(fading > 0, before * fading, off)
    spread = np.where(fading > 0, np.minimum(spread, fading), spread)
    absolute = np.maximum(relative * spread, off)
    relative = np.maximum(relative, shrunk)
    slope, (i, j) = features["gradient_norm"], np.triu_indices(count, 1)

    def part(name: str, power: int, most: Array) -> Array:
        """Error of a quantity that distances determine as a power, at most this."""
        return np.minimum(np.expm1(power * np.log1p(relative)) * np.abs(features[name]), most)

    left = ATOL_PER_RTOL * tolerance * np.minimum(1.0, spread) / (1 + t / 2)
    fastest = np.abs(features["distance_dot"]).max(axis=-1, initial=0.0)
    closing = np.minimum(np.expm1(2 * np.log1p(relative)) * fastest, count * absolute)
    # Directions of neurons at zero are not known at all.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        turned = absolute[..., None] / features["zeta"]
        turned = np.where(features["zeta"] > np.finfo(float).tiny, turned, np.inf)
        turned = np.where(absolute[..., None] > 0, turned, 0.0)
        pairs = turned[..., i] + turned[..., j]
        turning = count * pairs
    loss = part("loss", 3, (slope + count * absolute / 2) * absolute)
    known = {
        "loss": loss + _underflow(features["loss"], np.finfo(float).tiny),
        "loss_dot": part("loss_dot", 4, (2 * slope + count * absolute) * count * absolute),
        "gradient_norm": part("gradient_norm", 2, count * absolute) + _underflow(slope, SQUARED),
        "rho": part("rho", 2, absolute) + left,
        "rho_dot": part("rho_dot", 2, count * absolute) + count * left,
        "residual_norm": part("residual_norm", 2, absolute) + left,
        "distance": np.broadcast_to(absolute[..., None], pairs.shape),
        "distance_dot": np.broadcast_to(closing[..., None], pairs.shape),
        "kappa": pairs,
        "kappa_dot": turning,
    }
    for name, error in _vanished(features).items():
        known[name] = known[name] + error if name in known else error
    return known


def _vanished(features: dict[str, Array]) -> dict[str, Array]:
    """Errors where the loss is below all doubles: neurons stay, which would fall on."""
    loss, fading = features["loss"], features["fading"]
    vanished = np.where(loss < GONE * loss[..., :1], fading, 0.0)
    if not vanished.any():
        return {}
    found, turned = {}, np.where(vanished > 0, np.pi, 0.0)[..., None]
    for name in ("h", "zeta", "norm", "distance"):
        for each in (name, f"{name}_dot"):
            found[each] = np.broadcast_to(vanished[..., None], features[each].shape)
    for name in ("rho", "rho_dot", "residual_norm"):
        found[name] = vanished
    for name in ("kappa", "kappa_dot", "theta_pair", "theta_pair_dot"):
        found[name] = np.broadcast_to(turned, features[name].shape)
    norm = np.maximum(np.nan_to_num(features["norm"]), np.finfo(float).tiny)
    for name in ("theta", "theta_dot"):
        found[name] = np.minimum(turned, np.pi * vanished[..., None] / norm)
    return found


def _shrunk(norms: Array, tolerance: Array) -> tuple[Array, Array]:
    """Relative and absolute error of neurons that are far shorter than they were, (..., T)."""
    longest = np.maximum.accumulate(np.nan_to_num(norms), axis=-2)
    few = (norms > 0) & (longest > SHRUNK * norms)
    off = ATOL_PER_RTOL * tolerance[..., None] * longest + np.finfo(float).eps
    relative = np.minimum(np.where(few, off / np.where(few, norms, 1.0), 0.0), UNKNOWN)
    return relative.max(axis=-1, initial=0.0), np.where(few, off, 0.0).max(axis=-1, initial=0.0)


def _underflow(values: Array, least: float) -> Array:
    """Error of values that were not zero at the start and are below this."""
    return np.where((values < least) & (values[..., :1] > 0), least, 0.0)


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
    g, alone = pairs(state), lone.lonely(state)
    beside = lone.lone(frame.multiplicity, state.at(alone)) if alone.any() else None
    slope = -gradient(frame.multiplicity, state, g, beside)
    square = np.sum(frame.multiplicity * np.sum(slope**2, axis=-1), axis=-1)
    size = np.linalg.norm(state.r, axis=-1)
    out = {
        "loss": energy(frame.multiplicity, state, g, beside) * unit**2,
        "loss_dot": -square * unit**2,
        "gradient_norm": np.sqrt(square) * unit,
        "rho": state.r[..., 0] * unit,
        "rho_dot": np.sum(frame.multiplicity * slope[..., 0], axis=-1) * unit,
        "residual_norm": size * unit,
    }
    spread, out["rounding"] = rounding(frame.multiplicity, state)
    out["spread"] = spread * unit
    out["fading"] = _fading(frame.multiplicity, state, g, alone) * unit
    m = frame.member
    h, z = state.h[:, m], state.z[:, m, :]
    h_dot, z_dot = slope[:, m, 0], slope[:, m, 1:]
    zeta, zeta_dot = moving_length(z, z_dot)
    norm = np.hypot(h, zeta)
    # Shorter ones have lengths that stay behind theirs, and no direction any more.
    live = np.where(norm > SMALLEST, norm, np.nan)
    out |= {
        "h": h * unit,
        "h_dot": h_dot * unit,
        "zeta": zeta * unit,
        "zeta_dot": zeta_dot * unit,
        "norm": norm * unit,
        "norm_dot": (h / live * h_dot + zeta / live * zeta_dot) * unit,
        "theta": np.where(norm > SMALLEST, np.arctan2(zeta, h), np.nan),
        "theta_dot": (h / live * zeta_dot - zeta / live * h_dot) / live,
    }
    i, j = np.triu_indices(len(m), 1)
    distance, distance_dot = moving_length(z[:, i] - z[:, j], z_dot[:, i] - z_dot[:, j])
    reach = np.where(zeta > np.finfo(float).tiny, zeta, np.nan)[..., None]
    along, along_dot = z / reach, z_dot / reach
    kappa, kappa_dot = _angle(
        along[:, i] - along[:, j], along[:, i] + along[:, j], along_dot[:, i], along_dot[:, j]
    )
    w_dot = slope[:, m] / live[..., None]
    theta_pair, theta_pair_dot = _angle(*unflipped(g, m[i], m[j]), w_dot[:, i], w_dot[:, j])
    return out | {
        "distance": distance * unit,
        "distance_dot": distance_dot * unit,
        "kappa": kappa,
        "kappa_dot": kappa_dot,
        "theta_pair": theta_pair,
        "theta_pair_dot": theta_pair_dot,
    }


def _fading(multiplicity: Array, state: SoundState, g: Pairs, alone: Array) -> Array:
    """Size of the rest where one neuron is beside the teacher, the others far or short; else zero.

    There charts follow them relative to that size.
    """
    norms = g.norms[..., :-1]
    near = lengths(state.r) < lone.SHORT / 10
    short = near[..., None] & (norms < lone.SHORT / 10)
    first = np.arange(norms.shape[-1]) == np.argmax(state.h, axis=-1)[..., None]
    others = first | short | (norms == 0) | (state.h < OPPOSED * norms)
    alone, size = alone & others.all(axis=-1), np.zeros(alone.shape)
    if alone.any():
        size[alone] = lone.reach(multiplicity, state.at(alone))
    return size


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
