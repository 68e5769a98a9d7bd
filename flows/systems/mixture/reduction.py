"""The way from the user's means to sound coordinates, with the digits of their differences."""

from __future__ import annotations

import numpy as np

from flows.core import double_double as dd
from flows.core.arrays import Array
from flows.systems.mixture.forms import components
from flows.systems.mixture.means import FAR
from flows.systems.mixture.sound import Frame, SoundState

# Offsets in a cluster below this are none: their squares would underflow.
UNSEEN = 1e-120


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
    rows = np.column_stack([means, weights]) + 0.0  # the two signs of zero are one
    index: dict[bytes, int] = {}
    member = np.array([index.setdefault(row.tobytes(), len(index)) for row in rows])
    member = member if merge else np.arange(len(rows))
    first = np.unique(member, return_index=True)[1]
    distinct, rate = means[first], weights[first]
    weight = rate * np.bincount(member)
    origin = np.zeros(means.shape[1]) if target is None else target
    sums = dd.total(dd.multiply(dd.exact(distinct), dd.exact(weight[:, None])), axis=0)
    mean = dd.divide(sums, dd.total(dd.exact(weight[:, None]), axis=0))
    deviation = scale * ((distinct - mean.high) - mean.low)
    deviation[np.abs(deviation) < UNSEEN] = 0.0
    centre = scale * ((mean.high - origin) + mean.low)
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
        rest = rows - (rows @ axes) @ axes.T
        size = float(np.abs(rows).max())
        if size == 0:
            continue
        _, s, vt = np.linalg.svd(rest / size, full_matrices=False)
        new = vt[s > 8 * len(rows) * np.finfo(float).eps * np.sqrt(rows.shape[1])].T
        axes = np.linalg.qr(np.hstack([axes, new]))[0] if axes.size else new
    return axes if axes.shape[1] else np.eye(len(mean), 1)
