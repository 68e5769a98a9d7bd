r"""From a finite certificate of two neurons to t = infinity, by a funnel: balls of starts.

A ball of starts does not shrink as shapes do in self-similar variables; a funnel holds states that
differ. The finite part ends where its ball fits into one, and goes on while constants get sharper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flint import arb

from flows.certificates import chebyshev
from flows.certificates.certificate import Certificate, Segment
from flows.certificates.features.registry import enclosure
from flows.certificates.forever import refusal
from flows.certificates.steps import BALL_GUARD, Steps, Uncertified, bits_for
from flows.certificates.tail import all_times
from flows.certificates.tail.box import UNIT, norm
from flows.certificates.tail.funnel import Entry, prove
from flows.certificates.tail.funnel_tail import FunnelTail
from flows.certificates.tail.infinity import Stated
from flows.certificates.tail.start import end_time
from flows.certificates.tail.tail import Open
from flows.core.balls import dot, precision
from flows.core.system import System

Ball = Any  # flint.arb

#: Stated radii and bounds exceed what was computed, so that other formulas agree.
ROOM = 2.0
#: Ends of the finite part that are tried, one after the other.
ENDS = [2.0 ** (k / 2) for k in range(2, 25)]
#: Digits: so many beyond those of the radius, and the fewest and the most.
BEYOND, FEWEST, MOST = 3, 8, 20


def certify_two(
    system: System,
    initial: Any,
    digits: int | None,
    advance: Callable[[float], None] | None,
    radius: float,
) -> Certificate:
    """Prove an enclosure for all times of all starts of two neurons within a radius."""
    if digits is None:
        digits = min(MOST, max(FEWEST, BEYOND - math.floor(math.log10(radius))))
    bits = bits_for(digits, ENDS[-1])
    segments: list[Segment] = []
    reason, refused, best = "nothing was tried", "", None
    with precision(bits + BALL_GUARD):
        steps = Steps(system.ball_flow(initial), bits, digits, radius)
        for end in ENDS:
            try:
                steps.extend(segments, end, advance)
                pieces = tuple(segments)
                made = Certificate(
                    system, initial, end, bits, bits + BALL_GUARD, pieces, None, radius
                )
                tail = funnelled(made)
            except (Uncertified, Open) as problem:
                if best is not None:
                    break  # it gets no sharper
                if isinstance(problem, Uncertified):
                    raise Uncertified(f"{problem}; before, {refused or reason}") from None
                reason = str(problem)
                continue
            if best is not None and _spread(tail) >= _spread(best.infinity):
                break
            proved = replace(made, infinity=tail)
            if found := refusal(proved):
                refused = f"the independent checker refuses what was made, {found}"
            else:
                best = proved
    if best is None:
        raise Uncertified(f"UNDECIDED beyond t = {ENDS[-1]:.6g}: {refused or reason}")
    return best


def _spread(tail: Any) -> float:
    """Ratio of the constants for all times."""
    low, high = tail.all_times
    return high / low


def funnelled(certificate: Certificate) -> FunnelTail:
    """What continues a certificate of two neurons for ever.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    entry = entered(certificate)
    flow: Any = certificate.flow()  # a SpanFlow
    bits, teacher = certificate.bits, flow.teacher[0]
    funnel, found = prove(flow.q - 1, entry, (1 + end_time(certificate)) * entry.zeta)
    bounds = found.bounds * teacher**2
    before = enclosure(certificate)
    least = bounds.lower() / (1 + end_time(certificate)) ** 3  # L falls to it at most
    low, high = (sign * all_times.extreme(before, sign, least=least) for sign in (-1, 1))
    return FunnelTail(
        bits,
        funnel,
        _stated(found.limit * teacher**2, bits),
        tuple(_stated(x * teacher, bits) for x in found.h),
        (min(low, all_times.down(bounds)), max(high, all_times.up(bounds))),
    )


def entered(certificate: Certificate) -> Entry:
    """The end of a certificate; a distance of both neurons together is less than those of each."""
    flow: Any = certificate.flow()  # a SpanFlow
    last = certificate.pieces[-1]
    x = [arb((sum(row), -certificate.bits)) for row in last.rows]
    off = UNIT * arb(2).sqrt() * last.error
    apart, together = (
        [a + sign * b for a, b in zip(x[: flow.q], x[flow.q :], strict=True)] for sign in (-1, 1)
    )
    size = flow.teacher[0]
    return Entry(
        (dot(apart[1:], apart[1:]).sqrt() + off) / size,
        ((norm(together[1:]) + off) / size).upper(),
        abs((together[0] + off) / size - 1).upper(),
        (apart[0] + off) / size,
    )


def _stated(x: Ball, bits: int) -> Stated:
    value = chebyshev.rounded(x, bits)
    return Stated(value, all_times.up(ROOM * abs(x - arb((value, -bits)))))
