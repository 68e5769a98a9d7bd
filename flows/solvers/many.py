"""Solve problems by compiled steps of one kind, as many at a time as there are lanes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart, Lanes
from flows.core.problem import (
    SOLVER_FAILED,
    STOPS,
    Problem,
    Recorder,
    Solution,
    Stop,
    finish,
    status_of,
)
from flows.core.threads import out_of_turn
from flows.solvers.recorded import record_batch
from flows.solvers.steps import Advance, Lane, Parameters, Steps

#: Status of a solution that another method is to go on with, from where it ends.
STIFF = "stiff"
# Attempts of one problem alone between two looks of the watch.
ALONE = 16
#: What steps leave in ``Lane.stiff`` of a piece that they give up.
GIVEN_UP = -1


class Kind(NamedTuple):
    """A kind of compiled steps.

    Parameters
    ----------
    label : str
        Its name.
    lanes : callable
        The field in lanes that a chart has for it, or None.
    width : callable
        Number of lanes for a chart.
    steps : callable
        Compiled steps, of a chart and a number of lanes.
    batch : int
        Attempts between two looks of the watch.
    dense : int
        Coefficients of its dense output.
    costs : (int, int)
        Fields and Jacobians of an attempt.
    """

    label: str
    lanes: Callable[[Chart], Lanes | None]
    width: Callable[[Chart], int]
    steps: Callable[[Chart, int], Advance]
    batch: int
    dense: int
    costs: tuple[int, int]


def solve_together(problems: Sequence[Problem], kind: Kind) -> list[Solution]:
    """Solve problems by steps of a kind, side by side where their charts have one key.

    Parameters
    ----------
    problems : sequence of Problem
        What to solve; their charts have a field in lanes.
    kind : Kind
        Which steps.

    Returns
    -------
    list of Solution
        States at the output times; each status tells the truth about the end. Nothing in a piece
        depends on the other problems. Those that had not ended are ``interrupted`` after Ctrl-C,
        and ``time_budget`` after the end of the budget.
    """
    solutions: dict[int, Solution] = {}
    groups: dict[Any, deque[int]] = defaultdict(deque)
    for k, problem in enumerate(problems):
        chart = problem.chart
        if chart is None or kind.lanes(chart) is None:
            none = {"field_evaluations": 0, "jacobian_evaluations": 0}
            solutions[k] = finish(
                Recorder(problem), SOLVER_FAILED, f"{kind.label} needs a compiled field", none
            )
        else:
            groups[_key(chart, kind)].append(k)
    stopped = ""
    for waiting in groups.values():
        group = _Group(problems, waiting, solutions, kind)
        stopped = stopped or group.run()
        if stopped:
            group.give_up(stopped)
    return [solutions[k] for k in range(len(problems))]


def _key(chart: Chart, kind: Kind) -> tuple[Any, ...]:
    """What charts have in common that are solved together."""
    of_chart = kind.lanes(chart)
    assert of_chart is not None
    common = chart.field, of_chart, chart.clock.exponential, chart.x0.size
    if kind.width(chart) > 1:
        return *common, tuple(chart.shape)
    return *common, of_chart.workspace(chart.shape)


class SideBySide:
    """Lanes of problems that take their steps side by side; the last axis of every array is theirs.

    Parameters
    ----------
    advance : Numba function
        Steps of this number of lanes.
    chart : Chart
        One of the charts, which have as many unknowns and the same clock; of more lanes than one
        also the same shape.
    places, batch, dense, rows : int
        How many problems have room, attempts of a call, coefficients of dense output, and rows that
        the raw field needs to work in.
    """

    def __init__(
        self, advance: Advance, chart: Chart, places: int, batch: int, dense: int, rows: int
    ) -> None:
        size = chart.x0.size
        self._advance = advance
        self.lane = Lane(
            live=np.zeros(places, np.bool_),
            tau=np.ones(places),
            y=np.ones((size, places)),
            end=np.ones(places),
            step=np.ones(places),
            rtol=np.ones(places),
            atol=np.ones((size, places)),
            attempts=np.zeros(places, np.int64),
            stiff=np.zeros(places, np.int64),
            past=np.zeros((2, places)),
        )
        self._parameters = Parameters(
            exponential=chart.clock.exponential,
            offset=np.ones(places),
            decay=np.ones((size, places)),
            weights=np.zeros((chart.weights.size, places)),
            shape=chart.shape,
        )
        self.steps = Steps(
            tau=np.empty((batch, places)),
            y=np.empty((batch, size, places)),
            k=np.empty((batch, dense, size, places)),
            done=np.zeros(places, np.int64),
        )
        self._work = np.empty((rows, places))

    def put(self, e: int, chart: Chart) -> None:
        """Give a lane the constants of a chart; one alone has a shape of its own, too."""
        if len(self.lane.live) == 1:
            weights = chart.weights[:, None].copy()
            self._parameters = self._parameters._replace(weights=weights, shape=chart.shape)
        of_all = self._parameters
        of_all.offset[e], of_all.decay[:, e] = chart.clock.offset, chart.clock.decay
        of_all.weights[:, e] = chart.weights

    def clear(self, e: int) -> None:
        """Take them away."""
        self._parameters.weights[:, e] = 0.0

    def advance(self) -> None:
        """Attempt steps of all that are live."""
        self.steps.done[:] = 0
        self._advance(self.lane, self._parameters, self.steps, self._work)


class _Group:
    """Problems in charts of one kind, as many as there are lanes at a time."""

    def __init__(
        self,
        problems: Sequence[Problem],
        waiting: deque[int],
        solutions: dict[int, Solution],
        kind: Kind,
    ) -> None:
        self.problems, self.waiting, self.solutions = problems, waiting, solutions
        self.kind = kind
        chart = problems[waiting[0]].chart
        assert chart is not None
        of_chart = kind.lanes(chart)
        assert of_chart is not None
        lanes = kind.width(chart)
        # One alone takes few steps beyond a stop, unless it looks; of many, few are there.
        batch = kind.batch if lanes > 1 or of_chart.look is not None else min(ALONE, kind.batch)
        of_all = kind.steps(chart, lanes), chart
        sizes = batch, kind.dense, of_chart.workspace(chart.shape)
        self.places = SideBySide(*of_all, lanes, *sizes)
        self.lane = self.places.lane
        self.owner: list[int | None] = [None] * lanes
        self.recorders: dict[int, Recorder] = {}

    def run(self) -> str:
        """Take steps until no problem is left, or tell the status of those that are."""
        lane, places = self.lane, self.places
        try:
            while self.waiting or any(k is not None for k in self.owner):
                for e, k in enumerate(self.owner):
                    if k is None and self.waiting:
                        self._enter(e, self.waiting.popleft())
                tau, y = lane.tau.copy(), lane.y.copy()
                with out_of_turn():
                    places.advance()
                for e, k in enumerate(self.owner):
                    if k is not None:
                        self._record(e, k, float(tau[e]), y[:, e], places.steps)
        except STOPS as stop:
            return status_of(stop)
        return ""

    def give_up(self, status: str) -> None:
        """End the problems that are left, and keep their outputs."""
        for e, k in enumerate(self.owner):
            if k is not None:
                self._leave(e, k, status)
        for k in self.waiting:
            self.recorders[k] = Recorder(self.problems[k])
            self._leave(None, k, status)

    def _enter(self, e: int, k: int) -> None:
        """Put a problem into a lane that is free."""
        problem, lane = self.problems[k], self.lane
        chart = problem.chart
        assert chart is not None
        self.owner[e], self.recorders[k] = k, Recorder(problem)
        lane.live[e], lane.attempts[e], lane.step[e], lane.stiff[e] = True, 0, 0.0, 0
        lane.past[:, e] = 0.0
        lane.tau[e], lane.end[e] = problem.tau0, problem.taus[-1]
        lane.y[:, e], lane.rtol[e], lane.atol[:, e] = problem.y0, problem.rtol, problem.atol
        self.places.put(e, chart)

    def _record(self, e: int, k: int, tau: float, y: Array, steps: Steps) -> None:
        """Record the steps of a lane from ``tau`` and ``y``, and free it where its piece ends."""
        done = steps.done[e]
        outcome, message = record_batch(
            self.recorders[k],
            (tau, y),
            (steps.tau[:done, e], steps.y[:done, :, e], steps.k[:done, :, :, e]),
            bool(self.lane.live[e]),
            "the step size became zero",
        )
        if outcome == SOLVER_FAILED and self.lane.stiff[e] == GIVEN_UP:
            recorder = self.recorders[k]
            recorder.last = Stop(float(self.lane.tau[e]), self.lane.y[:, e].copy())
            outcome, message = STIFF, "the flow is stiff"
        if outcome is not None:
            self._leave(e, k, outcome, message)

    def _leave(self, e: int | None, k: int, outcome: Stop | str, message: str = "") -> None:
        """End the piece of a problem, in a lane or none yet."""
        attempts = 0 if e is None else int(self.lane.attempts[e])
        if e is not None:
            self.owner[e], self.lane.live[e] = None, False
            self.places.clear(e)
        recorder = self.recorders.pop(k)
        # With those beyond a stop: a batch begins with the piece, so that their number is its own.
        fields, jacobians = self.kind.costs
        stats = {
            "field_evaluations": fields * attempts,
            "jacobian_evaluations": jacobians * attempts,
        }
        self.solutions[k] = finish(recorder, outcome, message, stats)
