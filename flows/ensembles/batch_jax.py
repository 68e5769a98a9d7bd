"""Flows of many members in one compiled JAX program, on whatever device JAX has.

Every member follows its own charts, as :func:`flows.integrate` does. Pieces of one shape
fill the lanes of :mod:`flows.solvers.diffrax_lanes`; after every call those that have ended make
room for the next.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import jax
import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.problem import BREAKDOWNS, SOLVER_FAILED, Problem, Recorder, Solution, Stop, finish
from flows.core.system import JaxField, System
from flows.ensembles.member import FAILURES
from flows.runs.integrate import follow_in_pieces, next_problem
from flows.runs.request import Request
from flows.runs.trajectory import Trajectory
from flows.solvers.chart_jax import SelfSimilarField, arguments, require_x64
from flows.solvers.diffrax_ivp import FIRST_STEP, jax_field
from flows.solvers.diffrax_lanes import ATTEMPTS, Lane, advance
from flows.solvers.recorded import accept_steps
from flows.solvers.rodas_tableau import STAGES

METHOD = "diffrax-rodas5p"
# Lanes, and members of a chunk for each lane: while the last ones of a chunk end, lanes are empty.
CPU_LANES, GPU_LANES = 64, 4096
MEMBERS_PER_LANE = 8


@dataclass(frozen=True)
class Batch:
    """Members follow the gradient flow side by side, ``lanes`` of them in a call, on a device."""

    request: Request
    lanes: int
    device: str
    threads: ClassVar[bool] = False
    all_cores: ClassVar[bool] = True
    joins: ClassVar[bool] = False

    @property
    def provenance(self) -> dict[str, Any]:
        """What the manifest of an ensemble keeps."""
        return {**asdict(self.request), "lanes": self.lanes, "device": self.device}

    def chunk_size(self, size: int, workers: int) -> int:
        """Members of a chunk, where the caller does not say how many."""
        return min(MEMBERS_PER_LANE * self.lanes, math.ceil(size / workers))

    def runs_at_once(self, chunk: int) -> int:
        """How many runs are in memory."""
        return chunk

    def follow(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """One run, or what prevented it, for each start.

        Its statistics have ``lane_use`` too: the share of all attempts that were not of empty
        lanes.
        """
        require_x64("the engine jax")
        scheduler = _LaneScheduler(
            jax_field(self.request.method, system), self.request.rtol, self.lanes
        )
        for member, start in enumerate(starts):
            try:
                pieces = follow_in_pieces(system, start(), self.request)
            except FAILURES as problem:
                scheduler.ended[member] = problem
            else:
                scheduler.go_on(member, pieces)
        scheduler.run()
        use = scheduler.used / max(1, ATTEMPTS * self.lanes * scheduler.calls)
        for member in sorted(scheduler.ended):
            run = scheduler.ended.pop(member)
            yield (
                run
                if isinstance(run, Exception)
                else replace(run, stats={**run.stats, "lane_use": use})
            )


def batch(request: Request, system: System, lanes: int | None) -> Batch:
    """Procedure of the engine ``jax`` that meets ``request``.

    Raises
    ------
    InputError
        For another method than ``auto`` and :data:`METHOD`, a system whose field is not known in
        JAX, or where JAX computes with 32 bits.
    """
    if request.method not in ("auto", METHOD):
        raise InputError(
            f"the engine jax has the method {METHOD}, got {request.method}; leave it out,"
            " or take the engine cpu"
        )
    require_x64("the engine jax")
    jax_field(METHOD, system)  # or its message
    device = jax.default_backend()
    if lanes is None:
        lanes = CPU_LANES if device == "cpu" else GPU_LANES
    return Batch(replace(request, method=METHOD), int(lanes), device)


class _ActivePiece:
    """The piece of a member that is being solved, and its lane."""

    def __init__(
        self,
        member: int,
        pieces: Generator[Problem, Solution, Trajectory],
        problem: Problem,
        raw_field: JaxField,
    ) -> None:
        chart = problem.chart
        assert chart is not None
        raw, numbers = raw_field(chart)
        self.field = SelfSimilarField(raw, chart.clock.exponential)
        self.member, self.pieces, self.recorder = member, pieces, Recorder(problem)
        self.attempts = 0
        lane = Lane(
            problem.tau0,
            float(problem.taus[-1]),
            FIRST_STEP,
            problem.y0,
            problem.atol,
            arguments(chart.clock, numbers),
        )
        self.lane = jax.tree.map(np.asarray, lane)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Pieces of one shape are solved by one program."""
        leaves, structure = jax.tree.flatten(self.lane)
        return self.field, structure, tuple(x.shape for x in leaves)


class _LaneScheduler:
    """The runs of a chunk: which pieces wait for a lane, and which runs have ended."""

    def __init__(self, raw_field: JaxField, rtol: float, lanes: int) -> None:
        self.raw_field, self.rtol, self.lanes = raw_field, np.asarray(rtol), lanes
        self.waiting: dict[Any, deque[_ActivePiece]] = defaultdict(deque)
        self.ended: dict[int, Trajectory | Exception] = {}
        self.calls = self.used = 0

    def go_on(
        self,
        member: int,
        pieces: Generator[Problem, Solution, Trajectory],
        last: Solution | None = None,
    ) -> None:
        """Let the next piece of a member wait for a lane, or keep the run that has ended."""
        try:
            problem, run = next_problem(pieces, last)
        except FAILURES as failure:
            self.ended[member] = failure
            return
        if problem is None:
            self.ended[member] = run
            return
        piece = _ActivePiece(member, pieces, problem, self.raw_field)
        self.waiting[piece.shape].append(piece)

    def run(self) -> None:
        """Solve until every run has ended: in each call as many of one shape as there are."""
        while self.waiting:
            shape = max(self.waiting, key=lambda key: len(self.waiting[key]))
            queue = self.waiting[shape]
            group = [queue.popleft() for _ in range(min(self.lanes, len(queue)))]
            if not queue:
                del self.waiting[shape]
            for piece, outcome, message in self._advance(group):
                if outcome is None:
                    self.waiting[shape].appendleft(piece)
                else:
                    counts = {
                        "field_evaluations": STAGES * piece.attempts,
                        "jacobian_evaluations": piece.attempts,
                    }
                    solution = finish(piece.recorder, outcome, message, counts)
                    self.go_on(piece.member, piece.pieces, solution)

    def _advance(
        self, group: list[_ActivePiece]
    ) -> Iterator[tuple[_ActivePiece, Stop | str | None, str]]:
        """One call for these pieces, and how each of them stands after it."""
        # An empty lane is a piece that has ended.
        empty = group[0].lane._replace(tau=group[0].lane.end)
        lanes = [piece.lane for piece in group] + [empty] * (self.lanes - len(group))
        together = jax.tree.map(lambda *x: np.stack(x), *lanes)
        found = jax.device_get(advance(group[0].field, together, self.rtol))
        tau, y, step, steps = found
        attempts = steps.tried.sum(axis=1)
        self.calls += 1
        self.used += int(attempts.sum())
        for i, piece in enumerate(group):
            piece.attempts += int(attempts[i])
            kept = steps.accepted[i]
            if not kept.any():
                yield piece, SOLVER_FAILED, f"{ATTEMPTS} steps in a row were refused"
                continue
            try:
                outcome = accept_steps(
                    piece.recorder,
                    float(piece.lane.tau),
                    piece.lane.y,
                    steps.tau[i][kept],
                    steps.y[i][kept],
                    steps.k[i][kept],
                )
            except BREAKDOWNS as problem:
                yield piece, SOLVER_FAILED, f"{type(problem).__name__}: {problem}"
                continue
            piece.lane = piece.lane._replace(tau=tau[i], y=y[i], step=step[i])
            yield piece, outcome, ""
