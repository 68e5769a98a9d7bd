"""Flows of many members in one compiled JAX program, on whatever device JAX has.

Every member follows its own charts, as :func:`flows.integrate.integrate` does. Pieces of one shape
fill the lanes of :mod:`flows.solvers.diffrax_lanes`; after every call those that have ended make
room for the next.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.problem import BREAKDOWNS, SOLVER_FAILED, Problem, Recorder, Solution, Stop, finish
from flows.core.system import JaxField, System
from flows.ensembles.member import FAILURES, Flow
from flows.runs.integrate import answer, course
from flows.runs.trajectory import Trajectory
from flows.solvers.chart_jax import SelfSimilarField, arguments, require_x64
from flows.solvers.diffrax_ivp import FIRST_STEP, jax_field
from flows.solvers.diffrax_lanes import ATTEMPTS, Lane, advance
from flows.solvers.rodas_recorder import accept_steps
from flows.solvers.rodas_tableau import STAGES

METHOD = "diffrax-rodas5p"
# Lanes, and members of a chunk for each lane: while the last ones of a chunk end, lanes are empty.
CPU_LANES, GPU_LANES = 64, 4096
MEMBERS_PER_LANE = 8


@dataclass(frozen=True)
class Batch:
    """Members follow the gradient flow side by side, ``lanes`` of them in a call, on a device."""

    t_end: float
    t_eval: tuple[float, ...] | None
    method: str
    rtol: float
    atol: float | None
    max_steps: int
    lanes: int
    device: str

    def chunk_size(self, size: int, workers: int) -> int:
        """Members of a chunk, where nobody says how many."""
        return min(MEMBERS_PER_LANE * self.lanes, math.ceil(size / workers))

    def runs_at_once(self, chunk: int) -> int:
        """How many runs are in memory."""
        return chunk

    def follow(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """One run, or what prevented it, for each start.

        Its statistics have ``lane_use`` too: the share of all attempts that were somebody's.
        """
        require_x64("the engine jax")
        crowd = _Crowd(jax_field(self.method, system), self.rtol, self.lanes)
        for member, start in enumerate(starts):
            try:
                crowd.begin(
                    member,
                    course(
                        system,
                        start(),
                        self.t_end,
                        self.t_eval,
                        self.method,
                        self.rtol,
                        self.atol,
                        self.max_steps,
                    ),
                )
            except FAILURES as problem:
                crowd.ended[member] = problem
        crowd.walk()
        use = crowd.used / max(1, ATTEMPTS * self.lanes * crowd.calls)
        for member in sorted(crowd.ended):
            run = crowd.ended.pop(member)
            yield (
                run
                if isinstance(run, Exception)
                else replace(run, stats={**run.stats, "lane_use": use})
            )


def batch(flow: Flow, system: System, lanes: int | None) -> Batch:
    """Procedure of the engine ``jax`` that does what ``flow`` does one by one.

    Raises
    ------
    InputError
        For another method than ``auto`` and :data:`METHOD`, a system whose field is not known in
        JAX, or where JAX computes with 32 bits.
    """
    if flow.method not in ("auto", METHOD):
        raise InputError(
            f"the engine jax has the method {METHOD}, got {flow.method}; leave it out,"
            " or take the engine cpu"
        )
    require_x64("the engine jax")
    jax_field(METHOD, system)  # or its message
    device = jax.default_backend()
    if lanes is None:
        lanes = CPU_LANES if device == "cpu" else GPU_LANES
    return Batch(**{**asdict(flow), "method": METHOD}, lanes=int(lanes), device=device)


class _Walker:
    """One piece of a member on its way."""

    def __init__(
        self,
        member: int,
        pieces: Generator[Problem, Solution, Trajectory],
        problem: Problem,
        make_raw: JaxField,
    ) -> None:
        chart = problem.chart
        assert chart is not None
        raw, numbers = make_raw(chart)
        self.field = SelfSimilarField(raw, chart.clock.exponential)
        numbers = arguments(chart.clock, numbers)
        self.member, self.pieces, self.recorder = member, pieces, Recorder(problem)
        self.attempts = 0
        self.lane = Lane(
            *jax.tree.map(
                np.asarray,
                (
                    problem.tau0,
                    float(problem.taus[-1]),
                    FIRST_STEP,
                    problem.y0,
                    problem.atol,
                    numbers,
                ),
            )
        )

    @property
    def shape(self) -> tuple[Any, ...]:
        """Walkers of one shape are served by one program."""
        leaves, structure = jax.tree.flatten(self.lane)
        return self.field, structure, tuple(x.shape for x in leaves)


class _Crowd:
    """All members of a chunk: who walks, and who has arrived."""

    def __init__(self, make_raw: JaxField, rtol: float, lanes: int) -> None:
        self.make_raw, self.rtol, self.lanes = make_raw, np.asarray(rtol), lanes
        self.waiting: dict[Any, deque[_Walker]] = defaultdict(deque)
        self.ended: dict[int, Trajectory | Exception] = {}
        self.calls = self.used = 0

    def begin(
        self,
        member: int,
        pieces: Generator[Problem, Solution, Trajectory],
        last: Solution | None = None,
    ) -> None:
        """Let the next piece of a member wait for a lane, or keep the run that has ended."""
        try:
            problem, run = answer(pieces, last)
        except FAILURES as failure:
            self.ended[member] = failure
            return
        if problem is None:
            self.ended[member] = run
            return
        walker = _Walker(member, pieces, problem, self.make_raw)
        self.waiting[walker.shape].append(walker)

    def walk(self) -> None:
        """Walk until everybody has arrived: in each call as many of one shape as there are."""
        while self.waiting:
            shape = max(self.waiting, key=lambda key: len(self.waiting[key]))
            queue = self.waiting[shape]
            group = [queue.popleft() for _ in range(min(self.lanes, len(queue)))]
            if not queue:
                del self.waiting[shape]
            for walker, outcome, message in self._advance(group):
                if outcome is None:
                    self.waiting[shape].appendleft(walker)
                else:
                    counts = {
                        "field_evaluations": STAGES * walker.attempts,
                        "jacobian_evaluations": walker.attempts,
                    }
                    piece = finish(walker.recorder, outcome, message, counts)
                    self.begin(walker.member, walker.pieces, piece)

    def _advance(self, group: list[_Walker]) -> Iterator[tuple[_Walker, Stop | str | None, str]]:
        """One call for these walkers, and how each of them stands after it."""
        # An empty lane is a piece that has ended.
        nobody = group[0].lane._replace(tau=group[0].lane.end)
        lanes = [w.lane for w in group] + [nobody] * (self.lanes - len(group))
        together = jax.tree.map(lambda *x: np.stack(x), *lanes)
        found = jax.device_get(advance(group[0].field, together, self.rtol))
        tau, y, step, steps = found
        attempts = steps.tried.sum(axis=1)
        self.calls += 1
        self.used += int(attempts.sum())
        for i, walker in enumerate(group):
            walker.attempts += int(attempts[i])
            kept = steps.accepted[i]
            if not kept.any():
                yield walker, SOLVER_FAILED, f"{ATTEMPTS} steps in a row were refused"
                continue
            try:
                outcome = accept_steps(
                    walker.recorder,
                    float(walker.lane.tau),
                    walker.lane.y,
                    steps.tau[i][kept],
                    steps.y[i][kept],
                    steps.k[i][kept],
                )
            except BREAKDOWNS as problem:
                yield walker, SOLVER_FAILED, f"{type(problem).__name__}: {problem}"
                continue
            walker.lane = walker.lane._replace(tau=tau[i], y=y[i], step=step[i])
            yield walker, outcome, ""
