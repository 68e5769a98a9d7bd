"""Compiled: the rungs of a ladder of rules that theory expects to do, of many states."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import numba

from flows.core.compiled import kept

_MATRIX, _VECTOR = numba.float64[:, ::1], numba.float64[::1]
_REAL, _WHOLE = numba.float64, numba.int64
_SIGNATURE = numba.void(
    _MATRIX, _REAL, _REAL, _REAL, _VECTOR, _REAL, _REAL, _REAL, _WHOLE, _WHOLE, numba.int64[:, ::1]
)


def _rungs(
    distances, digits, alone, apart, between, largest, step, thin, lowest, last, rungs
):  # fmt: skip
    count = len(between) + 1
    for t in range(len(distances)):
        longest = 0.0
        for d in distances[t]:
            longest = max(longest, d)
        for a, d in enumerate(distances[t]):
            size = digits * (alone + apart * d)
            if d < thin * longest:
                rungs[t, a] = 0
            elif size <= largest:
                low = 0
                while low < count - 1 and between[low] < size:
                    low += 1
                rungs[t, a] = max(lowest, low)
            elif size < math.inf:
                halved = math.ceil(2.0 * math.log2(step * digits * d / (2.0 * math.pi**2)))
                rungs[t, a] = min(last, count + max(0, int(halved)))
            else:  # or not a number
                rungs[t, a] = last


@functools.cache
def expected() -> Callable[..., None]:
    """Set rungs, see :func:`flows.core.quadrature.rungs_of`."""
    make: Any = functools.partial(numba.njit(_SIGNATURE, nogil=True, error_model="numpy"), _rungs)
    return cast("Callable[..., None]", kept(("rungs", _rungs), _SIGNATURE, make))
