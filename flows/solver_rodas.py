"""Adapter of Rodas5P with compiled steps: no Python between them.

A step costs one Jacobian, one factorisation and eight fields. Its error is far below the
tolerance, where that of LSODA is above: compare them at equal error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flows.rodas_tableau import GAMMA, NODES, STAGES, A, C, D, H, M
from flows.solver import INTERRUPTED, SOLVER_FAILED, Piece, Problem, Recorder, finish

# Steps between two looks of the watch.
BATCH = 32
# The step may change by these factors, and aims at this fraction of the one that just serves.
SHRINK, GROW, SAFETY = 0.2, 6.0, 0.9
# Below this fraction of the time a step is rounding.
SMALLEST = 1e-14
# Step of the difference quotient by time, which enters a step in second order only.
NUDGE = 1e-7


def solve(problem: Problem) -> Piece:
    """Solve ``problem`` by Rodas5P.

    Parameters
    ----------
    problem : Problem
        What to solve; its ``chart`` has a compiled field.

    Returns
    -------
    Piece
        States at the output times; the status tells the truth about the end.
    """
    recorder = Recorder(problem)
    chart = problem.chart
    if chart is None or not hasattr(chart.field, "py_func"):
        stats = {"field_evaluations": 0, "jacobian_evaluations": 0}
        return finish(recorder, SOLVER_FAILED, "Rodas5P needs a compiled field", stats)
    advance = _advance(chart.field)
    tau, y, end = problem.tau0, problem.y0.copy(), float(problem.taus[-1])
    size, counts = y.shape[0], np.zeros(2, dtype=np.int64)
    taus, states, curves = np.empty(BATCH), np.empty((BATCH, size)), np.empty((BATCH, 3, size))
    clock, step = chart.clock, 0.0
    outcome: Any = None
    message = ""
    try:
        while outcome is None:
            done, step = advance(
                tau, y, end, step, problem.rtol, problem.atol, clock.exponential, clock.offset,
                clock.decay, chart.weights, chart.shape, taus, states, curves, counts,
            )  # fmt: skip
            # What is recorded must not be overwritten by the next steps.
            outcome = recorder.accept_steps(tau, y, taus[:done], states[:done].copy(),
                                            curves[:done])  # fmt: skip
            if outcome is None and done < BATCH:
                outcome, message = SOLVER_FAILED, "the step size became zero"
            tau, y = float(taus[-1]), states[-1].copy()
    except KeyboardInterrupt:
        outcome = INTERRUPTED
    stats = {"field_evaluations": int(counts[0]), "jacobian_evaluations": int(counts[1])}
    return finish(recorder, outcome, message, stats)


@functools.cache
def _advance(field: Callable[..., None]) -> Callable[..., tuple[int, float]]:
    """Compile up to ``BATCH`` steps of a wrapped field; fewer only at the end, or on failure."""
    import numba

    compiled = functools.partial(numba.njit, error_model="numpy")
    stages, gamma, nodes, a, c, d, m, dense = STAGES, GAMMA, NODES, A, C, D, M, H
    shrink, grow, safety, smallest, nudge = SHRINK, GROW, SAFETY, SMALLEST, NUDGE

    @compiled
    def factor(matrix, pivots):  # type: ignore[no-untyped-def]
        size = matrix.shape[0]
        for k in range(size):
            p = k
            for i in range(k + 1, size):
                if abs(matrix[i, k]) > abs(matrix[p, k]):
                    p = i
            pivots[k] = p
            if p != k:
                for j in range(size):
                    matrix[k, j], matrix[p, j] = matrix[p, j], matrix[k, j]
            for i in range(k + 1, size):
                ratio = matrix[i, k] / matrix[k, k]
                matrix[i, k] = ratio
                for j in range(k + 1, size):
                    matrix[i, j] -= ratio * matrix[k, j]

    @compiled
    def substitute(matrix, pivots, x):  # type: ignore[no-untyped-def]
        size = matrix.shape[0]
        for k in range(size):
            p = pivots[k]
            x[k], x[p] = x[p], x[k]
        for i in range(size):
            for j in range(i):
                x[i] -= matrix[i, j] * x[j]
        for i in range(size - 1, -1, -1):
            for j in range(i + 1, size):
                x[i] -= matrix[i, j] * x[j]
            x[i] /= matrix[i, i]

    def advance(  # type: ignore[no-untyped-def]
        tau, start, end, h, rtol, atol, exponential, offset, decay, weights, shape, taus, states,
        curves, counts,
    ):  # fmt: skip
        size = start.shape[0]
        y, inside, slope, ahead = start.copy(), np.empty(size), np.empty(size), np.empty(size)
        f, u = np.empty(size), np.empty((stages, size))
        jacobian, matrix = np.empty((size, size)), np.empty((size, size))
        pivots, none = np.empty(size, dtype=np.int64), np.zeros((1, 1))
        done, fresh = 0, True
        while done < taus.shape[0] and tau < end:
            if fresh:
                jacobian[:, :] = 0.0
                field(tau, y, exponential, offset, decay, weights, shape, slope, jacobian, True)
                later = tau + nudge * max(1.0, abs(tau))
                field(later, y, exponential, offset, decay, weights, shape, ahead, none, False)
                for i in range(size):
                    ahead[i] = (ahead[i] - slope[i]) / (later - tau)
                counts[0] += 1
                counts[1] += 1
            if h == 0.0:
                # A hundredth of the time in which the state changes by its own size.
                length, speed = 0.0, 0.0
                for i in range(size):
                    scale = atol[i] + rtol * abs(y[i])
                    length += (y[i] / scale) ** 2
                    speed += (slope[i] / scale) ** 2
                h = 1e-2 * math.sqrt(length / speed) if 0.0 < length < speed else 1e-2
            last = tau + h >= end
            h = end - tau if last else h
            for i in range(size):
                for j in range(size):
                    matrix[i, j] = -h * jacobian[i, j]
                matrix[i, i] += 1.0 / gamma
            factor(matrix, pivots)
            for s in range(stages):
                for i in range(size):
                    inside[i] = y[i]
                for r in range(s):
                    for i in range(size):
                        inside[i] += a[s, r] * u[r, i]
                if s == 0:
                    f[:] = slope
                else:
                    field(tau + nodes[s] * h, inside, exponential, offset, decay, weights, shape,
                          f, none, False)  # fmt: skip
                    counts[0] += 1
                for i in range(size):
                    u[s, i] = h * f[i] + d[s] * h * h * ahead[i]
                for r in range(s):
                    for i in range(size):
                        u[s, i] += c[s, r] * u[r, i]
                substitute(matrix, pivots, u[s])
            error = 0.0
            for i in range(size):
                inside[i] = y[i]
                for r in range(stages):
                    inside[i] += m[r] * u[r, i]
                scale = atol[i] + rtol * max(abs(y[i]), abs(inside[i]))
                error += (u[stages - 1, i] / scale) ** 2
            error = math.sqrt(error / size)
            # A NaN is refused like an error that is too large.
            fresh = error <= 1.0
            change = grow if error == 0.0 else safety * error**-0.2
            change = min(grow, max(shrink, change)) if error < np.inf else shrink
            if fresh:
                tau = end if last else tau + h
                for i in range(size):
                    y[i] = inside[i]
                    states[done, i] = inside[i]
                    for q in range(3):
                        curves[done, q, i] = 0.0
                        for r in range(stages):
                            curves[done, q, i] += dense[q, r] * u[r, i]
                taus[done] = tau
                done += 1
            h *= change
            if h < smallest * max(1e-3, abs(tau)):
                break
        return done, h

    made: Callable[..., tuple[int, float]] = numba.njit(advance, error_model="numpy")
    return made
