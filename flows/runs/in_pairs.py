r"""Runs of losses in closed form whose states are pairs of doubles, with errors that are measured.

Four copies of a run are followed side by side (:mod:`flows.solvers.pair_runs`), and the error of
the first one is its largest distance to the others,

.. math:: |L(y) - L(y_k)| \le \frac12 \sum_i |q_i \cdot (\nabla L(y) + \nabla L(y_k))| \,
          |q_i \cdot (y - y_k)| + O(|y - y_k|^3)

along the axes `q_i` of the Hessian, as a part of what the loss loses in a unit of log-time. The
largest one within 0.4 decades counts, since distances pass through zero. Copies that are 3 % apart
know nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import Code, PairCodes
from flows.core.deadline import deadline, look
from flows.core.piece import Restart
from flows.core.problem import COMPLETED, INTERRUPTED, STOPS, TIME_BUDGET, status_of
from flows.core.system import System

__all__ = ["ahead"]

Show = Callable[[float], None]

# Copies of a run; what becomes of one, as of `flows.solvers.pair_runs`, which Numba compiles.
ROLES, DONE, REST, STUCK = 4, 1, 3, 4
# Steps are asked for this part of the tolerance of a run.
LOOSER = 0.5
# Rows beside those that are asked for: so many a decade, from this part of the first time on.
ROWS, EARLIEST = 5, 1e-3
# Distances within so many decades count as one, where the loss falls as fast to so many decades.
NEAR, ALIKE = 0.4, 1.0
# Seconds between two looks at the time.
PATIENCE = 0.05
# Copies that are this part of the state apart tell nothing.
LOST = 0.03
# What two doubles tell to the first part is known; errors of less than the second one are trusted.
KNOWN, TRUSTED = 1e-12, 0.1
# Where an error is more than this, or so many times the tolerance, a run in balls may tell more.
TOLD, ROUGH = 1e-5, 1e3
# Curvature times time of what leaves.
FALLS = -0.5
STOPPED_AT = {
    INTERRUPTED: lambda: "interrupted; what was computed is kept",
    TIME_BUDGET: lambda: deadline().message("on the way"),
}


@dataclass(frozen=True)
class Copies:
    """Four copies of a run, in rows of times.

    Parameters
    ----------
    t : ndarray, shape (R,)
        Times of rows that all copies have reached; the start first.
    places : ndarray, shape (R, 4, N, 2)
        States, high and low double.
    unit : float
        Time at which the flow begins to move.
    outcome : int
        Of :mod:`flows.solvers.pair_runs`.
    steps : int
        Steps, on average of all.
    stop : exception, optional
        What has ended it on its way: Ctrl-C, or the end of its budget of time.
    """

    t: Array
    places: Array
    unit: float
    outcome: int
    steps: int
    stop: BaseException | None = None


@dataclass(frozen=True)
class Seen:
    """What is seen along a run, a row for each time.

    Parameters
    ----------
    numbers : ndarray, shape (R, 6)
        Loss, minus the square of the gradient's length, that length, the largest relative error of
        these, the error of the loss by the distances of copies, and 1 where all this is known.
    error : ndarray, shape (R, N)
        Distances along the axes of the Hessian, by increasing eigenvalue.
    lost : int
        The first row in which copies are too far apart; R if there is none.
    curvature, axes : ndarray, shapes (R, N) and (R, N, N)
        Eigenvalues of the Hessian, and axes in columns.
    """

    numbers: Array
    error: Array
    lost: int
    curvature: Array
    axes: Array


def rows_of(times: Array, unit: float) -> Array:
    """Times of rows: 0, those that are asked for, and a grid."""
    first = math.floor(ROWS * math.log10(EARLIEST * min(unit, times[0])))
    grid = 10.0 ** (np.arange(first, math.ceil(ROWS * math.log10(times[-1]))) / ROWS)
    return np.concatenate([[0.0], np.union1d(grid[grid < times[-1]], times)])


def followed(
    start: Array, unit: float, times: Array, codes: PairCodes, rtol: float, show: Show | None = None
) -> Copies:
    """Follow four copies of a run from a start, of doubles, as far as they tell its way."""
    from flows.solvers.pair_runs import Terms, follow, runs_of  # Numba, where it is needed

    rows, size = rows_of(times, unit), len(start)
    places = np.zeros((1, ROLES, size, 2))
    places[..., 0] = start
    runs, halt, clock = runs_of(1, len(rows), size), np.zeros(1, dtype=bool), np.zeros(1)
    stop: BaseException | None = None
    terms = Terms(rows, codes.gradient, LOOSER * rtol, codes.like, codes.sign)
    given: Any = places, np.array([unit]), terms, runs, halt, clock
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(follow, *given)
        try:
            while not wait([running], timeout=PATIENCE).done:
                look()
                if show is not None:
                    show(float(clock[0]))
        except STOPS as problem:
            stop = problem
        finally:  # compiled code hears nothing of either
            halt[0] = True
    running.result()
    count = int(runs.rows[0])
    steps = int(runs.steps[0, 0]) // ROLES
    return Copies(rows[:count], runs.places[0, :count], unit, int(runs.outcome[0]), steps, stop)


def seen_at(copies: Copies, code: Code) -> Seen:
    """See the copies of a run, by a program of the loss and its gradient."""
    from flows.solvers.pair_looks import look, looks_of

    rows, roles, size, _ = copies.places.shape
    curved = np.zeros((rows, roles), dtype=bool)
    curved[:, 0] = True
    looks = looks_of(rows * roles, 1 + size, size)
    flat = copies.places.reshape(-1, size, 2)
    look(flat, code, curved.ravel(), looks)
    value = looks.value.reshape(rows, roles, 1 + size, 3)
    hessian = looks.hessian.reshape(rows, roles, size, size)[:, 0]
    with np.errstate(all="ignore"):
        return _measured(copies, value, hessian)


def _measured(copies: Copies, value: Array, hessian: Array) -> Seen:
    apart = copies.places[:, 1:] - copies.places[:, :1]
    far = apart[..., 0] + apart[..., 1]
    slope = value[..., 1:, 0]
    own, since = slope[:, 0], copies.t + copies.unit
    square = (own**2).sum(axis=-1)
    length = np.sqrt(square)
    whole: Any = np.isfinite(hessian).all(axis=(1, 2))
    curvature, axes = np.linalg.eigh(np.where(whole[:, None, None], hessian, 0.0))
    across, steep = far @ axes, (slope[:, 1:] + slope[:, :1]) @ axes
    of_loss = (np.abs(steep) * np.abs(across)).sum(axis=-1).max(axis=1) / 2
    change, led = (slope[:, 1:] - slope[:, :1]) @ axes, np.abs(own[:, None] @ axes)
    turned = (led * np.abs(change) + change**2 / 2).sum(axis=-1).max(axis=1) / length
    falls = since * square
    part = np.divide(of_loss, falls, out=np.zeros_like(falls), where=falls > 0)
    decades = np.log10(since)
    near = np.abs(decades[:, None] - decades) <= NEAR
    near &= np.abs(np.log10(falls[:, None] / falls)) <= ALIKE
    of_loss = np.where(near, part, 0.0).max(axis=1) * falls
    of_loss[0] = 0.0
    radius, doubt = value[:, 0, 0, 2], np.linalg.norm(value[:, 0, 1:, 2], axis=-1)
    size = np.abs(value[:, 0, 0, 0])
    wrong = np.maximum((radius + of_loss) / size, (doubt + turned) / length)
    sharp = (radius <= KNOWN * size) & (doubt <= KNOWN * length) & (wrong <= TRUSTED)
    numbers = np.stack(
        [value[:, 0, 0, 0], -square, length, wrong, of_loss, sharp.astype(float)], axis=-1
    )
    apart_by = np.linalg.norm(far, axis=-1).max(axis=1)
    state = np.linalg.norm(copies.places[:, 0, :, 0], axis=-1)
    gone = np.flatnonzero(~(apart_by <= LOST * state))
    error = np.abs(across).max(axis=1)
    return Seen(numbers, error, int(gone[0]) if len(gone) else len(far), curvature, axes)


def ahead(
    system: System, restart: Restart, times: Array, rtol: float, show: Show | None = None
) -> tuple[Restart, int] | None:
    """Where pairs of doubles lead a run from its start: to its end; and how many steps that took.

    Where it is to end on its way, up to there. None where they do not tell the way.
    """
    codes = system.pair_codes(restart.state)
    if codes is None:
        return None
    copies = followed(restart.state.x, restart.frame.unit, times, codes, rtol, show)
    seen, since = seen_at(copies, codes.value), copies.t + copies.unit
    known: Any = np.asarray(seen.numbers[:, 5] == 1)
    # Whatever the output times are: of rows that all runs have.
    off = seen.numbers[known & ~np.isin(copies.t, times), 3].max(initial=0.0)
    if seen.lost < len(copies.t) or not known.any() or off > max(TOLD, ROUGH * rtol):
        return None
    rest, stays, reached = None, False, times[times <= copies.t[-1]]
    if copies.stop is None and copies.outcome != DONE:
        if copies.outcome != STUCK:
            given = copies.places[:, 0], seen.error, since, times
            rest = system.rest_of(restart.frame, *given)
        # Beside a saddle that a symmetry does not let it leave, it stays.
        stays = rest is None and copies.outcome == REST and codes.holds
        if rest is None and not stays:
            return None
        reached = times if rest is None else times[: len(times) - len(rest.states)]
    # Where a saddle, a ridge or a plateau is left errors outgrow the flow: charts tell by how much.
    if not stays and (seen.curvature[:, 0] * since < FALLS).any():
        return None
    frame, states = _states_at(system, copies, seen, np.append(0.0, reached))
    states = states.at(slice(1, None))
    if rest is not None:
        states = type(states).join([states, rest.states])
    stopped = "" if copies.stop is None else status_of(copies.stop)

    def passed(at: Array) -> Any:
        return states.at(np.searchsorted(times, at))

    end = float(copies.t[-1] if stopped else times[-1])
    events = () if rest is None else rest.events
    failure, status = (STOPPED_AT[stopped](), stopped) if stopped else ("", COMPLETED)
    return Restart(frame, restart.state, end, events, failure, status, passed), copies.steps


def _states_at(system: System, copies: Copies, seen: Seen, times: Array) -> tuple[Any, Any]:
    """Frame and states at rows; those behind the last row stay there, and are seen anew."""
    rows = np.minimum(np.searchsorted(copies.t, times), len(copies.t) - 1)
    numbers = seen.numbers[rows]
    numbers[times > copies.t[-1], 5] = 0.0
    found: tuple[Any, Any] = system.along_axes(
        copies.places[rows, 0], seen.error[rows], times + copies.unit, numbers
    )
    return found
