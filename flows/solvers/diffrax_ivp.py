"""Adapter of diffrax: Kvaerno3 and Kvaerno5, for systems whose field exists in JAX.

Pieces of many members are solved side by side, on whatever device JAX has. One program takes a
fixed number of attempts in a fixed number of lanes, each with a piece of its own: the
slowest piece delays no other, since its next attempts are in a later call. A free lane takes the
next piece.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.problem import (
    BREAKDOWNS,
    SOLVER_FAILED,
    STOPS,
    Interpolant,
    Problem,
    Recorder,
    Solution,
    Stop,
    finish,
    status_of,
)
from flows.core.system import JaxField, System
from flows.solvers.traced import SelfSimilarField, arguments, require_x64

__all__ = ["FIRST_STEP", "adapter", "jax_field", "lanes", "solve_many", "solver_of"]

SOLVERS: dict[str, Any] = {
    "diffrax-kvaerno3": diffrax.Kvaerno3,
    "diffrax-kvaerno5": diffrax.Kvaerno5,
}
# Attempts between two looks at the watch: few enough to waste little where a piece ends, and a
# solver that had none of them accepted has made its step 1e-44 times as long.
ATTEMPTS = 64
# Output times of a call, at which steps end: no interpolant has the order of the steps.
OUTPUTS = 16
# Lanes of a call.
CPU_LANES, GPU_LANES = 64, 4096
# Steps are asked for this part of the tolerance: along a run they leave several times as much.
FRACTION = 0.1
# First step in solver time: a neuron that leaves zero turns within 1e-6, where a longer first step
# is accepted wrongly. Steps grow tenfold where this is too little.
FIRST_STEP = 1e-9
# Newton's method iterates at least so often in every implicit stage of diffrax.
ITERATIONS = 2
# Newton's method has converged at this fraction of the tolerance.
KAPPA = 1e-2
# Where two of its steps are both rounding, the second may be the larger one, which optimistix would
# call divergence, and the solver would take ever smaller steps, which are rounding at once. It
# takes steps below 1e-13 of the scale for rounding; these are such parts of a state, or of the
# tolerance where that is larger.
NOISE, NEGLIGIBLE = 1e-12, 1e-3
RESOLUTION = 1e-13


def lanes() -> int:
    """How many pieces of many take their attempts at a time, on this device."""
    return CPU_LANES if jax.default_backend() == "cpu" else GPU_LANES


class Lane(NamedTuple):
    """State of a piece; in a call every array has a leading axis of lanes.

    ``tau``, ``end``, ``step``: solver time, where the call ends, and the next step; ``y`` and
    ``atol`` (N,); ``rtol``; ``targets`` (OUTPUTS,): times at which steps end, beyond ``end``
    without a meaning; ``numbers``: arguments of the field.
    """

    tau: Any
    end: Any
    step: Any
    y: Any
    atol: Any
    rtol: Any
    targets: Any
    numbers: Any


class Attempts(NamedTuple):
    """What the attempts of each lane gave; only the first ``accepted`` rows count.

    ``times`` (ATTEMPTS,) and ``states`` (ATTEMPTS, N) at the ends of the steps.
    """

    times: Any
    states: Any
    accepted: Any
    attempted: Any


def adapter(method: str, system: System) -> Callable[[Problem], Solution]:
    """Adapter of ``method`` for a system whose field exists in JAX.

    Raises
    ------
    InputError
        For a system without that field, or where JAX computes with 32 bits.
    """
    make_raw = jax_field(method, system)
    return lambda problem: solve_many([problem], method, make_raw, width=1)[0]


def solve_many(
    problems: Sequence[Problem], method: str, make_raw: JaxField, *, width: int | None = None
) -> list[Solution]:
    """Solve problems, which have charts, by one of :data:`SOLVERS`.

    Parameters
    ----------
    problems : sequence of Problem
        What to solve.
    method : str
        A key of :data:`SOLVERS`.
    make_raw : callable
        Raw field in JAX of a chart, and its arguments.
    width : int, optional
        Lanes of a call, :func:`lanes` by default: another number rounds differently.

    Returns
    -------
    list of Solution
        States at the output times; the status tells the truth about the end. Refused steps count
        among the evaluations, which are a lower bound: diffrax does not tell how often Newton's
        method has iterated.
    """
    width = lanes() if width is None else width
    pieces = [_Piece(problem, make_raw) for problem in problems]
    groups: dict[Any, deque[_Piece]] = defaultdict(deque)
    for piece in pieces:
        groups[piece.shape].append(piece)
    try:
        for waiting in groups.values():
            running: list[_Piece] = []
            while waiting or running:
                running += [
                    waiting.popleft() for _ in range(min(width - len(running), len(waiting)))
                ]
                _advance(method, running, width)
                running = [piece for piece in running if piece.outcome is None]
    except STOPS as stop:
        for piece in pieces:
            piece.outcome = piece.outcome or status_of(stop)
    least = ITERATIONS * (SOLVERS[method].tableau.num_stages - 1)
    return [
        finish(
            piece.recorder,
            piece.outcome or SOLVER_FAILED,
            piece.message,
            dict.fromkeys(("field_evaluations", "jacobian_evaluations"), least * piece.attempted),
        )
        for piece in pieces
    ]


class _Piece:
    """A problem that is being solved, and its state."""

    def __init__(self, problem: Problem, make_raw: JaxField) -> None:
        chart = problem.chart
        assert chart is not None
        raw, numbers = make_raw(chart)
        self.field = SelfSimilarField(raw, chart.clock.exponential)
        self.numbers = jax.tree.map(np.asarray, arguments(chart.clock, numbers))
        self.problem, self.recorder = problem, Recorder(problem)
        self.tau, self.y, self.step = problem.tau0, problem.y0, FIRST_STEP
        self.outcome: Stop | str | None = None
        self.message, self.attempted = "", 0

    @property
    def shape(self) -> tuple[Any, ...]:
        """Pieces of one shape are solved by one program."""
        leaves, structure = jax.tree.flatten(self.numbers)
        return self.field, structure, self.y.shape, tuple(x.shape for x in leaves)

    def lane(self, tau: float, y: Array, step: float, targets: Array) -> Lane:
        """Lane from a place on."""
        problem, last = self.problem, float(targets[-1])
        # The controller wants them to increase.
        ends = np.append(targets, last + np.arange(1.0, OUTPUTS - len(targets) + 1))
        asked = FRACTION * problem.atol, np.asarray(FRACTION * problem.rtol)
        now, end, ahead = (np.asarray(x) for x in (tau, last, min(step, last - tau)))
        return Lane(now, end, ahead, y, *asked, ends, self.numbers)

    @property
    def next(self) -> Lane:
        """Lane up to the next output times."""
        done = len(self.recorder.states)
        return self.lane(self.tau, self.y, self.step, self.problem.taus[done : done + OUTPUTS])

    def record(self, method: str, found: Attempts) -> None:
        """Take the steps of a lane."""
        self.attempted += int(found.attempted)
        for i in range(int(found.accepted)):
            before, start = self.tau, self.y
            self.tau, self.y = float(found.times[i]), np.array(found.states[i])
            self.step = self.tau - before
            inside = self._interpolant(method, before, start)
            self.outcome = self.recorder.accept(before, self.tau, self.y, inside)
            if self.outcome is not None:
                return
        if not found.accepted:
            self.outcome = SOLVER_FAILED
            self.message = f"{ATTEMPTS} steps in a row were refused"

    def _interpolant(self, method: str, before: float, y: Array) -> Interpolant:
        """States inside of a step, each by a step that ends there."""

        def at(tau: float) -> Array:
            if tau == before:
                return y
            lane = self.lane(before, y, tau - before, np.array([tau]))
            (found,) = _taken(method, self.field, [lane])
            self.attempted += int(found.attempted)
            last = int(found.accepted) - 1
            reached = last >= 0 and found.times[last] == tau
            return np.array(found.states[last]) if reached else np.full_like(y, np.nan)

        return at


def _advance(method: str, pieces: Sequence[_Piece], width: int) -> None:
    """Take up to ``ATTEMPTS`` steps of each piece; lanes without one repeat the first."""
    given = [piece.next for piece in pieces]
    given += given[:1] * (width - len(given))
    for piece, found in zip(pieces, _taken(method, pieces[0].field, given), strict=False):
        try:
            piece.record(method, found)
        except BREAKDOWNS as problem:
            piece.outcome, piece.message = SOLVER_FAILED, f"{type(problem).__name__}: {problem}"


def _taken(method: str, field: SelfSimilarField, given: Sequence[Lane]) -> Iterator[Attempts]:
    """Attempts of each lane."""
    together = jax.tree.map(lambda *x: np.stack(x), *given)
    found = jax.device_get(_attempts(method, field, together))
    for i in range(len(given)):
        yield Attempts(*(x[i] for x in found))


class _Anew(diffrax.ClipStepSizeController):
    """Ends of steps at given times; the first stage of each step is evaluated anew.

    diffrax takes it from the step before, but evaluates it for all lanes where it does so for one:
    last bits of a lane would depend on the others.
    """

    def adapt_step_size(self, *given: Any) -> Any:
        """Say of every step that the field may have jumped before it."""
        keep, begin, end, _, state, result = super().adapt_step_size(*given)
        return keep, begin, end, jnp.asarray(True), state, result


@eqx.filter_jit
def _attempts(method: str, field: SelfSimilarField, lanes: Lane) -> Attempts:
    """Up to ``ATTEMPTS`` steps of each lane."""

    def of_one(lane: Lane) -> Attempts:
        control, controller = (
            diffrax.PIDController(rtol=lane.rtol, atol=lane.atol),
            cast(Any, _Anew),
        )
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            solver_of(method, lane.rtol, abs(lane.y) + lane.atol / lane.rtol),
            lane.tau,
            lane.end,
            lane.step,
            lane.y,
            lane.numbers,
            saveat=diffrax.SaveAt(steps=True),
            max_steps=ATTEMPTS,
            throw=False,
            stepsize_controller=controller(control, step_ts=lane.targets),
        )
        counts = found.stats["num_accepted_steps"], found.stats["num_steps"]
        return Attempts(found.ts, found.ys, *counts)

    return jax.vmap(of_one)(lanes)


def solver_of(method: str, rtol: Any, size: Any) -> diffrax.AbstractSolver[Any]:
    """One of :data:`SOLVERS` for states of this size."""
    scale = jnp.maximum(NOISE, NEGLIGIBLE * rtol) / RESOLUTION
    newton: Any = optimistix.Newton
    return SOLVERS[method](root_finder=newton(scale, scale * size, kappa=KAPPA * rtol / scale))


def jax_field(method: str, system: System) -> JaxField:
    """Raw field in JAX of a system, from a chart.

    Raises
    ------
    InputError
        For a system without one, or where JAX computes with 32 bits.
    """
    require_x64(f"method {method}")
    found = system.jax_field()
    if found is None:
        raise InputError(f"method {method} knows no field of {system.name} in JAX; choose another")
    return found
