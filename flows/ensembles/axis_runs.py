"""Compiled: members of an ensemble from chart to chart, several side by side.

Explicit steps go as far as the flow is gentle, in the coordinates of states; from there on Radau's
method follows a member along its axes. The lanes take their steps together; a member whose chart
has ended leaves its lane and joins the queue. Nothing in a member depends on the others.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean, loop
from flows.core.arrays import EPSILON
from flows.ensembles.axis_charts import (
    aim,
    load,
    output_in,
    programs_of,
    registers_of,
    steepest,
    steps_in,
)
from flows.ensembles.axis_ends import ends_chart, ends_of, meet, see_ends
from flows.ensembles.axis_found import Found, found_of
from flows.ensembles.axis_looks import (
    forget_outgrown,
    look_at_all,
    look_between,
    look_first,
    look_within,
    looks_of,
)
from flows.ensembles.axis_members import (
    dequeue,
    enqueue,
    leave,
    members_of,
    takes_long,
    waiting_count,
)
from flows.ensembles.axis_outputs import outputs_of
from flows.solvers.gentle_formulas import ALL, STAGES
from flows.solvers.near_explicit import attempt, between, dense_at, finish, stages_of
from flows.solvers.near_flow import LANES
from flows.solvers.near_radau import evaluate, step_on, within
from flows.solvers.near_state import (
    CHANGED,
    FAILED,
    GOES_ON,
    SHORT,
    STOPPED,
    is_short,
    lanes_of,
    room,
)

__all__ = ["Found", "follow", "found_of"]

# Explicit steps have this part of the error allowed in a chart's steps.
EXPLICIT = 0.01
# They lead to where curvature times time is this, if that is not nearer than the other part of the
# time: beyond it stability allows shorter steps than Radau takes.
GENTLE, NEAR = 30.0, 0.1


@lean
def gentle_until(here, k, terms):
    """Solver time up to which explicit steps lead in a chart; 0 where others are to.

    Their coordinates are those of states: rounding is that of the largest unit along an axis, and
    has to be nothing along the others.
    """
    steep, size = here.charts.since[k] * steepest(here.charts, k), here.charts.size[k]
    least, most = np.inf, 0.0
    for i in range(len(size)):
        least, most = min(least, size[i]), max(most, size[i])
    if not max(1.0, steep) * EPSILON * most < terms.known * least:
        return 0.0
    until = math.log(GENTLE / steep) if steep > 0.0 else np.inf
    return until if until > NEAR else 0.0


@lean
def take_place(lane, out, read, here, k, e, times, before, terms, found):
    """Let a member go on in a lane, in its chart, as far as the solver time `before`."""
    look_first(here, k)
    load(lane, out.near, read, here, k, e)
    aim(lane, here, k, e, times, before, terms.halts, found)
    lane.steps[e], lane.fields[e] = found.counts[k, 0], found.counts[k, 1]
    lane.step[e] = here.step[k]


@lean
def few_are_left(alive, ends):
    """Whether lanes are empty, and at least as many members could fill them as are left."""
    return alive < LANES and 0 < ends.line.count[0] >= alive


@lean
def only_halts(lane, here, k, e, times, before, terms, found):
    """Whether a lane stopped only for an output, so that its chart goes on."""
    if lane.outcome[e] != STOPPED or not terms.halts:
        return False
    aim(lane, here, k, e, times, before, True, found)
    return lane.stop[e] > lane.tau[e]


class Walk(NamedTuple):
    """Lanes in which members take steps.

    ``lane``: their states; ``work``, ``u`` (N,): work space; ``owner`` (lanes,): the member in a
    lane, -1 if none; ``looks``: the looks at curvatures on the way.
    """

    lane: Any
    work: Any
    owner: Any
    u: Any
    looks: Any


@inner
def walk_of(n, rtol, terms, count):
    """Lanes of steps of a tolerance."""
    lane = lanes_of(n, LANES, rtol, terms.reach, terms.short)
    return Walk(lane, room(n, LANES), np.full(LANES, -1), np.empty(n), looks_of(n, count))


@lean
def follow_gently(times, programs, terms, walk, stages, here, near, out, ends, found, halt):
    """Follow members by explicit steps, until only members that need Radau's are left."""
    lane, work, owner, u, looks = walk
    gradient, n, late, read = programs.gradient, len(u), here.late, programs.value.read
    while not halt[0]:
        alive = 0
        for e in range(LANES):
            while owner[e] < 0 and waiting_count(here) > 0:
                k = dequeue(here)
                before = gentle_until(here, k, terms)
                late[k] = before == 0.0
                if not late[k]:
                    take_place(lane, out, read, here, k, e, times, before, terms, found)
                    owner[e] = k
            alive += 1 if owner[e] >= 0 else 0
        if few_are_left(alive, ends):
            see_ends(ends, here, programs, terms, found)
            continue
        if alive == 0:
            break
        attempt(lane, near, gradient, work, stages)
        if terms.looks:
            look_between(looks, lane, owner, near, gradient, work, stages, here)
        dense = False
        for e in range(LANES):
            if not (lane.live[e] and stages.good[e]):
                continue
            if is_short(near, gradient, n, terms.short, e):
                lane.outcome[e] = SHORT
        for e in range(LANES):
            if not (lane.live[e] and stages.good[e]):
                continue
            k, begins = owner[e], lane.tau[e]
            until = lane.stop[e] if work.last[e] else begins + work.length[e]
            part = output_in(here, k, times, found, begins, until)
            if part >= 0.0:
                if not dense:
                    dense_at(lane, near, gradient, work, stages)
                    dense = True
                lane.fields[e] += ALL - STAGES - 1
            while part >= 0.0:
                between(stages, part, e, u)
                for i in range(n):
                    here.passed[k, found.reached[k], i] = u[i]
                found.reached[k] += 1
                part = output_in(here, k, times, found, begins, until)
        finish(lane, work, stages)
        for e in range(LANES):
            if owner[e] < 0 or lane.outcome[e] == GOES_ON:
                continue
            k = owner[e]
            if only_halts(lane, here, k, e, times, gentle_until(here, k, terms), terms, found):
                continue
            owner[e], lane.live[e] = -1, False  # unless it goes on
            found.counts[k, 0], found.counts[k, 1] = lane.steps[e], lane.fields[e]
            if lane.outcome[e] == FAILED:  # others may do better
                late[k], found.reached[k] = True, here.row[k]
                continue
            if ends_chart(lane, near, out, ends, here, k, e, programs, terms, times, found):
                owner[e] = k
    look_at_all(looks, gradient, here)
    for k in range(len(late)):
        if late[k]:
            enqueue(here, k)


@lean
def follow_stiffly(times, programs, tableau, terms, walk, here, near, out, ends, found, halt):
    """Follow members at late times by Radau's method."""
    lane, work, owner, u, looks = walk
    gradient, n, read = programs.gradient, len(u), programs.value.read
    while not halt[0]:
        alive, anew = 0, False
        for e in range(LANES):
            if owner[e] < 0 and waiting_count(here) > 0:
                k = dequeue(here)
                take_place(lane, out, read, here, k, e, times, np.inf, terms, found)
                owner[e], anew = k, True
            alive += 1 if owner[e] >= 0 else 0
        if few_are_left(alive, ends):
            see_ends(ends, here, programs, terms, found)
            continue
        if alive == 0:
            return
        if anew:
            evaluate(lane, near, gradient, work)
        step_on(lane, near, gradient, tableau, work)
        if terms.looks:
            look_within(looks, lane, owner, near, work, here)
        again_at = False
        for e in range(LANES):
            if owner[e] < 0:
                continue
            k, until, length = owner[e], lane.tau[e], lane.before[e]
            if not lane.refused[e]:
                part = output_in(here, k, times, found, until - length, until)
                while part >= 0.0:
                    within(lane, part, e, u)
                    for i in range(n):
                        here.passed[k, found.reached[k], i] = u[i]
                    found.reached[k] += 1
                    part = output_in(here, k, times, found, until - length, until)
            if lane.outcome[e] == GOES_ON and takes_long(lane, e):
                lane.outcome[e] = CHANGED
            if lane.outcome[e] == GOES_ON:
                continue
            if only_halts(lane, here, k, e, times, np.inf, terms, found):
                continue
            owner[e], lane.live[e] = -1, False  # unless it goes on
            found.counts[k, 3] += lane.steps[e] - found.counts[k, 0]
            found.counts[k, 0], found.counts[k, 1] = lane.steps[e], lane.fields[e]
            if lane.outcome[e] == FAILED:
                found.reached[k] = here.row[k]
                continue
            if ends_chart(lane, near, out, ends, here, k, e, programs, terms, times, found):
                owner[e], again_at = k, True
        if again_at:
            evaluate(lane, near, gradient, work)


def _follow(starts, times, codes, tableau, terms, found, halt):
    """Follow members to the last time, or as far as two doubles tell the way.

    Parameters
    ----------
    starts : ndarray, shape (M, N)
        Starts.
    times : ndarray, shape (T,)
        Output times after 0.
    codes : tuple of Code
        Of the gradient, of the loss with its gradient, whose first steps are those of the gradient,
        and of the gradient's rates.
    tableau : Tableau
        Coefficients of Radau's steps.
    terms : AxisTerms
        How they are followed.
    found : Found
        To be filled.
    halt : ndarray of bool, shape (1,)
        Where another thread says that all shall end.

    Each pass of the main loops takes fields of every member that has a lane, at most `MOST_FIELDS`
    of each; so there is a last one, whatever the numbers are.
    """
    (count, n), (gradient, loss, rates) = starts.shape, codes
    programs, taken = programs_of(n, gradient, loss, rates), registers_of(n, gradient)
    here = members_of(count, len(times), n, loss, terms.reach)
    out, ends = outputs_of(loss, n), ends_of(n, taken)
    near = steps_in(out.near, taken)
    first = walk_of(n, min(terms.rtol, EXPLICIT * terms.left), terms, taken)
    then, stages = walk_of(n, terms.rtol, terms, taken), stages_of(n)
    for k in range(0, count, LANES):
        if not halt[0]:
            meet(starts, k, ends, here, programs, terms, found)
    follow_gently(times, programs, terms, first, stages, here, near, out, ends, found, halt)
    follow_stiffly(times, programs, tableau, terms, then, here, near, out, ends, found, halt)
    forget_outgrown(here, found)
    leave(here, found)


follow: Any = loop(_follow, nogil=True)
