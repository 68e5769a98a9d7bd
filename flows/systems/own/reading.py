"""What is observed at exact states: loss, rates and potentials in balls, rounded at the end."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import sympy as sp
from flint import arb

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.limit import Balls
from flows.systems.own.exact import AGREE, RELATIVE, value_of
from flows.systems.own.features import TRUSTED, feature_names
from flows.systems.own.loss import Loss, numeric

__all__ = ["Doubt", "observe_exact"]

# Below this curvature, times `t`, a direction keeps old errors.
TANGENT = 0.2
# Bits of products of what is known.
RATES = 400
# So many states at the distance of the error show what is not linear in it.
MOVED = 4


class Doubt(NamedTuple):
    """Errors of exact states along the axes of the Hessian.

    Parameters
    ----------
    axes : ndarray, shape (N, N)
        Columns.
    curvature, fresh, far : ndarray, shape (N,)
        Eigenvalues, the error of steps along each axis, and with it what flat directions have
        kept: that moves the limit, along which the loss does not change.
    """

    axes: Array
    curvature: Array
    fresh: Array
    far: Array


def observe_exact(
    loss: Loss,
    exact: Balls,
    potentials: Mapping[str, sp.Expr],
    states: Sequence[Sequence[Any]],
    energy: Array,
    rule: Any = None,
) -> Array:
    """Loss, rates, potentials of exact states, in the order of :func:`feature_names`.

    Parameters
    ----------
    loss, exact : Loss, Balls
        The loss in doubles and in balls.
    potentials : mapping
        Expressions in the entries by name.
    states : sequence of T lists of arb
        Exact entries.
    energy : ndarray, shape (T, 3)
        See :class:`flows.systems.own.features.SoundState`.
    rule : Rule, optional
        That of its expectation.

    Returns
    -------
    ndarray, shape (T, K)
        As of :func:`flows.systems.own.features.observe`: NaN where the error is a tenth or more.
    """
    names = feature_names(tuple(potentials), loss.averaged)
    compiled = {name: numeric(p, loss.y, (), "ball") for name, p in potentials.items()}
    seen = np.full((len(states), len(names)), np.nan)
    for row, state, (since, doubt, kept) in zip(seen, states, energy.tolist(), strict=True):
        columns = _observed(loss, exact, compiled, state, since, doubt, kept, rule)
        row[:] = [columns.get(name, np.nan) for name in names]
    return seen


def _observed(
    loss: Loss,
    exact: Balls,
    potentials: Mapping[str, Any],
    state: Sequence[Any],
    since: float,
    doubt: float,
    kept: float,
    rule: Any,
) -> dict[str, float]:
    """Return the features of one state by name."""
    both = value_of(lambda: exact.both(state), lambda found: _sharp(found[:1]) and _steep(found))
    if both is None:  # the loss may be zero to all digits, and the gradient not
        both = value_of(lambda: exact.both(state), _steep)
    if both is None:
        both = value_of(lambda: exact.both(state), lambda found: _sharp(found[:1]))
    if both is None:
        return {}
    slope = np.array([float(x) for x in both[1:]])
    off = errors(loss, state, slope, since, doubt, kept, rule)
    with precision(RATES):  # products of what is small
        square = sum((x * x for x in both[1:]), arb(0))
        columns = {
            "loss": float(both[0]),
            "loss_dot": -float(square),
            "gradient_norm": float(square.sqrt()),
        }
    levels = {
        "loss": float(both[0].rad())
        + float(np.abs(slope @ off.axes) @ off.fresh + np.abs(off.curvature) @ off.fresh**2 / 2),
        "gradient_norm": float(np.linalg.norm([float(x.rad()) for x in both[1:]]))
        + float(np.linalg.norm(off.curvature * off.fresh)),
    }
    near = _neighbours(state, off) if potentials else []
    for name, compiled in potentials.items():
        value = value_of(functools.partial(compiled.both, *state), lambda v: _sharp(v[:1]))
        if value is None:
            columns[name] = columns[f"{name}_dot"] = float("nan")
            levels[name] = np.inf
            continue
        columns[name] = float(value[0])
        with precision(RATES):
            rate = sum((a * b for a, b in zip(value[1:], both[1:], strict=True)), arb(0))
            columns[f"{name}_dot"] = -float(rate)
        own = np.array([float(x) for x in value[1:]])
        change = max(
            (abs(float(compiled.value(*place)[0] - value[0])) for place in near),
            default=0.0,
        )
        levels[name] = float(value[0].rad()) + max(float(np.abs(own @ off.axes) @ off.far), change)
    known, rounding = {}, 0.0
    for name, level in levels.items():
        size = abs(columns[name])
        known[name] = bool(level <= TRUSTED * size)
        if known[name] and size > 0:
            rounding = max(rounding, level / size)
        if not known[name]:
            columns[name] = float("nan")
    for name in ("loss", *potentials):
        if not known["gradient_norm"]:
            columns[f"{name}_dot"] = float("nan")
    columns["rounding"] = rounding
    size = abs(float(both[0]))
    columns["expectation_error"] = AGREE * max(1.0, 1 / size) if size > 0 else 0.0
    return columns


def errors(
    loss: Loss,
    state: Sequence[Any],
    slope: Array,
    since: float,
    doubt: float,
    kept: float,
    rule: Any,
) -> Doubt:
    """Errors of an exact state: of steps, which stiff directions damp, and of flat directions."""
    size = len(state)
    if doubt == 0:
        return Doubt(np.eye(size), *np.zeros((3, size)))
    place = np.array([float(x) for x in state])
    matrix = loss.hessian(place, rule)
    if not np.isfinite(matrix).all():
        return Doubt(np.eye(size), *np.full((3, size), np.inf))
    h, axes = scipy.linalg.eigh(matrix, driver="evr", check_finite=False)
    floored = np.maximum(np.abs(h), 1 / since)
    turned = slope @ axes
    left = turned**2 / floored
    unit = np.sqrt(left.sum() / floored)
    # Steps damp the error of a stiff direction, but for the one that holds the energy.
    share = np.sqrt(left / left.sum()) if left.sum() > 0 else np.ones(size)
    far = doubt * unit * np.maximum(share, 1 / np.sqrt(1 + since * np.abs(h)))
    return Doubt(axes, h, far, np.where(since * h < TANGENT, far + kept, far))


def _neighbours(state: Sequence[Any], off: Doubt) -> list[list[Any]]:
    """Exact states at the distance of the error."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(MOVED, len(state)))
    moves = (signs * off.far) @ off.axes.T
    with precision(RATES):
        return [[x + arb(d) for x, d in zip(state, move, strict=True)] for move in moves.tolist()]


def _sharp(found: Sequence[Any]) -> bool:
    """Whether every ball is known to a small part of it, or exactly."""
    return all(x.is_exact() or float(x.rad()) <= RELATIVE * abs(float(x)) for x in found)


def _steep(found: Sequence[Any]) -> bool:
    """Whether the length of the gradient is known to a small part of it, or exactly."""
    slope, error = ([float(f(x)) for x in found[1:]] for f in (arb.mid, arb.rad))
    return float(np.linalg.norm(error)) <= RELATIVE * float(np.linalg.norm(slope))
