"""Integrate a gradient flow: piece after piece, collect outputs, report how it ended."""

from __future__ import annotations

import functools
import itertools
import time as clock
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.chart import Clock
from flows.core.deadline import Deadline, TimeSpent, deadline, look, unlimited, within
from flows.core.errors import InputError
from flows.core.piece import Event, Events, Restart
from flows.core.problem import (
    ATOL_PER_RTOL,
    COMPLETED,
    FIELD_FAILED,
    STEP_BUDGET,
    TIME_BUDGET,
    Problem,
    Solution,
    Stop,
)
from flows.core.progress import time_bar
from flows.core.subspace import Subspace
from flows.core.system import System, checked_system
from flows.core.threads import one_thread
from flows.runs.companions import confirmed
from flows.runs.given import given_at
from flows.runs.provenance import provenance
from flows.runs.request import MAX_STEPS, Request
from flows.runs.trajectory import Trajectory
from flows.solvers.choice import MULTISTEP, UNDAMPED, Solver, solver_for

# A dense Jacobian of so many unknowns takes 0.8 GB, and the solvers keep three of them.
MAX_UNKNOWNS = 10_000
# After so many pieces a run asks whether it is stuck, and after so many times as many it ends.
PIECES_PER_UNKNOWN, MOST_TIMES = 10, 10
# Pieces that each pass less than this part of the time lead nowhere: as many ask why.
IDLE, NOWHERE = 10, 1e-9


def integrate(
    system: System,
    start: ArrayLike,
    t_end: float,
    t_eval: Sequence[float] | Array | None = None,
    *,
    method: str = "auto",
    rtol: float = 1e-10,
    atol: float | None = None,
    progress: bool | Callable[[float], None] = False,
    max_steps: int = MAX_STEPS,
    max_seconds: float | None = None,
    potentials: Mapping[str, sp.Expr] | None = None,
) -> Trajectory:
    r"""Follow ``dy/dt = -grad L(y)`` from ``start`` to ``t_end``.

    Parameters
    ----------
    system : System
        The flow.
    start : array_like
        User's parameters at ``t = 0``.
    t_end : float
        End, positive and finite.
    t_eval : sequence of float, optional
        Times of the result after ``t = 0``, increasing, up to ``t_end``; 0 may be among them.
        Without it the output is geometric, at least 8 points a decade.
    method : str
        One of :data:`flows.METHODS`. ``auto`` is the first of ``system.auto``, or Radau for
        ``rtol < 1e-11``, and the next one where one fails. ``reference`` computes with 50
        digits, slowly, and ends where a neuron collapses; tolerances do not concern it.
        ``Rodas5P`` has compiled steps, for ``ReLUNeuron``, ``GMMEM`` and ``ScoreMatching``: 10 s
        to compile once, then fast, for many runs.
        Those called ``diffrax-`` compute with diffrax in 64 bits (``JAX_ENABLE_X64=1``), know
        ``ReLUNeuron`` and ``MatrixFactorization``, and compile for some seconds.
    rtol : float
        Relative tolerance of a step, at least 1e-14.
    atol : float, optional
        Absolute tolerance of a step in the solver's variables, which are of order one;
        ``rtol / 100`` of each block's size by default.
    progress : bool or callable
        Show a progress bar on standard error; or call this with the time reached, after each step.
        A ``KeyboardInterrupt`` that it raises ends the run as Ctrl-C does.
    max_steps : int
        Step budget of the whole run.
    max_seconds : float, optional
        Budget of time of the whole run; without it a run takes as long as it takes. It is checked
        between steps, and before each evaluation in balls. Time for compiling counts.
    potentials : mapping of str to Expr, optional
        Potentials of your own, observed beside those of the system: expressions in the symbols of
        observables (``potentials.symbol("loss")``), constants and ``t``.

    Returns
    -------
    Trajectory
        Its ``status`` is ``completed`` only if ``t_end`` was reached.

    Raises
    ------
    InputError
        For a start, times, a method or tolerances that cannot be used, and for a potential whose
        name is taken or whose symbols are not known.

    Notes
    -----
    Ctrl-C ends the run with the status ``interrupted``, the end of its budget of time with
    ``time_budget``. Both keep the states up to there; go on from ``run.state[-1]``.

    Accuracy
    --------
    See ``benchmarks/accuracy.py``: at ``rtol = 1e-10`` the loss is right to 1e-8 relative at
    every output time up to 1e12, at ``1e-13`` to 1e-11.
    """
    request = Request(t_end, t_eval, method, rtol, atol, max_steps)
    given = given_at(checked_system(system), start, potentials)  # before the run, which may be long
    with within(Deadline.after(max_seconds)):
        return replace(follow(system, start, request, progress=progress), given=given)


def follow(
    system: System,
    start: ArrayLike,
    request: Request,
    *,
    progress: bool | Callable[[float], None] = False,
) -> Trajectory:
    """Run of :func:`integrate` as ``request`` asks for it."""
    initial = checked_system(system).check_start(start)
    inside = system.subspace(initial)
    if inside is not None:
        run = follow(inside.alone, inside.start, request, progress=progress)
        whole = lifted(run, system, initial, inside)
        if whole is not None:
            return whole
    found = _alone(system, start, request, progress)
    return _confirmed(found, system, start, request)


@unlimited()
def lifted(run: Trajectory, system: System, start: Array, inside: Subspace) -> Trajectory | None:
    """The run of the whole system, from one in a subspace; None where the flow leaves that."""
    states, whole = inside.lift(run.states), None
    if states is not None and run.followed is not None:
        whole = lifted(run.followed, system, start, inside)
        states = None if whole is None else states
    if states is None:
        return None
    return replace(run, system=system, start=start, states=states, followed=whole)


def _confirmed(run: Trajectory, system: System, start: ArrayLike, request: Request) -> Trajectory:
    """The run with errors that companions show, where it needs any."""
    return confirmed(run, request, lambda other, asked: _alone(other, start, asked))


def _alone(
    system: System,
    start: ArrayLike,
    request: Request,
    progress: bool | Callable[[float], None] = False,
) -> Trajectory:
    """Run of :func:`follow` without companions."""
    begun = clock.perf_counter()
    initial = checked_system(system).check_start(start)
    with unlimited():
        frame, state = system.reduce(initial)
    with time_bar(progress, float(request.times[-1])) as show, one_thread(initial.size):
        if request.method == "reference":
            from flows.runs.with_digits import solve_with_digits  # many digits load slowly

            reached = _Reached(frame, *solve_with_digits(system, frame, state, request, show))
        else:
            solver = solver_for(request.method, system)
            way = _at_start(system, frame, state, request)
            reached = _solve(_pieces(system, way, request, show), solver)
    return _trajectory(system, initial, request, reached, begun)


class Halfway(NamedTuple):
    """How far a run has come: from where it goes on, and what it has reported until then.

    Parameters
    ----------
    restart : Restart
        Where it stands.
    states : State
        At its start and at the first output times.
    stats : dict
        What that took.
    """

    restart: Restart
    states: Any
    stats: dict[str, int]


def go_on(system: System, start: ArrayLike, request: Request, way: Halfway) -> Trajectory:
    """Run of :func:`follow`, which compiled steps have led halfway."""
    begun = clock.perf_counter()
    initial = checked_system(system).check_start(start)
    with one_thread(initial.size):
        pieces = _pieces(system, way, request)
        reached = _solve(pieces, solver_for(request.method, system))
    run = _trajectory(system, initial, request, reached, begun)
    return _confirmed(run, system, start, request)


def follow_in_pieces(
    system: System, start: ArrayLike, request: Request, events: bool = True
) -> Generator[Problem, Solution, Trajectory]:
    """Run of :func:`integrate` whose pieces the caller solves.

    Parameters
    ----------
    system, start, request
        As for :func:`follow`.
    events : bool
        Whether the run is to report its events.

    Yields
    ------
    Problem
        The next smooth piece; its solution is to be sent.

    Returns
    -------
    Trajectory
        The whole run; its seconds are those since it began.

    Raises
    ------
    InputError
        As :func:`integrate`.
    """
    begun = clock.perf_counter()
    initial = checked_system(system).check_start(start)
    with unlimited():
        frame, state = system.reduce(initial)
    followed = system if events else system.without_events()
    reached = yield from _pieces(followed, _at_start(followed, frame, state, request), request)
    run = _trajectory(system, initial, request, reached, begun)
    return _confirmed(run, system, start, request)


def next_problem(
    pieces: Generator[Problem, Solution, Any], solution: Solution | None
) -> tuple[Any, Any]:
    """Send a solution, at first None; the next problem, or None and what the pieces return."""
    try:
        return (next(pieces) if solution is None else pieces.send(solution)), None
    except StopIteration as end:
        return None, end.value


class _Reached(NamedTuple):
    """How far a run got; ``states`` begins with the start."""

    frame: Any
    states: Any
    status: str
    message: str
    stats: dict[str, int]
    events: Sequence[Event] = ()
    loosened: float = 1.0


@unlimited()
def _trajectory(
    system: System, initial: Array, request: Request, reached: _Reached, begun: float
) -> Trajectory:
    times = request.followed(system.max_output_ratio)
    t = np.concatenate([[0.0], times])[: len(reached.states)]
    remark = system.remark(reached.frame, reached.states, t)
    run = Trajectory(
        system=system,
        t=t,
        frame=reached.frame,
        states=reached.states,
        start=initial,
        status=reached.status,
        message=f"{reached.message}; {remark}" if remark else reached.message,
        stats={**reached.stats, "seconds": clock.perf_counter() - begun},
        events=reached.events,
        rtol=request.rtol * reached.loosened,
        provenance=provenance(request.method, request.provenance),
    )
    if len(times) == len(request.times):
        return run
    asked = np.isin(t, np.append(0.0, request.times))
    return replace(run, t=t[asked], states=run.states.at(asked), followed=run)


def _solve(pieces: Generator[Problem, Solution, _Reached], solver: Solver) -> _Reached:
    """Let ``solver`` solve piece after piece."""
    problem, reached = next_problem(pieces, None)
    while problem is not None:
        problem, reached = next_problem(pieces, solver(problem))
    found: _Reached = reached
    return found


def _tolerant(system: System, request: Request) -> tuple[System, float]:
    """The system for steps as asked for, and their absolute tolerance."""
    relative = ATOL_PER_RTOL * request.rtol if request.atol is None else request.atol
    damped, multistep = request.method not in UNDAMPED, request.method in MULTISTEP
    return system.at_tolerance(request.rtol, relative, damped, multistep), relative


def _at_start(system: System, frame: Any, state: Any, request: Request) -> Halfway:
    """A run that begins."""
    stats = dict.fromkeys(("steps", "field_evaluations", "jacobian_evaluations", "pieces"), 0)
    tolerant, _ = _tolerant(system, request)
    return Halfway(tolerant.begin(frame, state), state.at(None), stats)


def _pieces(
    system: System, way: Halfway, request: Request, show: Callable[[float], None] | None = None
) -> Generator[Problem, Solution, _Reached]:
    """Piece after piece, until the last time is reached or a solver gives up."""
    times, rtol = request.followed(system.max_output_ratio), request.rtol
    system, relative = _tolerant(system, request)
    frame, state, now, new, failure, failed, _ = restart = way.restart
    collected, happened, stats = [way.states], [new], dict(way.stats)
    done, counted, idle, loosened = len(way.states) - 1, 0, 0, 1.0
    status, message = COMPLETED, "reached the end"
    try:
        while done < len(times):
            # A restart may lie a little beyond outputs: the last stretch before a collapse.
            passed = int(np.searchsorted(times[done:], now, side="right"))
            if passed:
                collected.append(restart.passed(times[done : done + passed]))
                done += passed
                continue
            if failure:
                status, message = failed, restart.reason
                break
            if stats["steps"] >= request.max_steps:
                status = STEP_BUDGET
                break
            look()
            piece = system.piece(frame, state, now)
            chart = piece.chart
            if chart.x0.size > MAX_UNKNOWNS and not chart.krylov:
                raise InputError(
                    f"this start has {chart.x0.size} unknowns in its span; the dense "
                    f"Jacobian allows {MAX_UNKNOWNS}: take fewer neurons"
                )
            taus = chart.clock.tau(times[done:])
            short = piece.lasts < taus[-1]
            if short:
                taus = np.append(taus[taus < piece.lasts], piece.lasts)
            problem = Problem(
                rhs=chart.rhs,
                jacobian=chart.jacobian,
                tau0=0.0,
                y0=chart.y0,
                taus=taus,
                rtol=rtol,
                atol=np.maximum(relative * chart.size / chart.first, 1e-300),
                max_steps=request.max_steps - stats["steps"],
                watch=piece.watch(rtol),
                krylov=chart.krylov,
                chart=chart,
                stuck=piece.stuck,
                anywhere=piece.anywhere,
                progress=None if show is None else _shown(show, chart.clock),
            )
            solution = yield problem
            for key, value in solution.stats.items():
                stats[key] += value
            stats["pieces"] += 1
            loosened = max(loosened, solution.loosened)
            reached, stop = len(solution.states), solution.stop
            over = short and reached == len(taus)
            if over:
                reached, stop = reached - 1, Stop(piece.lasts, solution.states[-1])
            with unlimited():
                if reached:
                    collected.append(piece.at(taus[:reached], solution.states[:reached]))
                done += reached
            status, message = solution.status, solution.message
            if stop is None:
                break
            counts = stop.tau < piece.counted and not over
            counted += counts
            times_asked, left = divmod(counted, PIECES_PER_UNKNOWN * (1 + chart.x0.size))
            asks = idle == IDLE or (counts and not left)
            why, spent = piece.stuck(stop) if asks else "", times_asked >= MOST_TIMES
            if spent or why:
                said = f"stopped after {stats['pieces']} pieces"
                status, message = (FIELD_FAILED, why) if why else (STEP_BUDGET, said)
                break
            begun = now
            frame, state, now, new, failure, failed, _ = restart = piece.restart(stop)
            idle = idle % IDLE + 1 if now - begun <= NOWHERE * now else 0
            happened.append(new)
            status, message = COMPLETED, "reached the end"
    except TimeSpent:  # between two pieces, or in balls; solvers have reported their own
        status = TIME_BUDGET
    if status == TIME_BUDGET:
        last = times[done - 1] if done else 0.0
        message = deadline().message(f"at t = {max(now, last):.6g}")
    if status == STEP_BUDGET and stats["steps"] >= request.max_steps:
        message = f"stopped after {stats['steps']} steps, its budget"  # of all pieces
    events = Events(functools.partial(itertools.chain.from_iterable, happened))
    return _Reached(frame, type(state).join(collected), status, message, stats, events, loosened)


def _shown(show: Callable[[float], None], clock: Clock) -> Callable[[float], None]:
    """Show the time of a solver time."""
    return lambda tau: show(float(clock.time(tau)))
