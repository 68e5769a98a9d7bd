"""From members to rows: what a worker computes of one chunk of an ensemble."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import uncollected
from flows.core.deadline import NEVER, Deadline, TimeSpent, within
from flows.core.errors import InputError
from flows.core.problem import COMPLETED, INTERRUPTED, STOPPED, TIME_BUDGET
from flows.core.system import System
from flows.core.threads import one_thread
from flows.ensembles.measure import measure_together
from flows.ensembles.starts import Law
from flows.runs.check import check
from flows.runs.rates import local_exponent
from flows.runs.trajectory import Trajectory
from potentials import Potential

Rows = dict[str, NDArray[Any]]
# A run, or what prevented it, with the rows of those whose it is.
_Found = tuple[list[int], Trajectory | Exception]

# What a single start can cause; anything else is an error of the program, and is shown as one.
FAILURES = (InputError, ValueError, ArithmeticError, np.linalg.LinAlgError, MemoryError)

#: Status of a member that could not begin: its start was refused.
INPUT_ERROR = "input_error"
#: Status of a member whose computation broke down.
FAILED = "failed"
#: Status of a member whose worker process was lost.
LOST = "worker_lost"
#: Statuses of members that say nothing of their flow: they are no trials.
UNTRIED = (*STOPPED, LOST)

#: Absolute numerical error of the loss of a member.
LOSS_ERROR = "loss_error"
# Quantities of one time alone; runs that are joined end to end have the same.
JOINED = frozenset(("loss", LOSS_ERROR, "loss_exponent", "gradient_norm", "gradient_norm_exponent"))
# Bits of an error that are kept: it is stated too large by less than 3.2 %, and fills few bytes.
KEPT_BITS = 5

#: Numbers of a member's run that do not depend on the load of the machine.
WORK = ("steps", "field_evaluations", "jacobian_evaluations")


@dataclass(frozen=True)
class ChunkTask:
    """Everything that a worker needs for any chunk.

    Parameters
    ----------
    system : System
        The flow.
    procedure : Flow or Descent
        How a member goes on from its start.
    times : int
        Number of output times, ``t = 0`` included.
    shapes : dict
        Trailing shape of every quantity by name: observables, and ``NAME_exponent``.
    claims : tuple of str
        Ids of the claims that are checked.
    given : tuple of Potential
        Potentials beside the system's own.
    deadline : Deadline
        When no more members begin, and members on their way end.
    """

    system: System
    procedure: Any
    times: int
    shapes: dict[str, tuple[int, ...]]
    claims: tuple[str, ...]
    given: tuple[Potential, ...] = ()
    deadline: Deadline = NEVER

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

        def start(row: int) -> Array:
            return (
                starts.start(self.system, first + row) if isinstance(starts, Law) else starts[row]
            )

        spent = self.deadline.message("before it ended")
        if self.deadline.spent:
            return missing_rows(self, count, TIME_BUDGET, spent)
        rows = empty_rows(count, self.times, self.shapes, self.claims)
        # One thread of BLAS: workers do not compete, and products round alike everywhere.
        at_once = self.procedure.runs_at_once(count)
        # What runs leave behind is found once they have all ended: to look before is in vain.
        looking = contextlib.nullcontext() if at_once == 1 else uncollected()
        with one_thread(), looking:
            found = self._runs(functools.partial(start, row) for row in range(count))
            while some := self._next(found, at_once):
                self._record_all(rows, some)
        left = rows["message"] == ""
        rows["status"][left], rows["message"][left] = TIME_BUDGET, spent
        return rows

    def _next(self, found: Iterator[_Found], count: int) -> list[_Found]:
        """Next runs; none where the budget of time has ended compiled code of many members."""
        with within(self.deadline), contextlib.suppress(TimeSpent):
            return list(itertools.islice(found, count))
        return []

    def _runs(self, callers: Iterable[Callable[[], Array]]) -> Iterator[_Found]:
        """Runs, or what prevented them, with the rows that they are of."""
        joins = not (self.claims or self.given) and JOINED.issuperset(self.shapes)
        if joins and self.procedure.joins:
            yield from self.procedure.follow_joined(self.system, callers)
            return
        for row, run in enumerate(self.procedure.follow(self.system, callers)):
            yield [row], run

    def _record_all(self, rows: Rows, found: list[_Found]) -> None:
        """Enter runs that are in memory at the same time."""
        runs: list[tuple[list[int], Trajectory]] = []
        for some, run in found:
            if isinstance(run, Exception):
                self._refuse(rows, some, run)
            elif run.status == INTERRUPTED:
                raise KeyboardInterrupt
            else:
                runs.append((some, replace(run, given=self.given) if self.given else run))
        with contextlib.suppress(*FAILURES):  # each alone then says what it is
            measure_together([run for _, run in runs])
        for some, run in runs:
            try:
                self._record(rows, some, run)
            except FAILURES as problem:
                self._refuse(rows, some, problem)

    def _record(self, rows: Rows, some: list[int], run: Trajectory) -> None:
        """Enter a run of one row, or of several, one behind the other."""
        for name in self.shapes:
            values = quantity(run, name)
            each = values.reshape(len(some), -1, *values.shape[1:])
            rows[name][some, : each.shape[1]] = each
        for claim in self.claims:
            (verdict,) = check(run, claim)
            rows[f"{claim}_verdict"][some] = str(verdict.verdict)
            for number in ("constant", "attained_at"):
                value = getattr(verdict, number)
                rows[f"{claim}_{number}"][some] = math.nan if value is None else value
        for name in WORK:
            rows[name][some] = run.stats[name]
        rows["status"][some], rows["message"][some] = run.status, run.message

    def _refuse(self, rows: Rows, some: list[int], problem: Exception) -> None:
        line = " ".join(str(problem).split())
        known = isinstance(problem, InputError)
        for name, values in empty_rows(1, self.times, self.shapes, self.claims).items():
            rows[name][some] = values[0]
        rows["status"][some] = INPUT_ERROR if known else FAILED
        rows["message"][some] = line if known else f"{type(problem).__name__}: {line}"


def empty_rows(
    count: int, times: int, shapes: dict[str, tuple[int, ...]], claims: Iterable[str]
) -> Rows:
    """Rows of members without any result: NaN, and the status ``failed``."""
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
    """Observable, the error of the loss, or the local exponent of a name ``NAME_exponent``."""
    if name == LOSS_ERROR:
        return rounded_up(run.absolute_errors("loss"), KEPT_BITS)
    base = name.removesuffix("_exponent")
    return run[name] if base == name else local_exponent(run, base)


def rounded_up(values: Array, bits: int) -> Array:
    """Round non-negative doubles up to this number of bits behind the leading one; NaN stays NaN.

    The bits of non-negative doubles, as integers, are in their order: all those beyond the ones
    that are kept are set to zero after a carry.
    """
    rest = np.int64((1 << (52 - bits)) - 1)
    plain = np.ascontiguousarray(values, dtype=float).view(np.int64)
    carried = ((plain + rest) & ~rest).view(np.float64)
    return np.where(np.isfinite(values), carried, values)


def shapes(
    system: System, names: Iterable[str], given: tuple[Potential, ...] = ()
) -> dict[str, tuple[int, ...]]:
    """Trailing shapes of observables and of their local exponents, from a start of the law.

    The loss has its numerical error beside it.

    Raises
    ------
    InputError
        For a name that is not an observable of the system.
    """
    found: dict[str, tuple[int, ...]] = {}
    run: Trajectory | None = None
    for name in names:
        if name == "loss":  # a number at each time, as its error and its exponent are
            found |= dict.fromkeys((name, LOSS_ERROR, "loss_exponent"), ())
            continue
        run = run or _at_start(system, given)
        found[name] = run[name].shape[1:]
        try:
            found[f"{name}_exponent"] = local_exponent(run, name).shape[1:]
        except InputError:
            continue  # its rate along the flow is not known
    return found


def _at_start(system: System, given: tuple[Potential, ...]) -> Trajectory:
    """What a run has at its start."""
    start = system.initial()
    frame, state = system.reduce(start)
    states = state.at(None)
    run = Trajectory(system, np.zeros(1), frame, states, start, COMPLETED, "", {}, (), 0.0, {})
    return replace(run, given=given)
