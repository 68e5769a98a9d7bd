"""Adapter of Rodas5P with compiled steps, for many problems side by side: no Python between them.

A step costs one Jacobian, one factorisation and nine fields. Its error is far below the
tolerance, where that of LSODA is above: compare them at equal error.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.problem import (
    BREAKDOWNS,
    INTERRUPTED,
    SOLVER_FAILED,
    Problem,
    Recorder,
    Solution,
    Stop,
    finish,
)
from flows.solvers.rodas_recorder import accept_steps
from flows.solvers.rodas_steps import make_steps

# Attempts between two looks of the watch.
BATCH = 64
# Problems side by side, as long as their matrices fit into the cache: two registers of the widest
# processors.
LANES = 16
SMALL = 64


def solve(problem: Problem) -> Solution:
    """Solve ``problem`` by Rodas5P; see :func:`solve_many`."""
    return solve_many([problem])[0]


def solve_many(problems: Sequence[Problem]) -> list[Solution]:
    """Solve problems by Rodas5P, side by side where their charts are alike.

    Parameters
    ----------
    problems : sequence of Problem
        What to solve; their charts have ``lanes``.

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
        if chart is None or chart.lanes is None:
            none = {"field_evaluations": 0, "jacobian_evaluations": 0}
            solutions[k] = finish(
                Recorder(problem), SOLVER_FAILED, "Rodas5P needs a compiled field", none
            )
        else:
            key = (chart.field, chart.lanes, tuple(chart.shape), chart.clock.exponential)
            alike[key].append(k)
    interrupted = False
    for waiting in alike.values():
        group = _Group(problems, waiting, solutions)
        interrupted = interrupted or group.run()
        if interrupted:
            group.give_up()
    return [solutions[k] for k in range(len(problems))]


class _Group:
    """Problems in charts of one kind, as many as there are lanes at a time."""

    def __init__(
        self, problems: Sequence[Problem], waiting: deque[int], solutions: dict[int, Solution]
    ) -> None:
        self.problems, self.waiting, self.solutions = problems, waiting, solutions
        chart = problems[waiting[0]].chart
        assert chart is not None and chart.lanes is not None
        self.shape, self.exponential = chart.shape, chart.clock.exponential
        size = chart.x0.size
        lanes = LANES if size <= SMALL else 1
        self.steps = make_steps(chart.field, chart.lanes.make_field, lanes)
        self.owner: list[int | None] = [None] * lanes
        self.recorders: dict[int, Recorder] = {}
        self.live = np.zeros(lanes, np.bool_)
        self.attempts = np.zeros(lanes, np.int64)
        self.tau, self.end, self.h, self.rtol, self.offset = np.ones((5, lanes))
        self.y, self.atol, self.decay = np.ones((3, size, lanes))
        self.weights = np.ones((chart.weights.size, lanes))
        self.work = np.empty((chart.lanes.workspace(chart.shape), lanes))

    def run(self) -> bool:
        """Fill lanes, take steps, look, until nobody waits; tell whether Ctrl-C came before."""
        taus = np.empty((BATCH, len(self.owner)))
        states = np.empty((BATCH, *self.y.shape))
        curves = np.empty((BATCH, 3, *self.y.shape))
        try:
            while self.waiting or any(k is not None for k in self.owner):
                for lane in range(len(self.owner)):
                    if self.owner[lane] is None and self.waiting:
                        self._enter(lane, self.waiting.popleft())
                done = np.zeros(len(self.owner), np.int64)
                before, start = self.tau.copy(), self.y.copy()
                self.steps(
                    self.live,
                    self.tau,
                    self.y,
                    self.end,
                    self.h,
                    self.rtol,
                    self.atol,
                    self.exponential,
                    self.offset,
                    self.decay,
                    self.weights,
                    self.shape,
                    self.work,
                    taus,
                    states,
                    curves,
                    done,
                    self.attempts,
                )
                for lane, k in enumerate(self.owner):
                    if k is None:
                        continue
                    count = done[lane]
                    # Copies: what is recorded must not be overwritten by the next steps.
                    self._look(
                        lane,
                        k,
                        float(before[lane]),
                        start[:, lane],
                        taus[:count, lane].copy(),
                        states[:count, :, lane].copy(),
                        curves[:count, :, :, lane],
                    )
        except KeyboardInterrupt:
            return True
        return False

    def give_up(self) -> None:
        """End whoever has not arrived, with what is done."""
        for lane, k in enumerate(self.owner):
            if k is not None:
                self._leave(lane, k, INTERRUPTED)
        for k in self.waiting:
            self.recorders[k] = Recorder(self.problems[k])
            self._leave(None, k, INTERRUPTED)

    def _enter(self, lane: int, k: int) -> None:
        problem = self.problems[k]
        chart = problem.chart
        assert chart is not None
        self.owner[lane], self.recorders[k] = k, Recorder(problem)
        self.live[lane], self.attempts[lane], self.h[lane] = True, 0, 0.0
        self.tau[lane], self.end[lane] = problem.tau0, problem.taus[-1]
        self.rtol[lane], self.offset[lane] = problem.rtol, chart.clock.offset
        self.y[:, lane], self.atol[:, lane] = problem.y0, problem.atol
        self.decay[:, lane], self.weights[:, lane] = chart.clock.decay, chart.weights

    def _look(
        self, lane: int, k: int, tau: float, y: Array, taus: Array, states: Array, curves: Array
    ) -> None:
        outcome: Stop | str | None = None
        message = ""
        try:
            if len(taus):
                outcome = accept_steps(self.recorders[k], tau, y, taus, states, curves)
            if outcome is None and not self.live[lane]:
                outcome, message = SOLVER_FAILED, "the step size became zero"
        except BREAKDOWNS as problem:
            outcome, message = SOLVER_FAILED, f"{type(problem).__name__}: {problem}"
        if outcome is not None:
            self._leave(lane, k, outcome, message)

    def _leave(self, lane: int | None, k: int, outcome: Stop | str, message: str = "") -> None:
        attempts = 0 if lane is None else int(self.attempts[lane])
        if lane is not None:
            self.owner[lane], self.live[lane] = None, False
        recorder = self.recorders.pop(k)
        # With those beyond a stop: a batch begins with the piece, so that their number is its own.
        stats = {"field_evaluations": 9 * attempts, "jacobian_evaluations": attempts}
        self.solutions[k] = finish(recorder, outcome, message, stats)
