"""Bounds of ``(1 + t)^3 L`` on the finite part, before the independent checker has proved any."""

from __future__ import annotations

import heapq
import math
import sys
from typing import Any

from flint import arb

from flows.certificates.decision import down, up

Ball = Any  # flint.arb

#: Bounds of all times that say nothing.
NOTHING = (0.0, sys.float_info.max)
#: Bounds on the finite part are sharp to this relative width, if so many halvings do it.
SHARP, HALVINGS = 1e-3, 3_000
#: Of a ball of starts, whose losses differ by more than that.
FEW = 200
#: Parts of the tail, each ending where ``s`` is half of where it began.
HALVES = 40


def extreme(enclosure: Any, sign: int, power: int = 3, least: Ball = 0) -> float:
    """Bound ``sign (1+t)^power L`` from above on ``[0, T]``; ``L`` decreases to ``least`` or more.

    On a part of log-time it is at most ``(1 + t)^power`` at one end times ``L`` at the other.
    """
    certificate = enclosure.certificate
    known = -math.inf
    heap: list[tuple[float, int, float, float]] = []

    def growth(index: int, s: float) -> Ball:
        span = certificate.span(index)
        return (power * (span.centre + span.half * arb(s))).exp()

    def look(index: int, low: float, high: float) -> None:
        nonlocal known
        late, early = (high, low) if sign > 0 else (low, high)
        loss = enclosure.loss(index, early).max(arb(least))
        bound = sign * growth(index, late) * loss
        known = max(known, down(sign * growth(index, early) * loss))
        heapq.heappush(heap, (-up(bound), index, low, high))

    for index in range(len(certificate.pieces)):
        look(index, -1.0, 1.0)
    for _ in range(HALVINGS if certificate.radius == 0 else FEW):
        if -heap[0][0] - known <= SHARP * abs(known):
            break
        _, index, low, high = heapq.heappop(heap)
        look(index, low, (low + high) / 2)
        look(index, (low + high) / 2, high)
    return -heap[0][0]
