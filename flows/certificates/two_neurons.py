r"""From a finite certificate of two neurons to t = infinity, by a funnel: balls of starts.

A ball of starts does not shrink as shapes do in self-similar variables; a funnel holds states that
differ. The finite part ends where its ball fits into one, and goes on while constants get sharper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from flint import arb

from flows.certificates.certificate import Certificate
from flows.certificates.continued import FunnelTail
from flows.certificates.growing import accepted, growing
from flows.certificates.stated import Open, Stated
from flows.certificates.steps import Uncertified
from flows.certificates.tail import start
from flows.certificates.tail.funnel import CELLS, RADII, first, prove
from flows.certificates.verifier.funnel import funnel
from flows.certificates.verifier.funnel import funnelled as checked
from flows.certificates.verifier.verify import ends_of
from flows.core.system import System

Ball = Any  # flint.arb

#: Stated radii exceed what was computed, so that other machines agree.
ROOM = 1.0 + 2.0**-20
#: Ends of the finite part that are tried, one after the other.
ENDS = [2.0 ** (k / 2) for k in range(4, 25)]
#: So many proofs in a row that are no sharper end the search.
PATIENCE = 2
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
    made: list[Certificate] = []
    reason = ""
    try:
        for proved in _proofs(system, initial, digits, advance, radius):
            made.append(proved)
            if min(map(_spread, made)) < min(map(_spread, made[-PATIENCE:])):
                break  # it gets no sharper
    except Uncertified as problem:
        if not made:
            raise
        reason = str(problem)
    return accepted(sorted(made, key=_spread), reason)


def _proofs(
    system: System,
    initial: Any,
    digits: int,
    advance: Callable[[float], None] | None,
    radius: float,
) -> Iterator[Certificate]:
    """Proofs whose finite parts end later and later.

    Raises
    ------
    Uncertified
        In the end, with what hindered the last one.
    """
    reason = ""
    with growing(system, initial, digits, ENDS[-1], advance, radius) as begun:
        for end in ENDS:
            try:
                made = begun.until(end)
            except Uncertified as problem:
                raise Uncertified(f"{problem}{reason and f'; before, {reason}'}") from None
            try:
                yield replace(made, infinity=funnelled(made, begun.steps.equations))
            except Open as problem:
                reason = str(problem)
    raise Uncertified(f"UNDECIDED beyond t = {ENDS[-1]:.6g}: {reason}")


def _spread(certificate: Certificate) -> float:
    """Ratio of the constants for all times."""
    assert isinstance(certificate.infinity, FunnelTail)
    low, high = certificate.infinity.all_times
    return high / low


def funnelled(certificate: Certificate, equations: Any) -> FunnelTail:
    """What continues a certificate of two neurons for ever.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    entry, bits, v = start.entered(certificate), certificate.bits, equations.v
    p = len(v) - 1

    def held(stated: dict[str, Any]) -> Any:
        return funnel(stated, entry, p, arb(1), CELLS[p])

    made, _ = prove(first(entry), RADII[:-1], held)
    pieces = [piece.to_json() for piece in certificate.pieces]
    ends = ends_of(equations, pieces, bits, certificate.radius, len(v))
    found = checked(made.to_json(), v[0], pieces, ends, bits)
    limits = (Stated.of(x, bits, ROOM) for x in (found.limit, *found.h))
    return FunnelTail(bits, next(limits), tuple(limits), (found.lower, found.upper), made)
