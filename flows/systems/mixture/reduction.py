"""The way from the user's means to sound coordinates, with the digits of their differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.systems.mixture.forms import components
from flows.systems.mixture.means import FAR
from flows.systems.mixture.sound import Frame, SoundState


def reduce(
    means: Array,
    weights: Array,
    merge: bool = True,
    target: Array | None = None,
    scale: float = 1.0,
    speed: float = 1.0,
) -> tuple[Frame, SoundState]:
    """Bring means into sound coordinates.

    Parameters
    ----------
    means : ndarray, shape (n, d)
        User's means.
    weights : ndarray, shape (n,)
        Their weights.
    merge : bool
        Whether coincident components of equal weight, which stay together, become one.
    target : ndarray, shape (d,), optional
        What is subtracted from every mean; zero by default.
    scale : float
        By what the differences are multiplied.
    speed : float
        Rate of a component over its weight.

    Returns
    -------
    Frame, SoundState
        ``r <= min(n, d)`` dimensions, at least one; cost ``n^2 d``. Offsets in a cluster are those
        of the user's numbers to the last bit, wherever the cluster is.
    """
    from flows.systems.mixture.centring import centred  # Numba loads where it is first needed

    rows = np.column_stack([means, weights]) + 0.0  # the two signs of zero are one
    index: dict[Any, int] = {}
    keys: list[Any] = [row.tobytes() for row in rows] if merge else [*range(len(rows))]
    member = np.array([index.setdefault(key, len(index)) for key in keys])
    first = [keys.index(key) for key in index]
    distinct, rate = means[first], weights[first]
    weight = rate * np.bincount(member)
    origin = np.zeros(means.shape[1]) if target is None else target
    deviation, centre = centred(distinct, weight, origin, scale)
    basis = _basis(deviation, centre)
    frame = Frame(basis, weight, speed * rate, member)
    state = SoundState(deviation @ basis, centre @ basis)
    if components(frame, state).form == FAR:
        state = SoundState(scale * (distinct - origin) @ basis, np.zeros(basis.shape[1]))
    return frame, state


def _basis(deviation: Array, mean: Array) -> Array:
    """Orthonormal basis of the span: principal axes of the deviations, then the mean."""
    axes = np.zeros((deviation.shape[1], 0))
    for rows in (deviation, mean[None]):
        if axes.shape[1] == len(axes):
            break
        rest = rows - (rows @ axes) @ axes.T
        size = float(np.abs(rows).max())
        if size == 0:
            continue
        _, s, vt = np.linalg.svd(rest / size, full_matrices=False)
        new = vt[s > 8 * len(rows) * np.finfo(float).eps * np.sqrt(rows.shape[1])].T
        axes = np.linalg.qr(np.hstack([axes, new]))[0] if axes.size else new
    return axes if axes.shape[1] else np.eye(len(mean), 1)
