"""What is observed along the flow of an own system, and how many digits of it doubles know."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.symmetric import eigen
from flows.core.system import State
from flows.systems.own.loss import Estimate, Loss, estimate, numeric
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.sharp_axes import SharpAxes

__all__ = [
    "LARGEST",
    "MOST_GROWTH",
    "TRUSTED",
    "Errors",
    "Frame",
    "SoundState",
    "feature_names",
    "observe",
    "stated_errors",
    "unknown_at",
]

# A value is given where its error is below this part of it, so that its first digit is known.
TRUSTED = 0.1
# So many ways to move the last bits are tried, each a bit farther: sums of large terms are
# multiples of their last bit, and may not change in one.
PATTERNS = 8
# What each step leaves at the end of a chart, in which the energy falls by the square of this.
ANEW = 0.1
# Errors grow by no more than the exponential of the one, and to no more than the other.
MOST_GROWTH, LARGEST = 300.0, 1e100
# A curvature like s^-1, to this, is that of a slow axis.
RECIPROCAL = 0.2
# Axes that have turned by less into another one are taken for those of before.
TURNS = 0.05
# Fast axes are those whose rate in log-time grows like this power of time, or faster.
GROWING = 0.75
# Rates in log-time that differ by less are one.
DIFFER = 0.03
# Curvature times time of axes that are not slow any more.
FAST = 30.0
# Curvatures that differ by less than this part of the largest one are one.
ALIKE = 1e-3
# The tolerance of a run's quantities is that of a step times this.
PER_STEP = 100.0
# What cancels is computed with so many digits.
DIGITS = 40
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Frame:
    """The coordinates are the user's.

    Parameters
    ----------
    unit : float
        `T0`, the time at which the flow begins to move; NaN where states are doubles.
    """

    unit: float = math.nan


@dataclass(frozen=True)
class SoundState(State):
    """Entries of the blocks, with what is observed there, so that a file can show it.

    Parameters
    ----------
    x : ndarray, shape (..., N)
        Entries.
    seen : ndarray, shape (..., K)
        Numbers in the order of :func:`feature_names`; NaN is not known.
    error : ndarray, shape (..., N), optional
        Absolute error that the steps of a solver leave; none of a state that was given. Of doubles:
        of the entries, before the flow damps it. Of exact states: along the axes of the Hessian
        there, by increasing eigenvalue (:class:`Errors`).
    time : ndarray, shape (..., N), optional
        When it arose: the flow contracts it the faster, in log-time, the later that is.
    low : ndarray, shape (..., N, K), optional
        What exact entries are beyond the doubles `x`: the sum over the last axis.
    late : ndarray, shape (...), optional
        Of doubles: how much earlier or later the run may be, since it was slow somewhere, as beside
        a saddle, and what its steps left there decided when it went on.
    energy : ndarray, shape (..., 2), optional
        Of exact states: `t + T0`, and in units of the energy that is left how far a state is off
        that stays where it was. NaN where states are doubles.
    """

    x: Array
    seen: Array
    error: Any = None
    time: Any = None
    low: Any = None
    energy: Any = None
    late: Any = None

    rank: ClassVar[dict[str, int]] = {
        **{"x": 1, "seen": 1, "error": 1, "time": 1, "low": 2, "energy": 1, "late": 0}
    }

    def __post_init__(self) -> None:
        """A state that was given has no error."""
        for name, missing in (
            ("error", np.zeros_like(self.x)),
            ("time", np.zeros_like(self.x)),
            ("low", np.zeros((*self.x.shape, 1))),
            ("energy", np.full((*self.x.shape[:-1], 2), np.nan)),
            ("late", np.zeros(self.x.shape[:-1])),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, missing)

    @property
    def exact(self) -> bool:
        """Whether entries have more digits than doubles."""
        return not np.isnan(self.energy).any()

    @property
    def digits(self) -> Array:
        """Exact entries as sums of doubles, shape (..., N, 1 + K)."""
        return np.concatenate([self.x[..., None], self.low], axis=-1)

    def staying(self, off: float) -> SoundState:
        """Return the state as one that stays, off by so many units of the energy that is left."""
        energy = self.energy.copy()
        energy[..., 1] = off
        return replace(self, energy=energy)


@dataclass(frozen=True)
class Errors:
    r"""Errors along the axes of the Hessian, which the linearised flow carries on.

    .. math:: \delta_i \to \sum_k \frac{|a_i \cdot b_k|}{1 + (h'_i - r_k)^+ (s - s_0)}
       (e^{-r_k (s - s_0)} \delta_k + \max(e^{-r_k (s - s_0)}, 0.1) \epsilon_k), \qquad
       r_k = \min(h_k, b_k^T H b_k)

    (where `r_k < 0`, with the integral of a curvature that is linear in log-time in the exponent)
    with the axes `b` and curvatures `h` of before, and `a`, `h'` and `H` of now. What decays is
    taken to decay by the smaller rate; along a slow axis, whose curvature falls like `1/s`, by the
    smaller `s h` of both ends, as the smaller rate would double errors in each decade. Slow axes
    that turn into each other decay by the smallest of their rates, and take from each other what
    has turned times the difference of their rates; what turns out of a fast axis, before it has
    decayed, counts beside. What grows beside a saddle grows by the
    integral, and what each step leaves anew falls with the energy of a chart at most. An axis that
    turns takes errors of others with it, which its own curvature damps. Within one curvature the
    sum is that of squares.

    Of the linear flow between two ends this is meant as a bound where slow axes turn one way, by
    less than a right angle, and `s h` changes one way; that it is one is sampled. Two ends tell
    nothing of what oscillates between them: what is stated of a run is a hundred times what steps
    leave.

    Parameters
    ----------
    axes : ndarray, shape (N, N)
        Orthonormal columns.
    curvature : ndarray, shape (N,)
        Eigenvalues, increasing.
    error, fresh : ndarray, shape (N,)
        The errors, and those of each step.
    since : float
        `s_0`.
    sharp : callable, optional
        The same axes with more bits.
    """

    axes: Array
    curvature: Array
    error: Array
    fresh: Array
    since: float
    sharp: Callable[[int], SharpAxes] | None = None

    def carried(
        self, hessian: Array, since: float, found: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array, Array]:
        """Return eigenvalues and axes of a later Hessian, and the errors there.

        They are those of doubles, or the better ones that were ``found``.
        """
        h, axes = eigen(hessian) if found is None else found
        now = np.sum(self.axes * (hessian @ self.axes), axis=0)
        return h, axes, self._along(h, axes.T @ self.axes, now, since)

    def carried_sharply(self, later: SharpAxes, since: float, bits: int) -> Array:
        """Return the errors along later axes, whose products with those of before are sharp."""
        if self.sharp is None:
            raise ValueError("these axes are doubles")
        earlier = self.sharp(bits)
        overlaps, now = later.overlaps(earlier), later.bends(earlier)
        return self._along(later.curvature, overlaps, now, since)

    def _along(self, h: Array, overlaps: Array, now: Array, since: float) -> Array:
        passed = since - self.since
        rate = np.minimum(self.curvature, now)
        # Integral of a curvature that changes linearly in log-time.
        length = np.log(since / self.since)
        late = since - passed / length if length > 0 else 0.0
        mean = self.curvature * passed + (now - self.curvature) * late
        scaled, turns, early = self._slow(h, overlaps, now, since)
        # The curvature along an axis of before says nothing of one that has turned.
        own = np.where(turns.any(axis=0), 0.0, rate * passed)
        decays = np.maximum(own, scaled * length)
        grows = np.minimum(-np.where(rate < 0, mean, decays), MOST_GROWTH)
        change = np.exp(grows)
        grown = self.error * change + self.fresh * np.maximum(change, ANEW)
        damped = 1 + passed * np.maximum(h[:, None] - np.maximum(rate, 0), 0)
        reach = np.abs(overlaps) / damped
        shares = np.minimum(reach + turns, 1.0) * np.minimum(grown, LARGEST)
        # Axes of one curvature are any basis of their span, in which errors keep their length; and
        # among axes that turn into each other the flow makes no length larger.
        alike = np.abs(h[:, None] - now) <= ALIKE * np.abs(h).max(initial=0.0)
        alike |= turns > 0
        turned = np.linalg.norm(np.where(alike, shares, 0.0), axis=1)
        found: Array = turned + np.sum(np.where(alike, 0.0, shares), axis=1)
        came = early @ (self.error + self.fresh)
        return found + came + reach @ came

    def _slow(
        self, h: Array, overlaps: Array, now: Array, since: float
    ) -> tuple[Array, Array, Array]:
        """Curvature times time of slow axes, the smaller of both ends; how those that turn mix.

        Axes are slow, or fast: of these the curvature times time grows like time, by rank, since an
        axis that turns tells nothing of itself. Of either kind those that turn into each other
        decay by the smallest of their rates; one takes from another what it has turned, times the
        difference of their rates, in log-time, and what turns into fast ones twice comes back. The
        last number is what slow ones take from fast ones before these have decayed.
        """
        first, last, ends = self.curvature * self.since, now * since, since * h
        length = np.log(since / self.since)
        with np.errstate(divide="ignore", invalid="ignore"):
            change, growth = np.abs(np.log(last / first)), np.log(ends / first)
        slow = (np.minimum(first, last) > 0) & (change < RECIPROCAL * length)
        least = np.where(slow, np.minimum(first, last), 0.0)
        grows = (first > 0) & (growth > GROWING * length) & (length > 0)
        fast = np.logical_and.accumulate(grows[::-1])[::-1]  # it and all above it
        kind = fast[:, None] == fast
        curved = (first > 0) & (first < FAST)
        near = (np.abs(overlaps) > TURNS) & (h[:, None] > 0) & curved & kind
        # Of one rate any axes will do, and they turn as they like.
        apart = np.abs(ends[:, None] - first) > DIFFER
        away = np.where(fast, 0.0, np.linalg.norm(overlaps[fast], axis=0))
        several = (near & apart).any(axis=0) & (near.sum(axis=0) > 1)
        turns = np.zeros_like(overlaps)
        for k in np.flatnonzero(several | ((away > TURNS) & near.any(axis=0))):
            into = np.flatnonzero(near[:, k])
            group = np.flatnonzero(near[into].any(axis=0))
            rates = np.concatenate([first[group], ends[into]])
            least[k] = rates.min()
            moved = float(np.linalg.norm(overlaps[near[:, k] & apart[:, k], k]))
            turns[into, k] = moved * (rates.max() - rates.min()) * length + away[k] ** 2
        decayed = first[fast].min(initial=np.inf) * length
        early = np.where(fast & ~kind, np.abs(overlaps) / max(1.0, decayed), 0.0)
        return least, turns, early

    @property
    def any(self) -> bool:
        """Whether there are errors."""
        return bool(self.error.any() or self.fresh.any())


def feature_names(potentials: Sequence[str], averaged: bool) -> tuple[str, ...]:
    """Names of what a state carries, from those of its potentials.

    Parameters
    ----------
    potentials : sequence of str
        Names.
    averaged : bool
        Whether the loss takes quadrature, whose error is then one of them.
    """
    own = (each for name in potentials for each in (name, f"{name}_dot"))
    error = ("expectation_error",) if averaged else ()
    return ("loss", "loss_dot", "gradient_norm", "rounding", *own, *error)


def unknown_at(names: Sequence[str], seen: Array, t: Array) -> str:
    """From when on the loss, or its gradient, is not known, in one line; empty if they are."""
    lost = []
    for name, words in (("loss", "the loss"), ("gradient_norm", "its gradient")):
        unknown = np.isnan(seen[:, names.index(name)])
        if unknown.any():
            lost.append(f"{words} (first at t = {t[int(np.argmax(unknown))]:.3g})")
    if not lost:
        return ""
    return (
        f"NaN is not known: {', '.join(lost)}; errors of steps or of doubles are larger there"
        " than a tenth of it"
    )


def stated_errors(features: Mapping[str, Array], t: Array, tolerance: Array) -> dict[str, Array]:
    """Absolute errors beside the tolerance: the part `rounding` of everything, and of the time.

    How long a flow stays on a plateau, or beside a saddle, is known to the tolerance of a step, and
    what it does afterwards is so much earlier or later.
    """
    late = tolerance / PER_STEP * t
    found = {k: features["rounding"] * np.abs(x) for k, x in features.items()}
    for name in found:
        if f"{name}_dot" in features:
            found[name] = found[name] + late * np.nan_to_num(np.abs(features[f"{name}_dot"]))
    return found


def observe(
    loss: Loss | MatrixLoss,
    potentials: Mapping[str, sp.Expr | MatrixLoss],
    y: Array,
    tolerance: float,
    error: Array | None = None,
    time: Array | None = None,
    late: Array | None = None,
) -> Array:
    """Loss, rates, potentials of states, in the order of :func:`feature_names`.

    Parameters
    ----------
    loss : Loss
        The loss.
    potentials : mapping
        Expressions in the entries by name.
    y : ndarray, shape (..., N)
        Entries.
    tolerance : float
        Relative error asked of expectations.
    error, time : ndarray, shape (..., N), optional
        Absolute error of the entries and when it arose, see :class:`SoundState`.
    late : ndarray, shape (...), optional
        How much earlier or later it may be.

    Returns
    -------
    ndarray, shape (..., K)
        A number whose error is a tenth of it, or more, is NaN: it is not known. Errors are those
        of the entries, of their last bits and of quadrature; `rounding` is the largest of them,
        relative to what is known.
    """
    flat = y.reshape(-1, y.shape[-1])
    averages = []
    if isinstance(loss, Loss) and loss.averaged:
        averages = [estimate(loss, state, tolerance) for state in flat]
    value, slope, levels = _losses(loss, flat, averages)
    speed = np.linalg.norm(slope, axis=-1)
    columns = {"loss": value, "loss_dot": -(speed**2), "gradient_norm": speed}
    for name, expression in potentials.items():
        found = _both(expression, loss.y, flat)
        columns[name] = found[:, 0]
        columns[f"{name}_dot"] = -np.sum(found[:, 1:] * slope, axis=-1)

    noise = {**{name: np.zeros(len(flat)) for name in potentials}, **levels}
    for moved in _neighbours(flat):
        if not loss.averaged:
            other, slant = loss.at(moved)
            _raise(noise, "loss", other - value)
            _raise(noise, "gradient_norm", np.linalg.norm(slant, axis=-1) - speed)
        for name, expression in potentials.items():
            _raise(noise, name, _both(expression, loss.y, moved)[:, 0] - columns[name])
    if not loss.averaged:
        _look_closely(noise, columns, loss, potentials, flat)
    if error is not None and time is not None and error.any():
        rules = [found.rule for found in averages]
        errors, times = error.reshape(flat.shape), time.reshape(flat.shape)
        doubt = _damped(loss, flat, slope, errors, times, rules)
        noise["loss"] = noise["loss"] + doubt.loss
        noise["gradient_norm"] = noise["gradient_norm"] + doubt.slope
        for moved in doubt.moved:
            for name, expression in potentials.items():
                _raise(noise, name, _both(expression, loss.y, moved)[:, 0] - columns[name])
    if late is not None and late.any():
        _raise_by_delay(noise, columns, loss, potentials, flat, late.reshape(-1, 1) * slope)

    rounding, known = np.zeros(len(flat)), {}
    for name, level in noise.items():
        size = np.abs(columns[name])
        known[name] = level <= TRUSTED * size
        relative = np.divide(level, size, out=np.zeros_like(size), where=known[name] & (size > 0))
        rounding = np.maximum(rounding, relative)
        columns[name] = np.where(known[name], columns[name], np.nan)
    # Nobody knows how anything moves where the gradient is not known.
    for name in ("loss", *potentials):
        rate = columns[f"{name}_dot"]
        columns[f"{name}_dot"] = np.where(known["gradient_norm"], rate, np.nan)
    columns["rounding"] = rounding
    nothing = np.full(len(flat), np.nan)
    averaging = [
        np.divide(level, np.abs(columns[name]), out=nothing.copy(), where=known[name] & (level > 0))
        for name, level in levels.items()
    ]
    columns["expectation_error"] = np.fmax.reduce(averaging)
    names = feature_names(tuple(potentials), loss.averaged)
    seen = np.stack([columns[name] for name in names], axis=-1)
    return seen.reshape(*y.shape[:-1], len(names))


def _raise_by_delay(
    noise: dict[str, Array],
    columns: Mapping[str, Array],
    loss: Loss | MatrixLoss,
    potentials: Mapping[str, sp.Expr | MatrixLoss],
    states: Array,
    ahead: Array,
) -> None:
    """Count what changes as the flow goes on, or back, by `ahead`."""
    for moved in (states - ahead, states + ahead):
        if isinstance(loss, Loss) and loss.averaged:
            found = [estimate(loss, state, TRUSTED) for state in moved]
            value, slope, _ = _losses(loss, moved, found)
        else:
            value, slope = loss.at(moved)
        _raise(noise, "loss", value - columns["loss"])
        _raise(noise, "gradient_norm", np.linalg.norm(slope, axis=-1) - columns["gradient_norm"])
        for name, expression in potentials.items():
            _raise(noise, name, _both(expression, loss.y, moved)[:, 0] - columns[name])


def _look_closely(
    noise: dict[str, Array],
    columns: Mapping[str, Array],
    loss: Loss | MatrixLoss,
    potentials: Mapping[str, sp.Expr | MatrixLoss],
    states: Array,
) -> None:
    """Measure with many digits what the last bits of the entries do not move at all.

    It may be exact, or rounding that hides them, as in `1 + x` where `x` is small.
    """
    if not isinstance(loss, Loss):  # no expression in entries
        return _look_from_afar(noise, columns, states)
    for name, expression in {"loss": loss.form.plain, **potentials}.items():
        for k in np.flatnonzero((noise[name] == 0) & np.isfinite(columns[name])):
            exact = _exactly(expression, loss.y, states[k])
            noise[name][k] = abs(float(exact - sp.Float(columns[name][k], DIGITS)))
    hidden = (noise["gradient_norm"] == 0) & np.isfinite(columns["gradient_norm"])
    for k in np.flatnonzero(hidden):
        slopes = [_exactly(sp.diff(loss.form.plain, x), loss.y, states[k]) for x in loss.y]
        exact = sp.sqrt(sum(slope**2 for slope in slopes)).evalf(DIGITS)
        noise["gradient_norm"][k] = abs(
            float(exact - sp.Float(columns["gradient_norm"][k], DIGITS))
        )


def _look_from_afar(noise: dict[str, Array], columns: Mapping[str, Array], states: Array) -> None:
    """Count the last bit of what those of the entries do not move; a zero may hide anything."""
    for name, level in noise.items():
        size = np.abs(columns[name])
        hidden = np.where((size == 0) & states.any(axis=-1), np.inf, EPSILON * size)
        noise[name] = np.where(level == 0, hidden, level)


def _exactly(expression: sp.Expr, y: Sequence[sp.Symbol], state: Array) -> sp.Expr:
    """Value at a state of doubles, in as many digits as cancellation takes."""
    known = {symbol: sp.Float(x, DIGITS) for symbol, x in zip(y, state.tolist(), strict=True)}
    value = expression.evalf(DIGITS, subs=known)
    return sp.Float(value, DIGITS) if value.is_number and value.is_real else sp.nan


def _both(expression: sp.Expr | MatrixLoss, y: Sequence[sp.Symbol], states: Array) -> Array:
    """Value and gradient, shape (T, 1 + N)."""
    if isinstance(expression, MatrixLoss):
        value, slope = expression.at(states)
        return np.concatenate([value[:, None], slope], axis=-1)
    with np.errstate(all="ignore"):
        values = numeric(expression, tuple(y)).both(*states.T)
    return np.stack([np.broadcast_to(v, len(states)) for v in values], axis=-1).astype(float)


def _losses(
    loss: Loss | MatrixLoss, states: Array, averages: Sequence[Estimate]
) -> tuple[Array, Array, dict[str, Array]]:
    """Losses, gradients, and how far quadrature knows them."""
    if not loss.averaged:
        nothing = np.zeros(len(states))
        return *loss.at(states), {"loss": nothing, "gradient_norm": nothing}
    return (
        np.array([e.loss for e in averages]),
        np.array([e.gradient for e in averages]).reshape(states.shape),
        {
            "loss": np.array([e.loss_error for e in averages]),
            "gradient_norm": np.array([e.gradient_error for e in averages]),
        },
    )


class _Doubt(NamedTuple):
    """What errors of the entries do: to losses and slopes, shape (T,), and states that they reach.

    Parameters
    ----------
    loss, slope : ndarray, shape (T,)
        Absolute errors of the loss and of the length of its gradient.
    moved : list of ndarray, shape (T, N)
        States at the distance of the error.
    """

    loss: Array
    slope: Array
    moved: list[Array]


def _damped(
    loss: Loss | MatrixLoss,
    states: Array,
    slope: Array,
    error: Array,
    time: Array,
    rules: Sequence[Any],
) -> _Doubt:
    """Damp what steps in log-time leave by `1 + t h` along a direction of curvature `h`.

    A solver's error is renewed in each step, and the flow contracts it at the rate `h`; where the
    loss curves downward it grows. So a state near a valley is known far better across the valley
    than along it. Nothing has damped what the last step left, and what is shorter than its
    tolerance no step damps at all: that counts too, but in the loss, to first order.
    """
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=(PATTERNS, states.shape[-1]))
    if isinstance(loss, MatrixLoss):
        return _undamped(loss, states, slope, [states + sign * error for sign in signs])
    losses, slopes = np.zeros(len(states)), np.zeros(len(states))
    moved = np.repeat(states[None], PATTERNS, axis=0)
    rows = np.flatnonzero(error.any(axis=-1)).tolist()
    curvatures: Any = (
        [loss.hessian(states[k], rules[k]) for k in rows]
        if loss.averaged
        else loss.hessians(states[rows])
    )
    for k, matrix in zip(rows, curvatures, strict=True):
        if not np.isfinite(matrix).all():
            losses[k] = slopes[k] = np.inf
            continue
        h, axes = eigen(matrix)
        passed = 1 + np.outer(np.abs(h), time[k])
        damped = np.where(h[:, None] >= 0, 1 / passed, passed)
        far = (np.abs(axes.T) * damped) @ error[k]
        losses[k] = np.abs(slope[k] @ axes) @ far
        far = (np.abs(axes.T) * np.maximum(damped, 1 / PER_STEP)) @ error[k]
        losses[k] += np.abs(h) @ far**2 / 2
        slopes[k] = np.linalg.norm(h * far)
        moved[:, k] += (signs * far) @ axes.T
    return _Doubt(losses, slopes, list(moved))


def _undamped(loss: MatrixLoss, states: Array, slope: Array, moved: list[Array]) -> _Doubt:
    """Changes at the distance of errors that nothing has damped: the axes of many entries cost."""
    value, speed = loss.at(states)[0], np.linalg.norm(slope, axis=-1)
    found = [loss.at(state) for state in moved]
    losses = np.max([np.abs(other - value) for other, _ in found], axis=0)
    slopes = np.max([np.abs(np.linalg.norm(g, axis=-1) - speed) for _, g in found], axis=0)
    return _Doubt(losses, slopes, moved)


def _neighbours(states: Array) -> list[Array]:
    """States whose entries differ in their last bits."""
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], size=(PATTERNS, states.shape[-1]))
    return [states * (1 + EPSILON * many * sign) for many, sign in enumerate(signs, 1)]


def _raise(levels: dict[str, Array], name: str, change: Array) -> None:
    levels[name] = np.maximum(levels[name], np.nan_to_num(np.abs(change), nan=np.inf))
