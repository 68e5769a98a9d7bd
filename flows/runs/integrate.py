"""Integrate a gradient flow: choose charts and a solver, collect outputs, tell how it ended."""

from __future__ import annotations

import contextlib
import math
import time as clock
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.chart import Clock
from flows.core.errors import InputError, unknown
from flows.core.piece import Event
from flows.core.problem import (
    ATOL_PER_RTOL,
    COMPLETED,
    FIELD_FAILED,
    STEP_BUDGET,
    Problem,
    Solution,
)
from flows.core.system import System
from flows.runs.trajectory import Trajectory, provenance
from flows.solvers.choice import METHODS, solver_for

# Below this relative tolerance steps of a double-precision solver are rounding.
MIN_RTOL = 1e-14
POINTS_PER_DECADE = 10
FIRST_TIME = 1e-3
MAX_STEPS = 200_000
# A tail t^-3 leaves the range of doubles at t = 1e102; solvers stall on steps of 1e-200.
MIN_END, MAX_END = 1e-100, 1e100
REFERENCE_DIGITS = 50
# A dense Jacobian of so many unknowns takes 0.8 GB, and the solvers keep three of them.
MAX_UNKNOWNS = 10_000
MAX_PIECES_PER_UNKNOWN = 10


def integrate(
    system: System,
    start: ArrayLike,
    t_end: float,
    t_eval: Sequence[float] | Array | None = None,
    method: str = "auto",
    rtol: float = 1e-10,
    atol: float | None = None,
    progress: bool | Callable[[float], None] = False,
    max_steps: int = MAX_STEPS,
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
        Times of the result after ``t = 0``, increasing, in ``(0, t_end]``. Without it the output
        is geometric, at least 8 points a decade.
    method : str
        One of :data:`flows.METHODS`. ``auto`` is the first of ``system.auto``, or Radau for
        ``rtol < 1e-11``, and the next one where one fails. ``reference`` computes with 50
        digits, slowly, and ends where a neuron collapses; tolerances do not concern it.
        ``Rodas5P`` has compiled steps, for ``ReLUNeuron``: 4 s to compile, then fast, for many
        runs.
        Those called ``diffrax-`` compute with diffrax in 64 bits (``JAX_ENABLE_X64=1``), know
        ``ReLUNeuron`` and ``MatrixFactorization``, and compile for some seconds.
    rtol : float
        Relative tolerance of a step, at least 1e-14.
    atol : float, optional
        Absolute tolerance of a step in the solver's variables, which are of order one;
        ``rtol / 100`` of each block's size by default.
    progress : bool or callable
        Show a progress bar on standard error; or call this with the time reached, after each step.
        What it raises as ``KeyboardInterrupt`` ends the run as Ctrl-C does.
    max_steps : int
        Step budget of the whole run.

    Returns
    -------
    Trajectory
        Its ``status`` is ``completed`` only if ``t_end`` was reached.

    Raises
    ------
    InputError
        For a start, times, a method or tolerances that cannot be used.

    Notes
    -----
    Ctrl-C ends the run with the status ``interrupted`` and keeps what is done.

    Accuracy
    --------
    See ``benchmarks/accuracy.py``: at ``rtol = 1e-10`` the loss is right to 1e-8 relative at
    every output time up to 1e12, at ``1e-13`` to 1e-11.
    """
    begun = clock.perf_counter()
    initial = system.check_start(start)
    times = output_times(t_end, t_eval)
    check_options(method, rtol, atol, max_steps)

    frame, state = system.reduce(initial)
    with _bar(progress, float(times[-1])) as show:
        if method == "reference":
            found = _follow_exactly(system, frame, state, times, max_steps, show)
        else:
            found = _follow(
                system.at_tolerance(rtol),
                frame,
                state,
                times,
                solver_for(method, system),
                rtol,
                atol,
                max_steps,
                show,
            )
    request = {"t_end": float(t_end), "rtol": float(rtol), "atol": atol, "max_steps": max_steps}
    return _trajectory(system, initial, times, found, method, request, begun)


def course(
    system: System,
    start: ArrayLike,
    t_end: float,
    t_eval: Sequence[float] | Array | None,
    method: str,
    rtol: float,
    atol: float | None,
    max_steps: int,
) -> Generator[Problem, Solution, Trajectory]:
    """Run of :func:`integrate` whose pieces are solved by whoever drives it.

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
    initial = system.check_start(start)
    times = output_times(t_end, t_eval)
    check_options(method, rtol, atol, max_steps)
    frame, state = system.reduce(initial)
    found = yield from _pieces(
        system.at_tolerance(rtol), frame, state, times, rtol, atol, max_steps, None
    )
    request = {"t_end": float(t_end), "rtol": float(rtol), "atol": atol, "max_steps": max_steps}
    return _trajectory(system, initial, times, found, method, request, begun)


def _trajectory(
    system: System,
    initial: Any,
    times: Array,
    found: _Course,
    method: str,
    request: dict[str, Any],
    begun: float,
) -> Trajectory:
    return Trajectory(
        system=system,
        t=np.concatenate([[0.0], times])[: len(found.states)],
        frame=found.frame,
        states=found.states,
        start=initial,
        status=found.status,
        message=found.message,
        stats={**found.stats, "seconds": clock.perf_counter() - begun},
        events=found.events,
        rtol=request["rtol"],
        provenance=provenance(method, request),
    )


class _Course(NamedTuple):
    """Where a run went; ``states`` begins with the start."""

    frame: Any
    states: Any
    status: str
    message: str
    stats: dict[str, int]
    events: tuple[Event, ...]


def _follow(
    system: System,
    frame: Any,
    state: Any,
    times: Array,
    solver: Callable[[Problem], Solution],
    rtol: float,
    atol: float | None,
    max_steps: int,
    show: Callable[[float], None] | None,
) -> _Course:
    """Let ``solver`` solve piece after piece."""
    pieces = _pieces(system, frame, state, times, rtol, atol, max_steps, show)
    problem, found = answer(pieces, None)
    while problem is not None:
        problem, found = answer(pieces, solver(problem))
    return found


def answer(pieces: Generator[Problem, Solution, Any], solution: Solution | None) -> tuple[Any, Any]:
    """Send a solution, at first None; the next problem, or None and what the pieces return."""
    try:
        return (next(pieces) if solution is None else pieces.send(solution)), None
    except StopIteration as end:
        return None, end.value


def _pieces(
    system: System,
    frame: Any,
    state: Any,
    times: Array,
    rtol: float,
    atol: float | None,
    max_steps: int,
    show: Callable[[float], None] | None,
) -> Generator[Problem, Solution, _Course]:
    """Piece after piece, until the last time is reached or a solver gives up."""
    collected = [state.at(None)]
    frame, state, now, new, failure = system.begin(frame, state)
    events = list(new)
    done = 0
    stats = {"steps": 0, "field_evaluations": 0, "jacobian_evaluations": 0, "pieces": 0}
    status, message = COMPLETED, "reached the end"
    while done < len(times):
        # A restart may lie a little beyond outputs: the last stretch before a collapse.
        passed = int(np.searchsorted(times[done:], now, side="right"))
        if passed:
            collected.append(state.at(None).at(np.zeros(passed, dtype=int)))
            done += passed
            continue
        if failure:
            status, message = FIELD_FAILED, failure
            break
        if stats["steps"] >= max_steps:
            status, message = STEP_BUDGET, f"stopped after {stats['steps']} steps, its budget"
            break
        piece = system.piece(frame, state, now)
        chart = piece.chart
        if chart.x0.size > MAX_UNKNOWNS and not chart.krylov:
            raise InputError(
                f"this start has {chart.x0.size} unknowns in its span; the dense "
                f"Jacobian allows {MAX_UNKNOWNS}: take fewer neurons"
            )
        relative = ATOL_PER_RTOL * rtol if atol is None else atol
        problem = Problem(
            rhs=chart.rhs,
            jacobian=chart.jacobian,
            tau0=0.0,
            y0=chart.y0,
            taus=chart.clock.tau(times[done:]),
            rtol=rtol,
            atol=np.maximum(relative * chart.size / chart.clock.scale(0.0), 1e-300),
            max_steps=max_steps - stats["steps"],
            watch=piece.watch(rtol),
            krylov=chart.krylov,
            chart=chart,
            progress=None if show is None else _shown(show, chart.clock),
        )
        solution = yield problem
        for key, value in solution.stats.items():
            stats[key] += value
        stats["pieces"] += 1
        reached = len(solution.states)
        collected.append(piece.at(problem.taus[:reached], solution.states))
        done += reached
        status, message = solution.status, solution.message
        if solution.stop is None:
            break
        if stats["pieces"] >= MAX_PIECES_PER_UNKNOWN * (1 + chart.x0.size):
            status, message = STEP_BUDGET, f"stopped after {stats['pieces']} pieces"
            break
        frame, state, now, new, failure = piece.restart(solution.stop)
        events.extend(new)
        status, message = COMPLETED, "reached the end"
    return _Course(frame, type(state).join(collected), status, message, stats, tuple(events))


def _follow_exactly(
    system: System,
    frame: Any,
    state: Any,
    times: Array,
    max_steps: int,
    show: Callable[[float], None] | None,
) -> _Course:
    """With many digits, in plain coordinates, as far as the flow is smooth."""
    from flows.solvers.reference import solve_reference

    smooth = system.exact_flow(frame, state, REFERENCE_DIGITS)
    found = solve_reference(
        smooth.field,
        smooth.jacobian,
        smooth.x0,
        times.tolist(),
        REFERENCE_DIGITS,
        max_steps=max_steps,
        progress=show,
        switches=smooth.switches,
    )
    states = [state.at(None), *(smooth.decode(x).at(None) for x in found.states)]
    stats = {**found.stats, "pieces": 1}
    return _Course(frame, type(state).join(states), found.status, found.message, stats, ())


def check_options(method: str, rtol: float, atol: float | None, max_steps: int) -> None:
    """Refuse a method, tolerances or a budget that cannot be used.

    Raises
    ------
    InputError
        With what was expected.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if not (isinstance(rtol, (int, float)) and math.isfinite(rtol) and MIN_RTOL <= rtol < 1):
        raise InputError(f"rtol must lie in [{MIN_RTOL:g}, 1), got {rtol!r}")
    if atol is not None and not (math.isfinite(atol) and atol > 0):
        raise InputError(f"atol must be a positive number, got {atol!r}")
    if max_steps < 1:
        raise InputError(f"max_steps must be positive, got {max_steps!r}")


def output_times(t_end: float, t_eval: Sequence[float] | Array | None = None) -> Array:
    """Output times after ``t = 0``: ``t_eval`` checked, or a geometric grid that ends at ``t_end``.

    Raises
    ------
    InputError
        For an end that is not positive and finite, or times that are not increasing in
        ``(0, t_end]``.
    """
    if not (isinstance(t_end, (int, float, np.number)) and math.isfinite(t_end) and t_end > 0):
        raise InputError(f"t_end must be a positive finite number, got {t_end!r}")
    if not MIN_END <= t_end <= MAX_END:
        raise InputError(
            f"t_end must lie in [{MIN_END:g}, {MAX_END:g}], where losses and steps "
            f"are doubles, got {t_end:g}"
        )
    if t_eval is None:
        first = min(FIRST_TIME, float(t_end) / 10)
        decades = math.log10(float(t_end) / first)
        grid = np.geomspace(first, float(t_end), 1 + math.ceil(POINTS_PER_DECADE * decades))
        grid[-1] = float(t_end)
        return grid
    times = np.asarray(t_eval, dtype=float)
    if times.ndim != 1 or times.size == 0:
        raise InputError("t_eval must be a list of at least one time")
    if not np.isfinite(times).all():
        raise InputError("t_eval must be finite; it holds NaN or infinity")
    if times[0] <= 0:
        raise InputError(f"t_eval must be positive, got {times[0]:g}; t = 0 is always included")
    if (np.diff(times) <= 0).any():
        raise InputError("t_eval must be strictly increasing")
    if times[-1] > t_end:
        raise InputError(f"t_eval must not exceed t_end = {t_end:g}, got {times[-1]:g}")
    return times


def _shown(show: Callable[[float], None], clock: Clock) -> Callable[[float], None]:
    """Show the time of a solver time."""
    return lambda tau: show(float(clock.time(tau)))


@contextlib.contextmanager
def _bar(
    progress: bool | Callable[[float], None], end: float
) -> Iterator[Callable[[float], None] | None]:
    """Progress bar in decades of time, what the caller does with the time, or nothing."""
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("t = {task.fields[t]:.2e}")
    columns: list[Any] = [text, BarColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("flow", total=math.log1p(end), t=0.0)
        yield lambda t: bar.update(task, completed=math.log1p(t), t=t)
