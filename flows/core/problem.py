"""What every solver adapter sees and gives back; it knows no system.

An adapter is a function ``solve(problem) -> Solution``. It steps with its library, asks
``problem.watch`` on the way and records the state at the requested times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart
from flows.core.deadline import TimeSpent, deadline, look

COMPLETED = "completed"
STEP_BUDGET = "step_budget"
SOLVER_FAILED = "solver_failed"
NONFINITE = "nonfinite"
INTERRUPTED = "interrupted"
TIME_BUDGET = "time_budget"
FIELD_FAILED = "field_failed"
KINK_REACHED = "kink_reached"

# Absolute tolerance of a step: self-similar variables are of order one, so this suffices for their
# zeros.
ATOL_PER_RTOL = 1e-2

# Steps that together pass less solver time than this lead nowhere: as many ask why.
CRAWL, NOWHERE = 100, 1e-6
# Halves of a step in which the time of an event is sought.
BISECTIONS = 40

#: What ends a run on its way: Ctrl-C, or the end of its budget. The states up to there are kept.
STOPS = (KeyboardInterrupt, TimeSpent)
#: Statuses of runs that were ended so.
STOPPED = (INTERRUPTED, TIME_BUDGET)

#: What a watch can meet in one problem; where many are solved together, the others go on.
BREAKDOWNS = (ValueError, ArithmeticError, np.linalg.LinAlgError)


Interpolant = Callable[[float], Array]


def status_of(stop: BaseException) -> str:
    """Status of a run that one of :data:`STOPS` has ended."""
    return TIME_BUDGET if isinstance(stop, TimeSpent) else INTERRUPTED


class Stop(NamedTuple):
    """Where a watch ends a piece: solver time and state, and the cause, for the restart."""

    tau: float
    y: Array
    cause: Any = None


@dataclass(frozen=True)
class Watch:
    """What ends a piece before its last output time.

    Parameters
    ----------
    alarm : callable
        ``alarm(tau, y)``: continuous and cheap; not positive where ``check`` must be asked.
    check : callable
        ``check(tau_before, tau, y, interpolant)`` after a step: a :class:`Stop` ends the piece.
    alarms : callable, optional
        ``alarm`` of many steps at once: ``alarms(taus, states)``, shapes (S,) and (S, N) to (S,).
        Without it, steps are looked at one by one.
    settle : callable, optional
        ``settle(tau, y)`` after the step that covers the last output; it returns a stop, as
        ``check``, or None.
    noted : callable, optional
        ``noted(taus, states)`` is called with the steps that the alarm does not see.

    Notes
    -----
    A stop may lie before the last step, and before steps that were taken earlier: outputs beyond it
    are dropped.
    """

    alarm: Callable[[float, Array], float]
    check: Callable[[float, float, Array, Interpolant], Stop | None]
    alarms: Callable[[Array, Array], Array] | None = None
    settle: Callable[[float, Array], Stop | None] | None = None
    noted: Callable[[Array, Array], None] | None = None


def outliving(end: float, tau: float, y: Array, interpolant: Interpolant) -> Stop:
    """Stop at ``end`` in a step to ``tau``, which may be decades later and is not kept."""
    return Stop(tau, y) if tau == end else Stop(end, interpolant(end))


def first_time(holds: Callable[[float], bool], low: float, high: float) -> float:
    """First time in ``(low, high]`` at which ``holds``, by bisection; it holds at ``high``."""
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class Problem:
    """One smooth initial value problem ``dy/dtau = rhs(tau, y)``.

    Parameters
    ----------
    rhs, jacobian : callable
        Field and exact Jacobian.
    tau0 : float
        Start.
    y0 : ndarray, shape (N,)
        State at the start.
    taus : ndarray, shape (T,)
        Output times, increasing, all above ``tau0``; the last one ends the piece.
    rtol : float
        Relative tolerance of a step.
    atol : ndarray, shape (N,)
        Absolute tolerances of a step.
    max_steps : int
        Budget; a solver that needs more stops with the status ``step_budget``.
    watch : Watch, optional
        What ends the piece early.
    krylov : bool
        Whether linear systems are to be solved by iteration, without the Jacobian.
    progress : callable, optional
        Called with the solver time after each step, for a progress bar.
    chart : Chart, optional
        Where the field comes from, for a solver that compiles it in its own way.
    stuck : callable, optional
        ``stuck(stop)``: why no steps lead beyond a state, or nothing. It is asked where a solver
        crawls, fails or has used up its steps.
    anywhere : bool
        Whether the piece may end at any state; without a reason it ends where a solver crawls.
    """

    rhs: Callable[[float, Array], Array]
    jacobian: Callable[[float, Array], Array]
    tau0: float
    y0: Array
    taus: Array
    rtol: float
    atol: Array
    max_steps: int
    watch: Watch | None = None
    progress: Callable[[float], None] | None = None
    krylov: bool = False
    chart: Chart | None = None
    stuck: Callable[[Stop], str] | None = None
    anywhere: bool = False


@dataclass
class Recorder:
    """Collects the outputs of one piece while an adapter steps."""

    problem: Problem
    states: list[Array] = field(default_factory=list)
    steps: int = 0
    last: Stop | None = None
    looked: tuple[int, float] = (0, -math.inf)
    reason: str = ""

    def crawls(self, count: int, tau: float, y: Array) -> Stop | str | None:
        """How the piece ends where this many steps have led no farther; None where it goes on."""
        steps, before = self.looked
        if count - steps < CRAWL:
            return None
        self.looked = (count, tau)
        if tau - before >= NOWHERE:
            return None
        problem, stop = self.problem, Stop(tau, np.array(y))
        self.reason = "" if problem.stuck is None else problem.stuck(stop)
        return FIELD_FAILED if self.reason else stop if problem.anywhere else None

    def forget(self, end: float) -> None:
        """Drop outputs beyond a time: the steps that led to them have turned out not to serve."""
        del self.states[int(np.searchsorted(self.problem.taus, end, side="right")) :]

    def completed(self) -> Stop | str:
        """How the piece ends where it goes no further: completed, or at an earlier stop."""
        watch, last = self.problem.watch, self.last
        assert last is not None
        stop = None if watch is None or watch.settle is None else watch.settle(last.tau, last.y)
        if stop is None:
            return COMPLETED
        self.forget(stop.tau)
        return stop

    def accept(
        self, before: float, tau: float, y: Array, interpolant: Interpolant, alarmed: bool = False
    ) -> Stop | str | None:
        """Record what the step from ``before`` to ``tau`` covers; its alarm may be known.

        Returns
        -------
        Stop, status or None
            A reason to end the piece, if there is one.
        """
        self.steps += 1
        if not math.isfinite(y.sum()):
            return NONFINITE
        self.last = Stop(tau, np.array(y))
        watch = self.problem.watch
        stop = None
        if watch is not None and (alarmed or watch.alarm(tau, y) <= 0):
            stop = watch.check(before, tau, y, interpolant)
        end = tau if stop is None else stop.tau
        taus = self.problem.taus
        self.forget(end)
        while len(self.states) < len(taus) and taus[len(self.states)] <= end:
            at = float(taus[len(self.states)])
            value = y if at == tau else interpolant(at)
            if not np.isfinite(value).all():
                return NONFINITE
            self.states.append(np.array(value))
        if self.problem.progress is not None:
            self.problem.progress(end)
        if stop is not None:
            return stop
        if len(self.states) == len(taus):
            return self.completed()
        if self.steps >= self.problem.max_steps:
            return STEP_BUDGET
        look()
        return self.crawls(self.steps, tau, y)


@dataclass(frozen=True)
class Solution:
    """What an adapter returns.

    Parameters
    ----------
    states : ndarray, shape (K, N)
        States at the first ``K`` output times, all of them where the status is ``completed``.
    status : str
        ``completed`` or why it ended before.
    message : str
        One line for a person.
    stop : Stop or None
        Where the watch ended the piece.
    stats : dict
        ``steps``, ``field_evaluations``, ``jacobian_evaluations``.
    last : Stop, optional
        Where the last step ended.
    loosened : float
        By which factor the tolerances of steps were larger than asked for, as rounding wanted it.
    """

    states: Array
    status: str
    message: str
    stop: Stop | None
    stats: dict[str, int]
    last: Stop | None = None
    loosened: float = 1.0


def finish(
    recorder: Recorder, outcome: Stop | str, message: str, stats: dict[str, int]
) -> Solution:
    """Build the :class:`Solution` of a recorder that has ended with ``outcome``."""
    stop = outcome if isinstance(outcome, Stop) else None
    if stop is None and outcome != COMPLETED and recorder.last is not None:
        recorder.completed()  # outputs that are not known are dropped
    status = COMPLETED if isinstance(outcome, Stop) else outcome
    problem = recorder.problem
    if status in (STEP_BUDGET, SOLVER_FAILED) and problem.stuck is not None:
        recorder.reason = problem.stuck(recorder.last or Stop(problem.tau0, problem.y0))
    if recorder.reason:
        status, message = FIELD_FAILED, recorder.reason
    explain = {
        COMPLETED: "reached the end",
        STEP_BUDGET: f"stopped after {recorder.steps} steps, its budget",
        NONFINITE: "the solver returned a state that is not finite",
        INTERRUPTED: "interrupted; what was computed is kept",
        TIME_BUDGET: deadline().message("on the way"),
        SOLVER_FAILED: "the solver failed",
    }
    states = np.array(recorder.states).reshape(-1, problem.y0.shape[0])
    counts = {"steps": recorder.steps, **stats}
    return Solution(states, status, message or explain[status], stop, counts, recorder.last)
