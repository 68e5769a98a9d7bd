r"""Compiled steps of DOP853, an explicit Runge-Kutta method of order 8, for many problems.

.. math:: k_s = f\Bigl(\tau + c_s h,\ y + h \sum_{r<s} a_{sr} k_r\Bigr), \qquad
   y_1 = y + h \sum_s b_s k_s

Its error comes from two formulas of orders 5 and 3, its dense output, of order 7, from three more
stages. Explicit steps are no longer than stability allows, `h |lambda| <= 6.1`: where that binds,
and at this length more steps are left than it has patience for, a lane gives up. Where what decays
fast stands still, no error tells it: a step beyond stability is refused by `h |lambda|` itself,
since its stages, and with them the dense output, can be anything inside.

Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, sections II.5 and II.6,
and section IV.2 of volume II for what tells stiffness; coefficients are those of SciPy.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from flows.solvers.explicit_tableau import ALL, DENSE, ORDER, STAGES, tableau
from flows.solvers.side_by_side import (
    LEAST_ERROR,
    SHRINK,
    SMALLEST,
    Advance,
    Room,
    evaluator,
    inner_options,
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
    name = (lanes, "explicit steps, at most", patience, "of", make_lanes, look or "")
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
        Compiles what ends a batch (:func:`flows.solvers.side_by_side.looker`).

    Returns
    -------
    Numba function
        ``advance(lane, parameters, steps, work)``, as that of
        :func:`flows.solvers.stiff.make_steps`; a lane that gives up is not ``live``, and its
        ``stiff`` is -1.
    """
    import numba

    from flows.arithmetic.vectors import numbers

    load, store, spread, larger, magnitude = numbers(lanes)
    nodes, a, formulas, upper = tableau()
    stages, every, pieces = STAGES, ALL, DENSE
    shrink, smallest, least = SHRINK, SMALLEST, LEAST_ERROR
    bound, lasting, beyond, most = BOUND, LASTING, BEYOND, float(patience)
    inner: Any = functools.partial(numba.njit, **inner_options())
    evaluate, set_step = evaluator(make_lanes(lanes), lanes), step_setter(lanes, ORDER)
    plan = planner(ORDER)
    asks = looker(look, lanes)

    @inner
    def inside_step(y, k, s, step, out):  # type: ignore[no-untyped-def]
        """State at which a stage is evaluated."""
        size, h = y.shape[0], load(step, 0)
        for i in range(size):
            moved = spread(0.0)
            for r in range(s):
                weight = a[s, r]
                if weight != 0.0:
                    moved += weight * load(k, r * size + i)
            store(out, i, load(y, i) + h * moved)

    @inner
    def measure(lane, k, y1, before, sums):  # type: ignore[no-untyped-def]
        """Both errors and what tells stiffness, over the tolerance, as sums of squares."""
        size, rtol = y1.shape[0], load(lane.rtol, 0)
        fifths, thirds, turns, ways = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
        for i in range(size):
            fifth, third = spread(0.0), spread(0.0)
            for r in range(stages + 1):
                one = load(k, r * size + i)
                fifth, third = fifth + formulas[0, r] * one, third + formulas[1, r] * one
            new = load(y1, i)
            large = larger(magnitude(load(lane.y, i)), magnitude(new))
            inverse = 1.0 / (load(lane.atol, i) + rtol * large)
            fifth, third = fifth * inverse, third * inverse
            turned = load(k, stages * size + i) - load(k, (stages - 1) * size + i)
            apart = new - load(before, i)
            fifths, thirds = fifths + fifth * fifth, thirds + third * third
            turned, apart = turned * inverse, apart * inverse
            turns, ways = turns + turned * turned, ways + apart * apart
        store(sums, 0, fifths)
        store(sums, 1, thirds)
        store(sums, 2, turns)
        store(sums, 3, ways)

    @inner
    def interpolate(y, y1, k, step, dense):  # type: ignore[no-untyped-def]
        """Dense output of all lanes, in powers of the fraction of the step."""
        size, h = y.shape[0], load(step, 0)
        for i in range(size):
            f3, f4, f5, f6 = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
            for r in range(every):
                one = h * load(k, r * size + i)
                f3, f4 = f3 + upper[0, r] * one, f4 + upper[1, r] * one
                f5, f6 = f5 + upper[2, r] * one, f6 + upper[3, r] * one
            moved = load(y1, i) - load(y, i)
            first, last = h * load(k, i), h * load(k, stages * size + i)
            store(dense, i, first - moved)
            store(dense, size + i, 2.0 * moved - (last + first) + f3)
            store(dense, 2 * size + i, f4 + f5 - f3)
            store(dense, 3 * size + i, f6 - f4 - 2.0 * f5)
            store(dense, 4 * size + i, f5 - 2.0 * f6)
            store(dense, 5 * size + i, f6)

    @inner
    def judge(lane, step, sums, good):  # type: ignore[no-untyped-def]
        """Set which attempts are accepted; their errors stand last in the sums."""
        size = lane.y.shape[0]
        for e in range(lanes):
            both = math.sqrt((sums[0, e] + 0.01 * sums[1, e]) * size)
            wrong = 0.0 if sums[0, e] == 0.0 else step[0, e] * sums[0, e] / both
            # What is below the tolerance tells nothing of the flow: it may be rounding.
            turned, apart = step[0, e] * math.sqrt(sums[2, e]), math.sqrt(sums[3, e])
            sums[2, e], sums[3, e], sums[4, e] = turned, apart, wrong
            # A NaN is refused like an error that is too large.
            stable = not (turned > math.sqrt(size) and turned > beyond * apart)
            good[e] = lane.live[e] and wrong <= 1.0 and stable

    @inner
    def conclude(lane, parameters, steps, k, y1, dense, step, last, sums, good, kept):  # type: ignore[no-untyped-def]
        """Accept or refuse the attempts, and choose the lengths of the next ones."""
        tau, h, size = lane.tau, lane.step, lane.y.shape[0]
        for e in range(lanes):
            kept[e] = -1
            if not lane.live[e]:
                continue
            lane.attempts[e] += 1
            turned, apart, wrong = sums[2, e], sums[3, e], sums[4, e]
            change = plan(wrong, good[e], step[0, e], lane.past[0, e], lane.past[1, e])
            if turned > math.sqrt(size):
                longest = (beyond if good[e] else bound) * apart / turned
                change = max(shrink, min(change, longest))
            if good[e]:
                lane.past[0, e], lane.past[1, e] = step[0, e], max(least, wrong)
                tau[e] = lane.end[e] if last[e] else tau[e] + step[0, e]
                kept[e] = steps.done[e]
                steps.tau[kept[e], e] = tau[e]
                steps.done[e] += 1
                lane.stiff[e] = max(0, lane.stiff[e] + (1 if turned > bound * apart else -2))
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
                        break  # of what is refused nothing is asked inside
                for e in range(lanes):
                    at[e] = tau[e] if s == 0 else tau[e] + nodes[s] * step[0, e]
                if s == 0:
                    inside[:] = y
                else:
                    inside_step(y, k, s, step, inside)
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

    # Ensembles step in threads.
    options: Any = {"error_model": "numpy", "no_rewrites": True, "nogil": True}
    made: Advance = numba.njit(**options)(advance)
    return made
