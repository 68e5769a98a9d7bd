r"""States of a plain field in doubles, and their errors, which runs beside theirs show.

A run is followed by four: `R` with the tolerance that was asked for, one with a tolerance
`COARSER` times as large, and two whose fields are off, to one side and to the other, by `KICK`
times what a step may leave in a unit of log-time. The error of a state, and of a potential there,
is `APART` times the largest distance of the others to `R`. One that happens to pass by zero is as
large as those before it and those after it, within `NEAR` decades. Where others are the part `LOST`
of a state apart, nobody knows where it goes on: from there on the state is not known, and no
potential whose distance is not small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import EPSILON, Array
from flows.core.state import State
from flows.systems.field.written import Written

__all__ = ["COARSER", "KICK", "TRUSTED", "FieldState", "Frame", "beside", "known", "observe"]

#: Tolerance of the companion that steps less carefully, in units of the run's.
COARSER = 30.0
#: Errors of steps in a unit of log-time that companions have more, in units of the tolerance.
KICK = 10.0
# A run is off by less than so many times its distance to companions: they may be off alike.
APART = 5.0
# Decades around an output over which the largest distance counts.
NEAR = 0.4
# Companions that are this part of a state apart have gone different ways.
LOST = 0.03
#: A number is known where its error is below this part of it, or of those on both sides of it.
TRUSTED = 0.1
# Last bits are moved so many times, by so many of them.
PATTERNS = 8
# Last bits of a time, and of its logarithm.
BITS = 2.0


@dataclass(frozen=True)
class Frame:
    """The coordinates are the user's."""


@dataclass(frozen=True)
class FieldState(State):
    """Entries of the blocks with what is observed there.

    Parameters
    ----------
    x : ndarray, shape (..., N)
        Entries.
    time : ndarray, shape (...)
        When.
    seen : ndarray, shape (..., K)
        Numbers in the order of the system's features.
    error, off : ndarray, shapes (..., N) and (..., K)
        Absolute errors of both; infinite where nothing is known.
    """

    x: Array
    time: Array
    seen: Array
    error: Array
    off: Array

    rank: ClassVar[dict[str, int]] = {"x": 1, "time": 0, "seen": 1, "error": 1, "off": 1}


@np.errstate(all="ignore")
def observe(written: Written, x: Array, t: Array) -> FieldState:
    """States with what is observed there, whose errors are those of the last bits of entries."""
    y, times = x.reshape(-1, x.shape[-1]), np.broadcast_to(t, x.shape[:-1]).ravel()
    seen = _seen(written, y, times)
    off = np.zeros_like(seen)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(PATTERNS, y.shape[-1]))
    # Steps end at a logarithm of time, whose last bits are more than those of the time.
    late = EPSILON * times * (BITS + BITS * np.log1p(times))
    for many, sign in enumerate(signs, 1):
        place = y * (1 + EPSILON * many * sign), times + (-1) ** many * late
        off = np.maximum(off, _unknown(np.abs(_seen(written, *place) - seen)))
    moved = _unknown(late[:, None] * np.abs(written.slopes(y, times)))
    lead = x.shape[:-1]
    return FieldState(
        x,
        times.reshape(lead),
        seen.reshape(*lead, -1),
        np.abs(x) * EPSILON + moved.reshape(x.shape),
        off.reshape(*lead, -1),
    )


def _seen(written: Written, y: Array, t: Array) -> Array:
    """Numbers of states, shape (T, K): those of the loss or the speed, potentials, their rates."""
    slopes = written.slopes(y, t)
    columns = []
    for name in written.observed:
        columns += [written.value(name, y, t), written.rate(name, y, t, slopes)]
    plain = written.given.loss is None
    size = np.linalg.norm(slopes if plain else written.gradient("loss", y, t), axis=-1)
    return np.stack([size, *columns], axis=-1)


def _unknown(change: Array) -> Array:
    """A change that is no number is not known."""
    return np.nan_to_num(change, nan=np.inf, posinf=np.inf)


def beside(states: FieldState, others: Sequence[FieldState]) -> FieldState:
    """States whose errors are their distances to others, which may have ended earlier."""
    error, off = states.error.copy(), states.off.copy()
    for other in others:
        count = min(len(states), len(other))
        pairs = (error, states.x, other.x), (off, states.seen, other.seen)
        for level, mine, theirs in pairs:
            away = APART * _unknown(np.abs(mine[:count] - theirs[:count]))
            level[:count] = np.maximum(level[:count], away)
            level[count:] = np.inf
    size = np.linalg.norm(states.x, axis=-1)
    lost = np.linalg.norm(error, axis=-1) > LOST * size
    since = int(np.argmax(lost)) if lost.any() else len(lost)
    sure = [_sure(level, states.time) for level in (error, off)]
    found = FieldState(states.x, states.time, states.seen, *sure)
    sure[0][since:] = np.inf
    sure[1][since:] = np.where(known(found)[since:], sure[1][since:], np.inf)
    return found


def _sure(level: Array, t: Array) -> Array:
    """Distances, and those to both sides of each within `NEAR` decades where these are larger.

    Behind the last output there is none: those before it count alone.
    """
    before, after = _largest(level, t, -1), _largest(level, t, 1)
    after[-1] = np.inf
    return np.maximum(level, np.minimum(before, after))


def _largest(values: Array, t: Array, side: int) -> Array:
    """Largest value of this and of the outputs to one side, within `NEAR` decades."""
    logs = np.log(np.maximum(t, t[t > 0].min(initial=1.0) / 10))
    reach, places = NEAR * np.log(10.0), np.arange(len(t))
    low = np.searchsorted(logs, logs - reach, side="left") if side < 0 else places
    high = np.searchsorted(logs, logs + reach, side="right") if side > 0 else places + 1
    high[0] = 1  # the start is known, and what comes later does not change that
    return np.array([values[a:b].max(axis=0) for a, b in zip(low, high, strict=True)])


def known(states: FieldState) -> NDArray[np.bool_]:
    """Whether numbers are known, (T, K): their errors are small beside their sizes.

    One that passes by zero is as large as those before it and those after it.
    """
    size = np.nan_to_num(np.abs(states.seen))
    if states.seen.ndim > 1:
        t = states.time
        size = np.minimum(_largest(size, t, -1), _largest(size, t, 1))
    return np.asarray(states.off <= TRUSTED * size)
