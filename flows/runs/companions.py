r"""A run along a ridge, or past a saddle, and companions, which are runs of other tolerances.

There an error grows by `e^G` more than the flow does (`System.outgrown`), and decides when the run
leaves, and to which side. While `\epsilon e^G` is small for the tolerance `\epsilon` of a step, the
error is linear in the tolerance: the distance to companions of larger tolerances gives it at each
time. Where `\epsilon e^G` is not small, the run is led anew with a smaller tolerance. Where it is
not small for the smallest one, errors of steps are rounding, which two tolerances may have in
common: then all companions must leave the same way. If they do not, the run ends, as the valley in
which it goes on is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.deadline import unlimited
from flows.core.problem import FIELD_FAILED, STEP_BUDGET, STOPPED
from flows.core.system import System
from flows.runs.request import Request
from flows.runs.tolerance import is_exact
from flows.runs.trajectory import Trajectory

__all__ = ["confirmed"]

# Errors that outgrow the flow by less than the exponential of this are stated anyway: of any run,
# the stated error is a hundred times the error that steps leave.
FREE = 3.0
# An error is linear in the tolerance while it grows to no more than this part of order one.
LINEAR = 1e-3
# Tolerances of companions: so many times that of the run, and no larger than the second number.
# Their errors are as many times larger; of a thousand runs, none had two that were small by chance.
COARSER, COARSEST = (10.0, 100.0), 0.1
# A smaller tolerance is smaller by this factor, at least. Below the second number the errors of
# steps are rounding, and do not fall with the tolerance.
FINER, FINEST = 10.0, 1e-13
# Two runs that leave the same way have integrals `G` that differ by the first number and the
# second part of `G`, at most, as they are sums over different steps. Two runs that leave by the
# errors of their own steps have integrals that differ by the logarithm of the ratio of their
# tolerances.
ALIKE, PART = 0.1, 0.02
# A companion may take the first number times the steps of the run, and the second number more.
TIMES, MORE = 2, 500
UNKNOWN = (
    "beside a ridge of the loss, or a saddle, and it is not known whether it leaves, when, and to"
    " which side: an error grows {:.0e} times as much as the flow there, too much for steps of"
    " rtol = {:.0e};"
    " end the run before, start farther from it, or take flows.certify"
)

ENDED = "ended while other runs were to show its errors; what they have shown is kept"


def confirmed(
    run: Trajectory, request: Request, again: Callable[[System, Request], Trajectory]
) -> Trajectory:
    """Return the run, with errors that companions show where its flow magnifies them.

    A system may ask for companions of each of its runs.

    Parameters
    ----------
    run : Trajectory
        The run.
    request : Request
        Its times, tolerances and budget of steps.
    again : callable
        From a system and another request to its run from the same start.

    Returns
    -------
    Trajectory
        The run itself where it needs no companions; else the finest run, as far as companions have
        gone the same way, ``field_failed`` where that is not to the end.
    """
    if run.system.companions and not is_exact(run.provenance):
        return _measured(run, request, again)
    grown = _grown(run)
    if is_exact(run.provenance) or not grown[-1] > FREE:
        return run
    if run.status in STOPPED:  # nothing is known from where errors outgrow the flow
        return _bounded(run, run, request.rtol, *_agreeing(run, [], False), [run])
    runs, rtol = {request.rtol: run}, request.rtol
    most = min(request.max_steps, TIMES * int(run.stats["steps"]) + MORE)

    def led(tolerance: float) -> Trajectory:
        if tolerance not in runs:
            part = tolerance / request.rtol
            atol = None if request.atol is None else part * request.atol
            asked = replace(request, rtol=tolerance, atol=atol, max_steps=most)
            runs[tolerance] = again(run.system, asked)
        return runs[tolerance]

    while True:
        while rtol > FINEST:
            last, size = runs[rtol], rtol * math.exp(_grown(runs[rtol])[-1])
            if size <= LINEAR and last.status != FIELD_FAILED:
                break
            finer = max(FINEST, min(rtol / FINER, LINEAR * rtol / size))
            if len(led(finer).t) < len(last.t) + (last.status == FIELD_FAILED):
                break  # it leads no farther
            rtol = finer
        others: list[Trajectory] = []
        for coarser in sorted({min(part * rtol, COARSEST) for part in COARSER} - {rtol}):
            if all(each.status not in STOPPED for each in runs.values()):
                others.append(led(coarser))
        linear = rtol * math.exp(_grown(runs[rtol])[-1]) <= LINEAR
        known, near = _agreeing(runs[rtol], others, linear)
        ended = any(each.status in STOPPED for each in runs.values())
        if ended or rtol <= FINEST or known == len(_whole(runs[rtol]).t):
            break
        finer = max(FINEST, rtol / FINER)  # beside which this one is a companion
        if len(led(finer).t) < len(runs[rtol].t):
            break
        rtol = finer
    return _bounded(run, runs[rtol], rtol, known, near, list(runs.values()))


def _measured(
    run: Trajectory, request: Request, again: Callable[[System, Request], Trajectory]
) -> Trajectory:
    """Return the run with errors that the companions of its system show, at each time."""
    others: list[Trajectory] = []
    for system, part in run.system.companions:
        if run.status not in STOPPED and all(each.status not in STOPPED for each in others):
            atol = None if request.atol is None else part * request.atol
            rtol = min(part * request.rtol, COARSEST)
            others.append(again(system, replace(request, rtol=rtol, atol=atol)))
    whole = _whole(run)
    with unlimited():
        near = [_whole(each).states for each in others]
        states = whole.system.beside(whole.frame, whole.states, near)
    every = [run, *others]
    stats = {name: sum(each.stats[name] for each in every) for name in run.stats}
    message = _remarked(run.message, whole, states)
    found = replace(whole, states=states, stats=stats, message=message)
    if run.followed is not None:
        states = states.at(np.isin(whole.t, run.t))
        found = replace(run, states=states, followed=found, stats=stats, message=message)
    ended = [each.status for each in others if each.status in STOPPED]
    return replace(found, status=ended[0], message=ENDED) if ended else found


def _remarked(message: str, whole: Trajectory, states: Any) -> str:
    """Message of a run with what its system says of states that companions have shown."""
    remark = whole.system.remark(whole.frame, states, whole.t[: len(states)])
    return f"{message}; {remark}" if remark and remark not in message else message


def _agreeing(fine: Trajectory, others: list[Trajectory], linear: bool) -> tuple[int, list[Any]]:
    """How many states are known, and those of others that have gone the same way.

    One other shows it where errors are linear in the tolerance; elsewhere all of them must.
    """
    grown, agreeing = _grown(fine), []
    known = int(np.sum(np.cumsum(grown > FREE) == 0))
    for other in map(_whole, others):
        count = min(len(grown), len(other.t))
        differs = np.abs(_grown(other)[:count] - grown[:count]) > ALIKE + PART * grown[:count]
        agreeing.append(int(np.sum(np.cumsum(differs) == 0)))
    known = max(known, (max if linear else min)(agreeing, default=0))
    ends = [min(known, count) for count in agreeing]
    return known, [_whole(x).states.at(slice(0, end)) for x, end in zip(others, ends, strict=True)]


def _bounded(
    run: Trajectory,
    fine: Trajectory,
    rtol: float,
    known: int,
    near: list[Any],
    every: list[Trajectory],
) -> Trajectory:
    """The finest run as far as it is known, with errors that states of others show."""
    whole = _whole(fine)
    with unlimited():
        states = whole.system.beside(whole.frame, whole.states.at(slice(0, known)), near)
    stats = {name: sum(each.stats[name] for each in every) for name in run.stats}
    found = replace(whole, t=whole.t[:known], states=states)
    if fine.followed is not None:
        asked = np.isin(found.t, fine.t)
        found = replace(fine, t=found.t[asked], states=states.at(asked), followed=found)
    message = _remarked(fine.message, whole, states)
    found = replace(found, rtol=run.rtol, provenance=run.provenance, stats=stats, message=message)
    # A companion has a budget of steps of its own: where that ends it, nothing more is known.
    spent = fine is not run and fine.status == STEP_BUDGET
    if known == len(whole.t) and not spent:
        return found
    events = tuple(event for event in found.events if event.time <= whole.t[known - 1])
    found = replace(found, events=events)
    ended = [each.status for each in every if each.status in STOPPED]
    if ended:
        return replace(found, status=ended[0], message=ENDED)
    grown = float(_grown(fine)[min(known, len(whole.t) - 1)])
    return replace(found, status=FIELD_FAILED, message=UNKNOWN.format(math.exp(grown), rtol))


def _whole(run: Trajectory) -> Trajectory:
    """The run at all times that it was followed at."""
    return run if run.followed is None else run.followed


def _grown(run: Trajectory) -> Array:
    """By how much more than its flow errors may have grown, the logarithm, at all these times."""
    return run.system.outgrown(_whole(run).states)
