"""The smooth pieces of a mixture's run: coordinates, rule, clock, and when to choose anew.

A piece keeps its quadrature rule, so that its field is one smooth function with an exact Jacobian.
After a step the rule is compared with a finer one; where it is no longer good enough, or much finer
than the means now need, the piece ends and the next one chooses its rule by measuring.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from flows import double_double as dd
from flows.gmm_em_field import (
    FAR,
    LINEAR,
    NEAR,
    Moments,
    evaluator,
    field,
    from_blocks,
    moments,
    pack,
)
from flows.quadrature import Estimate, Rule, refine
from flows.self_similar import Array, Chart, Clock
from flows.solver import Interpolant, Stop, Watch
from flows.system import Restart, State

# Means shorter than this take the near form; at this length both forms keep all their digits.
SHORT = 0.5
# A field below this is about to underflow.
UNDERFLOW = 1e-290
# Observables and the user's loss and gradient ask for this relative error.
EXACT = 1e-12
# ... and in so many dimensions or more for this one: nodes come in fourth powers.
MANY, LESS_EXACT = 4, 1e-10
# A rule chosen for a piece is better than asked for by this factor, so that it lasts.
MARGIN = 0.1
# Solver time after which the rule is compared again.
COMPARE_AFTER = 0.25
# A rule of more nodes than CHEAP is chosen anew once the means are shorter by the factor SHRUNK.
CHEAP, SHRUNK = 100, 0.6
# Nodes at a time where arrays over nodes are made.
CHUNK = 100_000
# A long mean moves like exp(-|mu|^2/8): once it is faster by the exponential of this, a new clock
# begins, since what follows a long wait is shorter than the rounding of the time on the old one.
FASTER = 3.0
# Between the two forms, so that a run does not go back and forth.
HYSTERESIS = 0.9


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
        Weight of one of them.
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
class Sound(State):
    """State(s) in sound coordinates, for ``k`` distinct components.

    Parameters
    ----------
    deviation : ndarray, shape (..., k, r)
        Means less their weighted mean.
    mean : ndarray, shape (..., r)
        The weighted mean: redundant in exact arithmetic, and of higher order than the deviations.
    """

    rank: ClassVar[dict[str, int]] = {"deviation": 2, "mean": 1}
    deviation: Array
    mean: Array

    @property
    def mu(self) -> Array:
        """Means, shape (..., k, r)."""
        return self.deviation + self.mean[..., None, :]


class Layout(NamedTuple):
    """How a chart's raw state reads: the order of the components, the chart, its rule."""

    order: NDArray[np.intp]
    kind: int
    rule: Rule


def reduce(means: Array, weights: Array, merge: bool = True) -> tuple[Frame, Sound]:
    """Bring means into sound coordinates.

    Parameters
    ----------
    means : ndarray, shape (n, d)
        User's means.
    weights : ndarray, shape (n,)
        Their weights.
    merge : bool
        Whether coincident components of equal weight, which stay together, become one.

    Returns
    -------
    Frame, Sound
        ``r <= min(n, d)`` dimensions, at least one; cost ``n^2 d``.
    """
    rows = np.column_stack([means, weights]) + 0.0  # the two signs of zero are one
    index: dict[bytes, int] = {}
    member = np.array([index.setdefault(row.tobytes(), len(index)) for row in rows])
    member = member if merge else np.arange(len(rows))
    first = np.unique(member, return_index=True)[1]
    distinct, rate = means[first], weights[first]
    weight = rate * np.bincount(member)
    mean = dd.total(dd.multiply(dd.exact(distinct), dd.exact(weight[:, None])), axis=0).high
    basis = _basis(distinct - mean, mean)
    return Frame(basis, weight, rate, member), Sound((distinct - mean) @ basis, mean @ basis)


def _basis(deviation: Array, mean: Array) -> Array:
    """Orthonormal basis of the span: principal axes of the deviations, then the mean."""
    axes = np.zeros((deviation.shape[1], 0))
    for rows in (deviation, mean[None]):
        rest = rows - (rows @ axes) @ axes.T
        size = float(np.abs(rows).max())
        if size == 0:
            continue
        _, s, vt = scipy.linalg.svd(rest / size, full_matrices=False)
        new = vt[s > 8 * len(rows) * np.finfo(float).eps * np.sqrt(rows.shape[1])].T
        axes = np.linalg.qr(np.column_stack([axes, new]))[0]
    return axes if axes.shape[1] else np.eye(len(mean), 1)


def restore(frame: Frame, state: Sound) -> Array:
    """User's means, shape (..., n, d), of sound state(s)."""
    return (state.mu @ frame.basis.T)[..., frame.member, :]


def near(state: Sound) -> bool:
    """Whether the near form is the accurate one."""
    return bool(np.max(np.linalg.norm(state.mu, axis=1)) <= SHORT)


def estimate(frame: Frame, state: Sound, tolerance: float, curve: bool = False) -> Estimate:
    """KL divergence, ``E|v|^2``, pulls (and curve), by a rule that reaches ``tolerance``.

    See :class:`flows.gmm_em_field.Moments`.
    """
    return _estimate(state.deviation.tobytes(), state.mean.tobytes(), frame.weight.tobytes(),
                     near(state), tolerance, curve)  # fmt: skip


# The pieces of a run ask for the same state up to three times in a row.
@functools.lru_cache(maxsize=4)
def _estimate(
    deviation_: bytes, mean_: bytes, weight_: bytes, near_form: bool, tolerance: float,
    curve: bool,
) -> Estimate:  # fmt: skip
    mean, weight, flat = (np.frombuffer(x).copy() for x in (mean_, weight_, deviation_))
    deviation = flat.reshape(len(weight), -1)
    mu = deviation + mean
    if len(weight) == 1:
        square = np.array([np.sum(mean**2)])
        none = Rule(np.zeros((0, len(mean))), np.zeros(0), "exact")
        return Estimate((square / 2, square, deviation if near_form else mu), 0.0, none)
    # In the near form a mean also enters by itself, not only by its distance to the others.
    others = np.vstack([mu, 0 * mean]) if near_form else mu
    distances = np.ptp(others, axis=0)
    reach = float(np.max(np.linalg.norm(mu, axis=1)))
    evaluate = evaluator(mu, deviation, mean, weight, near_form, curve)
    return refine(evaluate, distances.tolist(), reach, tolerance)


def measured(frame: Frame, state: Sound, rule: Rule, curve: bool = False) -> Moments:
    """Sum by a given rule."""
    return moments(state.mu, state.deviation, state.mean, frame.weight, rule, near(state), curve)


def gradient(frame: Frame, state: Sound, pull: Array) -> Array:
    """Gradient by each of the user's components that a distinct one stands for, shape (k, r)."""
    return frame.rate[:, None] * (pull + state.mean if near(state) else pull)


def hessian(frame: Frame, state: Sound) -> Array:
    """Hessian by the user's means, shape (n d, n d); :func:`reduce` must not have merged any."""
    found = measured(frame, state, estimate(frame, state, EXACT, curve=True).rule, curve=True)
    basis, pairs = frame.basis, frame.rate[:, None] * frame.weight
    d, r = basis.shape
    inside = frame.rate[:, None, None, None] * found.curve
    plain = float(near(state))  # the near form leaves out pi_i pi_j I
    inside += plain * np.einsum("ij,ac->iajc", pairs, np.eye(r))
    # Across the span the posterior weights do not change.
    across = np.einsum("ij,ac->iajc", pairs * (plain + found.both), np.eye(d) - basis @ basis.T)
    full = np.einsum("pa,iajc,qc->ipjq", basis, inside, basis) + across
    return full.reshape(len(pairs) * d, len(pairs) * d)


def failure(frame: Frame, state: Sound, tolerance: float) -> str:
    """Why a run cannot go on from ``state``, or nothing."""
    if len(frame.weight) == 1:
        return ""
    found = estimate(frame, state, MARGIN * tolerance)
    # Equal values of all rules may still be noise where nothing is left to compare.
    field = float(np.max(np.abs(gradient(frame, state, found.values[2]))))
    reach = float(np.max(np.linalg.norm(state.mu, axis=1)))
    if field < UNDERFLOW and reach > SHORT:
        return (f"the field underflows: with means of length {reach:.4g} it is below {UNDERFLOW:g};"
                " start nearer to the origin")  # fmt: skip
    if found.error > tolerance:
        return (f"quadrature error {found.error:.2g} with {len(found.rule)} nodes in"
                f" {len(state.mean)} dimensions, above the tolerance {tolerance:.2g};"
                " allow a larger rtol")  # fmt: skip
    return ""


def chart(frame: Frame, state: Sound, time: float, tolerance: float) -> Chart:
    """Choose coordinates, rule and clock for the piece that begins with ``state``."""
    k, r = state.deviation.shape
    if k == 1:
        return Chart(
            clock=Clock(time, np.full(r, frame.rate[0]), 1.0, True),
            x0=state.mean.copy(),
            size=np.maximum(np.abs(state.mean), np.finfo(float).tiny),
            field=field(),
            weights=np.concatenate([frame.weight, frame.rate]),
            shape=np.array([k, r, 0, LINEAR]),
            layout=Layout(np.array([0]), LINEAR, Rule(np.zeros((0, r)), np.zeros(0), "exact")),
        )
    # The heaviest component comes first: the near chart derives it from the others.
    order = np.argsort(-frame.weight * frame.rate, kind="stable")
    weight, rate = frame.weight[order], frame.rate[order]
    rule = estimate(frame, state, MARGIN * tolerance).rule
    kind = NEAR if near(state) else FAR
    mu = state.mu[order]
    reach = float(np.max(np.linalg.norm(state.deviation, axis=1)))
    blocks, decay, offset = mu, np.zeros_like(mu), 1.0
    size = np.full_like(mu, min(1.0, float(np.max(np.linalg.norm(mu, axis=1)))))
    if kind == NEAR:
        q = float(np.sum(weight * rate))
        slow = (state.deviation[order] - (rate[:, None] / q - 1.0) * state.mean) / rate[:, None]
        blocks = np.vstack([state.mean, slow[1:]])
        # The slaved mean falls faster; by its own decay its rounding would grow, by none its error
        # would outlast it.
        decay[:] = 0.5
        # Deviations fall like sqrt(k/(2 t)), whatever they were.
        offset = max(1.0, 1.0 / max(reach, 1e-100) ** 2)
        size[:] = max(reach, np.finfo(float).tiny)
        # The mean matters where its square is comparable with the loss, a fourth power.
        size[0] = max(reach**2, np.finfo(float).tiny)
    return Chart(
        clock=Clock(time, decay.ravel(), offset),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=field(),
        weights=pack(weight, rate, rule),
        shape=np.array([k, r, len(rule), kind]),
        layout=Layout(order, kind, rule),
    )


def decode(frame: Frame, state: Sound, chart: Chart, raw: Array) -> Sound:
    """Sound state(s) of raw chart coordinates, shape (..., N)."""
    order, kind, _ = chart.layout
    blocks = raw.reshape(*raw.shape[:-1], *state.deviation.shape)
    if kind == LINEAR:
        return Sound(np.zeros_like(blocks), blocks[..., 0, :])
    weight, rate = frame.weight[order], frame.rate[order]
    if kind == NEAR:
        mean, moved = from_blocks(blocks, weight, rate)
    else:
        mean = np.sum(weight[:, None] * blocks, axis=-2)
        moved = blocks - mean[..., None, :]
    deviation = np.empty_like(blocks)
    deviation[..., order, :] = moved
    return Sound(deviation, mean)


def watch(frame: Frame, state: Sound, chart: Chart, tolerance: float) -> Watch:
    """End the chart where its rule is not good enough, too good, or the other form is better."""
    layout: Layout = chart.layout
    if layout.kind == LINEAR:
        return Watch()
    reach = float(np.max(np.linalg.norm(state.mu, axis=1)))
    compared = [0.0]

    def outgrown(now: Sound) -> bool:
        longest = float(np.max(np.linalg.norm(now.mu, axis=1)))
        if layout.kind == FAR and longest <= HYSTERESIS * SHORT:
            return True
        if layout.kind == NEAR and longest >= SHORT / HYSTERESIS:
            return True
        if (reach - longest) * (reach + longest) / 8 > FASTER:
            return True
        return len(layout.rule) > CHEAP and longest < SHRUNK * reach

    def at(tau: float, y: Array) -> Sound:
        return decode(frame, state, chart, chart.raw(tau, y))

    def alarm(tau: float, y: Array) -> float:
        return -1.0 if outgrown(at(tau, y)) else compared[0] + COMPARE_AFTER - tau

    def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
        now = at(tau, y)
        if outgrown(now):
            return Stop(tau, y)
        compared[0] = tau
        pull = measured(frame, now, layout.rule).pull
        exact = estimate(frame, now, tolerance).values[2]
        wrong = float(np.max(np.abs(pull - exact)))
        return Stop(tau, y) if wrong > tolerance * float(np.max(np.abs(exact))) else None

    return Watch(alarm, check)


def restart(frame: Frame, state: Sound, chart: Chart, stop: Stop, tolerance: float) -> Restart:
    """Go on after a stop with a new choice of rule and coordinates."""
    now = decode(frame, state, chart, chart.raw(stop.tau, stop.y))
    time = float(chart.clock.time(stop.tau))
    return Restart(frame, now, time, None, failure(frame, now, tolerance))


def features(frame: Frame, state: Sound) -> dict[str, Array]:
    """Features of potentials and claims at several times, with their rates along the flow.

    Parameters
    ----------
    frame : Frame
        Frame of the run.
    state : Sound
        States at ``T`` times.

    Returns
    -------
    dict
        ``norm`` of shape (T, n), and of shape (T,): ``loss``, ``gradient_norm``, ``fisher``, the
        length ``em_norm`` of the EM update by its definition, of the longest deviation ``spread``
        and of the mean ``mean_norm``, what was spent (``nodes``) and the measured relative error
        of loss, ``E|v|^2`` and gradient (``quadrature_error``). ``X_dot`` is the derivative of
        ``X`` by time, from the state.
    """
    rows = [_features(frame, state.at(t)) for t in range(len(state))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _features(frame: Frame, state: Sound) -> dict[str, float | Array]:
    found = estimate(frame, state, EXACT if len(state.mean) < MANY else LESS_EXACT)
    kl, fisher = (float(x[0]) for x in found.values[:2])
    pull = found.values[2]
    slope = -gradient(frame, state, pull)
    curve = measured(frame, state, found.rule, curve=True).curve
    share = frame.multiplicity[:, None]
    # The rate of the gradient: in the near form, of m + p_i.
    mean_dot = near(state) * np.sum(frame.weight[:, None] * slope, axis=0)
    turn = frame.rate[:, None] * (mean_dot + np.einsum("iajb,jb->ia", curve, slope))
    square = float(np.sum(share * slope**2))
    # fisher = sum <grad_i, mu_i>, so its rate is sum <turn_i, mu_i> - |grad|^2.
    fisher_dot = float(np.sum(share * turn * state.mu)) - square
    length = np.linalg.norm(state.mu, axis=1)
    safe = np.where(length > 0, length, 1.0)[:, None]
    length_dot = np.where(length > 0, np.sum(state.mu / safe * slope, axis=1),
                          np.linalg.norm(slope, axis=1))  # fmt: skip
    return {
        "loss": kl,
        "loss_dot": -square,
        # Its rate is left out: t times the rate of the slaved mean would be rounding.
        "gradient_norm": np.sqrt(square),
        "fisher": fisher,
        "fisher_dot": fisher_dot,
        "em_norm": _em_norm(frame, state, found.rule),
        "spread": float(np.max(np.linalg.norm(state.deviation, axis=1))),
        "mean_norm": float(np.linalg.norm(state.mean)),
        "norm": length[frame.member],
        "norm_dot": length_dot[frame.member],
        "nodes": float(len(found.rule)),
        "quadrature_error": found.error,
    }


def _em_norm(frame: Frame, state: Sound, rule: Rule) -> float:
    """Length of the EM update `E psi_i (x - mu_i)`, summed as it is defined."""
    mu, rate, share = state.mu, frame.rate, frame.multiplicity
    if len(rate) == 1:
        return float(rate[0] * np.linalg.norm(mu) * np.sqrt(share[0]))
    step = np.zeros_like(mu)
    for first in range(0, len(rule), CHUNK):
        x, w = rule.nodes[first : first + CHUNK], rule.weights[first : first + CHUNK]
        logs = x @ mu.T - 0.5 * np.sum(mu**2, axis=1)
        psi = frame.weight * np.exp(logs - np.max(logs, axis=1, keepdims=True))
        psi *= (w / np.sum(psi, axis=1))[:, None]
        step += psi.T @ x - np.sum(psi, axis=0)[:, None] * mu
    return float(np.sqrt(np.sum(share[:, None] * (step / share[:, None]) ** 2)))
