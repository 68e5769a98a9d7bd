r"""The end of a run in closed form, from where its flow is linear to the digits of the run.

Along the axes `q_i` of the Hessian at the limit, with curvatures `h_i`,

.. math:: y(t) = y_* + \sum_i q_i c_i e^{-h_i (t - t_0)}, \qquad c_i = q_i \cdot (y(t_0) - y_*)

up to the part `|c|` of it, as entries have sizes of order one. Limit, axes and powers have as many
digits as an energy of 1e-290 takes. Below it the state stays.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.limit import FAST, find_limit
from flows.core.piece import Event
from flows.core.symmetric import eigen
from flows.systems.own.energy_piece import STAYS
from flows.systems.own.exact import from_doubles
from flows.systems.own.exact_view import ExactView
from flows.systems.own.sharp_axes import sharp_axes
from flows.systems.own.sound_state import SoundState
from symbolic.language.lower import Undecided

__all__ = ["rest_of"]

# The way to the limit is this part of the state, at most, and changes the Hessian by no more than
# so many times its part of the state.
NEAR, CURVED = 1e-11, 100.0
# Bits of limit and axes; below this energy the state stays.
BITS, UNDERFLOW = 1400, 1e-290
# Steps to the limit, from where it has a fifteenth of these bits: the first ones give most of them.
POLISHED = 6
# What is not known of a curvature in doubles.
EPSILON = float(np.finfo(float).eps)


class Rest(NamedTuple):
    """States at the last times, and where they begin to stay."""

    states: SoundState
    events: tuple[Event, ...]


def rest_of(
    view: ExactView, unit: float, digits: Array, error: Array, since: Array, times: Array
) -> Rest | None:
    """States at times after those of a run that has come to rest; None where it is not linear.

    Parameters
    ----------
    view : ExactView
        The loss, and what is observed.
    unit : float
        `T_0`.
    digits, error, since : ndarray, shapes (R, N, 2), (R, N) and (R,)
        States, errors along the axes there, and times from `-T_0` on.
    times : ndarray, shape (T,)
        Times of the result from `-T_0` on; those before the end begins are left out.
    """
    limit = find_limit(view.exact, from_doubles(digits[-1]), float(since[-1]))
    if isinstance(limit, str) or limit.power != 2.0:
        return None
    goal = np.array([(float(x), float(x - float(x))) for x in limit.where])
    size = float(np.abs(goal[:, 0]).max())
    ways = np.linalg.norm(digits[..., 0] - goal[:, 0] + (digits[..., 1] - goal[:, 1]), axis=-1)
    near = np.flatnonzero(ways <= NEAR * size)
    if not len(near):
        return None
    first = int(near[0])
    place, begins = from_doubles(digits[first]), float(since[first])
    try:
        with precision(BITS):
            rows = view.exact.hessian(limit.where)
            matrix = np.array([[float(x) for x in row] for row in rows])
            h, axes = eigen(matrix)
            sharp = sharp_axes(rows, axes, BITS)
            h = sharp.curvature
            where = _polished(view, limit.where, sharp.axes, np.where(h * since[-1] > FAST, h, 0.0))
            away = arb_mat(len(place), 1, [x - y for x, y in zip(place, where, strict=True)])
            along = (sharp.axes.transpose() * away).entries()
    except (ArithmeticError, ValueError, Undecided, np.linalg.LinAlgError):
        return None
    parts, fast = np.array([float(x) for x in along]), h * since[-1] > FAST
    way = math.hypot(*parts.tolist())
    beside = np.abs(parts[~fast]).max(initial=0.0)  # a curved valley bends away from its axis
    if not (fast.any() and way > 0 and beside <= CURVED * way * (way / size)):
        return None
    along = [c if f else arb(0) for c, f in zip(along, fast, strict=True)]
    h, curved = np.where(fast, h, 0.0), CURVED * way / size

    def energy(passed: float) -> float:
        with np.errstate(under="ignore"):
            return float(h @ (parts * np.exp(-h * passed)) ** 2) / 2

    later = times[times >= begins] - begins
    stays = _last(energy, float(later[-1]))
    at, places, errors = np.minimum(later, stays), [], []
    count = int((later < stays).sum()) + 1  # all later states are the same
    with precision(BITS):
        for passed in at[:count].tolist():
            decay = [(-arb(x) * arb(passed)).exp() if x else arb(0) for x in h.tolist()]
            moved = arb_mat(len(h), 1, [c * d for c, d in zip(along, decay, strict=True)])
            step = (sharp.axes * moved).entries()
            places.append([(y + d).mid() for y, d in zip(where, step, strict=True)])
            part = np.where(fast, np.exp(-h * passed), 1.0)
            errors.append((error[first] + np.abs(parts) * (curved + EPSILON * h * passed)) * part)
    known = np.stack([at[:count] + begins, np.where(later[:count] < stays, 0.0, STAYS)], axis=-1)
    seen = view.states(places, known, None)
    seen = view.anew(replace(seen, error=np.array(errors)), None, places)
    found = seen.at(np.minimum(np.arange(len(later)), count - 1))
    told = f"the energy that is left is below {UNDERFLOW:g}; the state stays"
    ended = stays + begins - unit
    events = (Event(ended, "underflow", told),) if stays < later[-1] else ()
    return Rest(found, events)


def _polished(view: ExactView, where: list[Any], axes: Any, h: Array) -> list[Any]:
    """The limit with all digits: Newton's steps along axes that are curved, of one Hessian."""
    for _ in range(POLISHED):
        slope = arb_mat(len(where), 1, [x.mid() for x in view.exact.both(where)[1:]])
        parts = (axes.transpose() * slope).entries()
        step = arb_mat(
            len(h), 1, [p / arb(x) if x else arb(0) for p, x in zip(parts, h.tolist(), strict=True)]
        )
        where = [(x - d).mid() for x, d in zip(where, (axes * step).entries(), strict=True)]
    return where


def _last(energy: Any, end: float) -> float:
    """Time at which the energy falls below what doubles hold, or infinity."""
    if energy(end) > UNDERFLOW:
        return math.inf
    low, high = 0.0, end
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if energy(middle) > UNDERFLOW else (low, middle)
    return low
