"""The smooth pieces of a mixture's run: coordinates, rule, clock, and when to choose anew.

A piece keeps its quadrature rule, so that its field is one smooth function with an exact Jacobian.
After a step the rule is compared with a finer one; where it is no longer good enough, or much finer
than the means now need, the piece ends and the next one chooses its rule by measuring.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core import double_double as dd
from flows.core.arrays import Array
from flows.core.chart import Chart, Clock
from flows.core.piece import Event, Piece, Restart
from flows.core.problem import ATOL_PER_RTOL, Interpolant, Stop, Watch, outliving
from flows.core.quadrature import Rule
from flows.core.system import State
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import LINEAR, Level, Limits, pack
from flows.systems.mixture.expectation import (
    Expected,
    expect,
    expect_several,
    expected_of,
    guessed_rule,
    trimmed,
)
from flows.systems.mixture.field import excess, field, from_blocks, shape
from flows.systems.mixture.field_lanes import LANES
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
# Jacobians enter a step next to its length: their error may be larger than the field's by this.
LINEARISED = 1e2
# Solver time after which the rule is compared again.
COMPARE_AFTER = 0.25
# A rule of more nodes than CHEAP is chosen anew once the means are shorter by the factor SHRUNK.
CHEAP, SHRUNK = 100, 0.6
# With one mean nearer than SETTLED, a long one moves like exp(-|mu|^2/8): once that has changed by
# the exponential of FASTER, a new piece begins, with a clock, a size of what matters, and a rule of
# its own.
SETTLED, FASTER = 3.0, 3.0
# A piece that begins before so many times of the fastest decay begins with explicit steps.
UNSTIFF = 10.0
# Parts of the first length at which a piece of short means changes to fewer nodes.
SHORTER = 0.5 ** np.arange(0.5, 8.0, 0.5)
# ... but to no rung below this one: with four nodes little may have been seen.
LOWEST = 2
# Rungs by which the rule of a Jacobian is below that of the field there.
COARSER = 1
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

    ``at(times, means, expected, velocity)`` are the regimes of several states, a row of numbers
    each; ``events(frame, time, before, after)`` are those of a change of rows.
    """

    at: Callable[[Array, Means, Expected, Array], Array]
    events: Callable[[Frame, float, Array, Array], tuple[Event, ...]]


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
    finer : tuple of ndarray or None
        Constants and shape of the finer rules that its own are compared with; None where a rule is
        to be found for each state.
    limits : Limits
        Within which form, clock and rule serve; the squares in the order of the components.
    """

    calculus: Calculus
    tolerance: float
    regimes: Regimes | None
    frame: Frame
    state: SoundState
    chart: Chart
    kind: int
    order: NDArray[np.intp]
    finer: tuple[Array, NDArray[np.int64]] | None
    limits: Limits

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
        regime = self.first_regime if self.regimes else np.zeros(0)
        compared, looked = [0.0], [0.0]

        def alarm(tau: float, y: Array) -> float:
            if tau >= end or self.outgrown(self.chart.raw(tau, y)[None])[0]:
                return -1.0
            return compared[0] + COMPARE_AFTER - tau

        def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
            if tau >= end:
                return outliving(end, tau, y, interpolant)
            raw = self.chart.raw(tau, y)[None]
            if self.outgrown(raw)[0]:
                return Stop(tau, y)
            compared[0] = tau
            served = self.served(raw, self.chart.clock.time(np.array([tau])), regime)
            return None if served.all() else Stop(tau, y)

        def alarms(taus: Array, states: Array) -> Array:
            """Of many steps, below zero only where `check` ends the piece, or may."""
            raw = self.chart.raw(taus, states)
            ends = (taus >= end) | self.outgrown(raw)  # as is what is not finite
            last = int(np.argmax(ends)) if ends.any() else len(taus)
            due = []
            for i, tau in enumerate(taus[:last].tolist()):
                if tau >= looked[0] + COMPARE_AFTER:
                    due.append(i)
                    looked[0] = tau
            if due:
                ends[due] = ~self.served(raw[due], self.chart.clock.time(taus[due]), regime)
            return np.where(ends, -1.0, 1.0)

        return Watch(alarm, check, alarms)

    def outgrown(self, raw: Array) -> NDArray[np.bool_]:
        """Whether another form, clock or rule serves raw states better, shape (S, N) to (S,)."""
        from flows.systems.mixture import field_compiled  # Numba loads where it is first needed

        found = np.empty(len(raw), np.bool_)
        field_compiled.look_over()(
            np.ascontiguousarray(raw), self.chart.weights, self.chart.shape, found
        )
        return found

    def served(self, raw: Array, times: Array, regime: Array) -> NDArray[np.bool_]:
        """Whether the rules are good enough for raw states and their regime is this one."""
        from flows.systems.mixture import field_compiled

        # Both in the form of the piece: pulls of two forms differ by their linear parts.
        count, k, r = len(raw), *self.state.offset.shape
        sums, exact = (np.empty((count, 2, 2 + k * r)) for _ in range(2))
        mine = self.chart.weights, self.chart.shape
        others = self.finer or mine
        field_compiled.compare()(np.ascontiguousarray(raw), *mine, *others, sums, exact)
        if self.finer is not None and self.regimes is None:
            truth, size = exact[:, 0, 2:], exact[:, 1, 2:].max(axis=1)
            wrong = np.abs(sums[:, 0, 2:] - truth).max(axis=1)
            return np.asarray(wrong <= self.tolerance * size)
        means, back = self._in_form(self.decode(raw)), np.argsort(self.order)
        for found in (sums, exact):  # raw components have an order of their own
            found[..., 2:] = (
                found[..., 2:].reshape(count, 2, k, r)[:, :, back].reshape(count, 2, -1)
            )
        best = (
            expect_several(self.calculus, means, self.tolerance)
            if self.finer is None
            else expected_of(means, exact)
        )
        wrong = np.abs(sums[:, 0, 2:].reshape(count, k, r) - best.pull).max(axis=(-2, -1))
        same = (self._regimes(means, best, times) == regime).all(axis=-1)
        return np.asarray(same & (wrong <= self.tolerance * best.size))

    @functools.cached_property
    def first_regime(self) -> Array:
        """Regime in which the piece begins."""
        return self.regime_of(self.state, self.time(0.0))

    def regime_of(self, state: SoundState, time: float) -> Array:
        """Regime of a state at a time, in numbers, in the form and by the rule of its own piece."""
        means = components(self.frame, state)
        found = expect(self.calculus, means, MARGIN * self.tolerance).of_several
        return self._regimes(means.at(None), found, np.array([time]))[0]

    def _regimes(self, means: Means, found: Expected, times: Array) -> Array:
        if self.regimes is None:
            return np.zeros((len(times), 0))
        return self.regimes.at(times, means, found, -gradient(self.frame, means, found.pull))

    def _in_form(self, now: SoundState) -> Means:
        return Means(now.mu, *_about_mean(self.frame, now), self.frame.weight, self.kind)

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
        old, new = self.first_regime, self.regime_of(now, time)
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
        _, s, vt = np.linalg.svd(rest / size, full_matrices=False)
        new = vt[s > 8 * len(rows) * np.finfo(float).eps * np.sqrt(rows.shape[1])].T
        axes = np.linalg.qr(np.hstack([axes, new]))[0] if axes.size else new
    return axes if axes.shape[1] else np.eye(len(mean), 1)


def restore(frame: Frame, state: SoundState) -> Array:
    """User's means less the target, times the scale, shape (..., n, d), of sound state(s)."""
    return (state.mu @ frame.basis.T)[..., frame.member, :]


def components(frame: Frame, state: SoundState) -> Means:
    """Return the components in the form in which they are summed without cancellation."""
    mu = state.mu
    deviation, mean = _about_mean(frame, state)
    return Means(mu, deviation, mean, frame.weight, int(forms(mu, deviation)))


def components_by_form(
    frame: Frame, states: SoundState
) -> Iterator[tuple[NDArray[np.intp], Means]]:
    """Return the components at several times: for each form, at which times, and these."""
    mu = states.mu
    deviation, mean = _about_mean(frame, states)
    found = forms(mu, deviation)
    for form in np.unique(found).tolist():
        some = np.flatnonzero(found == form)
        yield some, Means(mu[some], deviation[some], mean[some], frame.weight, form)


def forms(mu: Array, deviation: Array) -> Array:
    """Form in which means, shape (..., k, r), with these deviations are summed."""
    together = np.where(longest(deviation) <= SHORT, CLUSTER, FAR)
    return np.where(longest(mu) <= SHORT, NEAR, together)


def _about_mean(frame: Frame, state: SoundState) -> tuple[Array, Array]:
    """Deviations from the weighted mean, and that mean."""
    offset, shift = state.offset, np.zeros_like(state.centre)
    for i, weight in enumerate(frame.weight.tolist()):  # alike for one state and for many
        shift += weight * offset[..., i, :]
    # Offsets from the weighted mean sum to their rounding, which late in a run is above the mean.
    noise = SUMMED * np.abs(offset).max(axis=(-2, -1), keepdims=True)[..., 0]
    shift[np.abs(shift) <= noise] = 0.0
    return offset - shift[..., None, :], state.centre + shift


def accuracy(means: Means) -> Any:
    """Relative error that observables ask for: nodes come in powers of the dimension."""
    r = means.mean.shape[-1]
    less = np.asarray((r > 3) | ((r == 3) & (longest(means.mu) > LONG)))
    return np.where(less, LESS_EXACT, EXACT)[()]


def longest(rows: Array) -> Any:
    """Length of the longest row, of arrays of shape (..., k, r)."""
    return np.sqrt((rows * rows).sum(axis=-1).max(axis=-1))


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
            shape=shape(calculus, (k, r), (), LINEAR),
            lanes=LANES,
        )
        none = Limits((-math.inf, math.inf), (-math.inf, math.inf), math.inf, np.zeros(1))
        alone = np.array([0])
        return MixturePiece(
            calculus, tolerance, regimes, frame, state, chart, LINEAR, alone, None, none
        )
    # The heaviest component comes first: the near chart derives it from the others.
    order = np.argsort(-frame.weight * frame.rate, kind="stable")
    weight, rate = frame.weight[order], frame.rate[order]
    found = expect(calculus, means, MARGIN * tolerance)
    kind = means.form
    levels, finer = _levels(means, found, tolerance)
    limits = _limits(means, len(found.rule))
    mu = means.mu[order]
    offset, reach, least = 1.0, longest(means.deviation), np.finfo(float).tiny
    slack = np.ones_like(mu)
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
            slack[0] = 1.0 / ATOL_PER_RTOL
        else:
            decay = np.zeros_like(mu)
            size[0] = 1.0
    chart = Chart(
        clock=Clock(time, decay.ravel(), offset),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=field(),
        weights=pack(weight, rate, levels, limits._replace(squares=limits.squares[order])),
        shape=shape(calculus, (k, r), levels, kind),
        lanes=LANES,
        explicit=LANES if kind == FAR and time <= UNSTIFF / float(np.max(rate / weight)) else None,
        slack=slack.ravel(),
    )
    others = None
    if finer is not None:
        others = pack(weight, rate, finer, limits), shape(calculus, (k, r), finer, kind)
    return MixturePiece(
        calculus, tolerance, regimes, frame, state, chart, kind, order, others, limits
    )


def _levels(
    means: Means, found: Expected, tolerance: float
) -> tuple[list[Level], list[Level] | None]:
    """Rules of a piece that begins with these means, and finer ones; None if there are none.

    Short means shrink for as long as they are followed, and ask for fewer nodes.
    """
    rule, product = found.rule, found.product
    if product is None:
        coarse = guessed_rule(means, LINEARISED * tolerance) or rule
        return [Level(math.inf, rule, coarse)], None
    coarse = trimmed(product.guess(LINEARISED * tolerance), means)
    levels = [Level(math.inf, rule, coarse)]
    # All nodes of the finer rule tell whether those that were left out still add nothing.
    none, first = Rule(rule.nodes[:0], rule.weights[:0], ""), product.rungs
    finer = [Level(math.inf, product.rule(first + 1), none)]
    if means.form == NEAR:
        length, before = float(longest(means.mu)), first
        below = np.maximum(product.shorter(SHORTER), np.minimum(first, LOWEST))
        for factor, rungs in zip(SHORTER, below, strict=True):
            if (rungs < before).any():
                down = np.maximum(rungs - COARSER, 0)
                levels.append(Level(factor * length, product.rule(rungs), product.rule(down)))
                finer.append(Level(factor * length, product.rule(rungs + 1), none))
                before = rungs
    return levels, finer


def _limits(means: Means, nodes: int) -> Limits:
    """Limits of a piece that begins with these means and has so many nodes."""
    squares = np.sum(means.mu**2, axis=-1)
    if means.form == NEAR:
        return Limits((-1.0, SHORT / HYSTERESIS), (-1.0, math.inf), math.inf, squares)
    short = HYSTERESIS * SHORT
    if means.form == CLUSTER:
        return Limits((short, math.inf), (-1.0, SHORT / HYSTERESIS), math.inf, squares)
    settled = float(np.min(squares)) <= SETTLED**2
    least = max(short, SHRUNK * longest(means.mu) if nodes > CHEAP else 0.0)
    return Limits(
        (least, math.inf), (short, math.inf), 8 * FASTER if settled else math.inf, squares
    )
