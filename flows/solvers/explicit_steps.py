r"""Compiled steps of DOP853, an explicit Runge-Kutta method of order 8, for many problems.

.. math:: k_s = f\Bigl(\tau + c_s h,\ y + h \sum_{r<s} a_{sr} k_r\Bigr), \qquad
   y_1 = y + h \sum_s b_s k_s

Its error comes from two formulas of orders 5 and 3, its dense output, of order 7, from three more
stages. Explicit steps are no longer than stability allows, `h |lambda| <= 6.1`: where that binds,
and at this length more steps are left than it has patience for, a lane gives up.

Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, sections II.5 and II.6,
and section IV.2 of volume II for what tells stiffness; coefficients are those of SciPy.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from flows.solvers.explicit_tableau import ALL, DENSE, SMALLEST, STAGES, tableau
from flows.solvers.side_by_side import (
    Advance,
    Room,
    evaluator,
    inner_options,
    looker,
    signature,
    step_setter,
)

# A step is as long as stability allows where h |lambda| is above BOUND; steps are so for good where
# LASTING of them have been, each of the others counting against two.
BOUND, LASTING = 5.0, 16


@functools.cache
def steps_of(
    make_lanes: Callable[[int], Callable[..., None]],
    lanes: int,
    patience: int,
    look: Callable[[], Callable[..., Any]] | None = None,
) -> Advance:
    """Steps of one kind of chart, compiled once a version (:func:`make_steps`)."""
    from flows.core.compiled import kept  # Numba loads where it is first needed

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
        :func:`flows.solvers.rodas_steps.make_steps`; a lane that gives up is not ``live``, and its
        ``stiff`` is -1.
    """
    import numba

    from flows.solvers.explicit_formulas import (
        at_stage,
        change_after,
        error_of,
        errors_of,
        interpolate,
    )

    nodes, stages, every, pieces = tableau()[0], STAGES, ALL, DENSE
    smallest, bound, lasting, most = SMALLEST, BOUND, LASTING, float(patience)
    inner: Any = functools.partial(numba.njit, **inner_options())
    evaluate, set_step = evaluator(make_lanes(lanes), lanes), step_setter(lanes)
    asks = looker(look, lanes)

    @inner
    def measure(lane, k, y1, before, sums, parts):  # type: ignore[no-untyped-def]
        """Both errors over the tolerance, and what tells stiffness, as sums of squares."""
        width = y1.shape[1]
        for q in range(4):
            for e in range(width):
                sums[q, e] = 0.0
        for i in range(y1.shape[0]):
            errors_of(k, i, parts)
            for e in range(width):
                size = max(abs(lane.y[i, e]), abs(y1[i, e]))
                inverse = 1.0 / (lane.atol[i, e] + lane.rtol[e] * size)
                fifth, third = parts[0, e] * inverse, parts[1, e] * inverse
                turned = k[stages, i, e] - k[stages - 1, i, e]
                apart = y1[i, e] - before[i, e]
                sums[0, e] += fifth * fifth
                sums[1, e] += third * third
                sums[2, e] += turned * turned
                sums[3, e] += apart * apart

    @inner
    def conclude(lane, parameters, steps, k, y1, dense, step, last, sums):  # type: ignore[no-untyped-def]
        """Accept or refuse the attempts, and choose the lengths of the next ones."""
        tau, y, h, size = lane.tau, lane.y, lane.step, lane.y.shape[0]
        for e in range(lanes):
            if not lane.live[e]:
                continue
            lane.attempts[e] += 1
            wrong = error_of(step[e], sums[0, e], sums[1, e], size)
            # A NaN is refused like an error that is too large.
            good, change = wrong <= 1.0, change_after(wrong)
            if good:
                tau[e] = lane.end[e] if last[e] else tau[e] + step[e]
                row = steps.done[e]
                steps.tau[row, e] = tau[e]
                for i in range(size):
                    y[i, e] = steps.y[row, i, e] = y1[i, e]
                    k[0, i, e] = k[stages, i, e]
                    for q in range(pieces):
                        steps.k[row, q, i, e] = dense[q, i, e]
                steps.done[e] += 1
                long = step[e] ** 2 * sums[2, e] > bound**2 * sums[3, e]
                lane.stiff[e] = max(0, lane.stiff[e] + (1 if long else -2))
            h[e] = step[e] * change
            zero = h[e] < smallest * max(1e-3, abs(tau[e]))
            lane.live[e] = not (zero or (good and last[e]))
            left = lane.end[e] - tau[e]
            left = left if parameters.exponential else math.expm1(left)
            if lane.live[e] and lane.stiff[e] >= lasting and left > most * h[e]:
                lane.live[e], lane.stiff[e] = False, -1

    def advance(lane, parameters, steps, work):  # type: ignore[no-untyped-def]
        live, tau, y = lane.live, lane.tau, lane.y
        k, inside = np.empty((every, y.shape[0], lanes)), np.empty_like(y)
        y1, before, dense = np.empty_like(y), np.empty_like(y), np.empty((pieces, *y.shape))
        room = Room(np.empty_like(y), np.empty_like(y), np.empty((4, lanes)), work)
        step, at = np.empty(lanes), np.empty(lanes)
        sums, parts = np.empty((4, lanes)), np.empty((4, lanes))
        last = np.zeros(lanes, np.bool_)
        for attempt in range(steps.tau.shape[0]):
            if not live.any():
                break
            for s in range(every):
                if s == 0 and attempt > 0:
                    set_step(lane, k[0], step, last)
                    continue  # the field at the end of the last step
                for e in range(lanes):
                    at[e] = tau[e] if s == 0 else tau[e] + nodes[s] * step[e]
                if s == 0:
                    inside[:] = y
                else:
                    at_stage(y, k, s, step, inside)
                if s == stages - 1:
                    before[:] = inside
                if s == stages:
                    y1[:] = inside
                evaluate(at, inside, parameters, k[s], room)
                if s == 0:
                    set_step(lane, k[0], step, last)
            measure(lane, k, y1, before, sums, parts)
            interpolate(y, y1, k, step, dense, parts)
            conclude(lane, parameters, steps, k, y1, dense, step, last, sums)
            if asks(lane, parameters, room):
                break

    # Ensembles step in threads.
    options: Any = {"error_model": "numpy", "no_rewrites": True, "nogil": True}
    made: Advance = numba.njit(**options)(advance)
    return made
