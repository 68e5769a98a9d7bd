"""What is observed at states in doubles, and how many digits of it they know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from flows.core.arrays import EPSILON, Array
from flows.core.symmetric import eigen
from flows.systems.own.loss import Estimate, Loss, estimate
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.numeric import numeric
from flows.systems.own.sound_state import PER_STEP, STEEP, TRUSTED, feature_names

__all__ = ["observe"]

# Number of ways in which the last bits are moved, each a bit farther: sums of large terms are
# multiples of their last bit, and may not change in one.
PATTERNS = 8
# Terms that cancel are computed with this many digits.
DIGITS = 40
# The rule of a state serves where entries have moved by this part of the largest one.
NEAR = 0.02
# To a minimum of degree `p` it is `p - 1` times as far as curvature tells.
BEYOND = 8.0
# A power of two, so that lengths in this unit have the same bits.
SCALE = 2.0**600


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
    speed = _lengths(slope)
    columns = {
        "loss": value,
        "loss_dot": -(np.where(speed < STEEP, speed, np.nan) ** 2),
        "gradient_norm": speed,
    }
    for name, expression in potentials.items():
        found = _both(expression, loss.y, flat)
        columns[name] = found[:, 0]
        columns[f"{name}_dot"] = -np.sum(found[:, 1:] * slope, axis=-1)

    noise = {**{name: np.zeros(len(flat)) for name in potentials}, **levels}
    for moved in _neighbours(flat):
        if not loss.averaged:
            other, slant = loss.at(moved)
            _raise(noise, "loss", other - value)
            _raise(noise, "gradient_norm", _lengths(slant) - speed)
        for name, expression in potentials.items():
            _raise(noise, name, _both(expression, loss.y, moved)[:, 0] - columns[name])
    if not loss.averaged:
        _look_closely(noise, columns, loss, potentials, flat)
    if error is not None and time is not None and error.any():
        rules = [found.rule for found in averages]
        errors, times = error.reshape(flat.shape), time.reshape(flat.shape)
        level = noise["gradient_norm"]
        stalled = np.where(level > TRUSTED * speed, level, 0.0)
        doubt = _damped(loss, flat, slope, errors, times, rules, stalled)
        noise["loss"] = noise["loss"] + doubt.loss
        noise["gradient_norm"] = noise["gradient_norm"] + doubt.slope
        for moved in doubt.moved:
            for name, expression in potentials.items():
                _raise(noise, name, _both(expression, loss.y, moved)[:, 0] - columns[name])
    if late is not None and late.any():
        ahead = late.reshape(-1, 1) * slope
        _raise_by_delay(noise, columns, loss, potentials, flat, ahead, averages, tolerance)

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


def _lengths(vectors: Array) -> Array:
    """Lengths of vectors, shape (...), also where squares are beyond doubles."""
    steep = np.abs(vectors).max(axis=-1, keepdims=True, initial=0.0) > STEEP
    unit = np.where(steep, SCALE, 1.0)
    found: Array = np.linalg.norm(vectors / unit, axis=-1) * unit[..., 0]
    return found


def _raise_by_delay(
    noise: dict[str, Array],
    columns: Mapping[str, Array],
    loss: Loss | MatrixLoss,
    potentials: Mapping[str, sp.Expr | MatrixLoss],
    states: Array,
    ahead: Array,
    averages: Sequence[Estimate],
    tolerance: float,
) -> None:
    """Raise the noise by the changes that the flow makes when it goes on, or back, by `ahead`.

    An average is taken by the rule of the state, so that no error of another rule counts as change.
    """
    for moved in (states - ahead, states + ahead):
        given = states, moved, averages, tolerance
        value, slope = _by_rules(loss, *given) if averages else loss.at(moved)
        _raise(noise, "loss", value - columns["loss"])
        _raise(noise, "gradient_norm", _lengths(slope) - columns["gradient_norm"])
        for name, expression in potentials.items():
            _raise(noise, name, _both(expression, loss.y, moved)[:, 0] - columns[name])


def _by_rules(
    loss: Any, states: Array, moved: Array, averages: Sequence[Estimate], tolerance: float
) -> tuple[Array, Array]:
    """Losses and gradients of moved states, by rules of their own where a shared rule may fail."""
    found = np.empty((len(moved), 1 + moved.shape[1]))
    near = np.abs(moved - states).max(axis=-1) <= NEAR * np.abs(states).max(axis=-1)
    for k, (state, known) in enumerate(zip(moved, averages, strict=True)):
        own = estimate(loss, state, tolerance, careful=False) if not near[k] else known
        found[k] = loss.summed(state, own.rule)[0]
    return found[:, 0], found[:, 1:]


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
    stalled: Array,
) -> _Doubt:
    """Damp what steps in log-time leave by `1 + t h` along a direction of curvature `h`.

    A solver's error is renewed in each step, and the flow contracts it at the rate `h`; where the
    loss curves downward it grows. So a state near a valley is known far better across the valley
    than along it. Nothing has damped what the last step left, and what is shorter than its
    tolerance no step damps at all: that counts too, but in the loss, to first order.

    Where rounding hides the gradient, a state stops before the flow would: `stalled` is that error
    of the gradient, else 0. The curvature bounds the distance that is left.
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
        if not (np.isfinite(matrix).all() and np.isfinite(stalled[k])):
            losses[k] = slopes[k] = np.inf
            moved[:, k] = np.nan
            continue
        h, axes = eigen(matrix)
        passed = 1 + np.outer(np.abs(h), time[k])
        damped = np.where(h[:, None] >= 0, 1 / passed, passed)
        far = (np.abs(axes.T) * damped) @ error[k]
        losses[k] = np.abs(slope[k] @ axes) @ far
        far = (np.abs(axes.T) * np.maximum(damped, 1 / PER_STEP)) @ error[k]
        losses[k] += np.abs(h) @ far**2 / 2
        slopes[k] = np.linalg.norm(h * far)
        falls = h * time[k].max() > 1
        far = far + np.where(falls, BEYOND * stalled[k] / np.where(falls, h, 1.0), 0.0)
        moved[:, k] += (signs * far) @ axes.T
    return _Doubt(losses, slopes, list(moved))


def _undamped(loss: MatrixLoss, states: Array, slope: Array, moved: list[Array]) -> _Doubt:
    """Changes at the distance of errors that nothing has damped: the axes of many entries cost."""
    value, speed = loss.at(states)[0], _lengths(slope)
    found = [loss.at(state) for state in moved]
    losses = np.max([np.abs(other - value) for other, _ in found], axis=0)
    slopes = np.max([np.abs(_lengths(g) - speed) for _, g in found], axis=0)
    return _Doubt(losses, slopes, moved)


def _neighbours(states: Array) -> list[Array]:
    """States whose entries differ in their last bits."""
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], size=(PATTERNS, states.shape[-1]))
    return [states * (1 + EPSILON * many * sign) for many, sign in enumerate(signs, 1)]


def _raise(levels: dict[str, Array], name: str, change: Array) -> None:
    levels[name] = np.maximum(levels[name], np.nan_to_num(np.abs(change), nan=np.inf))
