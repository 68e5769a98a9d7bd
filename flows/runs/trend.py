"""Whether a change that still goes on comes to an end: a power of time that dies out, or slower.

A change `x` per unit of `log t` that dies out like a power, `x ~ t^-q`, adds up to `x/q` from here
on. One that dies out like a power of `log t` may add up to anything: `1/log t` does, and so does
`1/(log t log log t)`. Both fall. They are told apart by the rate `q = -d log x / d log t`, which
stands still for a power and falls like `k/log t` otherwise: `k` is one more than the power of
`log t` in what `x` adds up to, and 1 where that grows without a limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array

__all__ = ["Trend", "trend"]

#: A power of time stands still: its rate falls by less than this part from one third of a stretch
#: to the next one. That of two powers, or of a power and a logarithm, falls until the slower leads.
STANDS = 0.9
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
    time : float
        `log t` in the middle of the last third.
    """

    last: float
    resolved: bool
    middle: float
    one_sign: bool
    rate: float
    before: float
    time: float

    def falls(self, order: float) -> bool:
        """Whether its size falls like a power of time, faster than this power of `log t`."""
        steady = self.rate >= STANDS * self.before
        return bool(self.rate > 0 and steady and self.rate * self.time >= order)

    def dies_out(self, order: float) -> bool:
        """Whether it has one sign and falls so, or so fast that it may go on more slowly."""
        fast = self.rate * self.time >= FAST * order
        return self.one_sign and (self.falls(order) or fast)

    @property
    def stands(self) -> bool:
        """Whether one power of time is left: two of them, before they cancel, fall ever faster."""
        return bool(self.one_sign and STANDS * self.before <= self.rate <= self.before / STANDS)


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
    time = float(at[-2:].mean())
    return Trend(float(x[-1]), resolved, float(x[len(x) // 2]), one_sign, rate, before, time)
