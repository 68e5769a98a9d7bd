"""Whether a change that still goes on comes to an end: a power of time that dies out, or slower.

A change `x` per unit of `log t` that dies out like a power, `x ~ t^-q`, adds up to `x/q` from here
on. A change that dies out like a power of `log t` may have no finite sum: `1/log t` has none, and
`1/(log t log log t)` has none. The rate `q = -d log x / d log t` tells both kinds apart. It stands
still for a power of time, and falls like `k/log t` for a power `k` of `log t`; the sum is finite if
`k > 1`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array

__all__ = ["Trend", "trend"]

#: The rate of one power of time stands still: from one third of a stretch to the next it keeps this
#: part, at least. The rate of two powers, or of a power and a logarithm, falls below that until
#: the slower one leads.
STEADY = 0.9
#: A change that falls by so many times the power of `log t` that is asked for dies out even while
#: its rate falls: the first of two powers has to die out before the slower one leads.
FAST = 2.0


@dataclass(frozen=True)
class Trend:
    """A change per unit of `log t` at the end of a stretch, and how it dies out.

    Parameters
    ----------
    last : float
        The change at the end.
    resolved : bool
        Whether it is larger than its error.
    middle : float
        The change a third of the stretch earlier.
    one_sign : bool
        Whether it has one sign.
    rate : float
        `q` of the last third; NaN where the change is not resolved.
    before : float
        `q` of the third before it.
    time, length : float
        `log t` in the middle of the last third, and its length.
    """

    last: float
    resolved: bool
    middle: float
    one_sign: bool
    rate: float
    before: float
    time: float
    length: float

    def falls(self, order: float) -> bool:
        """Whether its size falls like a power of time, faster than `(log t)^-order`."""
        steady = self.rate >= STEADY * self.before
        return bool(self.rate > 0 and steady and self.rate * self.time >= order)

    def dies_out(self, order: float) -> bool:
        """Whether it has one sign and falls so, or so fast that it may go on more slowly."""
        fast = self.rate * self.time >= FAST * order
        return self.one_sign and (self.falls(order) or fast)

    @property
    def hidden(self) -> float:
        r"""Part of the change at the end that may be of something slower, as far as that is seen.

        Of two changes of the rates `q` and about zero the slower one is the part `w` in the middle
        of the last third, and the rate is `q (1 - w)`: it has changed by `q w (1 - e^{-q h})` in
        the length `h` of a third, and the part is larger by `q h/(1 - e^{-q h})` at the end.
        """
        fallen = self.rate * self.length
        known = -np.expm1(-fallen)
        return float(abs(self.rate - self.before) / self.rate * fallen / known**2)

    @property
    def is_power(self) -> bool:
        """Whether one power of time is left: two of them, before they cancel, fall ever faster."""
        return bool(self.one_sign and STEADY * self.before <= self.rate <= self.before / STEADY)


def trend(change: Array, log_t: Array, noise: float) -> Trend:
    """Follow a change over the last two thirds of a stretch.

    Parameters
    ----------
    change : ndarray, shape (T,)
        Change per unit of `log t`, at least three.
    log_t : ndarray, shape (T,)
        Logarithms of the times, increasing.
    noise : float
        Absolute error of the change.

    Returns
    -------
    Trend
        Of three times, which are a third of the stretch apart; rates are NaN where there are fewer,
        or where the change is below its error.
    """
    nodes = np.interp(np.linspace(log_t[0], log_t[-1], 4)[1:], log_t, np.arange(len(log_t)))
    k = np.unique(np.rint(nodes).astype(int))
    x, at = change[k], log_t[k]
    resolved = bool(abs(x[-1]) > noise)
    rates = np.full(2, np.nan)
    if len(k) == 3 and (np.abs(x) > noise).all():
        rates = -np.diff(np.log(np.abs(x))) / np.diff(at)
    before, rate = map(float, rates)
    one_sign = bool((np.sign(x) == np.sign(x[-1])).all())
    times = float(at[-2:].mean()), float(np.ptp(at[-2:]))
    return Trend(float(x[-1]), resolved, float(x[len(x) // 2]), one_sign, rate, before, *times)
