"""Problems side by side: the state of each, and the field of all of them for compiled steps.

The innermost loop of everything runs over lanes, one problem each, so that the processor works on
several at a time. Every lane has its own time and step, and what happens in one does not change a
bit in another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import FROZEN

# The step may change by these factors, and aims at this fraction of the one that just serves.
SHRINK, GROW, SAFETY = 0.2, 6.0, 0.9
# The first step is this part of what an error of one step by its order would be, in units of the
# time in which the state changes by its own size; and it is at least and at most such a part of it.
FIRST_STEP, FIRST_STEPS = 0.5, (1e-2, 1e-1)
# The error of the step before counts as at least this part of the tolerance.
LEAST_ERROR = 1e-2
# Below this fraction of the time a step is rounding.
SMALLEST = 1e-14


class Lane(NamedTuple):
    """States of the pieces, one a lane: the last axis of every array is that of the lanes.

    ``live``: whether a lane has a step to take; ``tau``, ``y`` (N, lanes), ``end``, ``step``:
    solver time, state, where the piece ends, and the length of the next step, 0 before the first
    one; ``rtol``, ``atol`` (N, lanes): tolerances of a step; ``attempts`` since the piece began;
    ``stiff``: how many of the last steps were as long as stability allows, see
    :mod:`flows.solvers.gentle`; ``past`` (2, lanes): length and error of the last accepted
    step, 0 before the first one.
    """

    live: Any
    tau: Any
    y: Any
    end: Any
    step: Any
    rtol: Any
    atol: Any
    attempts: Any
    stiff: Any
    past: Any


class Parameters(NamedTuple):
    """What the fields of the lanes depend on besides time and state.

    ``exponential`` and ``shape`` are those of all lanes; ``offset`` (lanes,), ``decay`` (N, lanes)
    and ``weights`` (M, lanes) are of each, as in :class:`flows.core.chart.Chart`; the weights of a
    lane without a problem are zero.
    """

    exponential: Any
    offset: Any
    decay: Any
    weights: Any
    shape: Any


class Steps(NamedTuple):
    """Accepted steps: the first ``done`` (lanes,) rows of a lane.

    ``tau`` (B, lanes) and ``y`` (B, N, lanes) at the end of each, ``k`` (B, K, N, lanes) its dense
    output.
    """

    tau: Any
    y: Any
    k: Any
    done: Any


class Room(NamedTuple):
    """Room for one evaluation of the fields."""

    x: Any
    scale: Any
    clock: Any
    work: Any


#: Attempts steps of all lanes, from their states; work space for the raw field comes last.
Advance = Callable[[Lane, Parameters, Steps, Array], None]


def signature() -> Any:
    """Types of the arguments of ``advance``."""
    from flows.arithmetic.signatures import signature_of  # Numba loads where it is first needed

    vectors = {"live": "truth 1", "attempts": "whole 1", "stiff": "whole 1"}
    matrices = dict.fromkeys(("y", "atol", "past"), "real 2")
    lane = [{**vectors, **matrices}.get(name, "real 1") for name in Lane._fields]
    parameters = "truth", "real 1", "real 2", "real 2", "whole 1"
    steps = "real 2", "real 3", "real 4", "whole 1"
    return signature_of((Lane, *lane), (Parameters, *parameters), (Steps, *steps), "real 2")


def step_setter(lanes: int, order: int = 0) -> Callable[..., None]:
    """Compile ``set_step(lane, slope, step, last)``: lengths of attempts from their slopes.

    ``order`` is that of the error which a step is judged by; without it the first step is short.
    """
    from flows.arithmetic.kept import lean  # Numba loads where it is first needed

    first, (least, most) = FIRST_STEP if order else 0.0, FIRST_STEPS
    power = 1.0 / max(1, order)

    @lean
    def set_step(lane, slope, step, last):  # type: ignore[no-untyped-def]
        """Length of this attempt, and whether it is the last one of the piece."""
        tau, y, end, h = lane.tau, lane.y, lane.end, lane.step
        for e in range(lanes):
            if lane.live[e] and h[e] == 0.0:
                # A part of the time in which the state changes by its own size.
                length, speed = 0.0, 0.0
                for i in range(y.shape[0]):
                    weight = lane.atol[i, e] + lane.rtol[e] * abs(y[i, e])
                    length += (y[i, e] / weight) ** 2
                    speed += (slope[i, e] / weight) ** 2
                moves, part = 0.0 < length < speed, first * lane.rtol[e] ** power
                part = min(most, max(least, part))
                h[e] = part * math.sqrt(length / speed) if moves else part
            last[e] = tau[e] + h[e] >= end[e]
            # A lane without a problem stays where it is.
            step[e] = 0.0 if not lane.live[e] else end[e] - tau[e] if last[e] else h[e]

    made: Callable[..., None] = set_step
    return made


def planner(order: int) -> Callable[..., Any]:
    """Compile ``plan(wrong, good, step, ago, erred)``: factor of the length of the next attempt.

    Where errors have grown from one step to the next, they are taken to go on growing like that:
    a flow that becomes faster by its clock would have every other step refused. Source: Hairer &
    Wanner, Solving Ordinary Differential Equations II, section IV.8, (8.25).

    Parameters
    ----------
    order : int
        That of the error which a step is judged by.
    """
    from flows.arithmetic.kept import lean  # Numba loads where it is first needed

    shrink, grow, safety, least, power = SHRINK, GROW, SAFETY, LEAST_ERROR, 1.0 / order

    @lean
    def plan(wrong, good, step, ago, erred):  # type: ignore[no-untyped-def]
        # ``ago`` and ``erred``: length and error of the last accepted step, 0 where there is none.
        if not wrong < np.inf:
            return shrink
        if wrong == 0.0:
            return grow
        change = safety * wrong**-power
        if good and ago > 0.0:
            change = min(change, change * step / ago * (erred / max(least, wrong)) ** power)
        return min(grow, max(shrink, change))

    made: Callable[..., Any] = plan
    return made


def evaluator(raw: Callable[..., None], lanes: int) -> Callable[..., None]:
    """Compile ``evaluate(tau, y, parameters, out, room)``, the field at times and states of lanes.

    Parameters
    ----------
    raw : Numba function
        The raw field in lanes (:class:`flows.core.chart.Lanes`).
    lanes : int
        Number of problems side by side.
    """
    from flows.arithmetic.kept import lean  # Numba loads where it is first needed

    unscale = unscaler(lanes)

    @lean
    def evaluate(tau, y, parameters, out, room):  # type: ignore[no-untyped-def]
        exponential, _, decay, weights, shape = parameters
        unscale(tau, y, parameters, room)
        x, scale, clock, work = room
        since, inverse, speed = clock[0], clock[2], clock[3]
        raw(x, weights, shape, out, work)
        for i in range(y.shape[0]):
            for e in range(lanes):
                moved = speed[e] * (decay[i, e] * inverse[e] * y[i, e] + out[i, e] * scale[i, e])
                frozen = exponential and decay[i, e] * since[e] >= FROZEN
                out[i, e] = 0.0 if frozen else moved

    made: Callable[..., None] = evaluate
    return made


def looker(look: Callable[[], Callable[..., Any]] | None, lanes: int) -> Callable[..., Any]:
    """Compile ``asks(lane, parameters, room)``: whether the watch is to look at once.

    Parameters
    ----------
    look : callable, optional
        Compiles what asks for it (:class:`flows.core.chart.Lanes`); only of one lane alone, since
        others would wait.
    lanes : int
        Number of problems side by side.
    """
    from flows.arithmetic.kept import lean  # Numba loads where it is first needed

    if look is None or lanes > 1:
        return cast("Callable[..., Any]", lean(lambda lane, parameters, room: False))
    wanted, unscale = look(), unscaler(lanes)

    @lean
    def asks(lane, parameters, room):  # type: ignore[no-untyped-def]
        unscale(lane.tau, lane.y, parameters, room)
        return wanted(room.x, parameters.weights, parameters.shape, room.work)

    made: Callable[..., Any] = asks
    return made


def unscaler(lanes: int) -> Callable[..., None]:
    """Compile ``unscale(tau, y, parameters, room)``: raw states, scales, clocks into the room."""
    from flows.arithmetic.kept import lean  # Numba loads where it is first needed

    @lean
    def few(decay):  # type: ignore[no-untyped-def]
        """Whether a power is a product of at most two."""
        return decay == 0.0 or decay == 1.0 or decay == 2.0

    @lean
    def product(base, decay):  # type: ignore[no-untyped-def]
        return (base if decay > 0.0 else 1.0) * (base if decay > 1.0 else 1.0)

    @lean
    def unscale(tau, y, parameters, room):  # type: ignore[no-untyped-def]
        exponential, offset, decay, _, _ = parameters
        x, scale, clock, _ = room
        size = y.shape[0]
        since, base, inverse, speed = clock[0], clock[1], clock[2], clock[3]
        for e in range(lanes):
            since[e] = tau[e] if exponential else math.expm1(tau[e])
            base[e] = 1.0 if exponential else offset[e] + since[e]
            inverse[e] = 1.0 / base[e]
            speed[e] = 1.0 if exponential else 1.0 + since[e]
        for i in range(size):
            plain = not exponential
            for e in range(lanes):
                plain = plain and few(decay[i, e])
            if plain:  # neither powers, which are not vectorised, nor quotients, which are slow
                for e in range(lanes):
                    x[i, e] = product(inverse[e], decay[i, e]) * y[i, e]
                    scale[i, e] = product(base[e], decay[i, e])
            else:
                for e in range(lanes):
                    if not exponential and few(decay[i, e]):  # as if the others were so, too
                        x[i, e] = product(inverse[e], decay[i, e]) * y[i, e]
                        scale[i, e] = product(base[e], decay[i, e])
                    elif i > 0 and decay[i, e] == decay[i - 1, e]:  # a power takes long
                        scale[i, e] = scale[i - 1, e]
                        x[i, e] = y[i, e] / scale[i, e]
                    else:
                        held = min(decay[i, e] * since[e], FROZEN)
                        scale[i, e] = math.exp(held) if exponential else base[e] ** decay[i, e]
                        x[i, e] = y[i, e] / scale[i, e]

    made: Callable[..., None] = unscale
    return made
