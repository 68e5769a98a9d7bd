"""Integrate a gradient flow from many starts, one by one or side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.deadline import look
from flows.core.system import System, checked_system
from flows.core.threads import taking_turns
from flows.ensembles.along_axes import follow_along_axes, served
from flows.ensembles.member import FAILURES
from flows.ensembles.result import Ensemble
from flows.ensembles.run import EnsembleRequest, run_ensemble
from flows.ensembles.starts import Law, check_starts
from flows.runs.integrate import follow, follow_in_pieces, next_problem
from flows.runs.request import MAX_STEPS, Request, check_count
from flows.runs.trajectory import Trajectory
from flows.solvers.choice import JAX_METHODS, side_by_side, solve_many, solver_for

__all__ = ["Flow", "integrate_ensemble"]

# A chunk is what an interruption can lose, and its file costs about 20 ms.
LARGEST_CHUNK = 64
CHUNKS_PER_WORKER = 8
# Members that Rodas5P follows side by side: enough to keep its lanes filled until the end.
TOGETHER = 128
# Members of a chunk for each lane of JAX: while the last ones of a chunk end, lanes are empty.
MEMBERS_PER_LANE = 8
# From this many members on chunks are larger: a file takes as long as 20 members, and 25 kB.
MANY, LARGER = 8192, 512
# States along axes that are in memory at a time, and the fewest members.
STATES, FEWEST = 128 * LARGER, 32


def integrate_ensemble(
    system: System,
    starts: Law | ArrayLike,
    t_end: float,
    t_eval: Sequence[float] | Array | None = None,
    *,
    method: str = "auto",
    rtol: float = 1e-10,
    atol: float | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float | None = None,
    observables: Sequence[str] | None = None,
    claims: Sequence[str] = (),
    workers: int | None = None,
    executor: Executor | None = None,
    out: str | os.PathLike[str] | None = None,
    chunk_size: int | None = None,
    progress: bool | Callable[[int], None] = False,
    potentials: Mapping[str, sp.Expr] | None = None,
) -> Ensemble:
    r"""Follow ``dy/dt = -grad L(y)`` from many starts.

    Parameters
    ----------
    system : System
        The flow.
    starts : Law or array_like, shape (members, ...)
        A law of random starts, or the starts.
    t_end, t_eval, method, rtol, atol, max_steps
        As for :func:`flows.integrate`; they concern each member. The method ``auto`` takes
        compiled steps side by side where the system has a field in lanes: Rodas5P up to 40
        unknowns; mixtures begin with explicit steps (DOP853) and go on with Rodas5P. It takes what
        a single run takes after that, where these fail, and below ``rtol = 1e-11``; so a member
        agrees with a single run to the tolerance, not bit for bit. Methods of diffrax solve all
        members of a chunk by one compiled program, on the device that JAX has (CPU or GPU), in 64
        bits (``JAX_ENABLE_X64=1``), for ``ReLUNeuron`` and
        ``MatrixFactorization``. By ``auto``, at least 128 members of an ``OwnSystem`` in closed
        form with at most 64 unknowns, and at least 48 of a ``TwoLayer`` of few unknowns, are
        followed along the axes of charts, 16 side by side, in threads: by explicit steps (DOP853)
        where curvature times time is below 30, and by Radau from then on. Who leaves compiled code,
        as where a student comes to zero, goes on as a run alone from there. Compiling takes a
        minute once.
    max_seconds : float, optional
        Budget of time of the whole ensemble. Members that have not ended then have the status
        ``time_budget``; in a folder their chunks are left out, and the same call goes on with them.
    observables : sequence of str, optional
        What is kept of each member, with local exponents where the rate is known; by default the
        loss, and of a plain field its first potential.
    claims : sequence of str
        Ids of claims that are checked on each member.
    workers : int, optional
        How many chunks are computed at a time, one a core by default. Where members take compiled
        steps side by side, threads begin; elsewhere it is one after the other. What would take
        these ten seconds more goes to so many processes, which need no main guard in a script,
        where threads do not keep the cores busy and memory is enough. With a number, processes
        begin at once where there are no threads; 1 is this process alone. With an executor: how
        many workers it has, 1 by default. Methods of diffrax compute on all cores, or on the
        GPU, from one; on a GPU more of them share what ``XLA_PYTHON_CLIENT_PREALLOCATE=false``
        leaves.
    executor : Executor, optional
        Where chunks are computed, any :class:`concurrent.futures.Executor`.
    out : path, optional
        Folder for the result, chunk by chunk; without it the result is in memory. If the folder
        has chunks of the same ensemble, only the others are computed.
    chunk_size : int, optional
        Members a chunk. A folder that was begun keeps its own.
    progress : bool or callable
        Show a progress bar on standard error; or a function that is called with the number of
        new members.
    potentials : mapping of str to Expr, optional
        Potentials of your own, as for :func:`flows.integrate`; they are kept beside the
        observables.

    Returns
    -------
    Ensemble
        A member that fails has its status and message in its row. After Ctrl-C the members that
        were not computed have the status ``interrupted``; those whose worker process died twice
        have ``worker_lost``.

    Raises
    ------
    InputError
        For arguments that cannot be used by any member, a folder of another ensemble, and a
        request that does not fit into memory or on the disk: before anything runs.

    Notes
    -----
    Nothing in a row depends on the other members: a member's random numbers come from (seed,
    index), and BLAS uses one thread. So on one machine the result is the same bit for bit for any
    number of workers, size and order of chunks, and number of interruptions. Methods of diffrax
    round differently for one member than for several, and on another device. So do 128
    members or more of an ``OwnSystem``, against fewer, and 48 of a ``TwoLayer``.

    Examples
    --------
    >>> import flows
    >>> system, law = flows.ReLUNeuron(n=1, d=2), flows.Law(size=3)
    >>> e = flows.integrate_ensemble(system, law, t_end=10.0, rtol=1e-6)
    >>> e["loss"].shape == (3, len(e.t)), e.status.tolist()
    (True, ['completed', 'completed', 'completed'])
    """
    request = Request(t_end, t_eval, method, rtol, atol, max_steps)
    check_count("max_steps", max_steps)
    checked = checked_system(system)
    if method in JAX_METHODS:
        solver_for(method, checked)  # or its message
    size, _ = check_starts(checked, starts)
    along_axes = served(checked, request, size)
    procedure: Any = Flow(request, side_by_side(method, rtol, checked), along_axes, bool(claims))
    return run_ensemble(
        system,
        starts,
        procedure,
        np.concatenate([[0.0], request.times]),
        EnsembleRequest(
            observables,
            claims,
            workers,
            executor,
            out,
            chunk_size,
            progress,
            potentials,
            max_seconds,
        ),
    )


@dataclass(frozen=True)
class Flow:
    """Members follow the gradient flow (:func:`flows.integrate`), each as the request says.

    Parameters
    ----------
    request : Request
        End, tolerances, method.
    together : bool
        Whether all members of a chunk take their steps side by side, in compiled code.
    along_axes : bool
        Whether compiled code follows them along the axes of charts, see `follow_along_axes`.
    events : bool
        Whether the events of members are needed, which claims may ask for.
    """

    request: Request
    together: bool = False
    along_axes: bool = False
    events: bool = True

    @property
    def threads(self) -> bool:
        """Whether workers can be threads: compiled steps do not hold the interpreter's lock."""
        return self.together and not self.in_jax

    @property
    def in_jax(self) -> bool:
        """Whether JAX solves the pieces of all members of a chunk."""
        return self.request.method in JAX_METHODS

    @property
    def all_cores(self) -> bool:
        """Whether one chunk takes all cores: JAX, and members along axes, have threads."""
        return self.in_jax or (self.along_axes and not self.together)

    @property
    def joins(self) -> bool:
        """Whether runs of several members can be one: see :meth:`follow_joined`."""
        return self.along_axes

    @property
    def provenance(self) -> dict[str, Any]:
        """What the manifest of an ensemble keeps."""
        return asdict(self.request)

    def chunk_size(self, size: int, workers: int) -> int:
        """Members of a chunk, where the caller does not say how many: as many for each worker.

        Along axes they are whole lanes.
        """
        width = 1
        if self.in_jax:
            from flows.solvers.diffrax_ivp import lanes  # JAX, where it is needed

            largest = MEMBERS_PER_LANE * lanes()
        elif self.together:
            largest = TOGETHER if size < MANY else LARGER
        elif self.along_axes:
            from flows.solvers.near_flow import LANES  # Numba, where it is needed

            width = LANES
            largest = min(LARGER, max(FEWEST, STATES // (1 + len(self.request.times))))
        else:
            largest = min(LARGEST_CHUNK, math.ceil(size / (CHUNKS_PER_WORKER * workers)))
        groups = math.ceil(size / width)
        rounds = math.ceil(groups / (workers * (largest // width)))
        return width * math.ceil(groups / (workers * rounds))

    def runs_at_once(self, chunk: int) -> int:
        """How many runs of a chunk are in memory."""
        return chunk if self.together else 1

    def follow(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """One run, or what prevented it, for each start."""
        if self.together:
            yield from self._follow_together(system, starts)
            return
        if self.along_axes:
            yield from (run for _, run in follow_along_axes(system, starts, self.request))
            return
        for start in starts:
            look()
            try:
                yield follow(system, start(), self.request)
            except FAILURES as problem:
                yield problem

    def follow_joined(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[tuple[list[int], Trajectory | Exception]]:
        """Runs, or what prevented them, with the numbers of the starts that they are of."""
        return follow_along_axes(system, starts, self.request, joins=True)

    def _follow_together(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """All runs at once: in each round the next piece of every run that has not ended."""
        method = self.request.method
        solver_for(method, system)  # or its message
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
                pieces = follow_in_pieces(system, start(), self.request, self.events)
            except FAILURES as failure:
                ended[member] = failure
            else:
                go_on(member, pieces, None)
        while waiting:
            now, waiting = waiting, {}
            with taking_turns():
                solved = solve_many([problem for _, problem in now.values()], method, system)
            for (member, (pieces, _)), solution in zip(now.items(), solved, strict=True):
                go_on(member, pieces, solution)
        yield from (ended.pop(member) for member in sorted(ended))
