"""The smooth pieces of a mixture's run: coordinates, rule, clock, and when to choose anew.

A piece keeps its quadrature rule, so that its field is one smooth function with an exact Jacobian.
After a step the rule is compared with a finer one; where it is no longer good enough, or much finer
than the means now need, the piece ends and the next one chooses its rule by measuring.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from flows.core import double_double as dd
from flows.core.arrays import Array
from flows.core.chart import Chart, Clock
from flows.core.piece import Event, Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch, outliving
from flows.core.quadrature import Rule
from flows.core.system import State
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.expectation import Expected, expect
from flows.systems.mixture.field import LINEAR, excess, field, from_blocks, pack, shape
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, Means
from flows.systems.mixture.sums import moments

# Means shorter than this take the near form, and those within this distance of their mean the
# cluster form; at this length all forms keep their digits.
SHORT = 0.5
# Offsets in a cluster below this are none: their squares would underflow.
UNSEEN = 1e-120
# A weighted sum of offsets below this part of the largest one is rounding.
SUMMED = 8 * float(np.finfo(float).eps)
# A field below this is about to underflow.
UNDERFLOW = 1e-290
# A mean is followed down to this length: its error's square is near the end of doubles.
FALLEN = 1e-130
# Observables and the user's loss and gradient ask for this relative error.
EXACT = 1e-12
# ... and, where nodes would be too many for it, in three dimensions for means longer than LONG, and
# in more, for this one.
LONG, LESS_EXACT = 2.0, 1e-10
# An error above this is not one of rounding or of a tight tolerance: there are too few nodes.
COARSE = 1e-4
# A rule chosen for a piece is better than asked for by this factor, so that it lasts.
MARGIN = 0.1
# Solver time after which the rule is compared again.
COMPARE_AFTER = 0.25
# A rule of more nodes than CHEAP is chosen anew once the means are shorter by the factor SHRUNK.
CHEAP, SHRUNK = 100, 0.6
# With one mean nearer than SETTLED, a long one moves like exp(-|mu|^2/8): once that has changed by
# the exponential of FASTER, a new piece begins, with a clock, a size of what matters, and a rule of
# its own.
SETTLED, FASTER = 3.0, 3.0
# Between two forms, so that a run does not go back and forth.
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
        How fast one of them moves: its own weight times what the loss and the clock add.
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
class SoundState(State):
    """State(s) in sound coordinates, for ``k`` distinct components.

    Parameters
    ----------
    offset : ndarray, shape (..., k, r)
        Means less ``centre``.
    centre : ndarray, shape (..., r)
        The weighted mean where the means are close to each other, so that offsets keep their
        digits; the target, 0, where they are apart.
    """

    rank: ClassVar[dict[str, int]] = {"offset": 2, "centre": 1}
    offset: Array
    centre: Array

    @property
    def mu(self) -> Array:
        """Means, shape (..., k, r)."""
        return self.offset + self.centre[..., None, :]


class Regimes(NamedTuple):
    """Regimes of a run, a change of which ends a piece, so that an event can say so.

    ``at(time, means, expected, velocity)`` is the regime of a state, which can be compared;
    ``events(frame, time, before, after)`` are those of a change.
    """

    at: Callable[[float, Means, Expected, Array], Any]
    events: Callable[[Frame, float, Any, Any], tuple[Event, ...]]


@dataclass(frozen=True)
class MixturePiece(Piece):
    """Piece of a run of means.

    Parameters
    ----------
    calculus : Calculus
        The derived integrands of the loss whose flow it is.
    tolerance : float
        Relative error of the field that steps can bear.
    regimes : Regimes or None
        What regimes there are; None where a run has but one.
    frame : Frame
        What translates back.
    state : SoundState
        The first state.
    chart : Chart
        What the solver follows.
    kind : int
        ``NEAR``, ``CLUSTER``, ``FAR`` or ``LINEAR``: the form of the raw state.
    order : ndarray
        Components in the order of the raw state.
    rule : Rule
        Quadrature of the piece.
    """

    calculus: Calculus
    tolerance: float
    regimes: Regimes | None
    frame: Frame
    state: SoundState
    chart: Chart
    kind: int
    order: NDArray[np.intp]
    rule: Rule

    def decode(self, raw: Array) -> SoundState:
        """Sound state(s) of raw chart coordinates, shape (..., N)."""
        blocks = raw.reshape(*raw.shape[:-1], *self.state.offset.shape)
        if self.kind == LINEAR:
            return SoundState(np.zeros_like(blocks), blocks[..., 0, :])
        if self.kind == FAR:
            centre, moved = np.zeros_like(blocks[..., 0, :]), blocks
        else:
            weight, rate = self.frame.weight[self.order], self.frame.rate[self.order]
            centre, moved = from_blocks(blocks, weight, rate)
        offset = np.empty_like(blocks)
        offset[..., self.order, :] = moved
        return SoundState(offset, centre)

    def watch(self, rtol: float) -> Watch | None:
        """End the piece where its rule is not good enough, too good, or another form is better.

        It also ends where the regime has changed, and where its tolerances are outlived.
        """
        if self.kind == LINEAR:
            return None
        end = self.chart.clock.outlived if self.kind == NEAR else math.inf
        regime = self.regime_of(self.state, self.time(0.0))
        compared = [0.0]

        def alarm(tau: float, y: Array) -> float:
            if tau >= end or self.outgrown(self.at(tau, y)):
                return -1.0
            return compared[0] + COMPARE_AFTER - tau

        def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
            if tau >= end:
                return outliving(end, tau, y, interpolant)
            now = self.at(tau, y)
            if self.outgrown(now):
                return Stop(tau, y)
            compared[0] = tau
            changed = self.regime_of(now, self.time(tau)) != regime
            return Stop(tau, y) if changed or self.coarse(now) else None

        return Watch(alarm, check)

    def outgrown(self, now: SoundState) -> bool:
        """Whether another form, clock or rule serves this state better."""
        length = longest(now.mu)
        if self.kind == NEAR:
            return length >= SHORT / HYSTERESIS
        if length <= HYSTERESIS * SHORT:
            return True
        spread = longest(_about_mean(self.frame, now)[0])
        if self.kind == CLUSTER:
            return spread >= SHORT / HYSTERESIS
        squares = np.sum(self.state.mu**2, axis=1)
        changed = float(np.max(np.abs(squares - np.sum(now.mu**2, axis=1)))) / 8
        settled = float(np.min(squares)) <= SETTLED**2
        if spread <= HYSTERESIS * SHORT or (settled and changed > FASTER):
            return True
        return len(self.rule) > CHEAP and length < SHRUNK * longest(self.state.mu)

    def coarse(self, now: SoundState) -> bool:
        """Whether the rule is not good enough for this state, by comparison with a finer one."""
        # Both in the form of the piece: pulls of two forms differ by their linear parts.
        means = components(self.frame, now)._replace(form=self.kind)
        exact = expect(self.calculus, means, self.tolerance)
        pull = moments(self.calculus, means, self.rule).pull
        wrong = float(np.max(np.abs(pull - exact.pull)))
        return wrong > self.tolerance * exact.size

    def regime_of(self, state: SoundState, time: float) -> object:
        """Regime of a state at a time."""
        if self.regimes is None:
            return None
        means = components(self.frame, state)
        found = expect(self.calculus, means, self.tolerance)
        return self.regimes.at(time, means, found, -gradient(self.frame, means, found.pull))

    def restart(self, stop: Stop) -> Restart:
        """Go on after a stop with a new choice of rule and coordinates."""
        now = self.at(stop.tau, stop.y)
        means = components(self.frame, now)
        if means.form == FAR:
            now = SoundState(now.mu, np.zeros_like(now.centre))
        elif self.kind == FAR:
            now = SoundState(means.deviation, means.mean)
        time = self.time(stop.tau)
        failing = failure(self.calculus, self.frame, now, self.tolerance)
        if failing or self.regimes is None:
            return Restart(self.frame, now, time, (), failing)
        old, new = self.regime_of(self.state, self.time(0.0)), self.regime_of(now, time)
        return Restart(self.frame, now, time, self.regimes.events(self.frame, time, old, new))


def reduce(
    means: Array,
    weights: Array,
    merge: bool = True,
    target: Array | None = None,
    scale: float = 1.0,
    speed: float = 1.0,
) -> tuple[Frame, SoundState]:
    """Bring means into sound coordinates.

    Parameters
    ----------
    means : ndarray, shape (n, d)
        User's means.
    weights : ndarray, shape (n,)
        Their weights.
    merge : bool
        Whether coincident components of equal weight, which stay together, become one.
    target : ndarray, shape (d,), optional
        What is subtracted from every mean; zero by default.
    scale : float
        By what the differences are multiplied.
    speed : float
        Rate of a component over its weight.

    Returns
    -------
    Frame, SoundState
        ``r <= min(n, d)`` dimensions, at least one; cost ``n^2 d``. Offsets in a cluster are those
        of the user's numbers to the last bit, wherever the cluster is.
    """
    rows = np.column_stack([means, weights]) + 0.0  # the two signs of zero are one
    index: dict[bytes, int] = {}
    member = np.array([index.setdefault(row.tobytes(), len(index)) for row in rows])
    member = member if merge else np.arange(len(rows))
    first = np.unique(member, return_index=True)[1]
    distinct, rate = means[first], weights[first]
    weight = rate * np.bincount(member)
    origin = np.zeros(means.shape[1]) if target is None else target
    sums = dd.total(dd.multiply(dd.exact(distinct), dd.exact(weight[:, None])), axis=0)
    mean = dd.divide(sums, dd.total(dd.exact(weight[:, None]), axis=0))
    deviation = scale * ((distinct - mean.high) - mean.low)
    deviation[np.abs(deviation) < UNSEEN] = 0.0
    centre = scale * ((mean.high - origin) + mean.low)
    basis = _basis(deviation, centre)
    frame = Frame(basis, weight, speed * rate, member)
    state = SoundState(deviation @ basis, centre @ basis)
    if components(frame, state).form == FAR:
        state = SoundState(scale * (distinct - origin) @ basis, np.zeros(basis.shape[1]))
    return frame, state


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


def restore(frame: Frame, state: SoundState) -> Array:
    """User's means less the target, times the scale, shape (..., n, d), of sound state(s)."""
    return (state.mu @ frame.basis.T)[..., frame.member, :]


def components(frame: Frame, state: SoundState) -> Means:
    """Return the components in the form in which they are summed without cancellation."""
    deviation, mean = _about_mean(frame, state)
    near, together = longest(state.mu) <= SHORT, longest(deviation) <= SHORT
    form = NEAR if near else CLUSTER if together else FAR
    return Means(state.mu, deviation, mean, frame.weight, form)


def _about_mean(frame: Frame, state: SoundState) -> tuple[Array, Array]:
    """Deviations from the weighted mean, and that mean."""
    shift = frame.weight @ state.offset
    # Offsets from the weighted mean sum to their rounding, which late in a run is above the mean.
    shift[np.abs(shift) <= SUMMED * np.abs(state.offset).max()] = 0.0
    return state.offset - shift, state.centre + shift


def accuracy(means: Means) -> float:
    """Relative error that observables ask for: nodes come in powers of the dimension."""
    r = len(means.mean)
    return LESS_EXACT if r > 3 or (r == 3 and longest(means.mu) > LONG) else EXACT


def longest(rows: Array) -> float:
    """Length of the longest row."""
    return math.sqrt(np.einsum("ij,ij->i", rows, rows).max())  # often called


def gradient(frame: Frame, means: Means, pull: Array) -> Array:
    """Return minus the velocity of each distinct component, shape (k, r)."""
    return frame.rate[:, None] * (means.linear + pull)


def hessian(calculus: Calculus, frame: Frame, state: SoundState) -> Array:
    """Derivative of minus the velocities by the user's means, shape (n d, n d).

    :func:`reduce` must not have merged any components.
    """
    basis = frame.basis
    d, r = basis.shape
    inside = d == r
    if not inside:  # all directions across the span are alike: one of them stands for all
        state = SoundState(np.pad(state.offset, ((0, 0), (0, 1))), np.pad(state.centre, (0, 1)))
    means = components(frame, state)
    # Second derivatives ask for a little more than first ones.
    found = moments(
        calculus, means, expect(calculus, means, MARGIN * accuracy(means)).rule, curve=True
    )
    curve = found.curve + np.einsum("ij,ac->iajc", means.linear_curve, np.eye(r + 1 - inside))
    curve *= frame.rate[:, None, None, None]
    full = np.einsum("pa,iajc,qc->ipjq", basis, curve[:, :r, :, :r], basis)
    if not inside:
        full += np.einsum("ij,pq->ipjq", curve[:, r, :, r], np.eye(d) - basis @ basis.T)
    return full.reshape(len(frame.rate) * d, len(frame.rate) * d)


def failure(calculus: Calculus, frame: Frame, state: SoundState, tolerance: float) -> str:
    """Why a run cannot go on from ``state``, or nothing."""
    if len(frame.weight) == 1:
        return ""
    means = components(frame, state)
    found = expect(calculus, means, MARGIN * tolerance)
    # Equal values of all rules may still be noise where nothing is left to compare.
    field = float(np.max(np.abs(gradient(frame, means, found.pull))))
    if field < UNDERFLOW and means.form == FAR:
        return (
            f"the field underflows: with means of length {longest(means.mu):.4g} it is below"
            f" {UNDERFLOW:g}; start nearer to the target"
        )
    if found.error > tolerance:
        advice = "allow a larger rtol" if found.error < COARSE else "start nearer to the target"
        return (
            f"quadrature error {found.error:.2g} with {len(found.rule)} nodes in"
            f" {len(means.mean)} dimensions, above the tolerance {tolerance:.2g};"
            f" {advice}"
        )
    return ""


def piece(
    calculus: Calculus,
    frame: Frame,
    state: SoundState,
    time: float,
    tolerance: float,
    regimes: Regimes | None = None,
) -> MixturePiece:
    """Choose coordinates, rule and clock for the piece that begins with ``state``."""
    k, r = state.offset.shape
    means = components(frame, state)
    if k == 1:
        chart = Chart(
            clock=Clock(time, np.full(r, frame.rate[0]), 1.0, True),
            x0=means.mean.copy(),
            size=np.maximum(np.abs(means.mean), np.finfo(float).tiny),
            field=field(),
            weights=np.concatenate([frame.weight, frame.rate]),
            shape=shape(calculus, (k, r), 0, LINEAR),
        )
        alone, exact = np.array([0]), Rule(np.zeros((0, r)), np.zeros(0), "exact")
        return MixturePiece(calculus, tolerance, regimes, frame, state, chart, LINEAR, alone, exact)
    # The heaviest component comes first: the near chart derives it from the others.
    order = np.argsort(-frame.weight * frame.rate, kind="stable")
    weight, rate = frame.weight[order], frame.rate[order]
    found = expect(calculus, means, MARGIN * tolerance)
    rule, kind = found.rule, means.form
    mu = means.mu[order]
    offset, reach, least = 1.0, longest(means.deviation), np.finfo(float).tiny
    if kind == FAR:
        blocks, decay = mu, np.zeros_like(mu)
        size = np.full_like(mu, min(1.0, longest(mu)))
        # A mean alone at home falls until it is slaved to the tails of the others: it matters next
        # to their sqrt(E|v|^2). Of several, the far form knows the deviations to rounding only.
        if np.sum(np.linalg.norm(mu - means.mu[means.home], axis=1) <= SHORT) == 1:
            still = means.mu.copy()
            still[means.home] = 0.0
            tails = expect(calculus, components(frame, SoundState(still, 0 * state.centre)), COARSE)
            matters = np.clip(np.sqrt(tails.fisher), FALLEN, float(size.max()))
            size[np.argmax(order == means.home)] = matters
    else:
        share = weight * rate
        slow = (means.deviation[order] - excess(weight, rate)[:, None] * means.mean) / rate[:, None]
        blocks = np.vstack([means.mean, slow[1:]])
        size = np.full_like(mu, max(float(np.max(np.abs(slow))), least))
        if kind == NEAR:
            # The slaved mean falls faster; by its own decay its rounding would grow, by none its
            # error would outlast it.
            decay = np.full_like(mu, 0.5)
            # Deviations fall like sqrt(k/(2 t)), whatever they were.
            offset = max(1.0, 1.0 / (np.sum(share) * max(reach, 1e-100) ** 2))
            # The mean matters where its square is comparable with the loss, a fourth power.
            size[0] = max(reach**2, least)
        else:
            decay = np.zeros_like(mu)
            size[0] = 1.0
    chart = Chart(
        clock=Clock(time, decay.ravel(), offset),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=field(),
        weights=pack(weight, rate, rule),
        shape=shape(calculus, (k, r), len(rule), kind),
    )
    return MixturePiece(calculus, tolerance, regimes, frame, state, chart, kind, order, rule)
