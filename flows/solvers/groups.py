"""Solve problems by compiled steps of one kind, as many at a time as there are lanes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart, Lanes
from flows.core.problem import (
    INTERRUPTED,
    SOLVER_FAILED,
    Problem,
    Recorder,
    Solution,
    Stop,
    finish,
)
from flows.solvers.compiled_steps import record_batch
from flows.solvers.side_by_side import Advance, Lane, Parameters, Steps

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
    """Solve problems by steps of a kind, side by side where their charts are alike.

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
        depends on the other problems. After Ctrl-C those that had not ended are ``interrupted``.
    """
    solutions: dict[int, Solution] = {}
    alike: dict[Any, deque[int]] = defaultdict(deque)
    for k, problem in enumerate(problems):
        chart = problem.chart
        if chart is None or kind.lanes(chart) is None:
            none = {"field_evaluations": 0, "jacobian_evaluations": 0}
            solutions[k] = finish(
                Recorder(problem), SOLVER_FAILED, f"{kind.label} needs a compiled field", none
            )
        else:
            key = (chart.field, kind.lanes(chart), tuple(chart.shape), chart.clock.exponential)
            alike[key].append(k)
    interrupted = False
    for waiting in alike.values():
        group = _Group(problems, waiting, solutions, kind)
        interrupted = interrupted or group.run()
        if interrupted:
            group.give_up()
    return [solutions[k] for k in range(len(problems))]


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
        self.looks = of_chart.look is not None
        size, lanes = chart.x0.size, kind.width(chart)
        self.advance = kind.steps(chart, lanes)
        self.owner: list[int | None] = [None] * lanes
        self.recorders: dict[int, Recorder] = {}
        self.lane = Lane(
            live=np.zeros(lanes, np.bool_),
            tau=np.ones(lanes),
            y=np.ones((size, lanes)),
            end=np.ones(lanes),
            step=np.ones(lanes),
            rtol=np.ones(lanes),
            atol=np.ones((size, lanes)),
            attempts=np.zeros(lanes, np.int64),
            stiff=np.zeros(lanes, np.int64),
        )
        self.parameters = Parameters(
            exponential=chart.clock.exponential,
            offset=np.ones(lanes),
            decay=np.ones((size, lanes)),
            weights=np.zeros((chart.weights.size, lanes)),
            shape=chart.shape,
        )
        self.work = np.empty((of_chart.workspace(chart.shape), lanes))

    def run(self) -> bool:
        """Take steps until no problem is left; tell whether Ctrl-C came before."""
        lane, count = self.lane, len(self.owner)
        # One alone takes few steps beyond a stop, unless it looks; of many, few are there.
        batch = self.kind.batch if count > 1 or self.looks else min(ALONE, self.kind.batch)
        steps = Steps(
            tau=np.empty((batch, count)),
            y=np.empty((batch, *lane.y.shape)),
            k=np.empty((batch, self.kind.dense, *lane.y.shape)),
            done=np.zeros(count, np.int64),
        )
        try:
            while self.waiting or any(k is not None for k in self.owner):
                for e in range(count):
                    if self.owner[e] is None and self.waiting:
                        self._enter(e, self.waiting.popleft())
                steps.done[:] = 0
                tau, y = lane.tau.copy(), lane.y.copy()
                self.advance(lane, self.parameters, steps, self.work)
                for e, k in enumerate(self.owner):
                    if k is not None:
                        self._record(e, k, float(tau[e]), y[:, e], steps)
        except KeyboardInterrupt:
            return True
        return False

    def give_up(self) -> None:
        """End the problems that are left, with what is done."""
        for e, k in enumerate(self.owner):
            if k is not None:
                self._leave(e, k, INTERRUPTED)
        for k in self.waiting:
            self.recorders[k] = Recorder(self.problems[k])
            self._leave(None, k, INTERRUPTED)

    def _enter(self, e: int, k: int) -> None:
        """Put a problem into a lane that is free."""
        problem, lane, parameters = self.problems[k], self.lane, self.parameters
        chart = problem.chart
        assert chart is not None
        self.owner[e], self.recorders[k] = k, Recorder(problem)
        lane.live[e], lane.attempts[e], lane.step[e], lane.stiff[e] = True, 0, 0.0, 0
        lane.tau[e], lane.end[e] = problem.tau0, problem.taus[-1]
        lane.y[:, e], lane.rtol[e], lane.atol[:, e] = problem.y0, problem.rtol, problem.atol
        parameters.offset[e], parameters.decay[:, e] = chart.clock.offset, chart.clock.decay
        parameters.weights[:, e] = chart.weights

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
            self.parameters.weights[:, e] = 0.0
        recorder = self.recorders.pop(k)
        # With those beyond a stop: a batch begins with the piece, so that their number is its own.
        fields, jacobians = self.kind.costs
        stats = {
            "field_evaluations": fields * attempts,
            "jacobian_evaluations": jacobians * attempts,
        }
        self.solutions[k] = finish(recorder, outcome, message, stats)
