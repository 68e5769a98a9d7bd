r"""Runs that go along a ridge, or past a saddle, beside others of other tolerances.

There an error grows by `e^G` more than the flow does (`System.outgrown`), and decides when the run
leaves, and to which side. While `\epsilon e^G` is small for the tolerance `\epsilon` of a step, the
error is linear in the tolerance, and where runs of larger tolerances are tells it at each time,
whatever way it takes. Where it is not, the run is led anew with a smaller tolerance; and it ends
where the smallest one does not suffice, as nobody knows then in which valley it goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flows.core.arrays import Array
from flows.core.problem import FIELD_FAILED, STOPPED
from flows.runs.request import Request
from flows.runs.tolerance import is_exact
from flows.runs.trajectory import Trajectory

__all__ = ["confirmed"]

# Errors that outgrow the flow by less than the exponential of this are those of any run: a hundred
# times what steps leave is stated.
FREE = 3.0
# An error is linear in the tolerance while it changes what decides by no more than this part.
LINEAR = 1e-3
# Companions have tolerances that are so many times as large, of no more than the second number:
# their errors are, too, and both are small by chance in none of a thousand runs.
COARSER, COARSEST = (10.0, 100.0), 0.1
# A tolerance that is smaller is that by so much, at least. Below the second number errors of steps
# are those of rounding, and do not fall with it.
FINER, FINEST = 10.0, 1e-13
# Runs that leave alike have integrals `G` that differ by this, and by this part of them, at most:
# they are sums over different steps. Those that leave by the errors of their own steps differ by
# the logarithm of the ratio of their tolerances.
ALIKE, PART = 0.1, 0.02
# A companion may take so many times the steps of the run, and so many more.
TIMES, MORE = 2, 500
UNKNOWN = (
    "beside a ridge of the loss, or a saddle, and it is not known when and to which side it leaves:"
    " an error grows {:.0e} times as much as the flow there, too much for steps of rtol = {:.0e};"
    " end the run before, start farther from it, or take flows.certify"
)

ENDED = "ended while other runs were to show its errors; what they have shown is kept"


def confirmed(
    run: Trajectory, request: Request, again: Callable[[Request], Trajectory]
) -> Trajectory:
    """Return the run, with errors that companions show where its flow magnifies them.

    Parameters
    ----------
    run : Trajectory
        What has been asked for.
    request : Request
        How.
    again : callable
        The run of another request from the same start.
    """
    grown = _grown(run)
    if is_exact(run.provenance) or run.status in STOPPED or not grown[-1] > FREE:
        return run
    runs, rtol = {request.rtol: run}, request.rtol
    most = min(request.max_steps, TIMES * int(run.stats["steps"]) + MORE)

    def led(tolerance: float) -> Trajectory:
        if tolerance not in runs:
            part = tolerance / request.rtol
            atol = None if request.atol is None else part * request.atol
            asked = replace(request, rtol=tolerance, atol=atol, max_steps=most)
            runs[tolerance] = again(asked)
        return runs[tolerance]

    while rtol > FINEST:
        last, size = runs[rtol], rtol * math.exp(_grown(runs[rtol])[-1])
        if size <= LINEAR and last.status != FIELD_FAILED:
            break
        finer = max(FINEST, min(rtol / FINER, LINEAR * rtol / size))
        if len(led(finer).t) < len(last.t) + (last.status == FIELD_FAILED):
            break  # it leads no farther
        rtol = finer
    fine = runs[rtol]
    others: list[Trajectory] = []
    for part in COARSER:
        if all(each.status not in STOPPED for each in runs.values()):
            others.append(led(min(part * rtol, COARSEST)))
    return _beside(run, fine, rtol, others, list(runs.values()))


def _beside(
    run: Trajectory,
    fine: Trajectory,
    rtol: float,
    others: list[Trajectory],
    every: list[Trajectory],
) -> Trajectory:
    """The finest of all runs, as far as others have gone the same way, and how far they are off."""
    whole, grown = _whole(fine), _grown(fine)
    known, near = int(np.sum(np.cumsum(grown > FREE) == 0)), []
    for other in map(_whole, others):
        count = min(len(whole.t), len(other.t))
        apart = np.abs(_grown(other)[:count] - grown[:count]) > ALIKE + PART * grown[:count]
        alike = int(np.sum(np.cumsum(apart) == 0))
        near.append(other.states.at(slice(0, alike)))
        known = max(known, alike)
    states = whole.system.beside(whole.frame, whole.states.at(slice(0, known)), near)
    stats = {name: sum(each.stats[name] for each in every) for name in run.stats}
    found = replace(whole, t=whole.t[:known], states=states)
    if fine.followed is not None:
        asked = np.isin(found.t, fine.t)
        found = replace(fine, t=found.t[asked], states=states.at(asked), followed=found)
    found = replace(found, rtol=run.rtol, provenance=run.provenance, stats=stats)
    if known == len(whole.t):
        return found
    ended = [each.status for each in every if each.status in STOPPED]
    if ended:
        return replace(found, status=ended[0], message=ENDED)
    told = UNKNOWN.format(math.exp(float(grown[known])), rtol)
    return replace(found, status=FIELD_FAILED, message=told)


def _whole(run: Trajectory) -> Trajectory:
    """The run at all times that it was followed at."""
    return run if run.followed is None else run.followed


def _grown(run: Trajectory) -> Array:
    """By how much more than its flow errors may have grown, the logarithm, at all these times."""
    return run.system.outgrown(_whole(run).states)
