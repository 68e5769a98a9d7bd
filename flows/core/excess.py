"""What a loss is above its limit."""

from __future__ import annotations

from typing import NamedTuple

from flows.core.arrays import Array

__all__ = ["MARGIN", "Excess"]

#: A loss is below that of a saddle only if it is lower by this part of it: where a run ends at the
#: saddle, rounding and errors of steps must not decide.
MARGIN = 0.01


class Excess(NamedTuple):
    """Loss above its limit, `L - L*`.

    Parameters
    ----------
    value : ndarray, shape (T,)
        NaN where it is not known.
    limit : float
        `L*`; NaN where it is not known.
    reason : str
        Why it is not known, everywhere or at some times, or nothing.
    error : ndarray, shape (T,), optional
        Absolute error of the value beside that of the tolerance.
    """

    value: Array
    limit: float
    reason: str = ""
    error: Array | None = None
