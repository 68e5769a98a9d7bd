"""Rates of decay: local exponents from the state, asymptotic windows, constants with an error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.runs.bends import turns
from flows.runs.cancelling import reach
from flows.runs.corrections import fitted
from flows.runs.quantities import FLOOR, Quantities, Run, quantities_of
from flows.runs.trend import trend
from symbolic.asymptotics.law import Law

__all__ = [
    "DRIFT",
    "LogCorrected",
    "TailConstant",
    "Window",
    "above_limit",
    "asymptotic_window",
    "falls_unseen",
    "local_exponent",
    "log_corrected",
    "tail_constant",
]

#: In the asymptotic window a local exponent stays within this of its median in the last decade.
DRIFT = 0.05
#: Fewer decades than this do not show a power law.
DECADES = 1.0
#: A constant is fitted on the last decades only: before, more than one correction is at work.
FIT_DECADES = 3.0
#: ... and a fit of three numbers takes so many output times.
FIT_POINTS = 6
#: The constant moves by a power of time only if its change falls faster than this power of `log t`:
#: a correction `1/(log t)^3` to the constant changes it by one like `1/(log t)^4`.
ORDER = 5.0
#: The slowest correction is `(log t)^-k` with this `k`; what is seen of it counts so many times.
SLOWEST, SAFETY = 0.5, 2.0
#: With a law: so many slow corrections.
LAW_POWERS = 3
#: A fall below it is seen if the rate before it makes at least this part of it.
SEEN = 0.5


def local_exponent(run: Run, name: str = "loss") -> Array:
    r"""Local exponent of a quantity, `p(t) = t d log|Phi| / dt`, evaluated from the state.

    .. math:: p(t) = t \, \dot\Phi / \Phi, \qquad \text{for the loss} \quad -t |\nabla L|^2 / L

    so that `Phi ~ t^-3` gives `-3`. No output is differenced. Of a run whose limit is known the
    loss is meant above its limit (:attr:`flows.Trajectory.excess`).

    Parameters
    ----------
    run : Run
        The trajectory.
    name : str
        A potential of the system.

    Returns
    -------
    ndarray, shape (T,) or (T, n)
        NaN where the quantity is zero or undefined.

    Raises
    ------
    InputError
        For a name that is not a potential of the system.
    """
    quantities = quantities_of(run)
    value, rate = _potential(quantities, name)
    t = quantities["t"] if value.ndim == 1 else quantities["t"][:, None]
    with np.errstate(all="ignore"):
        return np.where(np.abs(value) > FLOOR, t * (rate / value), np.nan)


def above_limit(run: Run) -> Array:
    """Loss above its limit, where that is known; else the loss, or what leads a field; (T,)."""
    return _potential(quantities_of(run), run.leading)[0]


def _potential(quantities: Quantities, name: str) -> tuple[Array, Array]:
    if name == "loss":  # above its limit, where that is known
        try:
            excess = quantities["excess"]
        except (KeyError, InputError):
            pass
        else:
            if np.isfinite(excess).any():
                return excess, quantities["loss_dot"]
    try:
        return quantities[name], quantities[f"{name}_dot"]
    except KeyError:
        raise InputError(f"unknown potential {name!r} of a run; see `popflow list`") from None


@dataclass(frozen=True)
class Window:
    """A stretch of output times, `run.t[start:stop]`.

    Parameters
    ----------
    start, stop : int
        Slice of the output times.
    t_start, t_end : float
        Its first and last time; NaN if it is empty.
    steady : bool
        Whether a power law is seen: at least a decade on which the exponent is nearly constant.
    """

    start: int
    stop: int
    t_start: float
    t_end: float
    steady: bool

    @property
    def decades(self) -> float:
        """Length in decades."""
        return float(np.log10(self.t_end / self.t_start)) if self.stop > self.start else 0.0


def asymptotic_window(run: Run, name: str = "loss", *, drift: float = DRIFT) -> Window:
    """Find the asymptotic window: the last stretch on which the local exponent stands still.

    The rule: go back from the last time at which the quantity carries information (above 1e-280)
    as long as the local exponent stays within `drift` of its median over the last decade. The
    window is `steady` if it covers at least one decade and four times, and if the quantity does not
    fall below the doubles right after it.

    Parameters
    ----------
    run : Run
        The trajectory.
    name : str
        A scalar potential of the system.
    drift : float
        Largest distance from that median.

    Returns
    -------
    Window
        The window; where it is not steady the limit is not reached, or there is no power law.
    """
    exponent = local_exponent(run, name)
    t = np.asarray(run.t, dtype=float)
    known = np.flatnonzero(np.isfinite(exponent) & (t > 0))
    if not len(known):
        return Window(0, 0, np.nan, np.nan, False)
    last = first = int(known[-1])
    level = np.median(exponent[known[t[known] >= t[last] / 10]])
    while first - 1 in known and abs(exponent[first - 1] - level) <= drift:
        first -= 1
    long = t[last] >= 10**DECADES * t[first] and last - first >= 3
    goes_on = not falls_unseen(t, _potential(quantities_of(run), name)[0], exponent)
    return Window(first, last + 1, float(t[first]), float(t[last]), bool(long and goes_on))


def falls_unseen(t: Array, values: Array, exponent: Array) -> bool:
    """Whether a quantity falls below the doubles at once, which its exponent before does not show.

    Parameters
    ----------
    t, values, exponent : ndarray
        Output times, the quantity and its local exponent at them.

    Returns
    -------
    bool
        True where the rate at the last time above 1e-280 makes less than half of what comes.
    """
    size = np.abs(values)
    above = np.flatnonzero((t > 0) & (size > FLOOR))
    k = int(above[-1]) if len(above) else len(t) - 1
    if k + 1 >= len(t) or not size[k + 1] <= FLOOR:
        return False
    return bool(-exponent[k] * (t[k + 1] / t[k] - 1) < SEEN * np.log(size[k] / FLOOR))


@dataclass(frozen=True)
class TailConstant:
    """A limit `lim t^p Phi(t)` with its error.

    Parameters
    ----------
    value, error : float
        The limit and its absolute error; NaN and infinity without a steady window. Where `t^p Phi`
        may still go anywhere, the last value and infinity.
    exponent : float
        The power `p`.
    window : Window
        Where it was measured.
    reason : str
        Why the limit is not known better; empty where it is extrapolated.
    """

    value: float
    error: float
    exponent: float
    window: Window
    reason: str = ""


def tail_constant(
    run: Run, name: str = "loss", exponent: float = 3.0, *, law: Law | None = None
) -> TailConstant:
    r"""Estimate `lim t^p Phi(t)`.

    .. math:: c_\infty = c + v/q, \qquad v = \frac{dc}{d \log t} = t^p (p \Phi + t \dot\Phi),
       \quad q = -\frac{d \log |v|}{d \log t}

    `c(t) = t^p Phi(t)` and `v` are read from the state over the last three decades of the
    asymptotic window. Where `q` stands still, this is exact for the one correction `a t^-q` that is
    left. The error is a tenth of `v/q`, the numerical one, and twice what `(log t)^-1/2` may still
    do as far as the change of `q` can hide it; where two corrections cancel, twice what their sum
    would do that was there a decade before; of a loss that falls like a power of `log t`, `c`; and
    no less than three corrections that fit `v` can leave (:func:`flows.runs.cancelling.reach`). It
    is infinite where `c` moves faster, or the state can turn (:func:`flows.runs.bends.turns`).

    With a derived `law` its own corrections are fitted in place of one pure power, which a
    logarithm is not: `t^-2gamma` of the slow directions, `t^-1/(p-2)` and its powers of terms of
    higher degree than that of the leading form, `log t/t` and `1/t`, linearly by least squares over
    the last three decades. The error is then the difference between the fits of the two halves,
    plus what the numerical error of the run does to the fit. Corrections along a valley are not
    known; its constant is extrapolated as without a law.

    Parameters
    ----------
    run : Run
        The trajectory.
    name : str
        A scalar potential of the system.
    exponent : float
        The power `p`; 3 for the loss of more than one ReLU neuron.
    law : Law, optional
        One of :func:`flows.late_time_law`, for the loss; it says the exponent too.

    Returns
    -------
    TailConstant
        The limit with its error; NaN and infinity where no power law is seen.

    Raises
    ------
    InputError
        For a name that is not a potential of the system.

    Notes
    -----
    Units: `t` is the time of `dw/dt = -grad L`.

    Examples
    --------
    Two neurons that mirror each other: `t^3 L` tends to `pi^2/6`.

    >>> import flows
    >>> system = flows.ReLUNeuron(n=2, d=2)
    >>> run = flows.integrate(system, [[0.5, 0.1], [0.5, -0.1]], t_end=1e6)
    >>> found = flows.tail_constant(run, exponent=3)
    >>> bool(abs(found.value - np.pi**2 / 6) <= found.error < 1e-4)
    True
    """
    window = asymptotic_window(run, name)
    if law is not None and law.exponent is not None:
        exponent = float(law.exponent)
    if not window.steady:
        return TailConstant(np.nan, np.inf, exponent, window, "no power law is seen")
    if law is not None and law.log_decay:
        return TailConstant(
            np.nan, np.inf, exponent, window, "powers of log t cannot be distinguished"
        )
    t, (value, _) = quantities_of(run)["t"], _potential(quantities_of(run), name)
    span, decades = slice(window.start, window.stop), FIT_DECADES * np.log(10)
    log_t = np.log(t[span])
    scaled = np.exp(exponent * log_t) * value[span]
    change = scaled * (exponent + local_exponent(run, name)[span])
    fit = log_t >= log_t[-1] - decades
    relative, last = float(run.errors(name)[span][fit].max()), float(scaled[-1])
    numerical, noise = relative * abs(last), relative * float(np.abs(exponent * scaled[fit]).max())
    seen = np.flatnonzero(np.abs(change) > noise)[-1:]
    until = log_t[seen[0]] if len(seen) else log_t[-1]  # below its error it dies out as before
    part = (log_t <= until) & (log_t >= until - decades)
    moves, resolved = trend(change[part], log_t[part], noise), until == log_t[-1] and len(seen) > 0
    if turns(run, local_exponent(run, run.leading)[: window.stop]):
        return TailConstant(last, np.inf, exponent, window, "the state can still turn elsewhere")
    if resolved and not moves.rate > 0:
        return TailConstant(last, np.inf, exponent, window, "it moves no more slowly than before")
    if law is not None and law.kind == "power" and law.direction:  # of a valley none is known
        known = fitted(t[span][fit], scaled[fit], exponent, law, LAW_POWERS, relative)
        return TailConstant(*known, exponent, window)
    falls, late = moves.falls(ORDER), max(1.0, float(log_t[-1]))
    rate, slow = min(moves.rate, 1.0) if falls else ORDER / late, SAFETY * late / SLOWEST
    left = moves.last / moves.rate if falls and moves.is_power and resolved else 0.0
    far = reach(change[part], log_t[part], noise, moves.rate, left) if resolved else 0.0
    if resolved and not falls:
        error = max(far, last) + numerical if name == "loss" and last > 0 > moves.last else np.inf
        return TailConstant(last, error, exponent, window, "it moves like a power of log t")
    if falls and moves.is_power:
        far = max(far, (0.1 / moves.rate + slow * moves.hidden) * abs(moves.last))
    else:  # as large as the two changes is each of two that cancel
        far = max(far, slow * (abs(moves.middle) + abs(moves.last)))
    return TailConstant(last + left, far + numerical + noise / rate, exponent, window)


@dataclass(frozen=True)
class LogCorrected:
    """A fit `Phi = c t^-a (log t)^-b` with its errors.

    Parameters
    ----------
    exponent, log_exponent, constant : float
        `a`, `b` and `c`; NaN without a steady window of enough output times.
    errors : tuple of float
        Absolute errors of `a`, `b` and `c`, in this order; infinite where they are NaN.
    window : Window
        Where they were fitted.
    """

    exponent: float
    log_exponent: float
    constant: float
    errors: tuple[float, float, float]
    window: Window


def log_corrected(run: Run, name: str = "loss") -> LogCorrected:
    r"""Fit a power of time with a power of its logarithm, by least squares.

    .. math:: \log \Phi = \log c - a \log t - b \log \log t

    over the output times `t > e` of the asymptotic window. The error is the difference between the
    fits of its halves, which shows what the form leaves out, plus the numerical error of the run.

    Parameters
    ----------
    run : Run
        The trajectory.
    name : str
        A scalar potential of the system.

    Returns
    -------
    LogCorrected
        The three numbers with their errors.
    """
    window = asymptotic_window(run, name)
    quantities = quantities_of(run)
    span = np.arange(window.start, window.stop)
    span = span[quantities["t"][span] > np.e]
    if not window.steady or len(span) < 2 * FIT_POINTS:
        return LogCorrected(np.nan, np.nan, np.nan, (np.inf,) * 3, window)
    x = np.log(quantities["t"][span])
    y = np.log(_potential(quantities, name)[0][span])
    design, half = np.stack([-x, -np.log(x), np.ones_like(x)], axis=1), len(x) // 2
    inverse = np.linalg.pinv(design)
    early, late = (np.linalg.pinv(design[k]) @ y[k] for k in (slice(half), slice(half, None)))
    a, b, log_c = map(float, inverse @ y)
    numerical = float(run.errors(name)[span].max())
    error = np.abs(late - early) + numerical * np.abs(inverse).sum(axis=1)
    c, (error_a, error_b, error_log_c) = float(np.exp(log_c)), map(float, error)
    return LogCorrected(a, b, c, (error_a, error_b, c * error_log_c), window)
