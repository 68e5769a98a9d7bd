r"""From a finite certificate of means on a line to t = infinity; see ``flows.certify``.

The finite part is made to later and later times, until the flow is in a box of
:mod:`flows.certificates.tail.means` that it never leaves, and the independent checker agrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flint import arb

from flows.certificates import chebyshev
from flows.certificates.certificate import Certificate
from flows.certificates.features.registry import enclosure
from flows.certificates.forever import refusal
from flows.certificates.segment import Segment
from flows.certificates.steps import BALL_GUARD, Steps, Uncertified, bits_for
from flows.certificates.tail.all_times import down, extreme, up
from flows.certificates.tail.infinity import Stated
from flows.certificates.tail.means import MeansTail, Mixture, trap
from flows.certificates.tail.start import end_time
from flows.certificates.tail.tail import Open
from flows.core.balls import dot, precision
from flows.core.system import System

DIGITS = 20
HORIZONS = [10.0**k for k in range(2, 11)]
#: ``N`` is within this part of its limit, so that bounds for all times are sharp.
SHARP = 0.02
TRIES, ROOM = 30, 1.25


def certify_means(
    system: System,
    initial: Any,
    digits: int | None,
    advance: Callable[[float], None] | None,
    radius: float = 0.0,
) -> Certificate:
    """Prove an enclosure for all times of means on a line."""
    digits = DIGITS if digits is None else digits
    flow: Any = system.ball_flow(initial)
    if len(flow.weights) < 2 or (len(flow.weights) > 2 and len(set(flow.weights)) > 1):
        raise Uncertified(
            "UNDECIDED: a proof for ever is of two means, or of equal weights; give such, or a"
            " finite time"
        )
    bits = bits_for(digits, HORIZONS[-1])
    segments: list[Segment] = []
    reason = "nothing was tried"
    with precision(bits + BALL_GUARD):
        steps = Steps(flow, bits, digits, radius)
        for end in HORIZONS:
            try:
                steps.extend(segments, end, advance)
            except Uncertified as problem:
                raise Uncertified(f"{problem}; before, {reason}") from None
            pieces = tuple(segments)
            made = Certificate(system, initial, end, bits, bits + BALL_GUARD, pieces, None, radius)
            try:
                proved = replace(made, infinity=_continued(made))
            except Open as problem:
                reason = str(problem)
                continue
            refused = refusal(proved)
            if not refused:
                return proved
            reason = f"the independent checker refuses what was made, {refused}"
    raise Uncertified(f"UNDECIDED beyond t = {HORIZONS[-1]:.6g}: {reason}")


def _continued(certificate: Certificate) -> MeansTail:
    """What continues the pieces.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    flow: Any = certificate.flow()
    mixture, last = Mixture(flow.weights), certificate.pieces[-1]
    end = [arb((sum(row), -certificate.bits)) + arb(0, last.error) for row in last.rows]
    size = dot(mixture.across(end), mixture.across(end))
    if not size > 0:
        raise Open("the means may not differ at the end")
    clock = float((mixture.settled / size - end_time(certificate)).mid())
    s = 1 / (arb(clock) + end_time(certificate))
    n, rho = mixture.late(end, s)
    off = abs(n - mixture.settled)
    e, across = ROOM * up(off), ROOM * up(abs(rho))
    for _ in range(TRIES):
        found = trap(mixture, s, arb(e), arb(across))
        if not (found.pull > 0 and found.stiff > 0):
            break
        wide, high = found.push / found.pull, found.driven / found.stiff
        if off < e and abs(rho) < across and wide < e and high < across:
            if not e < SHARP * mixture.settled:
                break
            return _concluded(certificate, mixture, clock, s, e, across)
        e, across = max(e, ROOM * up(wide)), max(across, ROOM * up(high))
    raise Open(f"|N - N*| stays below e fails: {e:.3g} against {float(mixture.settled):.3g}")


def _concluded(
    certificate: Certificate, mixture: Mixture, clock: float, s: arb, e: float, across: float
) -> MeansTail:
    bits = certificate.bits
    late = (1 + (1 - arb(clock)) * arb(0).union(s)) ** 2
    late *= trap(mixture, s, arb(e), arb(across)).energy
    parts = enclosure(certificate)
    low, high = (sign * extreme(parts, sign, power=2) for sign in (-1, 1))
    limit = Stated(chebyshev.rounded(mixture.limit, bits), 0.0)
    off = abs(mixture.limit - limit.ball(bits)) + arb((8, -bits))  # other roundings agree
    limit = limit._replace(radius=up(off))
    return MeansTail(bits, clock, e, across, limit, (min(low, down(late)), max(high, up(late))))
