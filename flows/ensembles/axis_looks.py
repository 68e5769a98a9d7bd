r"""Compiled: looks at the curvature inside charts, of several members side by side.

They sum the integral of :mod:`flows.systems.own.stretch`, which says by how much more than the flow
errors have grown. Charts see Hessians at their ends only, and a ridge may lie between. Steps of
Radau have a Hessian anyway. Explicit steps have none: a few of them are looked at, together with
steps of other members, so that the looks take a few hundredths of the time.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.runs.companions import FREE
from flows.solvers.near_explicit import SLOPE
from flows.solvers.near_flow import LANES, near_of
from flows.solvers.near_hessian import hessian
from flows.systems.own.stretch import ROUNDED

__all__ = ["Looks", "forget_outgrown", "look_at_all", "look_between", "look_first"]
__all__ += ["look_within", "looks_of"]

# One explicit step in this many, times half the number of axes, is looked at.
LOOK_SPACING = 4
# Halvings of the logarithm of an eigenvalue, which need be known to a tenth only.
HALVINGS = 6


class Looks(NamedTuple):
    """States that wait to be looked at, of any members, the last axis.

    ``near``: registers and axes of their charts; ``slope`` (N, lanes): along these, of the state;
    ``since`` (lanes,): when; ``member`` (lanes,): whose they are; ``count`` (1,): how many;
    ``matrix`` (N, N, lanes): Hessians, upper triangles; ``low`` (N, N): room.
    """

    near: Any
    slope: Any
    since: Any
    member: Any
    count: Any
    matrix: Any
    low: Any


@inner
def looks_of(n, count):
    """Work space of looks, for programs with this number of registers."""
    return Looks(
        near_of(n, count, LANES),
        np.zeros((n, LANES)),
        np.ones(LANES),
        np.zeros(LANES, np.int64),
        np.zeros(1, np.int64),
        np.zeros((n, n, LANES)),
        np.zeros((n, n)),
    )


@lean
def definite(matrix, e, shift, low):
    """Whether a matrix of a lane is positive, with so much added to its diagonal."""
    for i in range(len(low)):
        for j in range(i + 1):
            total = matrix[j, i, e]
            for m in range(j):
                total -= low[i, m] * low[j, m]
            if j < i:
                low[i, j] = total / low[j, j]
            elif total + shift > 0.0:
                low[i, i] = math.sqrt(total + shift)
            else:
                return False
    return True


@lean
def rate_of(looks, e):
    """How fast errors outgrow the flow at one of the states, in log-time."""
    matrix, slope, since, n = looks.matrix, looks.slope, looks.since[e], len(looks.slope)
    largest, bent, length = 0.0, 0.0, 0.0
    for i in range(n):
        length += slope[i, e] ** 2
        for j in range(i, n):
            largest = max(largest, abs(matrix[i, j, e]))
            part = slope[i, e] * matrix[i, j, e] * slope[j, e]
            bent += part if i == j else 2.0 * part
    least = 1.0 / since + ROUNDED * largest
    if not largest < np.inf or definite(matrix, e, least, looks.low):
        return 0.0
    low, deep = least, max(2.0 * least, n * largest)
    for _ in range(HALVINGS):
        middle = math.sqrt(low * deep)
        if definite(matrix, e, middle, looks.low):
            deep = middle
        else:
            low = middle
    along = max(0.0, -bent / length) if length > 0.0 else 0.0
    return since * max(0.0, deep - along - least)


@lean
def count_at(here, k, since, rate):
    """Add the growth of a member's errors since its last look; its rate is one in log-time."""
    if here.looked[k, 0] > 0.0 and since > here.looked[k, 0]:
        here.outgrown[k] += (here.looked[k, 1] + rate) / 2.0 * math.log(since / here.looked[k, 0])
    here.looked[k, 0], here.looked[k, 1] = since, rate


@lean
def look_first(here, k):
    """Look at the begin of the first chart of a member, whose curvatures are known."""
    charts, bent, length = here.charts, 0.0, 0.0
    if here.looked[k, 0] > 0.0:
        return
    for i in range(charts.slope.shape[1]):
        square = charts.slope[k, i] ** 2
        length, bent = length + square, bent + charts.curvature[k, i] * square
    since, along = charts.since[k], max(0.0, -bent / length) if length > 0.0 else 0.0
    rate = since * (-charts.curvature[k, 0] - along) - 1.0
    count_at(here, k, since, rate if 0.0 < rate < np.inf else 0.0)


@lean
def look_at_all(looks, program, here):
    """Look at all states that wait."""
    if looks.count[0] == 0:
        return
    hessian(looks.near, program, looks.matrix)
    for w in range(looks.count[0]):
        count_at(here, looks.member[w], looks.since[w], rate_of(looks, w))
    looks.count[0] = 0


@lean
def look_between(looks, lane, owner, near, program, work, stages, here):
    """Let ends of explicit steps, where registers are, wait for a look: not all of a member."""
    n, spacing = len(near.size), LOOK_SPACING * ((len(near.size) + 1) // 2)
    for e in range(LANES):
        if owner[e] < 0 or not stages.good[e] or lane.steps[e] % spacing != 0:
            continue
        w = looks.count[0]
        looks.member[w], looks.count[0] = owner[e], w + 1
        looks.since[w] = near.since[e] * math.exp(lane.tau[e] + work.length[e])
        for k in program.read:
            for part in range(2):
                looks.near.registers[k, part, w] = near.registers[k, part, e]
        for i in range(n):
            looks.slope[i, w] = stages.ahead[SLOPE, i, e] * near.size[i, e]
            for j in range(n):
                looks.near.axes[i, j, w] = near.axes[i, j, e]
        if w + 1 == LANES:
            look_at_all(looks, program, here)


@lean
def look_within(looks, lane, owner, near, work, here):
    """Look at steps of Radau that serve, by the Hessians in their middles."""
    n = len(near.size)
    for e in range(LANES):
        if owner[e] < 0 or lane.refused[e]:
            continue
        looks.since[e] = near.since[e] * math.exp(lane.tau[e])
        for i in range(n):
            looks.slope[i, e] = lane.slope[i, e] * near.size[i, e]
            for j in range(i, n):
                looks.matrix[i, j, e] = work.hessian[i, j, e]
        count_at(here, owner[e], looks.since[e], rate_of(looks, e))


@lean
def forget_outgrown(here, found):
    """Forget the outputs of members whose errors have outgrown the flow: runs alone see these."""
    for k in range(len(here.outgrown)):
        if here.outgrown[k] > FREE:
            found.reached[k] = 0
