"""Minimisers of the ReLU neuron, ``w_i = h_i v`` of sum ``v``, and how runs reach them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.minimiser import NEAR, Approach, Minimiser, flattened, fraction
from flows.systems.relu_neuron.state import Frame, SoundState
from symbolic.asymptotics.refusal import NoLaw
from symbolic.language.expressions import as_expression
from symbolic.systems.late_time import neurons

__all__ = ["approach", "minimiser"]


def minimiser(teacher: Array, at: Array) -> Minimiser:
    """Minimiser of these neurons; those at zero are left out.

    Raises
    ------
    NoLaw
        If the neurons are not of this kind: then the loss is positive there.
    """
    v = [fraction(c) for c in teacher]
    square = sum(c**2 for c in v)
    size = np.abs(at).max()
    shares = []
    for i, w in enumerate(at):
        if not w.any():
            continue
        share = sum(fraction(a) * c for a, c in zip(w, v, strict=True)) / square
        if np.abs(w - float(share) * teacher).max() > NEAR * size:
            raise NoLaw(f"the point is no minimiser: neuron {i + 1} is not along the teacher")
        if share < 0:
            raise NoLaw(f"the point is no minimiser: neuron {i + 1} points away from the teacher")
        shares.append(share)
    total = sum(shares)
    if abs(total - 1) > NEAR:
        raise NoLaw(
            f"the point is no minimiser: the neurons sum to {float(total):.10g} times the teacher"
        )
    shares = [share / total for share in shares]
    dead = len(at) - len(shares)
    remarks = (f"{dead} neurons at zero are left out",) if dead else ()
    point = neurons(shares, dimension(len(shares), len(teacher)))
    return Minimiser(at, point, loss_unit=as_expression(square), remarks=remarks)


def dimension(alive: int, d: int) -> int:
    """Dimensions in which all shapes of the transverse parts, whose sum is zero, lie."""
    return min(d, alive)


def approach(teacher: Array, frame: Frame, state: SoundState, user: Array) -> Approach:
    """Limit and deviation of a state in sound coordinates."""
    live = np.flatnonzero(user.any(axis=1))
    h, z = state.h[frame.member][live], state.z[frame.member][live]
    shares = h / h.sum()
    where = np.zeros_like(user)
    where[live] = shares[:, None] * teacher
    columns = dimension(len(live), len(teacher))
    across = flattened(z - z.mean(axis=0), columns - 1) if columns > 1 else z[:, :0]
    deviation: Any = np.column_stack([h - shares, across])
    return Approach(where, deviation.ravel())
