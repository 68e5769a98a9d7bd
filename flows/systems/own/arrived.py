r"""Bound of the distance between a state and the floor of the valley that its run follows.

Where the loss curves upward by `h` with `h s >> 1` the flow has forgotten how it entered the
valley. It is slaved: the bend of the valley and the gradient along it fix the gradient across,
`\gamma = a \cdot \nabla L`. A stiff method keeps the energy to its tolerance there, and knows
nothing of `\gamma`, which is smaller: its steps may leave a state beside the slaved one by

.. math:: \epsilon \sqrt{2 E/h},

with the relative error `\epsilon` of the run and its energy `E`. The gradient obeys
:math:`d^2 \nabla L/dt^2 = H^2 \nabla L + D^3 L[\nabla L, \nabla L]`, and the slaved one changes in
the time `s`. So the state itself shows how far it is off, however it came about, by

.. math:: \frac{1}{h} \Big|\gamma + \frac{1}{h^2} a \cdot D^3 L[\nabla L, \nabla L]\Big|,

and to a part `1/(h s)` of `\gamma/h`. The smaller of the two is taken: a state that has not
decayed to the floor has a large `\gamma`, and all the energy there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.core.limit import Balls
from flows.systems.own.doubt import Doubt
from flows.systems.own.exact import value_of

__all__ = ["beside_floor"]

# From this curvature times time on a state has decayed: exp(-50) of its displacement is left.
ARRIVED = 50.0
# The third derivative is a difference over this part of the way of the flow in all its time, in
# bits, and is known to this part of the number that it is compared with.
STEP, SHARP = 60, 1e-9
# A slaved gradient falls like s^-2, or faster, up to this power: part of it over `h s`.
FALLING = 4.0


def beside_floor(
    exact: Balls, state: Sequence[Any], doubt: Doubt, since: float, left: float
) -> Array:
    """Errors of a state along its axes, shape (N,), with the errors of steps where it has decayed.

    Parameters
    ----------
    exact : Balls
        The loss; if a rule knows it to fewer digits than differences take, the whole gradient
        across is taken for an error.
    state : sequence of N arb
        Exact entries.
    doubt : Doubt
        Axes, curvatures, gradient and errors there.
    since : float
        `s`, the time that has passed.
    left : float
        `epsilon`.
    """
    h, across = doubt.curvature, np.abs(doubt.slopes)
    energy = float(across @ (across / np.maximum(np.abs(h), 1 / since))) / 2
    arrived = np.flatnonzero((h * since > ARRIVED) & (across > doubt.far * h))
    most = left * np.sqrt(2 * energy / h[arrived])
    if not most.any():
        return doubt.far
    h, across, slopes = h[arrived], across[arrived], doubt.slopes[arrived]
    bend = None
    if not exact.known:
        bend = _bend(exact, state, doubt.axes[:, arrived], SHARP * h**2 * across, since)
    if bend is not None:
        across = np.abs(slopes + bend / h**2) + FALLING / (h * since) * across
    found = doubt.far.copy()
    found[arrived] += np.minimum(most, across / h)
    return found


def _bend(
    exact: Balls, state: Sequence[Any], axes: Array, sharp: Array, since: float
) -> Array | None:
    """Third derivative along the gradient, twice, and each axis; None if no number of bits tells.

    It is a second difference of gradients, known to a small number for each axis.
    """
    step = arb(math.ldexp(since, -STEP))

    def difference() -> list[Any]:
        slope = [x.mid() for x in exact.both(state)[1:]]
        sides = (
            [x + move * g for x, g in zip(state, slope, strict=True)] for move in (step, -step)
        )
        ahead, behind = (exact.both(place)[1:] for place in sides)
        second = [
            (a + b - 2 * g) / step**2
            for a, b, g in zip(ahead, behind, exact.both(state)[1:], strict=True)
        ]
        return [
            sum((arb(x) * y for x, y in zip(axis, second, strict=True)), arb(0))
            for axis in axes.T.tolist()
        ]

    found = value_of(
        difference,
        lambda known: all(float(x.rad()) <= r for x, r in zip(known, sharp, strict=True)),
    )
    return None if found is None else np.array([float(x) for x in found])
