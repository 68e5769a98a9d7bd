"""Compiled: gradient flows of many starts in pairs of doubles, each of them followed four times.

A member takes four lanes (:data:`ROLES`): by the tolerance, by 30 times of it, and twice by the
tolerance with each step moved by its own error, to either side, and by noise. How far these are
apart is the error of the first one. Lanes whose member has ended take the next one.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean, loop
from flows.arithmetic.pair_numbers import UNIT
from flows.arithmetic.vectors import WIDTH
from flows.core.limit import FAST
from flows.solvers.pair_steps import attempt, attempt_of
from flows.solvers.program import registers_of

__all__ = ["DONE", "LINEAR", "REST", "ROLES", "STUCK", "Runs", "Terms", "follow", "runs_of"]

#: Lanes of a member: tolerances in units of the first one's, parts of its own error by which each
#: step is moved, and noise.
ROLES = 4
LOOSER, KICKS, NOISES = (1.0, 30.0, 1.0, 1.0), (0.0, 0.0, 0.1, -0.1), (0.0, 0.0, 1e-30, 1e-30)
#: What becomes of a member: it has reached the last time, or a place from which on its flow is
#: linear, or nothing is left to fall, or its steps have become too short, or too many.
DONE, LINEAR, REST, STUCK = 1, 2, 3, 4
# The way to the limit is this part of the state where the flow is linear.
WAY = 3e-12
# The first step in log-time, at the tolerance 1e-8; factors by which steps change.
BEGINS, GROWS, SHRINKS, SAFETY = 0.05, 6.0, 0.2, 0.9
# Steps of less than this part of the time are no steps.
SHORTEST = 1e-15
MOST_STEPS = 60_000
_looser, _kicks, _noises = np.array(LOOSER), np.array(KICKS), np.array(NOISES)


class Runs(NamedTuple):
    """What became of members, the first axis.

    ``places`` (M, R, 4, N, 2): states of each lane in the rows, high and low double; ``rows``
    (M,): how many rows all lanes have reached; ``outcome`` (M,); ``steps`` (M, 2): taken and
    refused, of all lanes.
    """

    places: Any
    rows: Any
    outcome: Any
    steps: Any


def runs_of(members: int, rows: int, size: int) -> Runs:
    """Room for what becomes of members."""
    return Runs(
        np.zeros((members, rows, ROLES, size, 2)),
        np.zeros(members, dtype=np.int64),
        np.zeros(members, dtype=np.int64),
        np.zeros((members, 2), dtype=np.int64),
    )


class Terms(NamedTuple):
    """What is followed, and how.

    ``times`` (R,): of rows, the first one 0; ``program``: of the gradient; ``rtol``: tolerance;
    ``like``, ``sign`` (N,): the entry that each one equals on the way, and its sign relative to
    that one, zero of what stays zero.
    """

    times: Any
    program: Any
    rtol: Any
    like: Any
    sign: Any


class Lanes(NamedTuple):
    """Lanes, each the last axis: places (2 N), times, steps in log-time and in time, tolerances.

    ``row``: the next one; ``live``, ``landed``: whether it moves, and stands in a row; ``louder``:
    noise by rounding; ``seed``: of its noise; ``taken``, ``refused``: steps.
    """

    y: Any
    since: Any
    step: Any
    length: Any
    rtol: Any
    louder: Any
    row: Any
    live: Any
    landed: Any
    seed: Any
    taken: Any
    refused: Any


@inner
def lanes_of(n):
    """Room for lanes."""
    return Lanes(
        np.zeros((2 * n, WIDTH)),
        np.ones(WIDTH),
        np.zeros(WIDTH),
        np.zeros(WIDTH),
        np.ones(WIDTH),
        np.ones(WIDTH),
        np.zeros(WIDTH, np.int64),
        np.zeros(WIDTH, np.bool_),
        np.zeros(WIDTH, np.bool_),
        np.zeros(WIDTH, np.uint64),
        np.zeros(WIDTH, np.int64),
        np.zeros(WIDTH, np.int64),
    )


@lean
def take(lane, slot, places, unit, rtol):
    """Let a member begin in the lanes of a slot."""
    for role in range(ROLES):
        e = slot * ROLES + role
        for i in range(places.shape[1]):
            lane.y[2 * i, e], lane.y[2 * i + 1, e] = places[role, i, 0], places[role, i, 1]
        lane.since[e], lane.row[e] = unit, 1
        lane.rtol[e] = rtol * _looser[role]
        lane.step[e] = BEGINS * (lane.rtol[e] / 1e-8) ** 0.2
        lane.louder[e] = max(1.0, _noises[role] / UNIT)
        lane.live[e], lane.landed[e] = True, False
        lane.seed[e] = np.uint64(88172645463325252 + role)
        lane.taken[e] = lane.refused[e] = 0


@lean
def aim(lane, e, stop):
    """Choose the length of the next step of a lane: no row is passed, or nearly reached."""
    left = stop - lane.since[e]
    length = lane.since[e] * math.expm1(lane.step[e])
    if length >= 0.999 * left:
        return left
    return left / 2 if 2 * length > left else length


@lean
def noisy(lane, e):
    """A number between -1 and 1, the next one of a lane."""
    seed = lane.seed[e]
    seed ^= seed << np.uint64(13)
    seed ^= seed >> np.uint64(7)
    seed ^= seed << np.uint64(17)
    lane.seed[e] = seed
    return 2.0 * (float(seed >> np.uint64(11)) / 9007199254740992.0) - 1.0


@lean
def accept(lane, e, role, terms, work):
    """Let a lane stand at the end of its step, moved by its error and by noise."""
    n = len(terms.like)
    first, kick = 2 * 7 * n, _kicks[role]
    for i in range(n):
        high, low = work.after[2 * i, e], work.after[2 * i + 1, e]
        if kick != 0.0:
            low += kick * work.stage[first + 2 * i, e] + _noises[role] * noisy(lane, e) * high
            total = high + low
            low -= total - high
            high = total
        lane.y[2 * i, e], lane.y[2 * i + 1, e] = high, low
    for i in range(n):
        k, sign = terms.like[i], terms.sign[i]
        if k != i or sign == 0.0:
            lane.y[2 * i, e], lane.y[2 * i + 1, e] = (
                sign * lane.y[2 * k, e],
                sign * lane.y[2 * k + 1, e],
            )


@lean
def is_linear(lane, e, work, matrix, way):
    """Whether the way to the limit is so short that the flow is linear from here on.

    That is Newton's step, in doubles, along which curvature times time is large; ``matrix`` (N, N)
    and ``way`` (N,) are room.
    """
    n, since = len(way), lane.since[e]
    if not work.curvature[e] * since > FAST:
        return False
    if not work.speed[e] <= (WAY * work.curvature[e]) ** 2 * work.size[e]:
        return False
    for i in range(n):
        total = work.slope[2 * i, e]
        for j in range(i + 1):
            held = work.hessian[2 * (i * n + j), e]
            for k in range(j):
                held -= matrix[i, k] * matrix[j, k] * matrix[k, k]
            if j < i:
                matrix[i, j] = held / matrix[j, j]
                total -= matrix[i, j] * way[j]
            elif not held > 0.0:
                return False
            else:
                matrix[i, i] = held
        way[i] = total
    square, along = 0.0, 0.0
    for i in range(n - 1, -1, -1):
        way[i] /= matrix[i, i]
        for j in range(i + 1, n):
            way[i] -= matrix[j, i] * way[j]
        square += way[i] ** 2
        along += way[i] * work.slope[2 * i, e]
    return square <= WAY * WAY * work.size[e] and along * since > FAST * square


def _follow(starts, units, terms, runs, halt, clock):
    """Follow members from row to row.

    Parameters
    ----------
    starts : ndarray, shape (M, 4, N, 2)
        Places of the lanes of each member.
    units : ndarray, shape (M,)
        `T_0`, the time at which the flow begins to move.
    terms : Terms
        What is followed, and how.
    runs : Runs
        To be filled.
    halt : ndarray of bool, shape (1,)
        Where another thread says that all shall end.
    clock : ndarray, shape (1,)
        Where other threads read the time of the first lane.
    """
    members, n, times, program = len(starts), starts.shape[2], terms.times, terms.program
    lane, work, at = lanes_of(n), attempt_of(n), registers_of(n, program)
    owner, last = np.full(WIDTH // ROLES, -1), np.zeros(WIDTH // ROLES, np.int64)
    matrix, way = np.zeros((n, n)), np.zeros(n)
    member = 0
    while True:
        lanes = 0
        for slot in range(len(owner)):
            if owner[slot] < 0 and member < members and not halt[0]:
                for role in range(ROLES):
                    runs.places[member, 0, role] = starts[member, role]
                take(lane, slot, starts[member], units[member], terms.rtol)
                runs.rows[member], runs.outcome[member] = 1, DONE
                owner[slot], last[slot] = member, len(times)
                member += 1
            lanes = (slot + 1) * ROLES if owner[slot] >= 0 else lanes
        if lanes == 0:
            return
        for e in range(WIDTH):
            k = owner[e // ROLES]
            lane.length[e] = aim(lane, e, times[lane.row[e]] + units[k]) if lane.live[e] else 0.0
        clock[0] = lane.since[0] - units[owner[0]] if owner[0] >= 0 else clock[0]
        given = lane.y, lane.since, lane.length, lane.rtol, lane.louder
        attempt(given[0], given[1], given[2], given[3], given[4], program, at, lanes, work)
        for slot in range(len(owner)):
            k, moving = owner[slot], False
            if k < 0:
                continue
            for role in range(ROLES):
                e = slot * ROLES + role
                if not lane.live[e]:
                    continue
                if lane.landed[e] and role == 0 and is_linear(lane, e, work, matrix, way):
                    last[slot], runs.outcome[k] = min(last[slot], lane.row[e]), LINEAR
                conclude(lane, e, role, k, units[k], terms, runs, work)
                lane.live[e] = lane.live[e] and lane.row[e] < last[slot] and not halt[0]
                moving = moving or lane.live[e]
            if not moving:
                reached = last[slot]
                for role in range(ROLES):
                    e = slot * ROLES + role
                    reached = min(reached, lane.row[e])
                    runs.steps[k, 0] += lane.taken[e]
                    runs.steps[k, 1] += lane.refused[e]
                runs.rows[k], owner[slot] = reached, -1


@lean
def conclude(lane, e, role, k, unit, terms, runs, work):
    """Accept or refuse the step of a lane, and put it down where it has reached a row."""
    wrong, row, lane.landed[e] = work.wrong[e], lane.row[e], False
    if not (work.bad[e] > 0.0 and wrong < np.inf):
        wrong = 1e30
    if not work.alive[e] > 1.0:
        runs.outcome[k], lane.live[e] = REST, False
        return
    change = GROWS if wrong < 1e-9 else min(GROWS, max(SHRINKS, SAFETY * wrong**-0.1))
    length = lane.length[e]
    step = math.log1p(length / lane.since[e])
    if wrong > 1.0:
        lane.refused[e] += 1
        lane.step[e] = step * change
        if not lane.step[e] > SHORTEST:
            runs.outcome[k], lane.live[e] = STUCK, False
        return
    accept(lane, e, role, terms, work)
    lane.taken[e] += 1
    lane.step[e] = max(lane.step[e], step * change) if change > 1.0 else step * change
    stop = terms.times[row] + unit
    if length >= 0.999 * (stop - lane.since[e]):
        lane.since[e], lane.landed[e] = stop, True
        for i in range(len(terms.like)):
            runs.places[k, row, role, i, 0] = lane.y[2 * i, e]
            runs.places[k, row, role, i, 1] = lane.y[2 * i + 1, e]
        lane.row[e] += 1
    else:
        lane.since[e] += length
    if lane.taken[e] + lane.refused[e] > MOST_STEPS:
        runs.outcome[k], lane.live[e] = STUCK, False


follow: Any = loop(_follow, nogil=True)
