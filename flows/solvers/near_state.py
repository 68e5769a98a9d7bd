"""Compiled: states of charts in lanes, outcomes, and the work space of steps."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.solvers.timed_radau import STAGES

__all__ = [
    "CHANGED",
    "FAILED",
    "GOES_ON",
    "MOST_FIELDS",
    "PAIRS",
    "SHORT",
    "STOPPED",
    "Lane",
    "Room",
    "is_short",
    "lanes_of",
    "room",
]

PAIRS = STAGES // 2
# A member that takes more fields is not for steps of many. Each attempt takes some, whatever the
# numbers are, also NaN: so this bounds all loops.
MOST_FIELDS = 50_000
#: Outcome of a lane: it goes on, is at its stop, has left its range of energies, has failed, or a
#: quantity in it is zero to rounding.
GOES_ON, STOPPED, CHANGED, FAILED, SHORT = range(5)


class Lane(NamedTuple):
    """States of the charts; the last axis is that of the lanes.

    ``live``: whether there is a member; ``outcome``: what became of it; ``tau``, ``u`` (N, lanes),
    ``slope`` (N, lanes): solver time, increment, its slope; ``stop``: where a step ends; ``step``,
    ``before``: lengths of the next step and of the last one, 0 where there is none; ``error``: that
    of the last step; ``refused``: whether the last attempt was; ``attempts``: of Radau in the
    chart; ``ahead`` (S, N, lanes): coefficients of the last step's polynomial; ``rtol``; ``weight``
    (N, lanes): of squares of slopes over `s^2` in the energy, whose sum is 1 at the start;
    ``left``: root of the part of the energy that is left; ``least``, ``most``: between which a
    chart goes on; ``short`` (1,): where a square that must not vanish is this part of the largest,
    a lane is looked at; ``steps``, ``fields``.
    """

    live: Any
    outcome: Any
    tau: Any
    u: Any
    slope: Any
    stop: Any
    step: Any
    before: Any
    error: Any
    refused: Any
    attempts: Any
    ahead: Any
    rtol: Any
    weight: Any
    left: Any
    least: Any
    most: Any
    short: Any
    steps: Any
    fields: Any


class Room(NamedTuple):
    """Room for steps of N axes, and what Newton's method takes for a step of each lane.

    ``hessian``: upper triangles; ``real``, ``turning`` (P, N, N, 2, lanes): factors of matrices of
    the modes; ``clock``: `s` at the steps' begins; ``length``: of the steps; ``grown`` (S, lanes):
    by how much it has at the stages; ``eigen`` (1 + 2 P, lanes): the real eigenvalue and parts of
    the others; ``shift``: these over the lengths; ``back``, ``forth`` (S, S, lanes): into their
    modes and out of them; ``moved``, ``before``: how large the last correction is, and the one
    before it; ``taken``: 1 where it, or a step, is taken.
    """

    hessian: Any
    real: Any
    turning: Any
    z: Any
    w: Any
    f: Any
    stages: Any
    inside: Any
    off: Any
    change: Any
    clock: Any
    grown: Any
    eigen: Any
    shift: Any
    back: Any
    forth: Any
    length: Any
    last: Any
    active: Any
    converged: Any
    moved: Any
    before: Any
    taken: Any
    wrong: Any
    iterations: Any


@inner
def lanes_of(n, lanes, rtol, reach, short):
    """Lanes without members."""
    return Lane(
        np.zeros(lanes, np.bool_),
        np.zeros(lanes, np.int64),
        np.zeros(lanes),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.ones(lanes),
        np.ones(lanes),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes, np.bool_),
        np.zeros(lanes, np.int64),
        np.zeros((STAGES, n, lanes)),
        np.full(lanes, rtol),
        np.zeros((n, lanes)),
        np.ones(lanes),
        np.full(lanes, math.sqrt(1.0 / reach)),
        np.full(lanes, math.sqrt(reach)),
        np.full(1, short),
        np.zeros(lanes, np.int64),
        np.zeros(lanes, np.int64),
    )


@inner
def room(n, lanes):
    """Room for steps."""
    return Room(
        np.zeros((n, n, lanes)),
        np.zeros((n, n, lanes)),
        np.zeros((PAIRS, n, n, 2, lanes)),
        np.zeros((STAGES, n, lanes)),
        np.zeros((STAGES, n, lanes)),
        np.zeros((STAGES, n, lanes)),
        np.zeros((STAGES, n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((STAGES, n, lanes)),
        np.ones(lanes),
        np.ones((STAGES, lanes)),
        np.ones((STAGES, lanes)),
        np.ones((STAGES, lanes)),
        np.zeros((STAGES, STAGES, lanes)),
        np.zeros((STAGES, STAGES, lanes)),
        np.zeros(lanes),
        np.zeros(lanes, np.bool_),
        np.zeros(lanes, np.bool_),
        np.zeros(lanes, np.bool_),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes, np.int64),
    )


@lean
def is_short(near, program, n, short, e):
    """Whether in a lane something is as good as zero that must not be."""
    least, most, r = np.inf, 0.0, near.registers
    for k in range(n, len(program.results)):
        of_square = program.results[k]
        square = r[of_square, 0, e] + r[of_square, 1, e] + r[of_square, 2, e]
        least, most = min(least, square), max(most, square)
    return least <= short * most
