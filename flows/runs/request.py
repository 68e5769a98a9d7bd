"""What is asked of a run: times, method and tolerances, or a step size and a number of steps."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array, check_masks, is_real
from flows.core.errors import InputError, unknown
from flows.core.system import System, checked_system
from flows.solvers.choice import METHODS

__all__ = ["MAX_STEPS", "DescentRequest", "Request", "check_count", "output_times", "step_counts"]

# Below this relative tolerance steps of a double-precision solver are rounding.
MIN_RTOL = 1e-14
POINTS_PER_DECADE = 10
FIRST_TIME = 1e-3
MAX_STEPS = 200_000
# A tail t^-3 leaves the range of doubles at t = 1e102; solvers stall on steps of 1e-200.
MIN_END, MAX_END = 1e-100, 1e100


@dataclass(frozen=True)
class Request:
    """What is asked of a run, as for :func:`flows.integrate`.

    Parameters
    ----------
    t_end : float
        End.
    t_eval : sequence of float, optional
        Times of the result; kept as a tuple.
    method : str
        One of :data:`flows.METHODS`.
    rtol, atol : float
        Tolerances of a step; None is the default of ``atol``.
    max_steps : int
        Step budget of the whole run.

    Raises
    ------
    InputError
        For times, a method, tolerances or a budget that cannot be used.
    """

    t_end: float
    t_eval: Sequence[float] | Array | None = None
    method: str = "auto"
    rtol: float = 1e-10
    atol: float | None = None
    max_steps: int = MAX_STEPS

    def __post_init__(self) -> None:
        """Check what is asked; numbers become plain ones."""
        times = output_times(self.t_end, self.t_eval)
        if not isinstance(self.method, str) or self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        rtol, atol = self.rtol, self.atol
        if not (is_real(rtol) and MIN_RTOL <= float(rtol) < 1):
            raise InputError(f"rtol must lie in [{MIN_RTOL:g}, 1), got {rtol!r}")
        if atol is not None and not (is_real(atol) and atol > 0):
            raise InputError(f"atol must be a positive number, got {atol!r}")
        check_count("max_steps", self.max_steps)
        object.__setattr__(self, "t_end", float(self.t_end))
        object.__setattr__(self, "rtol", float(rtol))
        object.__setattr__(self, "atol", None if atol is None else float(atol))
        object.__setattr__(self, "max_steps", int(self.max_steps))
        if self.t_eval is not None:
            object.__setattr__(self, "t_eval", tuple(times.tolist()))

    @functools.cached_property
    def times(self) -> Array:
        """Output times after ``t = 0``."""
        return output_times(self.t_end, self.t_eval)

    def followed(self, factor: float) -> Array:
        """Times whose states are kept: with usual ones where outputs are apart by such a factor."""
        if self.t_eval is None or math.isinf(factor) or self.method == "reference":
            return self.times
        grid = output_times(self.t_end)
        grid = grid[grid < self.times[-1]]
        following = np.searchsorted(self.times, grid)
        before = np.concatenate([[0.0], self.times])[following]
        return np.union1d(self.times, grid[self.times[following] > factor * before])

    @property
    def provenance(self) -> dict[str, Any]:
        """What the provenance of a run keeps beside its method and its times."""
        return {
            "t_end": self.t_end,
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
        }


@dataclass(frozen=True)
class DescentRequest:
    """What is asked of a descent, as for :func:`flows.descend`.

    Parameters
    ----------
    step_size : float
        The step size ``eta``, positive.
    steps : int
        Number of steps, at least 1.

    Raises
    ------
    InputError
        For numbers that are none of these.
    """

    step_size: float
    steps: int

    def __post_init__(self) -> None:
        """Check both numbers; they become plain ones."""
        eta = self.step_size
        if not (is_real(eta) and eta > 0):
            raise InputError(f"step_size must be a positive finite number, got {eta!r}")
        check_count("steps", self.steps)
        object.__setattr__(self, "step_size", float(eta))
        object.__setattr__(self, "steps", int(self.steps))

    def check(self, system: System) -> None:
        """Refuse a system in whose coordinates a step is none of gradient descent."""
        if "loss" not in checked_system(system).measures or not system.autonomous:
            raise InputError(
                f"descend takes steps down a loss, and {system.name} is a plain field, or depends"
                " on the time; integrate it"
            )
        if not system.linear_charts:
            raise InputError(
                f"descend steps in coordinates that are linear in the parameters, which"
                f" {system.name} does not have; integrate its flow"
            )

    @functools.cached_property
    def counts(self) -> NDArray[np.int64]:
        """Numbers of steps after which a run is recorded, 0 first."""
        return step_counts(self.steps)

    @property
    def times(self) -> Array:
        """Times of the gradient flow at these."""
        return self.step_size * self.counts.astype(np.float64)

    def followed(self, factor: float) -> Array:
        """Times whose states are kept: no others."""
        return self.times


def output_times(t_end: float, t_eval: Sequence[float] | Array | None = None) -> Array:
    """Output times after ``t = 0``: ``t_eval`` checked, or a geometric grid that ends at ``t_end``.

    Raises
    ------
    InputError
        For an end that is not positive and finite, or times that are not increasing in
        ``[0, t_end]``, or 0 alone.
    """
    if not (is_real(t_end) and t_end > 0):
        raise InputError(f"t_end must be a positive finite number, got {t_end!r}")
    t_end = float(t_end)
    if not MIN_END <= t_end <= MAX_END:
        raise InputError(
            f"t_end must lie in [{MIN_END:g}, {MAX_END:g}], where losses and steps "
            f"are doubles, got {t_end:g}"
        )
    if t_eval is None:
        first = min(FIRST_TIME, t_end / 10)
        decades = math.log10(t_end / first)
        grid = np.geomspace(first, t_end, 1 + math.ceil(POINTS_PER_DECADE * decades))
        grid[-1] = t_end
        return grid
    check_masks(t_eval, "t_eval")
    try:
        given = np.asarray(t_eval)
        if given.dtype.kind not in "iufO":
            raise TypeError
        times = given.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise InputError("t_eval must be a list of times, real numbers") from None
    if times.ndim != 1 or times.size == 0:
        raise InputError("t_eval must be a list of at least one time")
    if not np.isfinite(times).all():
        raise InputError("t_eval must be finite; it holds NaN or infinity")
    if times[0] < 0:
        raise InputError(f"t_eval must not be negative, got {times[0]:g}; runs begin at t = 0")
    if (np.diff(times) <= 0).any():
        raise InputError("t_eval must be strictly increasing")
    times = times[times > 0]  # t = 0 is always included
    if not times.size:
        raise InputError("t_eval must hold a time after 0, got 0 alone")
    if times[-1] > t_end:
        raise InputError(f"t_eval must not exceed t_end = {t_end:g}, got {times[-1]:g}")
    return times


def step_counts(steps: int) -> NDArray[np.int64]:
    """Numbers of steps after which a run of ``steps`` steps is recorded.

    Parameters
    ----------
    steps : int
        The last one, at least 1.

    Returns
    -------
    ndarray
        0 and about 10 a decade up to ``steps``.

    Raises
    ------
    InputError
        If ``steps`` is not an integer, or is below 1.
    """
    check_count("steps", steps)
    grid = np.geomspace(1, steps, 1 + math.ceil(POINTS_PER_DECADE * math.log10(steps)))
    grid[-1] = steps
    return np.unique(np.concatenate([[0], np.round(grid)])).astype(np.int64)


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is not an integer of at least this size.

    Raises
    ------
    InputError
        With the name, what was expected and what came.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise InputError(f"{name} must be an integer >= {least}, got {value!r}")
