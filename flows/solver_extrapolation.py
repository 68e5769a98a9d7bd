"""Compiled solver: extrapolated linearly implicit Euler method of variable order and step.

A step of length ``H`` is done with ``n_j = 1, 2, 3, ...`` substeps ``h = H / n_j``::

    (I - h J_i) (y_{i+1} - y_i) = h f(tau_{i+1}, y_i),     J_i = df/dy(tau_{i+1}, y_i)

and extrapolated to ``h = 0`` by Aitken and Neville; each row of the table raises the order by
one, and the last two entries of a row estimate the error (Deuflhard 1985; Hairer & Wanner,
Solving Ordinary Differential Equations II, section IV.9). Two things differ from the code SEULEX
of that book, because fields here are compiled and small:

* the Jacobian is fresh in every substep. In log-time the stiff rate grows like ``exp(tau)``; with
  the Jacobian of the step's start a slaved component is contracted by ``1 - exp(H)`` only, and
  the extrapolation would stop at low order;
* the table holds increments ``y - y(tau)``, so that extrapolation amplifies their rounding
  instead of that of the state.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from flows.self_similar import Array
from flows.solver import INTERRUPTED, SOLVER_FAILED, Piece, Problem, Recorder, Stop, finish

# Rows of the table at most; more amplify rounding beyond what they gain.
ROWS = 12
PASSES = 2
# Substeps of the first row.
FIRST = 1
# First step and number of rows: the controller corrects both within a few steps.
FIRST_STEP = 1e-3
FIRST_ROWS = 4
# A step aims at this part of the tolerance, and changes its length at most by these factors.
AIM = 0.25
SHRINK, GROW = 0.1, 8.0
# Steps shorter than this, relative to tau, do not advance it.
SHORTEST = 1e-15

SIGNATURE = (
    "f8(f8, f8, f8[::1], f8, f8[::1], f8[::1], b1, f8, f8[::1], f8[::1], i8[::1], f8[::1])"
)


@functools.cache
def make_step(field: Callable[..., None]) -> Callable[..., float]:
    """Compile one accepted step for ``field``.

    Parameters
    ----------
    field : Numba function
        Field of a :class:`flows.self_similar.Chart`.

    Returns
    -------
    Numba function
        ``step(tau, end, y, rtol, atol, control, exponential, offset, decay, weights, shape, out)
        -> tau_new``, not beyond ``end``, with the new state in ``out``; ``nan`` if no step is
        short enough. ``control`` holds the length that the step tries, the number of rows it
        expects and a count of field evaluations, and is updated.
    """
    import numba

    eliminate = numba.njit("void(f8[:,::1], f8[::1])", error_model="numpy")(_eliminate)
    passes = PASSES
    rows, first, aim, shrink, grow, shortest = ROWS, FIRST, AIM, SHRINK, GROW, SHORTEST

    def step(  # type: ignore[no-untyped-def]
        tau, end, y, rtol, atol, control, exponential, offset, decay, weights, shape, out
    ):
        size = y.shape[0]
        table = np.empty((rows, size))
        point = np.empty(size)
        f = np.empty(size)
        matrix = np.zeros((size, size))
        start = np.zeros((size, size))
        field(tau, y, exponential, offset, decay, weights, shape, f, start, True)
        control[2] += 1.0
        length = control[0]
        target = int(control[1])
        while True:
            whole = length >= end - tau
            if whole:
                length = end - tau
            elif 2.0 * length > end - tau:
                length = 0.5 * (end - tau)
            if not length > shortest * max(1.0, abs(tau)):
                return math.nan
            error, cost, best, rows_best, length_best = math.inf, 0.0, math.inf, 2, length
            done = False
            for j in range(min(target + 1, rows)):
                n = j + first
                h = length / n
                cost += n
                # The table holds, from this row upwards, the entries of the last row.
                for a in range(size):
                    table[j, a] = 0.0
                for i in range(n):
                    for a in range(size):
                        point[a] = y[a] + table[j, a]
                    field(tau + (i + 1) * h, point, exponential, offset, decay, weights, shape,
                          f, matrix, True)  # fmt: skip
                    control[2] += 1.0
                    for a in range(size):
                        f[a] *= h
                        for b in range(size):
                            matrix[a, b] *= -h
                        matrix[a, a] += 1.0
                    eliminate(matrix, f)
                    for a in range(size):
                        table[j, a] += f[a]
                for k in range(j - 1, -1, -1):
                    for a in range(size):
                        table[k, a] = table[k + 1, a] + (table[k + 1, a] - table[k, a]) / (
                            n / float(k + first) - 1.0
                        )
                if j == 0:
                    continue
                before = error
                error = 0.0
                for a in range(size):
                    f[a] = table[0, a] - table[1, a]
                for _ in range(passes):
                    for a in range(size):
                        for b in range(size):
                            matrix[a, b] = -length * start[a, b]
                        matrix[a, a] += 1.0
                    eliminate(matrix, f)
                for a in range(size):
                    scale = atol[a] + rtol * max(abs(y[a]), abs(y[a] + table[0, a]))
                    error += (f[a] / scale) ** 2
                error = math.sqrt(error / size)
                if not math.isfinite(error):
                    break
                factor = (aim / max(error, 1e-30)) ** (1.0 / (j + 1.0))
                proposed = length * factor
                if cost / proposed < best:
                    best, rows_best, length_best = cost / proposed, j + 1, proposed
                if error <= 1.0:
                    done = True
                    break
                # No hope that the rows left converge, or they have begun to diverge.
                if j > 1 and j + 2 >= target and error > 1e4:
                    break
            if done:
                for a in range(size):
                    out[a] = y[a] + table[0, a]
                if rows_best == j + 1 and j + 1 < rows:
                    rows_best += 1
                    length_best *= (cost + n + 1.0) / cost
                control[0] = min(length_best, grow * length)
                control[1] = float(rows_best)
                return end if whole else tau + length
            if math.isfinite(error):
                length, target = max(shrink * length, min(length_best, 0.7 * length)), rows_best
            else:
                length *= shrink

    return numba.njit(SIGNATURE, error_model="numpy")(step)


def _eliminate(matrix, f):  # type: ignore[no-untyped-def]
    """Solve ``matrix x = f`` in place, by Gaussian elimination with partial pivoting."""
    size = f.shape[0]
    for a in range(size):
        pivot = a
        for b in range(a + 1, size):
            if abs(matrix[b, a]) > abs(matrix[pivot, a]):
                pivot = b
        if pivot != a:
            for b in range(a, size):
                matrix[a, b], matrix[pivot, b] = matrix[pivot, b], matrix[a, b]
            f[a], f[pivot] = f[pivot], f[a]
        for b in range(a + 1, size):
            factor = matrix[b, a] / matrix[a, a]
            if factor != 0.0:
                for c in range(a + 1, size):
                    matrix[b, c] -= factor * matrix[a, c]
                f[b] -= factor * f[a]
    for a in range(size - 1, -1, -1):
        for b in range(a + 1, size):
            f[a] -= matrix[a, b] * f[b]
        f[a] /= matrix[a, a]


def solve(problem: Problem) -> Piece:
    """Solve ``problem``, whose field comes from ``problem.chart``.

    Parameters
    ----------
    problem : Problem
        What to solve.

    Returns
    -------
    Piece
        States at the output times; the status tells the truth about the end.
    """
    chart = problem.chart
    clock = chart.clock
    compiled = make_step(chart.field)
    constants = (
        clock.exponential, clock.offset, clock.decay, chart.weights, chart.shape,
    )  # fmt: skip
    end = float(problem.taus[-1])
    rtol, atol = problem.rtol, np.ascontiguousarray(problem.atol)
    control = np.array([min(FIRST_STEP, end - problem.tau0), FIRST_ROWS, 0.0])

    def advance(tau: float, end: float, y: Array, control: Array) -> tuple[float, Array]:
        new = np.empty_like(y)
        return compiled(tau, end, y, rtol, atol, control, *constants, new), new

    recorder = Recorder(problem)
    outcome: Stop | str | None = None
    tau, y = problem.tau0, np.ascontiguousarray(problem.y0, dtype=float)
    try:
        while outcome is None:
            before, start, rows = tau, y, control[1]
            tau, y = advance(before, float(problem.taus[len(recorder.states)]), start, control)
            if math.isnan(tau):
                outcome = SOLVER_FAILED
                break

            passed = [(before, start)]

            def interpolant(at: float) -> Array:
                # There is no dense output: step anew, from the start of the step.
                # Outputs come in order, so that the last one is the nearest start.
                if at < passed[0][0]:
                    passed[0] = before, start
                now, state = passed[0]
                again = np.array([at - now, rows, 0.0])
                while now < at:
                    now, state = advance(now, at, state, again)
                passed[0] = now, state
                control[2] += again[2]
                return state

            outcome = recorder.accept(before, tau, y, interpolant)
    except KeyboardInterrupt:
        outcome = INTERRUPTED
    message = "no step is short enough" if outcome == SOLVER_FAILED else ""
    count = int(control[2])
    return finish(recorder, outcome, message,
                  {"field_evaluations": count, "jacobian_evaluations": count})  # fmt: skip
