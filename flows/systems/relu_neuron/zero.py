"""Neurons at zero: which of the small ones get there, and which leave it again.

The flow is continued as the curve of maximal slope (:mod:`flows.systems.relu_neuron.collapse`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array, lengths
from flows.core.piece import Event, Restart
from flows.systems.relu_neuron import collapse, geometry
from flows.systems.relu_neuron.state import Frame, SoundState

# Length with which a neuron leaves zero; its effect on the others is of this relative order.
SPROUT = 1e-12


def wake(
    d: int, frame: Frame, state: SoundState, time: float, event: Event | None, unsure: float = 0.0
) -> Restart:
    """Let the neurons at zero leave along the minimiser of ``D``, if ``D`` is negative there.

    The neurons of one run that sit at zero together all leave along the same minimiser.
    """
    if state.h.all():
        return Restart(frame, state, time, () if event is None else (event,))
    zero = np.flatnonzero(np.hypot(state.h, np.linalg.norm(state.z, axis=1)) == 0)
    if not len(zero):
        return Restart(frame, state, time, () if event is None else (event,))
    users = [int(i) for i in np.flatnonzero(np.isin(frame.member, zero))]
    mu = frame.multiplicity
    value, u = descent(d, frame, state)
    leaves = value < -unsure
    if leaves:
        if abs(u[-1]) > 1e-6 and len(u) > state.r.shape[0]:
            frame, state = _extend(frame, state)
        u = SPROUT * min(1.0, collapse.terms_size(mu, state)) * u[: state.r.shape[0]]
        h, z = state.h.copy(), state.z.copy()
        h[zero], z[zero] = u[0], u[1:]
        state = SoundState(h, z, state.r + np.sum(mu[zero]) * u)
    fate = "leaves along the steepest descent" if leaves else "stays there"
    if event is not None:
        event = event._replace(detail=f"{event.detail} and {fate}")
    elif leaves or time == 0:
        event = Event(
            time, "departure" if leaves else "rest", f"neuron {names(users)} at zero {fate}"
        )
    return Restart(frame, state, time, () if event is None else (event,))


def dying(
    frame: Frame, now: SoundState, which: NDArray[np.intp], stretch: float
) -> NDArray[np.bool_]:
    """Which of the small neurons ``which`` shrink to zero on a nearly straight line."""
    if not len(which):
        return np.zeros(0, dtype=bool)
    slope = geometry.gradient(frame.multiplicity, now)[which]
    neurons = now.neurons[which]
    norms = lengths(neurons)
    units = neurons / np.where(norms > 0, norms, 1.0)[:, None]
    inward = np.sum(slope * units, axis=1)
    across = np.linalg.norm(slope - inward[:, None] * units, axis=1)
    left = norms / np.where(inward > 0, inward, np.nan)
    # Far from zero in time: a neuron that decays exponentially never gets there.
    return (across < inward) & (left < stretch)


def descent(
    d: int, frame: Frame, now: SoundState, guess: Array | None = None
) -> tuple[float, Array]:
    """Minimum of ``D`` relative to its terms, noise counted as zero, and where it is."""
    value, where = collapse.steepest(frame.multiplicity, now, d > now.r.shape[0], guess)
    relative = value / max(collapse.terms_size(frame.multiplicity, now), np.finfo(float).tiny)
    return (relative if relative < -collapse.NOISE else max(relative, 0.0)), where


def without(frame: Frame, state: SoundState, which: NDArray[np.intp]) -> SoundState:
    """State in which neurons are at zero."""
    h, z = state.h.copy(), state.z.copy()
    vanished = frame.multiplicity[which] @ np.column_stack([h, z])[which]
    h[which], z[which] = 0.0, 0.0
    return SoundState(h, z, state.r - vanished)


def names(users: Sequence[int]) -> str:
    """Neurons as a person counts them, from 1."""
    return ", ".join(str(i + 1) for i in users)


def _extend(frame: Frame, state: SoundState) -> tuple[Frame, SoundState]:
    """Add one dimension, orthogonal to teacher and basis."""
    known = np.column_stack([frame.teacher / frame.unit, frame.basis])
    # The coordinate axis that is farthest from the span has the largest remainder.
    rest = np.eye(len(frame.teacher)) - known @ known.T
    axis = rest[:, int(np.argmax(np.linalg.norm(rest, axis=0)))]
    basis = np.column_stack([frame.basis, axis / np.linalg.norm(axis)])
    wider = SoundState(state.h, np.pad(state.z, [(0, 0), (0, 1)]), np.append(state.r, 0.0))
    return replace(frame, basis=basis), wider
