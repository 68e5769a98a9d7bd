"""Pieces of a run of a plain field: log-time, with tolerances that follow the sizes of blocks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart, Clock
from flows.core.piece import Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch
from flows.systems.field.states import FieldState, observe
from flows.systems.field.written import Written

__all__ = ["FieldPiece", "field_piece"]

# Blocks that have grown, or shrunk, by these factors want another absolute tolerance.
GROWN, SHRUNK = 10.0, 1e-3
# Blocks below it are zero to the solver: a little further down doubles lose their digits.
SMALLEST = 1e-250
# Times that differ by less than this part are one in doubles.
LAST_BITS = 4 * float(np.finfo(float).eps)
INFINITE = "the flow ends in finite time: its field becomes infinite"


@dataclass(frozen=True)
class FieldPiece(Piece):
    """Piece of a run of a plain field.

    Parameters
    ----------
    written : Written
        The field.
    frame : Frame
        Of the run.
    blocks : tuple of int
        Sizes of the blocks.
    chart : Chart
        What the solver follows.
    """

    written: Written
    frame: Any
    blocks: tuple[int, ...]
    chart: Chart

    counted = 0.0  # steps end the run, not pieces

    def decode(self, raw: Array) -> FieldState:
        """State of raw coordinates at the start of the piece."""
        return observe(self.written, raw, np.asarray(self.chart.clock.t_start))

    def at(self, tau: Array | float, y: Array) -> FieldState:
        """State(s) of the solver's state(s), which are the entries."""
        return observe(self.written, np.array(y), np.asarray(self.chart.clock.time(tau)))

    def watch(self, rtol: float) -> Watch:
        """End the piece where a block has another size."""
        first = self.chart.size

        def alarm(tau: float, y: Array) -> float:
            size = sizes(y, self.blocks)
            return float(min((1 - size / (GROWN * first)).min(), (size - SHRUNK * first).max()))

        def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop:
            return Stop(tau, y)

        return Watch(alarm, check)

    def restart(self, stop: Stop) -> Restart:
        """Go on with tolerances that fit the new state, unless the field becomes infinite there."""
        time = self.time(stop.tau)
        failure = INFINITE if _ends(self.written, stop.y, time) else ""
        return Restart(self.frame, self.at(stop.tau, stop.y), time, failure=failure)


@np.errstate(all="ignore")
def _ends(written: Written, y: Array, t: float) -> bool:
    """Whether the speed doubles within the last bits of the time."""
    slope = written.slope(y, t)
    gained = slope @ written.jacobian(y, t) @ slope * (LAST_BITS * t)
    return bool(not np.isfinite(slope).all() or gained > slope @ slope)


def sizes(y: Array, blocks: tuple[int, ...]) -> Array:
    """Largest entry of each block, at each of its entries."""
    parts = np.split(np.abs(y), np.cumsum(blocks)[:-1])
    largest = float(np.abs(y).max(initial=0.0)) or 1.0
    found = np.repeat([float(part.max()) or largest for part in parts], blocks)
    return np.maximum(found, SMALLEST)


def field_piece(
    written: Written, frame: Any, x: Array, time: float, blocks: tuple[int, ...], kick: Array | None
) -> FieldPiece:
    """Piece that begins with a state.

    Parameters
    ----------
    written : Written
        The field.
    frame : Frame
        Of the run.
    x : ndarray, shape (N,)
        Entries with which it begins.
    time : float
        When.
    blocks : tuple of int
        Sizes of the blocks.
    kick : ndarray, shape (2, N), optional
        By how much the field of a companion is off in a unit of log-time, in parts of an entry and
        in parts of its block.
    """
    size = sizes(x, blocks)
    off = [] if kick is None else [kick[0], kick[1] * size]
    chart = Chart(
        clock=Clock(time, np.zeros(len(x)), unit=1.0 + time),
        x0=x,
        size=size,
        field=solved(written),
        weights=np.concatenate([[time], *off]),
        shape=np.array([len(x)]),
    )
    return FieldPiece(written, frame, blocks, chart)


@functools.lru_cache(maxsize=32)
def solved(written: Written) -> Callable[..., None]:
    """Field and Jacobian in log-time, `t + 1 = (t_0 + 1) e^tau`, with the arguments of a chart."""

    def field(
        tau: float,
        y: Array,
        exponential: bool,
        offset: float,
        decay: Array,
        weights: Array,
        shape: Any,
        out: Array,
        jacobian: Array,
        want_jacobian: bool,
    ) -> None:
        unit, size = 1.0 + float(weights[0]), len(y)
        t = float(weights[0]) + unit * math.expm1(tau)
        speed = unit * math.exp(tau)
        slope = written.slope(y, t)
        out[:] = speed * slope
        if len(weights) > 1:  # what stays zero stays so beside it, too
            relative, absolute = weights[1 : 1 + size], weights[1 + size :]
            out[:] += np.where((y != 0) | (slope != 0), relative * np.abs(y) + absolute, 0.0)
        if want_jacobian:
            jacobian[:] = speed * written.jacobian(y, t)

    return field
