"""Compiled steps of Rodas5P, for many problems side by side.

The innermost loop of everything runs over lanes, one problem each, so that the processor works on
several at a time. Every lane has its own time and step, and what happens in one does not change a
bit in another. Formula and coefficients: :mod:`flows.solvers.rodas_tableau`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import FROZEN
from flows.solvers.rodas_tableau import GAMMA, NODES, STAGES, A, C, D, H, M

# The step may change by these factors, and aims at this fraction of the one that just serves.
SHRINK, GROW, SAFETY = 0.2, 6.0, 0.9
# Below this fraction of the time a step is rounding.
SMALLEST = 1e-14
# Step of the difference quotient by time, which enters a step in second order only.
NUDGE = 1e-7


class Lane(NamedTuple):
    """Where the pieces stand, one a lane: the last axis of every array is that of the lanes.

    ``live``: whether a lane has a step to take; ``tau``, ``y`` (N, lanes), ``end``, ``step``:
    solver time, state, where the piece ends, and the length of the next step, 0 before the first
    one; ``rtol``, ``atol`` (N, lanes): tolerances of a step; ``attempts`` since the piece began.
    """

    live: Any
    tau: Any
    y: Any
    end: Any
    step: Any
    rtol: Any
    atol: Any
    attempts: Any


class Parameters(NamedTuple):
    """What the fields of the lanes depend on besides time and state.

    ``exponential`` and ``shape`` are those of all lanes; ``offset`` (lanes,), ``decay`` (N, lanes)
    and ``weights`` (M, lanes) are of each, as in :class:`flows.core.chart.Chart`.
    """

    exponential: Any
    offset: Any
    decay: Any
    weights: Any
    shape: Any


class Steps(NamedTuple):
    """Accepted steps: the first ``done`` (lanes,) rows of a lane.

    ``tau`` (B, lanes) and ``y`` (B, N, lanes) at the end of each, ``k`` (B, 3, N, lanes) its dense
    output.
    """

    tau: Any
    y: Any
    k: Any
    done: Any


class _Room(NamedTuple):
    """Room for one evaluation of the fields."""

    x: Any
    scale: Any
    clock: Any
    work: Any


Advance = Callable[[Lane, Parameters, Steps, Array], None]


@functools.cache
def steps_of(
    field: Callable[..., None], make_lanes: Callable[[int], Callable[..., None]], lanes: int
) -> Advance:
    """Steps of one kind of chart, compiled once a version if its field is (:func:`make_steps`)."""
    from flows.core.compiled import kept  # Numba loads where it is first needed

    make = functools.partial(make_steps, field, make_lanes, lanes)
    return cast("Advance", kept((lanes, "steps of", field, make_lanes), signature(), make))


def signature() -> Any:
    """Types of the arguments of ``advance``."""
    import numba

    real, whole, truth = numba.float64, numba.int64, numba.boolean
    named = numba.types.NamedTuple
    vector, matrix = real[::1], real[:, ::1]
    lane = (truth[::1], vector, matrix, vector, vector, vector, matrix, whole[::1])
    parameters = (truth, vector, matrix, matrix, whole[::1])
    steps = (matrix, real[:, :, ::1], real[:, :, :, ::1], whole[::1])
    return numba.void(named(lane, Lane), named(parameters, Parameters), named(steps, Steps), matrix)


def make_steps(
    field: Callable[..., None], make_lanes: Callable[[int], Callable[..., None]], lanes: int
) -> Advance:
    """Compile the steps of one kind of chart.

    Parameters
    ----------
    field : Numba function
        A wrapped field (:func:`flows.core.chart.wrap`), for its Jacobian.
    make_lanes : callable
        Compiles the raw field for a number of lanes (:class:`flows.core.chart.Lanes`).
    lanes : int
        Number of problems side by side.

    Returns
    -------
    Numba function
        ``advance(lane, parameters, steps, work)`` attempts as many steps as ``steps`` has rows,
        leaves there those that were accepted, and in ``lane`` where the pieces stand after them;
        one at its end, or whose step became zero, is not ``live``. ``work`` is room for the raw
        field.
    """
    import numba

    stages, gamma = STAGES, GAMMA
    nodes, a, c, d, m, dense = NODES, A, C, D, M, H
    shrink, grow, safety, smallest, nudge = SHRINK, GROW, SAFETY, SMALLEST, NUDGE
    # No fused multiply-add: the compiler might fuse in one lane and not in another.
    # Numba's rewrites would find nothing here, and take their time.
    compiled: Any = functools.partial(numba.njit, error_model="numpy", no_rewrites=True)
    # Called by compiled code only, and they make no array: no wrappers, nothing to be counted.
    inner: Any = functools.partial(
        compiled, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )
    raw = make_lanes(lanes)

    @inner
    def few(decay):  # type: ignore[no-untyped-def]
        """Whether a power is a product of at most two."""
        return decay == 0.0 or decay == 1.0 or decay == 2.0

    @inner
    def product(base, decay):  # type: ignore[no-untyped-def]
        return (base if decay > 0.0 else 1.0) * (base if decay > 1.0 else 1.0)

    @inner
    def evaluate(tau, y, parameters, out, room):  # type: ignore[no-untyped-def]
        """Field at the lanes' times and states."""
        exponential, offset, decay, weights, shape = parameters
        x, scale, clock, work = room
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
                    else:
                        held = min(decay[i, e] * since[e], FROZEN)
                        scale[i, e] = math.exp(held) if exponential else base[e] ** decay[i, e]
                        x[i, e] = y[i, e] / scale[i, e]
        raw(x, weights, shape, out, work)
        for i in range(size):
            for e in range(lanes):
                moved = speed[e] * (decay[i, e] * inverse[e] * y[i, e] + out[i, e] * scale[i, e])
                frozen = exponential and decay[i, e] * since[e] >= FROZEN
                out[i, e] = 0.0 if frozen else moved

    @inner
    def factor(matrix, pivots, ratio):  # type: ignore[no-untyped-def]
        size = matrix.shape[0]
        for k in range(size):
            for e in range(lanes):
                p = k
                for i in range(k + 1, size):
                    if abs(matrix[i, k, e]) > abs(matrix[p, k, e]):
                        p = i
                pivots[k, e] = p
                if p != k:
                    for j in range(size):
                        matrix[k, j, e], matrix[p, j, e] = matrix[p, j, e], matrix[k, j, e]
            for i in range(k + 1, size):
                for e in range(lanes):
                    ratio[e] = matrix[i, k, e] / matrix[k, k, e]
                    matrix[i, k, e] = ratio[e]
                for j in range(k + 1, size):
                    for e in range(lanes):
                        matrix[i, j, e] -= ratio[e] * matrix[k, j, e]

    @inner
    def substitute(matrix, pivots, x):  # type: ignore[no-untyped-def]
        size = matrix.shape[0]
        for k in range(size):
            for e in range(lanes):
                p = pivots[k, e]
                if p != k:
                    x[k, e], x[p, e] = x[p, e], x[k, e]
        for i in range(size):
            for j in range(i):
                for e in range(lanes):
                    x[i, e] -= matrix[i, j, e] * x[j, e]
        for i in range(size - 1, -1, -1):
            for j in range(i + 1, size):
                for e in range(lanes):
                    x[i, e] -= matrix[i, j, e] * x[j, e]
            for e in range(lanes):
                x[i, e] /= matrix[i, i, e]

    @compiled
    def linearise(lane, parameters, fresh, jacobian):  # type: ignore[no-untyped-def]
        """Jacobians of the lanes that have moved."""
        exponential, offset, decay, weights, shape = parameters
        size, count = lane.y.shape[0], weights.shape[0]
        one_y, one_decay, one_slope = np.empty(size), np.empty(size), np.empty(size)
        one_weight, one_jacobian = np.empty(count), np.empty((size, size))
        for e in range(lanes):
            if not (fresh[e] and lane.live[e]):
                continue
            for i in range(size):
                one_y[i], one_decay[i] = lane.y[i, e], decay[i, e]
            for i in range(count):
                one_weight[i] = weights[i, e]
            one_jacobian[:, :] = 0.0
            field(
                lane.tau[e],
                one_y,
                exponential,
                offset[e],
                one_decay,
                one_weight,
                shape,
                one_slope,
                one_jacobian,
                True,
            )
            for i in range(size):
                for j in range(size):
                    jacobian[i, j, e] = one_jacobian[i, j]

    @inner
    def set_step(lane, slope, step, last):  # type: ignore[no-untyped-def]
        """Length of this attempt, and whether it is the last one of the piece."""
        tau, y, end, h = lane.tau, lane.y, lane.end, lane.step
        for e in range(lanes):
            if lane.live[e] and h[e] == 0.0:
                # A hundredth of the time in which the state changes by its own size.
                length, speed = 0.0, 0.0
                for i in range(y.shape[0]):
                    weight = lane.atol[i, e] + lane.rtol[e] * abs(y[i, e])
                    length += (y[i, e] / weight) ** 2
                    speed += (slope[i, e] / weight) ** 2
                moves = 0.0 < length < speed
                h[e] = 1e-2 * math.sqrt(length / speed) if moves else 1e-2
            last[e] = tau[e] + h[e] >= end[e]
            # A lane without a problem stays where it is.
            step[e] = 0.0 if not lane.live[e] else end[e] - tau[e] if last[e] else h[e]

    @inner
    def conclude(lane, steps, u, y1, step, last, error, fresh):  # type: ignore[no-untyped-def]
        """Accept or refuse the attempts, and choose the lengths of the next ones."""
        tau, y, h, size = lane.tau, lane.y, lane.step, lane.y.shape[0]
        for e in range(lanes):
            if not lane.live[e]:
                continue
            lane.attempts[e] += 1
            wrong = math.sqrt(error[e] / size)
            # A NaN is refused like an error that is too large.
            fresh[e] = wrong <= 1.0
            change = grow if wrong == 0.0 else safety * wrong**-0.2
            change = min(grow, max(shrink, change)) if wrong < np.inf else shrink
            if fresh[e]:
                tau[e] = lane.end[e] if last[e] else tau[e] + step[e]
                k = steps.done[e]
                steps.tau[k, e] = tau[e]
                for i in range(size):
                    y[i, e] = steps.y[k, i, e] = y1[i, e]
                    for q in range(3):
                        total = 0.0
                        for r in range(stages):
                            total += dense[q, r] * u[r, i, e]
                        steps.k[k, q, i, e] = total
                steps.done[e] += 1
            h[e] = step[e] * change
            zero = h[e] < smallest * max(1e-3, abs(tau[e]))
            lane.live[e] = not (zero or (fresh[e] and last[e]))

    def advance(lane, parameters, steps, work):  # type: ignore[no-untyped-def]
        live, tau, y, rtol, atol = lane.live, lane.tau, lane.y, lane.rtol, lane.atol
        size = y.shape[0]
        jacobian, matrix = np.zeros((size, size, lanes)), np.empty((size, size, lanes))
        pivots, u = np.empty((size, lanes), np.int64), np.empty((stages, size, lanes))
        slope, ahead, f = np.empty_like(y), np.empty_like(y), np.empty_like(y)
        inside = np.empty_like(y)
        room = _Room(np.empty_like(y), np.empty_like(y), np.empty((4, lanes)), work)
        step, at, error, ratio = np.empty(lanes), np.empty(lanes), np.empty(lanes), np.empty(lanes)
        fresh, last = live.copy(), np.zeros(lanes, np.bool_)
        for _ in range(steps.tau.shape[0]):
            if not live.any():
                break
            linearise(lane, parameters, fresh, jacobian)
            # Fields at the start, a little later, and at stages 1, 2, ...: one call, compiled once.
            for call in range(stages + 1):
                s = max(0, call - 1)
                for e in range(lanes):
                    nudged = nudge * max(1.0, abs(tau[e])) if call == 1 else 0.0
                    at[e] = tau[e] + (nudged if call < 2 else nodes[s] * step[e])
                for i in range(size):
                    for e in range(lanes):
                        inside[i, e] = y[i, e]
                    for r in range(s):
                        for e in range(lanes):
                            inside[i, e] += a[s, r] * u[r, i, e]
                evaluate(at, inside, parameters, f, room)
                if call == 0:
                    slope[:] = f
                    continue
                if call == 1:
                    for i in range(size):
                        for e in range(lanes):
                            ahead[i, e] = (f[i, e] - slope[i, e]) / (at[e] - tau[e])
                    f[:] = slope
                    set_step(lane, slope, step, last)
                    for i in range(size):
                        for j in range(size):
                            for e in range(lanes):
                                matrix[i, j, e] = -step[e] * jacobian[i, j, e]
                        for e in range(lanes):
                            matrix[i, i, e] += 1.0 / gamma
                    factor(matrix, pivots, ratio)
                for i in range(size):
                    for e in range(lanes):
                        u[s, i, e] = step[e] * (f[i, e] + d[s] * step[e] * ahead[i, e])
                    for r in range(s):
                        for e in range(lanes):
                            u[s, i, e] += c[s, r] * u[r, i, e]
                substitute(matrix, pivots, u[s])
            for e in range(lanes):
                error[e] = 0.0
            for i in range(size):
                for e in range(lanes):
                    inside[i, e] = y[i, e]
                for r in range(stages):
                    for e in range(lanes):
                        inside[i, e] += m[r] * u[r, i, e]
                for e in range(lanes):
                    weight = atol[i, e] + rtol[e] * max(abs(y[i, e]), abs(inside[i, e]))
                    error[e] += (u[stages - 1, i, e] / weight) ** 2
            conclude(lane, steps, u, inside, step, last, error, fresh)

    made: Advance = compiled(advance, nogil=True)  # ensembles step in threads
    return made
