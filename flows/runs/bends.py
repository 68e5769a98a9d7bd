"""How the loss curves along a run: the index of its Hessian, and whether the state can turn."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.symmetric import RESOLVED
from flows.core.system import System
from flows.runs.quantities import Run

__all__ = ["Bends", "bends_along", "turns"]

#: A state can turn along an axis whose curvature times the time is below this part of `(P - 1)/2`.
NEUTRAL = 0.95
#: Along a valley curvature times time falls, over so many decades, to less than the second part.
DECADES, KEPT = 2.0, 0.5
#: A state that recedes for ever has a loss like `1/(t (log t)^q)` with `q` below this: `q` is
#: `2 - 2/k` where the loss falls like `exp(-R^k)` at the distance `R`. It is taken from two times.
LOGARITHMS = 2.0
#: Rounding of a Hessian at a state in doubles, relative to its largest eigenvalue.
ROUNDING = 1e-13


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


def turns(run: Run, exponent: Array) -> bool:
    r"""Whether a state that tends to a minimum can still turn, to where its loss is another one.

    A loss like `t^-P` has a state that falls like `t^-(P - 1)/2`. A deviation from its direction
    falls like `t^-(l t)`, for a curvature `l` like `1/t`; it grows beside the state where

    .. math:: l\,t < (P - 1)/2

    as across a saddle of the leading form, and also while `l t` still rises to its place. Along a
    valley `l t` is as small, but falls to zero.

    Parameters
    ----------
    run : Run
        The trajectory.
    exponent : ndarray
        `-P` at the first times of the run, NaN where it is not known.

    Returns
    -------
    bool
        False also where the Hessian is not known.
    """
    rates, last = getattr(run, "decay_rates", None), run.curvatures
    t, known = np.asarray(run.t, dtype=float), np.flatnonzero(np.isfinite(exponent))
    if rates is None or last is None or not len(known):
        return False
    k = max(int(np.searchsorted(t, t[-1] / 10**DECADES)), 1)
    power, early = (-float(exponent[i]) for i in (known[-1], known[known >= min(k, known[-1])][0]))
    if not power > 1 or _recedes(power, early, t[-1], t[k]):
        return False
    before = rates(k)
    if before is None:
        return False
    noise = ROUNDING * float(np.abs(last).max(initial=0.0)) * t[-1]
    now, then = last * t[-1], before * t[k]
    low = (now < NEUTRAL * (power - 1) / 2) & (np.abs(now) > noise)
    return bool((low & (np.abs(now) > KEPT * np.abs(then))).any())


def _recedes(power: float, before: float, t: float, earlier: float) -> bool:
    """Whether `P` is `1 + q/log t` and no number, by which of the two has changed less."""
    if not earlier > 1:
        return False
    q, then, growth = (
        (power - 1) * np.log(t),
        (before - 1) * np.log(earlier),
        np.log(earlier) / np.log(t),
    )
    return bool(q < LOGARITHMS and then > q * (1 + growth) / 2)
