"""The smooth pieces of a chain's run: charts in log-time, and what has decayed to nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.chart import Chart, Clock, wrapped_once
from flows.core.piece import Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch
from flows.systems.matrix_factorization import chains
from flows.systems.matrix_factorization.chains import adjoint
from flows.systems.matrix_factorization.field import LANES, make_raw
from flows.systems.matrix_factorization.modes import in_modes, mode_sizes, modes, on_defects
from flows.systems.matrix_factorization.state import Frame, SoundState, of_layers

# exp(-GONE)^2 is the smallest loss a double holds: what has decayed this far is zero.
GONE = 340.0
# From this time on pieces last a decade. After each, a residual that stays, as at a saddle, is made
# of the layers anew, and the layers of their defects, before errors of steps exceed a tolerance.
LONG = 10.0
# A chain that fails keeps a singular value of the target as its residual: a residual above this
# part of the least one stays. A value below the second part of the largest one is zero.
STAYS, RANK = 0.5, 1e-12
# Entries of that residual up to this part of the target are rounding, and are set to zero: in the
# time `t` they would move the layers by as much, times `t`.
ROUNDING = 1e-14
# Where residual or defects are so many times what layers and target can make of them by now, they
# are made of the layers anew: as variables of their own they would keep absolute errors of what
# they were, and the layers of what they are would not be those of the defects.
SHRUNK = 10.0
# More unknowns than this make factoring a Jacobian slower than iterating.
DENSE = 200


@dataclass(frozen=True)
class ChainPiece(Piece):
    """Piece of a run of layers.

    Parameters
    ----------
    frame : Frame
        What translates back.
    state : SoundState
        The first state.
    chart : Chart
        What the solver follows: layers, residual and defects as they are, or in their modes.
    turns : ndarray, optional
        What turns them into their modes.
    """

    frame: Frame
    state: SoundState
    chart: Chart
    turns: chains.Matrices | None = None

    def decode(self, raw: Array) -> SoundState:
        """State(s) of raw chart coordinates, shape (..., M)."""
        if self.turns is None:
            return SoundState(raw)
        point = chains.unpack(raw, self.chart.shape)
        return SoundState(chains.pack(in_modes(point, self.turns, back=True)))

    def watch(self, rtol: float) -> Watch:
        """End the piece where residual or defects have decayed to nothing, or after a decade.

        And where they are to be made of the layers anew.
        """
        start, first = self.chart.clock.t_start, chains.unpack(self.state.x, self.chart.shape)
        end = float(np.log1p(max(LONG, 9 * start))) if first.residual.any() else np.inf
        bound = self._outgrown(first)

        def alarms(taus: Array, y: Array) -> Array:
            least = np.minimum(GONE - y[..., -2:].max(axis=-1), end - taus)
            if bound is None:
                return least
            outgrown: Array = np.minimum(least, np.min(bound(y), axis=-1))
            return outgrown

        def alarm(tau: float, y: Array) -> float:
            least = min(GONE - float(y[-2:].max()), end - tau)
            return least if bound is None else min(least, float(bound(y).min()))

        def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
            return Stop(tau, y)

        return Watch(alarm, check, alarms)

    def _outgrown(self, first: chains.Point) -> Callable[[Array], Array] | None:
        """How far residual and defects are from being made anew, (..., 2); None if they stay."""
        depth, values = int(self.chart.shape[0]), self.frame.values
        size = np.exp(-first.decay) * [part.any() for part in (first.residual, first.defects)]
        # What they are small beside once layers and target are all that is left.
        least = np.array([np.linalg.norm(values), depth * np.sum(values ** (2 / depth))])
        far = size > SHRUNK * least
        if not far.any():
            return None
        entries, whole = chains.reals(first.layers), size[1] if far[1] else 1.0

        def bound(y: Array) -> Array:
            square = np.sum(y[..., entries:-2] ** 2, axis=-1)
            left = first.decay[0] + math.log(SHRUNK) - y[..., -2], square * SHRUNK / whole - 1.0
            return np.where(far, np.stack(left, axis=-1), np.inf)

        return bound

    def restart(self, stop: Stop) -> Restart:
        """Go on without what has decayed to nothing, and with what is made anew."""
        first = chains.unpack(self.state.x, self.chart.shape)
        point = chains.unpack(self.decode(stop.y.copy()).x, self.chart.shape)
        bound = self._outgrown(first)
        if bound is not None:
            anew, due = of_layers(point.layers, self.frame.values), bound(stop.y) <= 0
            for k, (part, other) in enumerate(
                zip((point.residual, point.defects), (anew.residual, anew.defects), strict=True)
            ):
                if due[k]:
                    part[...], point.decay[k] = other, anew.decay[k]
        for k, part in enumerate((point.residual, point.defects)):
            if point.decay[k] >= GONE:
                part[...] = 0.0
                point.decay[k] = GONE - 1.0  # the size of what is left out, and it stays there
        return Restart(self.frame, SoundState(chains.pack(point)), self.time(stop.tau))


def stays(residual: Any, target: Array) -> Any:
    """Whether residuals of these norms are those of layers that fail, or that are at a saddle."""
    return residual > STAYS * target[target > RANK * target.max()].min(initial=np.inf)


def piece(
    shape: NDArray[np.int64], strength: float, frame: Frame, state: SoundState, time: float
) -> ChainPiece:
    """Choose tolerances for the piece that begins with ``state``.

    Parameters
    ----------
    shape : ndarray
        Depth, size, and whether the layers are complex.
    strength : float
        Strength of the balancing term.
    frame, state : Frame, SoundState
        Where it begins.
    time : float
        When it begins.

    Returns
    -------
    ChainPiece
        In log-time, until residual or defects leave the range of doubles, or a decade.
    """
    point, turns = chains.unpack(state.x, shape), None
    left = np.exp(-point.decay[0]) * np.linalg.norm(point.residual)
    if time > 0 and stays(left, frame.values):
        turns, layers = modes(point.layers)
        turned = in_modes(point, turns)
        layers = on_defects(layers, np.exp(-point.decay[1]) * turned.defects)
        residual = adjoint(turns[-1]) @ np.diag(frame.values) @ turns[0] - chains.chain(layers)
        residual[np.abs(residual) <= ROUNDING * frame.values.max()] = 0.0
        left = np.linalg.norm(residual)
        decay = np.array([-np.log(left), point.decay[1]])
        point = chains.Point(layers, residual / left, turned.defects, decay)
    x = chains.pack(point)
    size, entries = np.ones_like(x), chains.reals(point.layers)
    # Near zero the layers are small for a long time, and matter all the same.
    if turns is None:
        size[entries:-2] = min(1.0, float(np.abs(point.layers).max()) or 1.0)
    else:
        size[entries:-2] = np.repeat(
            np.minimum(1.0, mode_sizes(point.layers)).ravel(), entries // point.layers.size
        )
    chart = Chart(
        clock=Clock(time, np.zeros_like(x)),
        x0=x,
        size=size,
        field=wrapped_once(make_raw),
        weights=np.array([strength]),
        shape=shape,
        krylov=x.size > DENSE,
        lanes=None if x.size > DENSE else LANES,
    )
    return ChainPiece(frame, state, chart, turns)
