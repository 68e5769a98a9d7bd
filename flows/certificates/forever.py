r"""From a finite certificate to t = infinity: carry, tail, and bounds for all times.

The certificate is made to a horizon; from there the shape is carried in log-time until the
inequalities of :mod:`flows.certificates.tail.tail` hold. If none of this succeeds, or the
independent checker refuses its file, the certificate is continued to a later horizon. What is
returned was accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flows.certificates.certificate import Certificate, Origin
from flows.certificates.continued import AtZero, Infinity
from flows.certificates.decision import down
from flows.certificates.growing import Growing, checked, growing
from flows.certificates.stated import NOTHING, Open, Stated
from flows.certificates.steps import Uncertified
from flows.certificates.tail import start
from flows.certificates.tail.carry import Carry
from flows.certificates.tail.tail import Limits, prove, zero
from flows.certificates.vanishing import Vanishing, continued, left, may_leave, vanishing
from flows.certificates.verifier.curve import norm
from flows.core.system import System

Ball = Any  # flint.arb
#: From a certificate to that with the independent checker's bounds, and the reason of a refusal.
Check = Callable[[Certificate], tuple[Certificate, str]]

#: The last horizon, and how much later the next one is.
LAST, LATER = 1e12, 1e3
#: Horizons for a ball of starts, whose width does not shrink as the shape does.
SOON = [2.0**k for k in range(2, 11)]
#: And after a neuron has vanished, which leaves an error that the late variables magnify.
AFTERWARDS = [1e2, 1e3, 1e4, 1e5, 1e6]
#: Digits that are aimed at by the number of neurons, where nobody asks.
DIGITS = {2: 24, 3: 24, 4: 24}
FEWER = 14
#: Log-time that is carried at most, and after a first proof, for sharper limits; where the checker
#: refuses that, so many times what was carried since then.
MOST, AFTER, LONGER = 100.0, 4.0, 3.0
#: A limit is looked for where the shape moves by less than this part of itself.
STILL = 0.1
#: A limit that is not known to this part of itself is looked for once more, from the next horizon;
#: that of a ball of starts is as wide as they are.
SHARP = 1e-5
#: Stated radii exceed what was computed, so that other machines agree.
ROOM = 1.0 + 2.0**-20


def horizons(digits: int) -> list[float]:
    """Times to which the finite part is made, one after the other."""
    found = [min(LAST, 10.0 ** (0.4 * digits))]
    while found[-1] < LAST:
        found.append(min(LAST, found[-1] * LATER))
    return found


def certify_forever(
    system: System,
    initial: Any,
    digits: int | None,
    advance: Callable[[float], None] | None,
    radius: float = 0.0,
) -> Certificate:
    """Prove an enclosure for all times; see ``flows.certify``."""
    n = len(initial)
    if len(np.unique(initial, axis=0)) < n:
        raise Uncertified(
            "UNDECIDED: two neurons are equal and stay so, which the late flow does not treat;"
            " give a start of different neurons"
        )
    digits = DIGITS.get(n, FEWER) if digits is None else digits
    ends = horizons(digits) if radius == 0 else SOON
    with growing(system, initial, digits, ends[-1], advance, radius) as begun:
        return _sought(begun, ends, checked)


def _sought(begun: Growing, ends: Sequence[float], check: Check) -> Certificate:
    """A proof for all times that is accepted, from a certificate without pieces.

    Raises
    ------
    Uncertified
        Where none is found, with what hindered it.
    """
    steps = begun.steps
    flow: Any = steps.flow  # a SpanFlow
    reason, kept = "nothing was tried", None
    gone: list[Vanishing] = []

    def vanishes() -> bool:
        if begun.pieces:  # or it has none yet that it could follow
            gone.extend(vanishing(flow, steps.state))
        return bool(gone)

    for end in ends:
        try:
            made = begun.until(end, vanishes)
        except Uncertified as problem:
            if kept:
                return kept
            out = "; a neuron at zero could leave it again in another direction"
            out *= may_leave(flow, steps.state)
            raise Uncertified(f"{problem}{out}; before, {reason}") from None
        if gone:
            return _without(made, begun, gone[0], check)
        proved, reason = _accepted(made, check)
        if kept:
            return min(kept, proved or kept, key=_width)
        if proved and (begun.base.radius or _width(proved) <= SHARP):
            return proved
        kept = proved
    if kept:
        return kept
    raise Uncertified(f"UNDECIDED beyond t = {ends[-1]:.6g}: {reason}")


def _accepted(made: Certificate, check: Check) -> tuple[Certificate | None, str]:
    """The first proof that the checker accepts, or none and what hindered it."""
    why = ""
    try:
        for infinity in _continued(made):
            proved, why = check(replace(made, infinity=infinity))
            if not why:
                return proved, ""
            why = f"the independent checker refuses this proof, {why}"
    except Open as problem:
        why = why or str(problem)
    return None, why


def _width(proved: Certificate) -> float:
    """How much of itself the limit of ``t^3 L`` is not known to."""
    infinity: Any = proved.infinity  # an Infinity
    limit = infinity.constant
    return float(limit.rad() / abs(limit))


def _without(made: Certificate, begun: Growing, gone: Vanishing, check: Check) -> Certificate:
    """Go on without a neuron that vanishes after the pieces."""
    steps, until = begun.steps, down(start.end_time(made))
    made = replace(made, t_end=until)
    system, flow = left(made, gone, steps)

    wholes: list[tuple[Certificate, Certificate]] = []

    def together(rest: Certificate) -> tuple[Certificate, str]:
        """Check a proof of the others in that of all."""
        found = gone.neuron, gone.slope, gone.reach
        infinity = AtZero(*found, rest.pieces, rest.infinity, NOTHING)
        whole, why = check(replace(made, infinity=infinity))
        wholes.append((rest, whole))
        return rest, why

    base = replace(
        made,
        system=system,
        start=np.delete(made.start, gone.neuron, axis=0),
        pieces=(),
        origin=Origin(flow, steps.time),
    )
    later = [end for end in AFTERWARDS if end > until]
    rest = Growing(base, continued(steps, flow, gone), begun.advance)
    found = _sought(rest, later, together)
    return next(whole for part, whole in wholes if part is found)


def _continued(certificate: Certificate) -> Iterator[Infinity]:
    """Carry and tail: proofs, each after a longer carry than the one before.

    Raises
    ------
    Open
        Where no proof was found; in the end, with what hindered the next one.
    """
    late, bits = start.late(certificate, 0.0), certificate.bits
    reason = Open("no limiting shape is near")
    try:  # the clock that fits best needs no carry
        shape = zero(late)
        clock = start.clock(certificate, shape)
        yield _stated(
            certificate, clock, (), *prove(start.late(certificate, clock), shape, clock, bits)
        )
    except Open as problem:
        reason = problem
    if certificate.radius:  # a carry begins as wide, and its clock fits less
        raise reason
    carry, tried, first, due = Carry(late, bits), 0.0, 0.0, math.inf
    while carry.passed < MOST:
        try:
            carry.advance()
        except Open as problem:
            raise Open(f"{problem}; {reason}") from None
        late, passed = carry.late, carry.passed
        if passed < tried + 1 or not carry.speed < STILL * float(norm(late.c.ravel())):
            continue
        tried = passed
        try:
            found = prove(late, zero(late), 0.0, bits)
        except Open as problem:
            reason = problem
            continue
        if not first:
            first, due = passed, passed + AFTER
        if passed >= due:
            yield _stated(certificate, 0.0, tuple(carry.steps), *found)
            due = passed + LONGER * (passed - first)
    raise reason


def _stated(
    certificate: Certificate, clock: float, steps: Any, tail: dict[str, Any], found: Limits
) -> Infinity:
    """State what follows, in the user's units."""
    flow: Any = certificate.flow()  # a SpanFlow
    bits, teacher = certificate.bits, flow.teacher[0]
    limit, h, _ = found
    limits = (Stated.of(x, bits, ROOM) for x in (limit * teacher**2, *(h * teacher)))
    return Infinity(bits, next(limits), tuple(limits), NOTHING, clock, steps, tail)
