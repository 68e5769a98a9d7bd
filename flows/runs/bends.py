"""How the loss curves downward along a run: the index of its Hessian."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.symmetric import RESOLVED
from flows.core.system import System

__all__ = ["Bends", "bends_along"]


class Bends(NamedTuple):
    """How the loss curves downward at the times of a run.

    Parameters
    ----------
    negative : ndarray, shape (T,)
        Eigenvalues of the Hessian, in all coordinates, that are clearly negative; NaN where the
        loss has no Hessian, as where a neuron is zero.
    least : ndarray, shape (T,)
        The least eigenvalue.
    """

    negative: Array
    least: Array


def bends_along(system: System, frame: Any, states: Any) -> Bends:
    """Index and least eigenvalue of the Hessian at every state of a run."""
    count, least = np.full((2, len(states)), np.nan)
    with threadpool_limits(1):  # matrices are small: threads cost more than they give
        for k in range(len(states)):
            try:
                found, times = system.spectrum(frame, states.at(k))
            except (InputError, np.linalg.LinAlgError):  # a kink, a loss that a file lacks
                continue
            if np.isfinite(found).all():
                below = found < -RESOLVED * np.abs(found).max(initial=0.0)
                count[k], least[k] = times[below].sum(), found.min(initial=np.inf)
    return Bends(count, least)
