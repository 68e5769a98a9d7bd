"""Compiled: units of increments along axes.

:mod:`flows.systems.own.energy_units` explains the formulas.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

from flows.arithmetic.kept import lean
from flows.systems.own.energy_units import ABOVE, FALLS

__all__ = ["units"]


@lean
def units(slopes, doubt, h, since, found):
    """Units of the increment along each axis."""
    n, most = len(h), 0.0
    for i in range(n):
        most = max(most, abs(slopes[i]) / math.sqrt(max(abs(h[i]), 1.0 / since)))
    most = most if most > 0.0 else 1.0
    total = 0.0
    for i in range(n):
        total += (abs(slopes[i]) / math.sqrt(max(abs(h[i]), 1.0 / since)) / most) ** 2
    for i in range(n):
        floored = max(abs(h[i]), 1.0 / since)
        largest = most * math.sqrt(total) / math.sqrt(floored)
        own = abs(slopes[i]) / floored
        beside = max(own, ABOVE * doubt[i] / floored)
        if h[i] * since < FALLS and beside > 0.0:
            found[i] = beside
        else:
            found[i] = max(own, largest / math.sqrt(1.0 + since * max(h[i], 0.0)))
