"""The excess of a loss above its limit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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

    def __repr__(self) -> str:
        """Say in one line how much it is at the end, and at how many times it is known."""
        known = np.isfinite(self.value)
        if not known.any():
            return f"Excess(not known: {self.reason})"
        at = "" if known.all() else f", known at {int(known.sum())} of {len(known)} times"
        return f"Excess(L* = {self.limit:.10g}, {self.value[known][-1]:.6g} at the end{at})"
