"""Compiled: states in lanes whose errors are carried on, and room for that."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, loop
from flows.arithmetic.vectors import WIDTH
from flows.systems.own.growth import ANEW, RISING

__all__ = ["Carry", "carry_of", "room"]


class Carry(NamedTuple):
    """States in lanes, the last axis, whose errors are carried on, and room for that.

    Given are, of before, ``curvature``, ``error``, ``fresh``, ``slope`` (N, lanes), ``began``
    (lanes,), and of now ``since``, ``anew`` (lanes,): the time, and which part the last steps leave
    of what steps do, ``h`` (N, lanes): eigenvalues, increasing, ``now`` (N, lanes): curvatures
    along the axes of before, ``overlaps`` (N, N, lanes): of the axes, (now, before), ``along`` (N,
    lanes): slopes. The integral of the curvature along an axis is ``chord`` (N, lanes) plus ``tip``
    (lanes,) times that of now. Gradients tell how errors grow where curvature times time is below
    ``rising`` (lanes,), and are shifts in time up to the part ``timely`` (lanes,) of what grows.
    What is found is ``later`` (N, lanes): errors along the axes of now, and what is added to
    ``late`` (lanes,): how early or late the states may be. Where errors grow as the gradient does,
    ``error`` and ``now`` are changed.

    Of the room, ``first``, ``least`` (N, lanes): curvature times time at first, and at least along
    slow axes; ``fast``, ``mixes`` (N, lanes): 1 for axes of this kind, 0 for others; ``kind``,
    ``into`` (N, lanes): 1 for slow axes of before that may turn, and for those of now that they may
    turn into, 2 for fast ones, other numbers for others; ``moved`` (N, lanes): what axes take from
    one that mixes; ``lowest``, ``highest`` (N, lanes): rates that have come to an axis; ``rate``,
    ``grown``, ``came`` (N, lanes); ``length`` (lanes,): how much later it is, in log-time;
    ``order`` (N, lanes): where axes of now were taken from, see :func:`reorder`.
    """

    curvature: Any
    error: Any
    fresh: Any
    began: Any
    since: Any
    anew: Any
    h: Any
    now: Any
    overlaps: Any
    slope: Any
    along: Any
    chord: Any
    tip: Any
    rising: Any
    timely: Any
    later: Any
    late: Any
    first: Any
    least: Any
    fast: Any
    mixes: Any
    kind: Any
    into: Any
    moved: Any
    lowest: Any
    highest: Any
    rate: Any
    grown: Any
    came: Any
    length: Any
    order: Any


@inner
def carry_of(n):
    """Room for states in lanes."""
    lanes = WIDTH
    return Carry(
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.ones(lanes),
        np.ones(lanes),
        np.full(lanes, ANEW),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros(lanes),
        np.full(lanes, RISING),
        np.zeros(lanes),
        np.zeros((n, lanes)),
        np.zeros(lanes),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros((n, lanes)),
        np.zeros(lanes),
        np.zeros((n, lanes)),
    )


@loop
def room(n):
    """Room for states in lanes."""
    return carry_of(n)
