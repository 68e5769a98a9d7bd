"""From members to rows: what a worker computes of one chunk of an ensemble."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.problem import COMPLETED, INTERRUPTED
from flows.core.system import System
from flows.runs.check import check
from flows.runs.integrate import follow, follow_in_pieces, next_problem
from flows.runs.rates import local_exponent
from flows.runs.request import Request, check_count
from flows.runs.trajectory import Trajectory
from flows.solvers.choice import solver_for

Rows = dict[str, NDArray[Any]]

# A chunk is what an interruption can lose, and its file costs about 20 ms.
LARGEST_CHUNK = 64
CHUNKS_PER_WORKER = 8
# Members that Rodas5P follows side by side: enough to keep its lanes filled until the end.
TOGETHER = 128

# What a single start can cause; anything else is an error of the program, and is shown as one.
FAILURES = (InputError, ValueError, ArithmeticError, np.linalg.LinAlgError, MemoryError)

#: Status of a member that could not begin: its start was refused.
INPUT_ERROR = "input_error"
#: Status of a member whose computation broke down.
FAILED = "failed"
#: Status of a member whose worker process was lost.
LOST = "worker_lost"

#: Numbers of a member's run that do not depend on the load of the machine.
WORK = ("steps", "field_evaluations", "jacobian_evaluations")


@dataclass(frozen=True)
class Law:
    """Random starts: those of the system's law, one for each pair of seed and index.

    Parameters
    ----------
    size : int
        Number of members, at least 1.
    scale : float
        Size of a start, as in ``system.initial``.
    seed : int
        Seed of the ensemble, at least 0.
    options : dict
        Further arguments of ``system.initial``, such as ``balanced=True``.

    Raises
    ------
    InputError
        For a size or seed that is not such an integer.

    Examples
    --------
    >>> law = Law(size=2, seed=7)
    >>> law.seed_of(1) == Law(size=100, seed=7).seed_of(1) != law.seed_of(0)
    True
    """

    size: int
    scale: float = 0.1
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check size and seed."""
        for name, least in (("size", 1), ("seed", 0)):
            check_count(name, getattr(self, name), least)
            object.__setattr__(self, name, int(getattr(self, name)))

    def seed_of(self, index: int) -> int:
        """Seed of one member: ``system.initial(scale, seed_of(index))`` is its start."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(index,))
        return int(sequence.generate_state(1, np.uint64)[0])

    def start(self, system: System, index: int) -> Array:
        """Start of one member."""
        return system.initial(self.scale, self.seed_of(index), **self.options)


@dataclass(frozen=True)
class Flow:
    """Members follow the gradient flow (:func:`flows.integrate`), each as the request says."""

    request: Request

    @property
    def provenance(self) -> dict[str, Any]:
        """What the manifest of an ensemble keeps."""
        return asdict(self.request)

    def chunk_size(self, size: int, workers: int) -> int:
        """Members of a chunk, where the caller does not say how many."""
        if self._together:
            return min(TOGETHER, math.ceil(size / workers))
        return min(LARGEST_CHUNK, math.ceil(size / (CHUNKS_PER_WORKER * workers)))

    def runs_at_once(self, chunk: int) -> int:
        """How many runs of a chunk are in memory."""
        return chunk if self._together else 1

    @property
    def _together(self) -> bool:
        return self.request.method == "Rodas5P"

    def follow(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """One run, or what prevented it, for each start."""
        if self._together:
            yield from self._follow_together(system, starts)
            return
        for start in starts:
            try:
                yield follow(system, start(), self.request)
            except FAILURES as problem:
                yield problem

    def _follow_together(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """All runs at once: in each round the next piece of every run that has not ended."""
        from flows.solvers.rodas import solve_many

        solver_for(self.request.method, system)  # or its message
        ended: dict[int, Trajectory | Exception] = {}
        waiting: dict[int, tuple[Any, Any]] = {}

        def go_on(member: int, pieces: Any, last: Any) -> None:
            try:
                problem, run = next_problem(pieces, last)
            except FAILURES as failure:
                ended[member] = failure
                return
            if problem is None:
                ended[member] = run
            else:
                waiting[member] = pieces, problem

        for member, start in enumerate(starts):
            try:
                pieces = follow_in_pieces(system, start(), self.request)
            except FAILURES as failure:
                ended[member] = failure
            else:
                go_on(member, pieces, None)
        while waiting:
            now, waiting = waiting, {}
            solved = solve_many([problem for _, problem in now.values()])
            for (member, (pieces, _)), solution in zip(now.items(), solved, strict=True):
                go_on(member, pieces, solution)
        yield from (ended.pop(member) for member in sorted(ended))


@dataclass(frozen=True)
class ChunkTask:
    """Everything that a worker needs for any chunk.

    Parameters
    ----------
    system : System
        The flow.
    procedure : Flow, Batch or Descent
        How a member goes on from its start.
    times : int
        Number of output times, ``t = 0`` included.
    shapes : dict
        Trailing shape of every quantity by name: observables, and ``NAME_exponent``.
    claims : tuple of str
        Ids of the claims that are checked.
    """

    system: System
    procedure: Any
    times: int
    shapes: dict[str, tuple[int, ...]]
    claims: tuple[str, ...]

    def __call__(self, starts: Law | NDArray[Any], first: int, count: int) -> Rows:
        """Rows of the members ``first, ..., first + count - 1``.

        Parameters
        ----------
        starts : Law or ndarray, shape (count, ...)
            The law, or the starts of these members.
        first, count : int
            Which members.

        Returns
        -------
        dict of ndarray
            Leading axis ``count``.

        Raises
        ------
        KeyboardInterrupt
            If a run was interrupted: half a chunk is none.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        def start(row: int) -> Array:
            return (
                starts.start(self.system, first + row) if isinstance(starts, Law) else starts[row]
            )

        rows = empty_rows(count, self.times, self.shapes, self.claims)
        # One thread of BLAS: workers do not compete, and products round alike everywhere.
        with threadpool_limits(1):
            callers = (lambda row=row: start(row) for row in range(count))
            for row, run in enumerate(self.procedure.follow(self.system, callers)):
                if isinstance(run, Exception):
                    self._refuse(rows, row, run)
                    continue
                if run.status == INTERRUPTED:
                    raise KeyboardInterrupt
                try:
                    self._record(rows, row, run)
                except FAILURES as problem:
                    self._refuse(rows, row, problem)
        return rows

    def _record(self, rows: Rows, row: int, run: Trajectory) -> None:
        for name in self.shapes:
            rows[name][row, : len(run.t)] = quantity(run, name)
        for claim in self.claims:
            (verdict,) = check(run, claim)
            rows[f"{claim}_verdict"][row] = str(verdict.verdict)
            for number in ("constant", "attained_at"):
                value = getattr(verdict, number)
                rows[f"{claim}_{number}"][row] = math.nan if value is None else value
        for name in WORK:
            rows[name][row] = run.stats[name]
        rows["status"][row], rows["message"][row] = run.status, run.message

    def _refuse(self, rows: Rows, row: int, problem: Exception) -> None:
        line = " ".join(str(problem).split())
        known = isinstance(problem, InputError)
        for name, values in empty_rows(1, self.times, self.shapes, self.claims).items():
            rows[name][row] = values[0]
        rows["status"][row] = INPUT_ERROR if known else FAILED
        rows["message"][row] = line if known else f"{type(problem).__name__}: {line}"


def empty_rows(
    count: int, times: int, shapes: dict[str, tuple[int, ...]], claims: Iterable[str]
) -> Rows:
    """Rows of members of which nothing is known: NaN, and the status ``failed``."""
    rows: Rows = {name: np.full((count, times, *shape), np.nan) for name, shape in shapes.items()}
    for claim in claims:
        rows[f"{claim}_verdict"] = np.full(count, "", dtype=object)
        rows[f"{claim}_constant"] = np.full(count, np.nan)
        rows[f"{claim}_attained_at"] = np.full(count, np.nan)
    for name in WORK:
        rows[name] = np.zeros(count, dtype=np.int64)
    rows["status"] = np.full(count, FAILED, dtype=object)
    rows["message"] = np.full(count, "", dtype=object)
    return rows


def missing_rows(task: ChunkTask, count: int, status: str, message: str) -> Rows:
    """Rows of a chunk that was not computed; NaN takes no memory."""
    one = empty_rows(1, task.times, task.shapes, task.claims)
    rows = {name: np.broadcast_to(x, (count, *x.shape[1:])) for name, x in one.items()}
    rows["status"] = np.full(count, status, dtype=object)
    rows["message"] = np.full(count, message, dtype=object)
    return rows


def quantity(run: Trajectory, name: str) -> Array:
    """Observable ``name``, or the local exponent where the name ends in ``_exponent``."""
    base = name.removesuffix("_exponent")
    return run[name] if base == name else local_exponent(run, base)


def shapes(system: System, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Trailing shapes of observables and of their local exponents, from a start of the law.

    Raises
    ------
    InputError
        For a name that is not an observable of the system.
    """
    start = system.initial()
    frame, state = system.reduce(start)
    run = Trajectory(
        system, np.zeros(1), frame, state.at(None), start, COMPLETED, "", {}, (), 0.0, {}
    )
    found: dict[str, tuple[int, ...]] = {}
    for name in names:
        found[name] = run[name].shape[1:]
        try:
            found[f"{name}_exponent"] = local_exponent(run, name).shape[1:]
        except InputError:
            continue  # its rate along the flow is not known
    return found
