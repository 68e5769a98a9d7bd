"""Record many compiled steps at once; only those that may end the piece are recorded alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.deadline import look
from flows.core.problem import BREAKDOWNS, NONFINITE, SOLVER_FAILED, Interpolant, Recorder, Stop
from flows.solvers.rodas_tableau import dense_output


def accept_steps(
    recorder: Recorder, tau: float, y: Array, taus: Array, states: Array, k: Array
) -> Stop | str | None:
    """Do for many steps what :meth:`flows.core.problem.Recorder.accept` does for each.

    Parameters
    ----------
    recorder : Recorder
        Of the piece.
    tau, y : float, ndarray
        Where the first step begins.
    taus, states : ndarray, shape (S,) and (S, N)
        Where the steps end.
    k : ndarray, shape (S, K, N)
        Their dense output, :func:`flows.solvers.rodas_tableau.dense_output`.

    Returns
    -------
    Stop, status or None
        A reason to end the piece, if there is one.
    """
    # Copies: what is recorded must not be overwritten by the next steps.
    times, points = np.concatenate([[tau], taus]), np.concatenate([y[None], states])
    begun, before, taus, states = times[:-1], points[:-1], times[1:], points[1:]
    alarmed, alone = _looked_at_alone(recorder, taus, states)
    first = 0
    while first < len(taus):
        i = first + int(np.argmax(alone[first:])) if alone[first:].any() else len(taus)
        outcome: Stop | str | None = _accept_together(
            recorder, *(x[first:i] for x in (begun, before, taus, states, k))
        )
        if outcome is None and i < len(taus):
            start, end = float(begun[i]), float(taus[i])
            inside = _interpolant(start, end, before[i], states[i], k[i])
            outcome = recorder.accept(start, end, states[i], inside, bool(alarmed[i]))
        if outcome is not None:
            return outcome
        first = i + 1
        if first < len(taus) and alarmed[first]:  # an answer may have calmed it
            alarmed[first:], alone[first:] = _looked_at_alone(
                recorder, taus[first:], states[first:]
            )
    return None


def record_batch(
    recorder: Recorder,
    began: tuple[float, Array],
    steps: tuple[Array, Array, Array],
    goes_on: bool,
    failing: str,
) -> tuple[Stop | str | None, str]:
    """Record what compiled steps have done: a reason to end the piece, if there is one, in words.

    Parameters
    ----------
    recorder : Recorder
        Of the piece.
    began : (float, ndarray)
        Where the first step begins.
    steps : tuple of ndarray
        `taus`, `states` and `k` of :func:`accept_steps`, in arrays that the next steps overwrite.
    goes_on : bool
        Whether more steps can be taken.
    failing : str
        Why not.
    """
    taus, states, k = steps
    outcome: Stop | str | None = None
    try:
        if len(taus):
            outcome = accept_steps(recorder, *began, taus, states, k)
    except BREAKDOWNS as problem:
        return SOLVER_FAILED, f"{type(problem).__name__}: {problem}"
    return (SOLVER_FAILED, failing) if outcome is None and not goes_on else (outcome, "")


def _looked_at_alone(
    recorder: Recorder, taus: Array, states: Array
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which steps have an alarm, and which may end the piece before the last output."""
    watch, alarmed = recorder.problem.watch, np.zeros(len(taus), dtype=bool)
    if watch is not None and watch.alarms is None:
        return alarmed, np.logical_not(alarmed)
    if watch is not None and watch.alarms is not None:
        alarmed = watch.alarms(taus, states) <= 0
    alone = alarmed | ~np.isfinite(states).all(axis=1)
    alone[max(0, recorder.problem.max_steps - recorder.steps - 1) :] = True
    return alarmed, alone


def _accept_together(
    recorder: Recorder, begun: Array, before: Array, taus: Array, states: Array, k: Array
) -> Stop | str | None:
    """Record what steps cover that end nothing but, perhaps, the last one the piece."""
    if not len(taus):
        return None
    outputs, progress = recorder.problem.taus, recorder.problem.progress
    at = outputs[len(recorder.states) :]
    at = at[: np.searchsorted(at, taus[-1], side="right")]
    complete, last = False, len(taus) - 1
    if len(at):
        # The step that ends at an output time has it, not the one that begins there.
        step = np.searchsorted(taus, at)
        s = (at - begun[step]) / (taus[step] - begun[step])
        found = dense_output(s[:, None], before[step], states[step], k[step])
        finite = np.isfinite(found).all(axis=1)
        if not finite.all():
            recorder.states.extend(found[: np.argmin(finite)])
            recorder.steps += int(step[np.argmin(finite)]) + 1
            return NONFINITE
        recorder.states.extend(found)
        complete = len(recorder.states) == len(outputs)
        last = int(step[-1]) if complete else last
    recorder.steps += last + 1
    recorder.last = Stop(float(taus[last]), states[last])
    if progress is not None:
        progress(float(taus[last]))
    if complete:
        return recorder.completed()
    look()
    return None


def _interpolant(start: float, end: float, y0: Array, y1: Array, k: Array) -> Interpolant:
    """Interpolant of one step."""

    def at(tau: float) -> Array:
        found: Array = dense_output((tau - start) / (end - start), y0, y1, k)
        return found

    return at
