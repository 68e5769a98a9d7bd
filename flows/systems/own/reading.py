"""What is observed at exact states: loss, rates and potentials in balls, rounded at the end."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.limit import Balls
from flows.core.symmetric import eigen
from flows.systems.own.arrived import beside_floor
from flows.systems.own.carried_errors import Errors
from flows.systems.own.doubt import Doubt
from flows.systems.own.energy_units import FLAT, units
from flows.systems.own.exact import RELATIVE, is_sharp, is_steep, to_double, value_of
from flows.systems.own.graded import Axes, better_axes
from flows.systems.own.growth import shifted
from flows.systems.own.in_plane import strayed
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric
from flows.systems.own.serving import Serving
from flows.systems.own.sharp_axes import sharp_axes
from flows.systems.own.sound_state import PER_STEP, TRUSTED, feature_names
from symbolic.language.lower import Undecided

__all__ = ["ROUGH", "errors_of", "observe_exact", "rough_at"]

# Bits of products of known numbers.
RATES = 400
# Errors that are this part of the energy are looked at with more bits, unless so much is stated
# anyway: so many, and more for each one by which the gradient is small.
ROUGH, MORE_BITS, BITS_A_DIGIT = 1e-6, 200, 3
# A rate that is known to a larger part than this is looked at with more bits.
CANCELLED = 1e-9
# Of more entries their axes take seconds.
MOST_SHARP = 24
# Number of states at the distance of the error that show where the loss is not linear.
MOVED = 4


def rough_at(rtol: float) -> float:
    """Part of the energy beyond which errors of a run are looked at with more bits."""
    return max(ROUGH, PER_STEP * rtol)


def observe_exact(
    loss: Loss,
    exact: Balls,
    potentials: Mapping[str, sp.Expr],
    states: Sequence[Sequence[Any]],
    energy: Array,
    errors: Errors | tuple[Array, Array],
    rule: Any = None,
    finer: Balls | None = None,
    graded: Axes | None = None,
    rtol: float = 0.0,
    serving: Serving | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Loss, rates, potentials of exact states, in the order of :func:`feature_names`.

    Parameters
    ----------
    loss, exact : Loss, Balls
        The loss in doubles and in balls.
    potentials : mapping
        Expressions in the entries by name.
    states : sequence of T lists of arb
        Exact entries.
    energy : ndarray, shape (T, 2)
        See :class:`flows.systems.own.sound_state.SoundState`.
    errors : Errors, or a pair of ndarray, shapes (T, N) and (T,)
        Those of an earlier state, or of each of these along its axes, and how late it may be.
    rule : Rule, optional
        That of its expectation.
    finer : Balls, optional
        The loss by another rule, which shows the error of that one.
    graded : callable, optional
        Axes of the Hessian that are sharper than doubles.
    rtol : float
        Relative tolerance of the steps of its run.
    serving : Serving, optional
        Which tells what a rule in a plane leaves.

    Returns
    -------
    ndarray, shape (T, K)
        As of :mod:`flows.systems.own.observed_doubles`: NaN where the error is a tenth or more.
    ndarray, shapes (T, N), (T,) and (T,)
        Errors along the axes of each state, how early or late it may be, and what both make of its
        loss.
    """
    names = feature_names(tuple(potentials), loss.averaged)
    compiled = {name: numeric(p, loss.y, (), "ball") for name, p in potentials.items()}
    seen = np.full((len(states), len(names)), np.nan)
    far, late = np.zeros((len(states), len(loss.y))), np.zeros(len(states))
    doubt = np.zeros(len(states))
    for k, (state, known) in enumerate(zip(states, energy, strict=True)):
        given = errors if isinstance(errors, Errors) else (errors[0][k], float(errors[1][k]))
        columns, far[k], late[k], doubt[k] = _observed(
            loss, exact, compiled, state, known, given, rule, finer, graded, rtol, serving
        )
        seen[k] = [columns.get(name, np.nan) for name in names]
    return seen, far, late, doubt


def _observed(
    loss: Loss,
    exact: Balls,
    potentials: Mapping[str, Any],
    state: Sequence[Any],
    energy: Array,
    errors: Errors | tuple[Array, float],
    rule: Any,
    finer: Balls | None,
    graded: Axes | None,
    rtol: float,
    serving: Serving | None,
) -> tuple[dict[str, float], Array, float, float]:
    """Return the features of one state by name, its errors, and that of its loss."""
    part = max(RELATIVE, exact.known)
    both = value_of(
        lambda: exact.both(state), lambda found: is_sharp(found[:1], part) and is_steep(found, part)
    )
    if both is None:  # the loss may be zero to all digits, and the gradient not
        both = value_of(lambda: exact.both(state), lambda found: is_steep(found, part))
    if both is None:
        both = value_of(lambda: exact.both(state), lambda found: is_sharp(found[:1], part))
    if both is None:
        return {}, np.full(len(state), np.inf), 0.0, math.inf
    off = errors_of(loss, exact, state, both[1:], energy, errors, rule, graded, rough_at(rtol))
    with precision(RATES):  # products of small numbers
        square = sum((x * x for x in both[1:]), arb(0))
        columns = {
            "loss": to_double(both[0]),
            "loss_dot": -to_double(square),
            "gradient_norm": to_double(square.sqrt()),
        }
    averaging, across = 0.0, 0.0
    if serving is not None and serving.cheap:
        assert finer is not None
        rounded = np.array([float(x) for x in both])
        left = serving.doubt(rounded[0], rounded[1:], functools.partial(finer.both, state))
        averaging, across = float(left[0]), float(np.linalg.norm(left[1:]))
    elif finer is not None:
        averaging = _off(finer, state, both[0])
    of_rule = averaging / size if (size := abs(float(both[0]))) else averaging
    if not np.isfinite(off.far).all():  # nothing is known there
        return {"rounding": 0.0, "expectation_error": of_rule}, off.across, off.late, math.inf
    of_loss = off.of_loss
    off = off._replace(far=beside_floor(exact, state, off, float(energy[0]), PER_STEP * rtol))
    levels = {
        "loss": averaging + float(both[0].rad()) + of_loss,
        "gradient_norm": across + math.hypot(*(float(x.rad()) for x in both[1:])) + off.of_slope,
    }
    near = _neighbours(state, off) if potentials and off.far.any() else []
    for name, compiled in potentials.items():
        value = value_of(functools.partial(compiled.both, *state), lambda v: is_sharp(v[:1]))
        if value is None:
            columns[name] = columns[f"{name}_dot"] = float("nan")
            levels[name] = np.inf
            continue
        columns[name] = to_double(value[0])
        with precision(RATES):
            rate = along(value, both)
        if rule is None and not is_sharp([rate], CANCELLED):
            rate = _of_more_bits(compiled, exact, state)
        columns[f"{name}_dot"] = 0.0 - to_double(rate)  # no zero with a sign
        own = np.array([float(x) for x in value[1:]])
        with precision(RATES):
            changes = (abs(float(compiled.value(*place)[0] - value[0])) for place in near)
            change = max(changes, default=0.0)
        levels[name] = float(value[0].rad()) + max(float(np.abs(own @ off.axes) @ off.far), change)
        if serving is not None and serving.cheap:
            place = np.array([float(x) for x in state])
            levels[name] += strayed(loss, serving.nodes, place, own)
    known, rounding = {}, 0.0
    if potentials and columns["gradient_norm"] > 0:  # their rates take where it points, too
        rounding = off.turned / columns["gradient_norm"]
    for name, level in levels.items():
        size = abs(columns[name])  # NaN is not known
        known[name] = bool(level <= TRUSTED * size)
        if known[name] and size > 0:
            rounding = max(rounding, level / size)
        if not known[name]:
            columns[name] = float("nan")
    for name in ("loss", *potentials):
        if not known["gradient_norm"]:
            columns[f"{name}_dot"] = float("nan")
    columns["rounding"] = rounding
    columns["expectation_error"] = of_rule
    beyond = not math.isfinite(float(both[0]))  # a loss beyond doubles has no bound
    return columns, off.across, off.late, math.inf if beyond else of_loss


def along(value: Sequence[Any], both: Sequence[Any]) -> Any:
    """Rate against the flow of what has this value and gradient: the product of two gradients."""
    return sum((a * b for a, b in zip(value[1:], both[1:], strict=True)), arb(0))


def _of_more_bits(potential: Any, exact: Balls, state: Sequence[Any]) -> Any:
    """Rate whose terms cancel, as that of what the flow keeps; zero where no double is as small."""
    found = value_of(lambda: [along(potential.both(*state), exact.both(state))], is_sharp)
    if found is None:
        return arb("nan")
    return arb(0) if float(abs(found[0]).upper()) == 0.0 else found[0]


def _off(finer: Balls, state: Sequence[Any], value: Any) -> float:
    """How far the loss by one rule is from that by a finer one."""
    found = value_of(lambda: finer.both(state), lambda found: is_sharp(found[:1]))
    if found is None:
        return np.inf
    with precision(RATES):
        off = abs(found[0] - value)
    return float(off.mid()) + float(off.rad())


def errors_of(
    loss: Loss,
    exact: Balls,
    state: Sequence[Any],
    gradient: Sequence[Any],
    energy: Array,
    errors: Errors | tuple[Array, float],
    rule: Any,
    graded: Axes | None = None,
    rough: float = ROUGH,
) -> Doubt:
    """Errors of an exact state, given along its axes or carried there from an earlier one.

    Where they are more than the part ``rough`` of the energy that is left, axes in doubles may be
    the reason: those with more bits are taken then.
    """
    size, slope = len(state), np.array([float(x) for x in gradient])
    since, off = energy[:2].tolist()
    every = np.full(size, True)
    still = not (errors.any if isinstance(errors, Errors) else errors[0].any() or errors[1])
    zero = np.zeros(size)
    if off == 0 and still:
        return Doubt(np.eye(size), zero, zero, slope, every, zero)
    matrix = loss.hessian(np.array([float(x) for x in state]), rule)
    if not (np.isfinite(matrix).all() and np.isfinite(slope).all()):
        unknown = np.full(size, np.inf)
        return Doubt(np.eye(size), unknown, unknown, slope, every, unknown)
    better = better_axes(graded, state, matrix, since)
    if isinstance(errors, Errors):
        h, axes, across, late = errors.carried_with_delay(matrix, since, better, slope)
    else:
        (h, axes), (across, late) = eigen(matrix) if better is None else better, errors
    found = Doubt(
        axes, h, shifted(across, late, h, slope @ axes), slope @ axes, every, across, late
    )
    if off > 0:
        least = off * units(found.slopes, 0 * h, h, since)
        return found._replace(far=np.maximum(found.far, least), across=np.maximum(across, least))
    left = float(found.slopes @ (found.slopes / np.maximum(np.abs(h), 1 / since))) / 2
    return (
        found
        if better is not None or found.of_loss <= rough * left
        else _sharpened(exact, state, gradient, energy, errors, found)
    )


def _sharpened(
    exact: Balls,
    state: Sequence[Any],
    gradient: Sequence[Any],
    energy: Array,
    errors: Errors | tuple[Array, float],
    rough: Doubt,
) -> Doubt:
    """Errors along axes with more bits than the gradient takes, if that is possible."""
    length, since = math.hypot(*(float(x) for x in gradient)), float(energy[0])
    largest = float(np.abs(rough.curvature).max())
    if (
        len(state) > MOST_SHARP
        or not 0 < length < largest < math.inf
        or (isinstance(errors, Errors) and not errors.sharp)
    ):
        return rough
    bits = MORE_BITS + int(BITS_A_DIGIT * math.log2(largest / length))
    try:
        with precision(bits):
            sharp = sharp_axes(exact.hessian(state), rough.axes, bits)
            # Along a flat axis the gradient is far below its own rounding.
            slopes, h = sharp.along(exact.both(state)[1:]), sharp.curvature
            if not np.isfinite(h).all():  # too few bits beside a kink
                return rough
            across, late = rough.across, rough.late
            if isinstance(errors, Errors):
                across, late = errors.carried_sharply(sharp, since, bits, slopes)
    except Undecided:
        return rough
    if not (np.isfinite(across).all() and np.isfinite(slopes).all()):
        return rough
    far = shifted(across, late, h, slopes)
    # Along a flat axis the flow turns with the valley: a straight move would climb its side.
    return Doubt(rough.axes, h, far, slopes, np.abs(h) * since > FLAT, across, late)


def _neighbours(state: Sequence[Any], off: Doubt) -> list[list[Any]]:
    """Exact states at the distance of the error."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(MOVED, len(state)))
    moves = (signs * off.far) @ off.axes.T
    with precision(RATES):
        return [[x + arb(d) for x, d in zip(state, move, strict=True)] for move in moves.tolist()]
