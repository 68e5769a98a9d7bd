r"""Gradient flows by Taylor series with many bits, from a gradient that a person writes.

.. math:: y(t + h) = \sum_k c_k h^k, \qquad c = y - \int \nabla L(c)

in truncated power series: each pass of the fixed point makes one more coefficient right. A step is
so long that the last terms are below `1e-48` of the entries: along a ridge on which errors grow by
`1e11` the state has 35 digits still, and so has a loss of `1e-60` beside a minimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flint import arb, arb_series, ctx

BITS, ORDER, LEFT = 320, 36, 1e-48
# A step that is shorter, in units of the time asked for, leads to infinity.
SHORTEST = 1e-6


class Infinite(Exception):
    """The flow goes to infinity by a time, the argument."""


def flow(gradient: Callable[[list[Any]], list[Any]], start: Sequence[Any], times: Any) -> Any:
    """States at times, lists of `arb`, of `dy/dt = -gradient(y)`; earlier ones are no times.

    Raises `Infinite` where there is none.
    """
    before, ctx.prec, cap = ctx.prec, BITS, ctx.cap
    try:
        y, t, found = [arb(x) for x in start], 0.0, []
        for end in times:
            while t < end:
                last, (y, t) = t, _step(gradient, y, t, float(end))
                if t < end and t - last < SHORTEST * end:
                    raise Infinite(t)
            found.append(y)
        return found
    finally:
        ctx.prec, ctx.cap = before, cap


def _step(gradient: Any, y: list[Any], t: float, end: float) -> tuple[list[Any], float]:
    series = [arb_series([x]) for x in y]
    for terms in range(2, ORDER + 2):
        ctx.cap = terms
        slopes = [arb_series([g]) if isinstance(g, arb) else g for g in gradient(series)]
        series = [arb_series([x]) - g.integral() for x, g in zip(y, slopes, strict=True)]
    rows = [(list(s) + [arb(0)] * (ORDER + 1))[: ORDER + 1] for s in series]
    length = end - t
    for row in rows:
        for k in (ORDER - 1, ORDER):
            if (size := abs(row[k].mid())) > 0:
                least = LEFT * max(1.0, abs(float(row[0].mid())))
                length = min(length, math.exp(float((least / size).log()) / k))
    after = end if t + length >= end * (1 - 1e-15) else t + length
    h, ended = arb(after) - arb(t), []
    for row in rows:
        value = arb(0)
        for c in reversed(row):
            value = value * h + c
        ended.append(value.mid())
    return ended, after
