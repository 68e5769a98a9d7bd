"""Rodas5P with compiled steps, for one problem or for many side by side: no Python between them.

A step costs one Jacobian with its field, one factorisation and seven fields. Its error is far below
the tolerance, where that of LSODA is above: compare them at equal error.

Numbers are doubles, or vectors with one lane for each problem, so that the processor works on
several at a time. Every lane has its own time and step, and what happens in one does not change a
bit in another. Formula and coefficients: :mod:`flows.solvers.rodas_tableau`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from flows.core.chart import FROZEN, Chart, Lanes
from flows.core.problem import Problem, Solution
from flows.solvers.many import Kind, solve_together
from flows.solvers.rodas_tableau import DEFECT, FIRST, GAMMA, NODES, STAGES, A, C, D, H, M
from flows.solvers.steps import (
    GROW,
    SAFETY,
    SHRINK,
    SMALLEST,
    Advance,
    Room,
    evaluator,
    looker,
    signature,
    step_setter,
)

# Attempts between two looks of the watch.
BATCH = 128
# Problems side by side, as long as their matrices fit into the cache: two registers of the widest
# processors.
LANES = 16
SMALL = 64


def solve(problem: Problem) -> Solution:
    """Solve ``problem`` by Rodas5P, bit for bit as one of many; see :func:`solve_many`."""
    return solve_many([problem])[0]


def solve_alone(problem: Problem) -> Solution:
    """Solve ``problem`` by Rodas5P without lanes beside it, which take their time empty, too."""
    return solve_together([_damped(problem)], KIND._replace(width=lambda chart: 1))[0]


def solve_many(problems: Sequence[Problem]) -> list[Solution]:
    """Solve problems by Rodas5P, see :func:`flows.solvers.many.solve_together`."""
    return solve_together([_damped(problem) for problem in problems], KIND)


def _damped(problem: Problem) -> Problem:
    """The problem with tolerances for steps that damp the errors of slaved directions."""
    slack = None if problem.chart is None else problem.chart.slack
    return problem if slack is None else replace(problem, atol=slack * problem.atol)


def _lanes(chart: Chart) -> Lanes | None:
    return chart.lanes


def _width(chart: Chart) -> int:
    assert chart.lanes is not None
    return LANES if chart.x0.size <= SMALL and not chart.lanes.alone else 1


def _steps(chart: Chart, lanes: int) -> Advance:
    assert chart.lanes is not None
    return steps_of(chart.field, chart.lanes.make_field, lanes, chart.lanes.look)


KIND = Kind("Rodas5P", _lanes, _width, _steps, BATCH, 3, (7, 1))


@functools.cache
def steps_of(
    field: Callable[..., None],
    make_lanes: Callable[[int], Callable[..., None]],
    lanes: int,
    look: Callable[[], Callable[..., Any]] | None = None,
) -> Advance:
    """Steps of one kind of chart, compiled once a version if its field is (:func:`make_steps`)."""
    from flows.arithmetic.kept import kept  # Numba loads where it is first needed

    make = functools.partial(make_steps, field, make_lanes, lanes, look)
    name = (lanes, "steps of", field, make_lanes, look or "")
    return cast("Advance", kept(name, signature(), make))


def make_steps(
    field: Callable[..., None],
    make_lanes: Callable[[int], Callable[..., None]],
    lanes: int,
    look: Callable[[], Callable[..., Any]] | None = None,
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
    look : callable, optional
        Compiles what ends a batch (:func:`flows.solvers.steps.looker`).

    Returns
    -------
    Numba function
        ``advance(lane, parameters, steps, work)`` attempts as many steps as ``steps`` has rows,
        leaves there those that were accepted, and in ``lane`` the states of the pieces after them;
        one at its end, or whose step became zero, is not ``live``. ``work`` is room for the raw
        field.
    """
    from flows.arithmetic.kept import inner, lean, outer
    from flows.arithmetic.numbers import numbers_of
    from flows.arithmetic.triangular import triangular

    stages, gamma = STAGES, GAMMA
    nodes, a, c, d, m, dense = NODES, A, C, D, M, H
    defect, first, damped = DEFECT, FIRST, 1.0 / GAMMA
    shrink, grow, safety, smallest, frozen = SHRINK, GROW, SAFETY, SMALLEST, FROZEN
    evaluate, set_step = evaluator(make_lanes(lanes), lanes), step_setter(lanes)
    asks = looker(look, lanes)
    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero
    larger, magnitude, pick = number.larger, number.magnitude, number.pick
    add, factorize, substitute = triangular(number)

    @inner
    def linearise(lane, parameters, fresh, jacobian, slope, ahead):  # type: ignore[no-untyped-def]
        """Field, its Jacobian and its derivative by time, of the lanes that have moved."""
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
                slope[i, e] = one_slope[i]
                for j in range(size):
                    jacobian[i, j, e] = one_jacobian[i, j]
            # By time it depends on the clock alone: on its speed, and on the scales of the state.
            since = 0.0 if exponential else math.expm1(lane.tau[e])
            rate = 1.0 if exponential else (1.0 + since) / (offset[e] + since)
            for i in range(size):
                moved = rate * one_decay[i] * one_slope[i]
                if not exponential:
                    moved += one_slope[i] - rate * rate * one_decay[i] * one_y[i]
                elif one_decay[i] * lane.tau[e] >= frozen:
                    moved = 0.0
                for j in range(size):
                    moved -= one_jacobian[i, j] * (rate * one_decay[j] * one_y[j])
                ahead[i, e] = moved

    @lean
    def conclude(lane, steps, bends, y1, step, last, error, fresh):  # type: ignore[no-untyped-def]
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
                        steps.k[k, q, i, e] = bends[q, i, e]
                steps.done[e] += 1
            h[e] = step[e] * change
            zero = h[e] < smallest * max(1e-3, abs(tau[e]))
            lane.live[e] = not (zero or (fresh[e] and last[e]))

    @lean
    def attempt(lane, parameters, jacobian, slope, ahead, step, u, spare):  # type: ignore[no-untyped-def]
        """Stages of one step of all lanes, its end, and its error in units of the tolerance."""
        matrix, f, inside, off, at, error, room = spare
        size, h = lane.y.shape[0], get(step, 0)
        for i in range(size):
            for j in range(size):
                put(matrix, j * size + i, -h * get(jacobian, i * size + j))
            put(matrix, i * size + i, get(matrix, i * size + i) + 1.0 / gamma)
            put(f, i, get(slope, i))
            put(off, i, -first * (h * get(slope, i)))
        definite = factorize(matrix, size)
        for s in range(stages):
            if s > 0:
                put(at, 0, get(lane.tau, 0) + nodes[s] * h)
                for i in range(size):
                    put(inside, i, get(lane.y, i))
                for r in range(s):
                    add(zero() + a[s, r], u, r * size, inside, 0, size)
                evaluate(at, inside, parameters, f, room)
            for i in range(size):
                put(u, s * size + i, h * (get(f, i) + d[s] * (h * get(ahead, i))))
            for r in range(s):
                add(zero() + c[s, r], u, r * size, u, s * size, size)
            substitute(matrix, size, u, s * size)
            add(zero() + defect[s], u, s * size, off, 0, size)
        substitute(matrix, size, off, 0)
        for i in range(size):
            put(inside, i, get(lane.y, i))
        for r in range(stages):
            add(zero() + m[r], u, r * size, inside, 0, size)
        wrong = zero()
        for i in range(size):
            before, after = get(lane.y, i), get(inside, i)
            scale = larger(magnitude(before), magnitude(after))
            last, missed = magnitude(get(u, (stages - 1) * size + i)), magnitude(get(off, i))
            part = larger(last, damped * missed) / (get(lane.atol, i) + get(lane.rtol, 0) * scale)
            wrong = wrong + part * part
        # A pivot of the wrong sign: the step is too long for its Jacobian.
        put(error, 0, pick(definite, zero(), zero() + math.inf, wrong))

    @lean
    def bend(bends, u, size):  # type: ignore[no-untyped-def]
        """Dense output of the step."""
        for q in range(3):
            for i in range(size):
                put(bends, q * size + i, zero())
            for r in range(stages):
                add(zero() + dense[q, r], u, r * size, bends, q * size, size)

    def advance(lane, parameters, steps, work):  # type: ignore[no-untyped-def]
        live, y = lane.live, lane.y
        size = y.shape[0]
        jacobian, matrix = np.zeros((size, size, lanes)), np.empty((size * size, lanes))
        u, bends = np.empty((stages * size, lanes)), np.empty((3, size, lanes))
        slope, ahead, f = np.zeros_like(y), np.zeros_like(y), np.empty_like(y)
        inside, off = np.empty_like(y), np.empty_like(y)
        room = Room(np.empty_like(y), np.empty_like(y), np.empty((4, lanes)), work)
        step, at, error = np.empty(lanes), np.empty(lanes), np.empty(lanes)
        fresh, last = live.copy(), np.zeros(lanes, np.bool_)
        spare = (matrix, f, inside, off, at, error, room)
        for _ in range(steps.tau.shape[0]):
            if not live.any():
                break
            linearise(lane, parameters, fresh, jacobian, slope, ahead)
            set_step(lane, slope, step, last)
            attempt(lane, parameters, jacobian, slope, ahead, step, u, spare)
            bend(bends, u, size)
            conclude(lane, steps, bends, inside, step, last, error, fresh)
            if asks(lane, parameters, room):
                break

    made: Advance = outer(advance)  # ensembles step in threads
    return made
