r"""From a finite certificate to t = infinity, where the flow rests in the end.

The finite part is made further until a ball of :mod:`flows.certificates.rest.balls` attracts. From
then on ``L - L*`` falls like ``e^(-2 mu t)``. For all ``t >= 0`` it is at most ``a e^(-2 mu (t -
delay))``, where ``a`` bounds it at ``t = 0``, and the delay is the largest of ``t + log((L -
L*)/a)/(2 mu)`` on the pieces, bounded on parts by what it is made of at their two ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flint import arb

from flows.certificates import chebyshev
from flows.certificates.certificate import Certificate
from flows.certificates.growing import accepted, growing
from flows.certificates.rest.balls import Attracting, attracting
from flows.certificates.rest.failing import failing
from flows.certificates.rest.rest import Rest
from flows.certificates.steps import Uncertified
from flows.certificates.tail.all_times import down, up
from flows.certificates.tail.infinity import Stated
from flows.certificates.tail.tail import Open
from flows.core.balls import Singular
from flows.core.system import System

Ball = Any  # flint.arb

#: Times to which the finite part is made: the first, by what factor they grow, and the last.
FIRST, LATER, LAST = 1.0, 1.5, 1e4
DIGITS = 20
#: Parts of the sharp rate that are claimed; how much later a better one is looked for.
KEPT, PATIENCE = (0.9, 0.5, 0.1), 6.0
#: ``e^(2 mu t)`` grows by ``e^(1/FINE)`` at most on a part; stated bounds have room.
FINE, ROOM = 16, 1.0 + 2.0**-20
#: And more for neurons, whose loss the checker encloses by another formula.
OTHERS = 1.05
#: What bounds exceed, where nothing is left of the loss, or of the delay.
TINY, LATE = 1e-300, 2.0**-20


def certify_rest(
    system: System,
    initial: Any,
    digits: int | None,
    advance: Callable[[float], None] | None,
    radius: float = 0.0,
) -> Certificate:
    """Prove an enclosure for all times of a flow that rests in the end; see ``flows.certify``."""
    digits = DIGITS if digits is None else digits
    found: list[Certificate] = []
    kept, until, end, reason = 0.0, LAST, FIRST, "nothing was tried"
    with growing(system, initial, digits, LAST, advance, radius) as begun:
        fails = failing(begun.steps.flow) if radius == 0 else None
        while end <= until:
            try:
                made = begun.until(end)
            except Uncertified as problem:
                if not found:
                    raise Uncertified(f"{problem}; before, {reason}") from None
                break
            if fails is not None:
                found.append(replace(made, infinity=fails))
                break
            for part in (x for x in KEPT if x > kept):
                try:
                    found.append(_proved(made, part))
                    kept, until = part, min(until, PATIENCE * end)
                    break
                except (Open, Singular) as problem:
                    reason = str(problem)
            if kept == KEPT[0]:
                break
            end *= LATER
    return accepted(reversed(found), f"UNDECIDED beyond t = {LAST:.6g}: {reason}")


def _proved(certificate: Certificate, kept: float) -> Certificate:
    """Add the proof for all times.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    flow: Any = certificate.flow()
    last, bits = certificate.pieces[-1], certificate.bits
    end = [arb((sum(row), -bits)) for row in last.rows]
    ball = attracting(flow, end, arb(last.error), kept, bits)
    loss = Stated(chebyshev.rounded(ball.loss, bits), 0.0)
    off = abs(ball.loss - loss.ball(bits))
    loss = loss._replace(radius=0.0 if off == 0 else up(ROOM * 2 * off))
    amplitude, delay = _bound(certificate, ball)
    rest = Rest(
        bits,
        ball.kind,
        tuple(chebyshev.rounded(x, bits) for x in ball.centre),
        ball.radius,
        ball.rates,
        down(2 * ball.mu),
        loss,
        amplitude,
        delay,
        tuple(flow.squares) if ball.kind == "squares" else (),
    )
    return replace(certificate, infinity=rest)


def _bound(certificate: Certificate, ball: Attracting) -> tuple[float, float]:
    """Amplitude and delay of a bound of ``L - L*`` for all ``t >= 0``."""
    flow, rate = certificate.flow(), 2 * ball.mu
    room = OTHERS if flow.form == "neurons" else ROOM
    start = [x + arb(0, certificate.radius) for x in flow.start]
    begin, delay = room * (flow.loss(start) - ball.loss).upper(), arb(0)
    amplitude = up(begin) + TINY
    for index, piece in enumerate(certificate.pieces):
        span, tube = certificate.span(index), arb(0, piece.tube)
        first, last = ((span.centre + s * span.half).expm1() for s in (-1, 1))
        parts = math.ceil(FINE * float((rate * (last - first)).upper())) + 1
        for k in range(parts):
            low, high = (arb(2 * (k + j) - parts) / parts for j in (0, 1))
            state = chebyshev.evaluated(piece.rows, low, certificate.bits)
            late = (span.centre + high * span.half).expm1()
            excess = flow.loss([x + tube for x in state]) - ball.loss
            part = room * excess.upper() / amplitude
            if part > 0:
                delay = delay.max(late + part.log() / rate)
    return amplitude, up(delay) + LATE
