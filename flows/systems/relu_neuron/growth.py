r"""How much larger errors of steps become where the flow of neurons magnifies them.

They follow the variational equation (:mod:`flows.systems.relu_neuron.variation`). Relative to the
loss they grow only where it falls far below `t^-3`; relative to a part of a neuron, also where that
passes by zero.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np

from flows.core.arrays import Array
from flows.systems.relu_neuron.state import Frame, SoundState
from flows.systems.relu_neuron.variation import STEPS, carried

__all__ = ["ALLOWED", "PASSING", "growth", "later_errors"]

#: Features that may pass by zero, and angles that are none where a neuron is at zero.
PASSING = ("rho", "h", "zeta", "norm", "theta", "distance", "kappa", "theta_pair")

# Runs are allowed the errors of a hundred steps.
ALLOWED = 1e-2
# Only where the loss has fallen below the first part of (1 + t)^-3, or below the second one after
# that time, errors are a larger part of it: neurons are then beside an arrangement that they leave.
FALLEN, ASIDE, LATE = 1e-3, 0.1, 100.0
# Largest power of distances that the loss is like.
CUBIC = 3.0
# Losses below this are as good as zero.
VANISHED = 1e-280


def growth(frame: Frame, states: SoundState, loss: Array, t: Array, rtol: float) -> Array:
    """Relative error of a loss that has fallen far, in units of the tolerance of a step.

    Parameters
    ----------
    frame : Frame
        Frame of the run.
    states : SoundState
        States at ``T`` times; of several runs, one a leading axis.
    loss, t : ndarray, shape (..., T)
        Losses in units of ``|v|^2``, and times.
    rtol : float
        Tolerance of a step.

    Returns
    -------
    ndarray, shape (..., T)
        Zero where the loss has not fallen far.
    """
    here = loss > VANISHED
    fallen = here & (loss * (1 + t) ** 3 < np.where(t > LATE, ASIDE, FALLEN))
    far = fallen.any(axis=-1, keepdims=True)
    if not far.any():
        return np.zeros(t.shape)
    known = np.logical_and.accumulate(here, axis=-1)
    errors = carried(frame, states, known & far, t, rtol).loss
    first = STEPS * errors / np.where(known, loss, np.inf)
    # Of a loss that is hardly known the first order says too little: it is cubic in distances.
    found = np.expm1(CUBIC * np.log1p(rtol * first / CUBIC)) / rtol
    # What is below stays as wrong as the last that is not.
    last = np.maximum.accumulate(np.where(known, np.arange(t.shape[-1]), 0), axis=-1)
    return np.take_along_axis(found, last, axis=-1)


def later_errors(
    frame: Frame,
    states: SoundState,
    features: Mapping[str, Array],
    t: Array,
    usual: Array,
    tolerance: Array,
) -> dict[str, Callable[[], Array]]:
    """Errors of features beside their tolerance where they pass by zero, each when asked for.

    Parameters
    ----------
    frame, states, t : Frame, SoundState, ndarray
        As of :func:`growth`.
    features : mapping
        Features of the run.
    usual, tolerance : ndarray, shape (T,)
        What the tolerance leaves in a quantity where nothing grows, and here.
    """
    unit, member = frame.unit, frame.member
    one, other = np.triu_indices(len(member), 1)

    @functools.cache
    def parts() -> tuple[Array, Array, Array]:
        living = features["loss"] > VANISHED * unit**2
        found = carried(frame, states, living, t, ALLOWED * float(usual.max()))
        step = STEPS * ALLOWED * usual * unit
        return (
            step * found.rho,
            step[:, None] * found.along[:, member],
            step[:, None] * found.across[:, member],
        )

    def beyond(name: str, error: Callable[[], Array]) -> Array:
        value = np.nan_to_num(np.abs(features[name]))
        known = tolerance.reshape(-1, *[1] * (value.ndim - 1)) * value
        return np.maximum(0.0, error() - known)

    def turned() -> Array:
        _, along, across = parts()
        size = np.nan_to_num(features["norm"])
        norm = np.maximum(size, np.finfo(float).tiny)
        found = np.hypot(along * features["zeta"] / norm, across * features["h"] / norm) / norm
        # One that is at zero, and may not be there yet, has any angle.
        return np.where((size == 0) & (along + across > 0), np.inf, found)

    def between() -> Array:
        dead = features["norm"] == 0
        lost = dead & np.isinf(turned()) if dead.any() else dead
        return np.where(lost[:, one] | lost[:, other], np.inf, 0.0)

    errors: dict[str, Callable[[], Array]] = {
        "rho": lambda: parts()[0],
        "h": lambda: parts()[1],
        "zeta": lambda: parts()[2],
        "norm": lambda: np.hypot(*parts()[1:]),
        "theta": turned,
        "kappa": between,
        "theta_pair": between,
        "distance": lambda: np.hypot(parts()[2][:, one], parts()[2][:, other]),
    }
    return {name: functools.partial(beyond, name, error) for name, error in errors.items()}
