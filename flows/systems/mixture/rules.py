"""Rules for the averages of a Gaussian mixture, by how far apart the means are along their axes.

A rule serves wherever no two means are farther apart along any axis than it was made for. Where
nodes that add nothing are left out, no mean may have moved far along the axes either.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.expectations.posteriors import Axis, Smooth, axis_for
from flows.systems.mixture.means import FAR, NEAR, Means

if TYPE_CHECKING:
    from flows.systems.mixture.axes import Frames
    from flows.systems.mixture.nodes import Region

__all__ = ["BUDGET", "MOVES", "Nodes", "home_ahead", "may_move", "roomy", "rule", "unseen"]

#: More nodes than this are not tried: a field with them takes about a second.
BUDGET = 4_000_000
# A product may have this many times as many, before nodes that add nothing are left out.
CORNERS = 8
# What is averaged, see `posteriors`: pulls are of the third order in means that are short, and
# losses of the fourth; of others both are of the second order in differences.
SHORT_ONES, OTHERS = Smooth(4, 5.0, 40.0), Smooth(2, 10.0, 5.0)
# Widths are powers of two to this, so that nearby states have the same rule.
RUNGS = 8
# An axis along which means differ by this part of their length, or less, has one node.
FLAT = 1e-16
# Logarithm of what polynomials and the size of a region add to what is left out.
BESIDES = 10.0
# Nodes are left out only where the logarithm of the density at the target is larger by so much for
# the component at home than for others: one that is hardly ahead may soon not be at home any more.
AHEAD = 2.0
# Where nodes are left out a mean may move by the first number, and by less where means are farther
# apart than this many times it.
MOVES, APART = 1.5, 16.0
# Where other components have exp of less than this at most, next to that at home, they add nothing
# in doubles, whatever multiplies it.
VANISHED = -1000.0
# Lists of fewer nodes are kept for the next state, with a reach that is a multiple of an inverse.
KEPT, REACHES = 5_000, 16
_NOWHERE = np.zeros((0, 0)), np.zeros(0)


class Nodes(NamedTuple):
    """Nodes of a rule, along the axes.

    Parameters
    ----------
    numbers : ndarray
        List of nodes (:mod:`flows.systems.mixture.nodes`).
    size : int
        How many.
    error : float
        Bound of the error of averages, relative to averages of sizes.
    """

    numbers: Array
    size: int
    error: float


def roomy(widths: Array, factor: float) -> Array:
    """Widths with room, rounded up so that nearby states have the same; zeros stay."""
    with np.errstate(divide="ignore"):
        return np.where(widths > 0, 2.0 ** (np.ceil(RUNGS * np.log2(factor * widths)) / RUNGS), 0.0)


def home_ahead(means: Means) -> bool:
    """Whether one component is at home, and ahead enough that nodes may be left out."""
    if means.form != FAR:
        return False
    logs = np.sort(np.log(means.weight) - 0.5 * (means.mu**2).sum(axis=1))
    return bool(logs[-1] - logs[-2] > AHEAD)


def may_move(widths: Array) -> float:
    """How far means may move along the axes of a rule without some of its nodes."""
    return MOVES * min(1.0, APART / max(float(widths.max()), APART))


def rule(
    means: Means, frame: Frames, widths: Array, tolerance: float, *, moves: float, curve: bool
) -> Nodes | None:
    """Nodes for means that are no farther apart than these widths along their axes.

    Parameters
    ----------
    means : Means
        Of one state.
    frame : Frames
        Its axes, with a leading axis of one.
    widths : ndarray, shape (r,)
        Of :func:`roomy`.
    tolerance : float
        Relative error asked for.
    moves : float
        How far means may move along the axes, where nodes are left out.
    curve : bool
        Whether it is for second derivatives, which are quadratic where pulls are linear.

    Returns
    -------
    Nodes or None
        None if there are too many.
    """
    flat = widths <= FLAT * max(float(np.abs(means.deviation).max()), float(widths.max()))
    lightest = float(means.weight.min())
    if not home_ahead(means):
        return _plain(means.form, np.where(flat, 0.0, widths), tolerance, curve, lightest)
    from flows.systems.mixture.nodes import Region

    home = means.home
    logs = np.log(means.weight) - 0.5 * (means.mu**2).sum(axis=1)
    gap = logs[home] - logs
    step = np.linalg.norm(means.mu - means.mu[home], axis=1)
    others = np.arange(len(gap)) != home
    away, length = gap[others] / np.maximum(step[others], 1e-300), step[others]
    highest = np.minimum(away, length)
    peaks = -(highest**2) / 2 - length * (away - highest)
    best = int(peaks.argmax())
    if peaks[best] < VANISHED:
        return Nodes(np.zeros(0), 0, 0.0)
    cut = _cut(tolerance, widths, math.log(lightest)) + 2 * moves * (1 + float(highest[best]))
    least = float(peaks[best]) - cut
    axes = _axes(means.form, np.where(flat, 0.0, widths), tolerance, math.sqrt(-2 * least), curve)
    if axes is None:
        return None
    along = np.ascontiguousarray(means.mu @ frame.axes[0].T)
    region = Region(-2 * least + len(widths), least, along, gap, home, moves)
    return _listed(axes, region)


def _plain(
    form: int, widths: Array, tolerance: float, curve: bool, lightest: float
) -> Nodes | None:
    """Nodes of a ball around the target."""
    reach = math.sqrt(2 * _cut(tolerance, widths, math.log(lightest)))
    if form != FAR:  # densities next to that at the mean grow with the distance
        reach += float(np.linalg.norm(widths))
    reach = math.ceil(REACHES * reach) / REACHES
    axes = _axes(form, widths, tolerance, reach, curve)
    if axes is None:
        return None
    make = _ball if math.prod(len(axis.x) for axis in axes) <= KEPT else _ball.__wrapped__
    return make(tuple(axes), reach)


@functools.lru_cache(maxsize=512)
def _ball(axes: tuple[Axis, ...], reach: float) -> Nodes | None:
    """Nodes of :func:`_plain`."""
    from flows.systems.mixture.nodes import Region

    return _listed(axes, Region(reach**2 + len(axes), 0.0, *_NOWHERE, 0, 0.0))


def unseen(tolerance: float) -> float:
    """Minus the logarithm of what is left out of an average, next to its largest value."""
    return BESIDES - math.log(tolerance)


def _cut(tolerance: float, widths: Array, light: float) -> float:
    """Logarithm of what is left out, next to the largest value."""
    wide = 2 * float(np.log1p(widths).sum())
    return unseen(tolerance) + wide - light


def _axes(
    form: int, widths: Array, tolerance: float, reach: float, curve: bool
) -> list[Axis] | None:
    """Rules of all axes; None if there are too many nodes."""
    smooth = SHORT_ONES if form == NEAR else OTHERS
    flat = Axis(np.zeros(1), np.ones(1), 0.0)
    if curve:
        flat = Axis(np.array([-1.0, 1.0]), np.full(2, 0.5), 0.0)
    each = tolerance / max(int((widths > 0).sum()), 1)
    found = [axis_for(w, smooth, each, reach) if w > 0 else flat for w in widths.tolist()]
    known = [axis for axis in found if axis is not None]
    many = math.prod(len(axis.x) for axis in known)
    return known if len(known) == len(found) and many <= CORNERS * BUDGET else None


def _listed(axes: Sequence[Axis], region: Region) -> Nodes | None:
    from flows.systems.mixture.nodes import listed

    numbers, count = listed([(axis.x, axis.w) for axis in axes], region)
    if count > BUDGET:
        return None
    return Nodes(numbers, count, sum(axis.error for axis in axes))
