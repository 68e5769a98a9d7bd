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
from flows.certificates.decision import down, up
from flows.certificates.features.registry import enclosure
from flows.certificates.growing import accepted, checked, growing
from flows.certificates.stated import Open, Stated
from flows.certificates.steps import Uncertified
from flows.certificates.tail.all_times import extreme
from flows.certificates.tail.means import MeansTail, Mixture, Trap, trap
from flows.certificates.tail.start import end_time
from flows.core.balls import dot
from flows.core.system import System

DIGITS = 20
HORIZONS = [10.0**k for k in range(2, 11)]
#: ``N`` is within this part of its limit, where bounds for all times are to be sharp.
SHARP = 0.02
TRIES, ROOM = 30, 1.25
#: ``|f|/|e|`` may be as large.
LEAST = 1e-9


def certify_means(
    system: System,
    initial: Any,
    digits: int | None,
    advance: Callable[[float], None] | None,
    radius: float = 0.0,
) -> Certificate:
    """Prove an enclosure for all times of means on a line."""
    digits = DIGITS if digits is None else digits
    rough: list[Certificate] = []
    reason = "nothing was tried"
    with growing(system, initial, digits, HORIZONS[-1], advance, radius) as begun:
        flow: Any = begun.steps.flow
        if len(flow.weights) < 2:
            raise Uncertified(
                "UNDECIDED: a proof for ever is of two means or more; give such, or a finite time"
            )
        for end in HORIZONS:
            try:
                made = begun.until(end)
            except Uncertified as problem:
                reason = f"{problem}; before, {reason}"
                break
            try:
                found, sharp = _continued(made)
            except Open as problem:
                reason = f"UNDECIDED beyond t = {end:.6g}: {problem}"
                continue
            made = replace(made, infinity=found)
            if not sharp:
                rough.append(made)  # what approaches slowly never gets sharp
            else:
                proved, refused = checked(made)
                if not refused:
                    return proved
                reason = f"UNDECIDED: the independent checker refuses this proof, {refused}"
    return accepted(reversed(rough), reason)


def _continued(certificate: Certificate) -> tuple[MeansTail, bool]:
    """What continues the pieces, and whether its bounds are sharp.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    flow: Any = certificate.flow()
    mixture, last = Mixture(flow.weights), certificate.pieces[-1]
    end = [arb((sum(row), -certificate.bits)) + arb(0, last.error) for row in last.rows]
    z = mixture.across(end)
    if not dot(z, z) > 0:
        raise Open("the means may not differ at the end")
    clock = float((mixture.settled / mixture.late(end, arb(1))[0] - end_time(certificate)).mid())
    s = 1 / (arb(clock) + end_time(certificate))
    n, rho, ratio = mixture.late(end, s)
    if not ratio.is_finite():
        raise Open("it may be on its way to a saddle: the part of z that stays may be zero")
    slow = mixture.next is not None
    off = n - mixture.settled
    e, across = (ROOM * up(abs(x)) for x in (off, rho))
    aside = max(ROOM * up(ratio), LEAST) if slow else 0.0
    for _ in range(TRIES):
        found = trap(mixture, s, arb(e), arb(across), arb(aside))
        if not (found.pull > 0 and found.stiff > 0 and (found.narrow > 0 or not slow)):
            break
        wide, high = found.push / found.pull, found.driven / found.stiff
        far = found.bent / found.narrow if slow else arb(0)
        begins = found.floor < n and off < e and abs(rho) < across
        if begins and wide < e and high < across and (not slow or ratio.max(far) < aside):
            tail, binding = _concluded(certificate, mixture, clock, s, found, (e, across, aside))
            slack = mixture.settled - found.floor if binding else arb(e)
            return tail, bool(slack < SHARP * mixture.settled)
        e, across = max(e, ROOM * up(wide)), max(across, ROOM * up(high))
        aside = max(aside, ROOM * up(far))
    raise Open(
        f"|N - N*| stays below e fails: {e:.3g} against {float(mixture.settled):.3g}"
        + f", with |f|/|e| below {aside:.3g}" * slow
    )


def _concluded(
    certificate: Certificate,
    mixture: Mixture,
    clock: float,
    s: arb,
    found: Trap,
    sizes: tuple[float, float, float],
) -> tuple[MeansTail, bool]:
    """What is stated, and whether its lower bound for all times is one of late times."""
    bits = certificate.bits
    late = (1 + (1 - arb(clock)) * arb(0).union(s)) ** 2 * found.energy
    parts = enclosure(certificate)
    low, high = (sign * extreme(parts, sign, power=2) for sign in (-1, 1))
    limit = Stated(chebyshev.rounded(mixture.limit, bits), 0.0)
    off = abs(mixture.limit - limit.ball(bits)) + arb((8, -bits))  # other roundings agree
    limit = limit._replace(radius=up(off))
    every = min(low, down(late)), max(high, up(late))
    return MeansTail(bits, clock, *sizes, limit, every), every[0] < low
