r"""From a finite certificate to t = infinity, where the flow rests in the end.

The finite part is made further until a ball of :mod:`flows.certificates.rest.balls` attracts. From
then on ``L - L*`` falls like ``e^(-2 mu t)``. For all ``t >= 0`` it is at most ``a e^(-2 mu (t -
delay))``, where ``a`` bounds it at ``t = 0``, and the delay is the largest of ``t + log((L -
L*)/a)/(2 mu)`` on the pieces, bounded on parts by what it is made of at their two ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flint import arb

from flows.certificates.averages import written
from flows.certificates.certificate import Certificate
from flows.certificates.continued import Rest
from flows.certificates.decision import down, up
from flows.certificates.growing import accepted, growing
from flows.certificates.rest.balls import attracting
from flows.certificates.rest.failing import failing
from flows.certificates.stated import Open, Stated
from flows.certificates.steps import Uncertified
from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.rest import before, segments_of
from flows.core.balls import Singular
from flows.core.system import System

Ball = Any  # flint.arb

#: Times to which the finite part is made: the first, by what factor they grow, and the last.
FIRST, LATER, LAST = 1.0, 1.5, 1e4
DIGITS = 20
#: Parts of the sharp rate that are claimed; how much later a better one is looked for.
KEPT, PATIENCE = (0.9, 0.5, 0.1), 6.0
#: Stated bounds have room.
ROOM = 1.0 + 2.0**-20
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
        equations = begun.steps.equations
        fails = failing(begun.steps.flow, equations) if radius == 0 else None
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
                    found.append(_proved(made, equations, part))
                    kept, until = part, min(until, PATIENCE * end)
                    break
                except (Open, Singular) as problem:
                    reason = str(problem)
            if kept == KEPT[0]:
                break
            end *= LATER
    return accepted(reversed(found), f"UNDECIDED beyond t = {LAST:.6g}: {reason}")


def _proved(certificate: Certificate, equations: Any, kept: float) -> Certificate:
    """Add the proof for all times.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    bits, room = certificate.bits, arb(ROOM)
    segments = [*segments_of([piece.to_json() for piece in certificate.pieces], bits)]
    stated, ball = attracting(certificate.flow(), equations, segments, kept, bits)
    begin = equations.loss(equations.start + UNIT * certificate.radius) - ball.lowest
    amplitude, delay = up(room * begin.upper()) + TINY, arb(0)
    for excess, late in before(equations, segments, ball):
        part = room * excess.upper() / amplitude
        if part > 0:
            delay = delay.max(late + part.log() / (2 * ball.mu))
    stated |= {
        "rate": down(2 * ball.mu).hex(),
        "loss": Stated.of(ball.lowest, bits, 2.0).to_json(),
        "amplitude": amplitude.hex(),
        "delay": (up(delay) + LATE).hex(),
    }
    infinity = Rest.from_json(stated, bits)
    return replace(certificate, infinity=infinity, sums=written(equations))
