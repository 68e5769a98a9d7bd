r"""The late regime: whether a run has reached the law that it follows to infinity, and since when.

On a finite run nothing proves a law for all later times, but a run can show that it has *not*
begun. Four things look still and are not late: the time before anything has happened (the loss
moves in a time longer than the run), a plateau beside a saddle, an exponential fall onto a slower
tail that is still below it, and the stretch before the last change of regime. So a late regime is

*power*: the local exponent ``p = -t L'/L`` stands still for a decade at a value away from zero, or
it is away from zero and every eigenvalue of the Hessian times ``t`` says that its time has passed
(then it still changes, and no constant is refuted);

*limit*: the loss itself stands still, and the gradient falls like a power of time for two decades,
so fast that less than the loss is left to fall (``L - L* ~ t^-q`` with ``q > p``, so ``L* > 0``);

*exponential*: every eigenvalue of the Hessian times ``t`` is large, so that nothing slower can
follow, or the loss has fallen to the end of doubles at the rate of the output time before;

and in each case no event lies in the stretch, and no eigenvalue of the Hessian says that the state
is beside a saddle: whether a run leaves it, as almost all do, is not decided by eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array
from flows.runs.bends import turns
from flows.runs.quantities import Run
from flows.runs.rates import (
    DRIFT,
    FLOOR,
    Window,
    above_limit,
    asymptotic_window,
    falls_unseen,
    local_exponent,
)

__all__ = ["Regime", "late_regime"]

#: A law's exponent is larger than this. Before the slow time ``T``, ``p`` grows like ``t/T``: it
#: stands still, within `DRIFT`, only where it is smaller.
MOVED = 2 * DRIFT
#: The gradient of a loss that tends to a positive limit falls like a power of time for so long.
LIMIT_DECADES = 2.0
#: An eigenvalue ``l`` of the Hessian is fast once ``l t`` is larger. In a power law the slow ones
#: have ``l t`` of order one: (p - 1)/(p - 2) for a leading form of degree p.
FAST = 10.0
#: ... and has passed its own time once ``l t`` is larger.
PASSED = 0.3
#: A saddle's unstable eigenvalue times the time it has had; in a power law ``l t`` stays above -1.
UNSTABLE = -5.0
#: Fewer output times than this in the last decade show nothing.
FEWEST = 2
#: Rounding of the Hessian at a state in doubles, relative to its largest eigenvalue.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Regime:
    """Whether the late regime has begun.

    Parameters
    ----------
    kind : {"power", "limit", "exponential", ""}
        Which one, nothing if none has begun.
    since : float
        Time from which it is seen; NaN if none has begun.
    settled : bool
        Whether its exponent stands still, so that an open constant can be refuted.
    turns : bool
        Whether the state can still turn to where the loss has another constant, or another power
        (:func:`flows.runs.bends.turns`): beside a saddle of the leading form nothing moves for a
        time that is a power of how near it is.
    reason : str
        Why it has not begun.
    not_before : float
        A time before which it does not begin, where one can be estimated; NaN otherwise.
    """

    kind: str
    since: float = np.nan
    settled: bool = True
    turns: bool = False
    reason: str = ""
    not_before: float = np.nan

    @property
    def begun(self) -> bool:
        """Whether a verdict about later times means something."""
        return bool(self.kind)

    @property
    def lasts(self) -> bool:
        """Whether it has begun, and the state cannot turn out of it."""
        return self.begun and not self.turns


def late_regime(run: Run) -> Regime:
    """Look for the late regime of a run.

    Parameters
    ----------
    run : Run
        The trajectory.

    Returns
    -------
    Regime
        Its kind and beginning, or the reason why it is not seen.
    """
    if run.status != "completed":
        return Regime("", reason=f"the run ended early ({run.status})")
    t, loss = np.asarray(run.t, dtype=float), above_limit(run)
    known = np.flatnonzero(np.isfinite(loss))
    if not len(known):
        return _not_yet(f"{_led(run)} is not known", np.nan)
    if loss[known[-1]] <= FLOOR:
        return _fallen(run, t, loss)
    t = t[: known[-1] + 1]  # what comes later is not known
    window = asymptotic_window(run, run.leading)
    exponent = local_exponent(run, run.leading)[: len(t)]
    last = np.isfinite(exponent) & (t >= t[-1] / 10)
    if np.count_nonzero(last) < FEWEST:
        return _not_yet("there are too few output times", np.nan)
    level = float(np.median(exponent[last]))
    unstable, slow, passed = _spectrum(run, t[-1])
    late = max(_last_event(run), window.t_start)
    if unstable:
        return _not_yet("the run is beside a saddle", t[-1])
    if window.steady and abs(level) <= MOVED:
        return _limit(run, t, float(exponent[-1]))
    if window.steady and t[-1] >= 10 * late:
        return Regime("power", late, turns=turns(run, exponent))
    if window.steady:
        return _not_yet("the regime has just changed", 10 * late)
    if _exponential(exponent, t, window):
        if not slow:
            return Regime("exponential", float(t[-1]) / 10)
        return _not_yet(f"{_led(run)} falls exponentially, and a slower tail can follow", np.nan)
    if passed and exponent[-1] < -MOVED and t[-1] >= 10 * _last_event(run):
        return Regime("power", float(t[-1]) / 10, False, turns(run, exponent))
    return _not_yet(f"the exponent of {_led(run)} still changes", np.nan)


def _fallen(run: Run, t: Array, loss: Array) -> Regime:
    """Regime of a loss below the doubles: exponential, if the last output before shows the fall."""
    larger = np.flatnonzero(loss > FLOOR)
    if not len(larger):
        return Regime("exponential", 0.0)
    k = int(larger[-1])
    if not falls_unseen(t, loss, local_exponent(run, run.leading)):
        return Regime("exponential", float(t[k]) / 10)
    between = f"between the output times {t[k]:.4g} and {t[k + 1]:.4g}"
    reason = f"{_led(run)} falls below {FLOOR:.0e} {between}, and no output shows how"
    return _not_yet(reason, np.nan)


def _led(run: Run) -> str:
    return "the loss" if run.leading == "loss" else run.leading


def _not_yet(reason: str, not_before: float) -> Regime:
    return Regime("", reason=reason, not_before=float(not_before))


def _limit(run: Run, t: Array, exponent: float) -> Regime:
    """Regime of a loss that stands still: it has a positive limit, or nothing has happened yet."""
    if "loss" not in run.names:
        return _not_yet(f"{run.leading} hardly changes, or changes its sign", np.nan)
    gradient = run.quantities["gradient_norm"][: len(t)]
    last = (t >= t[-1] / 10**LIMIT_DECADES) & (gradient > 0)
    if np.count_nonzero(last) > 3 and t[last][0] <= 1.5 * t[-1] / 10**LIMIT_DECADES:
        slope = np.gradient(np.log(gradient[last]), np.log(t[last]))
        middle = float(np.median(slope))
        # L - L* ~ t^-fall has |dL/dt| ~ t^-(fall + 1), and |p|/fall of L is still to fall: not all.
        fall = -2 * middle - 1
        if fall - 2 * DRIFT > abs(exponent) and np.abs(slope - middle).max() <= DRIFT:
            return Regime("limit", max(float(t[last][0]), _last_event(run)))
    # At its present speed the loss changes in this time.
    return _not_yet("the loss hardly changes", t[-1] / max(abs(exponent), 1e-300))


def _last_event(run: Run) -> float:
    """Time of the last event, 0 if nothing has happened."""
    return max((float(event.time) for event in run.events), default=0.0)


def _exponential(exponent: Array, t: Array, window: Window) -> bool:
    """Whether the rate ``p/t`` stands still over the last factor of two of the time."""
    last = (t >= t[-1] / 2) & np.isfinite(exponent)
    rate = exponent[last] / t[last]
    return bool(len(rate) > 1 and (rate < 0).all() and np.ptp(rate) <= DRIFT * abs(rate[-1]))


def _spectrum(run: Run, t: float) -> tuple[bool, bool, bool]:
    """Whether the state is beside a saddle, one direction is not fast, all have had their time."""
    eigenvalues = run.curvatures
    if eigenvalues is None:
        return False, True, False
    noise = ROUNDING * float(np.abs(eigenvalues).max(initial=0.0)) * t
    least = float(eigenvalues.min(initial=np.inf)) * t
    return least < UNSTABLE - noise, least < FAST, least > PASSED
