r"""DOP853 with compiled steps, for one problem or for many side by side: fields alone.

Explicit steps are no longer than stability allows, `h |lambda| <= 6.1`: where that binds, and
too many steps of this length are left, a lane gives up. Its solution ends as ``stiff``, and another
method goes on. A fast mode that has decayed leaves no error to measure: a step beyond stability is
refused by `h |lambda|` itself, since its stages, and with them the dense output, can be anything
inside.

Source: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.2, for the test of
stiffness; the formulas are those of :mod:`flows.solvers.gentle_formulas`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from flows.core.chart import Chart, Lanes
from flows.core.problem import Problem, Solution
from flows.solvers.gentle_formulas import ALL, DENSE, FIELDS, ORDER, STAGES, formulas, tableau
from flows.solvers.many import Kind, solve_together
from flows.solvers.steps import (
    LEAST_ERROR,
    SHRINK,
    SMALLEST,
    Advance,
    Room,
    evaluator,
    looker,
    planner,
    signature,
    step_setter,
)

# A step is as long as stability allows where h |lambda| is above BOUND; steps are so for good where
# LASTING of them have been, each of the others counting against two.
BOUND, LASTING = 5.0, 16
# A step is refused where h |lambda| is above this.
BEYOND = 10.0
# Attempts between two looks of the watch; a vector holds the problems side by side.
BATCH, LANES = 64, 16


def solve_many(problems: Sequence[Problem]) -> list[Solution]:
    """Solve problems by DOP853, see :func:`flows.solvers.many.solve_together`."""
    return solve_together(problems, KIND)


def _lanes(chart: Chart) -> Lanes | None:
    return chart.explicit


def _width(chart: Chart) -> int:
    assert chart.explicit is not None
    return 1 if chart.explicit.alone else LANES


def _steps(chart: Chart, lanes: int) -> Advance:
    explicit = chart.explicit
    assert explicit is not None
    return steps_of(explicit.make_field, lanes, explicit.patience, explicit.look)


KIND = Kind("DOP853", _lanes, _width, _steps, BATCH, DENSE, (FIELDS, 0))


@functools.cache
def steps_of(
    make_lanes: Callable[[int], Callable[..., None]],
    lanes: int,
    patience: int,
    look: Callable[[], Callable[..., Any]] | None = None,
) -> Advance:
    """Steps of one kind of chart, compiled once a version (:func:`make_steps`)."""
    from flows.arithmetic.kept import kept  # Numba loads where it is first needed

    make = functools.partial(make_steps, make_lanes, lanes, patience, look)
    name = (lanes, "gentle steps, at most", patience, "of", make_lanes, look or "")
    return cast("Advance", kept(name, signature(), make))


def make_steps(
    make_lanes: Callable[[int], Callable[..., None]],
    lanes: int,
    patience: int,
    look: Callable[[], Callable[..., Any]] | None = None,
) -> Advance:
    """Compile the steps of one kind of chart.

    Parameters
    ----------
    make_lanes : callable
        Compiles the raw field for a number of lanes (:class:`flows.core.chart.Lanes`).
    lanes : int
        Number of problems side by side.
    patience : int
        How many steps as long as stability allows may be left.
    look : callable, optional
        Compiles what ends a batch (:func:`flows.solvers.steps.looker`).

    Returns
    -------
    Numba function
        ``advance(lane, parameters, steps, work)``, as that of
        :func:`flows.solvers.stiff.make_steps`; a lane that gives up is not ``live``, and its
        ``stiff`` is -1.
    """
    from flows.arithmetic.kept import lean, outer
    from flows.arithmetic.numbers import numbers_of

    number, sums_of = numbers_of(lanes), formulas(lanes)
    get, put, zero = number.get, number.put, number.zero
    larger, magnitude = number.larger, number.magnitude
    at_stage, errors_of, error_of, interpolate = sums_of[:4]
    nodes = tableau()[0]
    stages, every, pieces = STAGES, ALL, DENSE
    shrink, smallest, least = SHRINK, SMALLEST, LEAST_ERROR
    bound, lasting, beyond, most = BOUND, LASTING, BEYOND, float(patience)
    evaluate, set_step = evaluator(make_lanes(lanes), lanes), step_setter(lanes, ORDER)
    plan = planner(ORDER)
    asks = looker(look, lanes)

    @lean
    def measure(lane, k, y1, before, sums):  # type: ignore[no-untyped-def]
        """Both errors and what tells stiffness, over the tolerance, as sums of squares."""
        size, rtol = y1.shape[0], get(lane.rtol, 0)
        fifths, thirds, turns, ways = zero(), zero(), zero(), zero()
        for i in range(size):
            fifth, third = errors_of(k, i, size)
            new = get(y1, i)
            large = larger(magnitude(get(lane.y, i)), magnitude(new))
            inverse = 1.0 / (get(lane.atol, i) + rtol * large)
            fifth, third = fifth * inverse, third * inverse
            turning = get(k, stages * size + i) - get(k, (stages - 1) * size + i)
            moved = new - get(before, i)
            fifths, thirds = fifths + fifth * fifth, thirds + third * third
            turning, moved = turning * inverse, moved * inverse
            turns, ways = turns + turning * turning, ways + moved * moved
        put(sums, 0, fifths)
        put(sums, 1, thirds)
        put(sums, 2, turns)
        put(sums, 3, ways)

    @lean
    def judge(lane, step, sums, good):  # type: ignore[no-untyped-def]
        """Set which attempts are accepted; their errors are last in the sums."""
        size = lane.y.shape[0]
        for e in range(lanes):
            wrong = error_of(step[0, e], sums[0, e], sums[1, e], size)
            # What is below the tolerance tells nothing of the flow: it may be rounding.
            turning, moved = step[0, e] * math.sqrt(sums[2, e]), math.sqrt(sums[3, e])
            sums[2, e], sums[3, e], sums[4, e] = turning, moved, wrong
            # A NaN is refused like an error that is too large.
            stable = not (turning > math.sqrt(size) and turning > beyond * moved)
            good[e] = lane.live[e] and wrong <= 1.0 and stable

    @lean
    def conclude(lane, parameters, steps, k, y1, dense, step, last, sums, good, kept):  # type: ignore[no-untyped-def]
        """Accept or refuse the attempts, and choose the lengths of the next ones."""
        tau, h, size = lane.tau, lane.step, lane.y.shape[0]
        for e in range(lanes):
            kept[e] = -1
            if not lane.live[e]:
                continue
            lane.attempts[e] += 1
            turning, moved, wrong = sums[2, e], sums[3, e], sums[4, e]
            change = plan(wrong, good[e], step[0, e], lane.past[0, e], lane.past[1, e])
            if turning > math.sqrt(size):
                longest = (beyond if good[e] else bound) * moved / turning
                change = max(shrink, min(change, longest))
            if good[e]:
                lane.past[0, e], lane.past[1, e] = step[0, e], max(least, wrong)
                tau[e] = lane.end[e] if last[e] else tau[e] + step[0, e]
                kept[e] = steps.done[e]
                steps.tau[kept[e], e] = tau[e]
                steps.done[e] += 1
                lane.stiff[e] = max(0, lane.stiff[e] + (1 if turning > bound * moved else -2))
            h[e] = step[0, e] * change
            zero = h[e] < smallest * max(1e-3, abs(tau[e]))
            lane.live[e] = not (zero or (good[e] and last[e]))
            left = lane.end[e] - tau[e]
            left = left if parameters.exponential else math.expm1(left)
            if lane.live[e] and lane.stiff[e] >= lasting and left > most * h[e]:
                lane.live[e], lane.stiff[e] = False, -1
        # Lanes are neighbours in memory: all of one row, then all of the next.
        for i in range(size):
            for e in range(lanes):
                if kept[e] >= 0:
                    lane.y[i, e] = steps.y[kept[e], i, e] = y1[i, e]
                    k[i, e] = k[stages * size + i, e]
            for q in range(pieces):
                for e in range(lanes):
                    if kept[e] >= 0:
                        steps.k[kept[e], q, i, e] = dense[q * size + i, e]

    def advance(lane, parameters, steps, work):  # type: ignore[no-untyped-def]
        live, tau, y = lane.live, lane.tau, lane.y
        size = y.shape[0]
        k, inside = np.empty((every * size, lanes)), np.empty_like(y)
        y1, before, dense = np.empty_like(y), np.empty_like(y), np.empty((pieces * size, lanes))
        room = Room(np.empty_like(y), np.empty_like(y), np.empty((4, lanes)), work)
        step, at, sums = np.empty((1, lanes)), np.empty(lanes), np.empty((5, lanes))
        last, kept = np.zeros(lanes, np.bool_), np.empty(lanes, np.int64)
        good = np.zeros(lanes, np.bool_)
        for attempt in range(steps.tau.shape[0]):
            if not live.any():
                break
            for s in range(every):
                if s == 0 and attempt > 0:
                    set_step(lane, k[:size], step[0], last)
                    continue  # the field at the end of the last step
                if s == stages + 1:
                    measure(lane, k, y1, before, sums)
                    judge(lane, step, sums, good)
                    if not good.any():
                        break  # a refused step has no dense output
                for e in range(lanes):
                    at[e] = tau[e] if s == 0 else tau[e] + nodes[s] * step[0, e]
                if s == 0:
                    inside[:] = y
                else:
                    at_stage(y, k, s, step, inside)
                if s == stages - 1:
                    before[:] = inside
                if s == stages:
                    y1[:] = inside
                evaluate(at, inside, parameters, k[s * size : (s + 1) * size], room)
                if s == 0:
                    set_step(lane, k[:size], step[0], last)
            if good.any():
                interpolate(y, y1, k, step, dense)
            conclude(lane, parameters, steps, k, y1, dense, step, last, sums, good, kept)
            if asks(lane, parameters, room):
                break

    made: Advance = outer(advance)  # ensembles step in threads
    return made
