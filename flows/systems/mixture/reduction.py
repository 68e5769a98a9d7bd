"""The way from the user's means to sound coordinates, with the digits of their differences."""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array, distinct
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

    each = np.arange(len(means))
    first, count, member = each, np.ones_like(each), each
    if merge:
        first, count, member = distinct(np.column_stack([means, weights]))
    rate = weights[first]
    weight = rate * count
    origin = np.zeros(means.shape[1]) if target is None else target
    deviation, centre = centred(means[first], weight, origin, scale)
    basis = _basis(deviation, centre)
    frame = Frame(basis, weight, speed * rate, member)
    state = SoundState(deviation @ basis, centre @ basis)
    if components(frame, state).form == FAR:
        state = SoundState(scale * (means[first] - origin) @ basis, np.zeros(basis.shape[1]))
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
