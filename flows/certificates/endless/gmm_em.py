r"""From a finite certificate of means on a line to t = infinity; see ``flows.certify``.

The finite part is made to later and later times, until the flow is in a box of
:mod:`flows.certificates.verifier.means` that it never leaves, by the independent checker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.certificate import Certificate
from flows.certificates.continued import MeansTail
from flows.certificates.decision import down
from flows.certificates.growing import accepted, checked, growing
from flows.certificates.stated import NOTHING, Open, Stated, enlarged
from flows.certificates.steps import Uncertified
from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.means import exact_weights, loss, spectrum, trapped
from flows.core.system import System

DIGITS = 20
HORIZONS = [10.0**k for k in range(2, 11)]
#: ``N`` is within this part of its limit, where bounds for all times are to be sharp.
SHARP = 0.02
#: Bounds of the box are tried from here on.
LEAST = 1e-9


def prove(
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
                found, sharp = _continued(made, begun.steps.equations)
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


def _continued(certificate: Certificate, equations: Any) -> tuple[MeansTail, bool]:
    """What continues the pieces, and whether its bounds are sharp.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    bits, last = certificate.bits, certificate.pieces[-1]
    state = np.array([arb((sum(row), -bits)) + arb(0, last.error) for row in last.rows])
    end = arb((last.end, -bits)).expm1()
    least, gap, _ = spectrum(exact_weights(equations))
    pi, lowest = np.array(equations.weights, float), float(least.mid())
    pi /= pi.sum()
    z = np.array([float(x.mid()) for x in state])
    z -= pi @ z / (pi @ pi) * pi
    square = z @ (pi * z) / lowest
    if not square > 0:
        raise Open("the means may not differ at the end")
    settled = 1 / (2 * lowest**2)
    stated = {"clock": (settled / square - float(end.mid())).hex(), "e": LEAST.hex()}
    stated |= {"across": LEAST.hex(), "aside": ("0x0p+0" if gap is None else LEAST.hex())}
    stated, found = enlarged(stated, lambda data: trapped(data, equations, state, end))
    limit = found.constant + UNIT * arb((8, -bits))  # other roundings agree
    stated |= {"limit": Stated.of(limit, bits, 1.0).to_json()}
    made = MeansTail.from_json(stated | {"all_times": [x.hex() for x in NOTHING]}, bits)
    below = down(found.late) < _least(certificate, equations)
    slack = settled - float(found.floor.mid()) if below else made.e
    return made, slack < SHARP * settled


def _least(certificate: Certificate, equations: Any) -> float:
    """About the least ``(1+t)^2 L`` at ends of pieces, which decides nothing."""
    found = []
    for piece in certificate.pieces:
        state = np.array([arb((sum(row), -certificate.bits)) for row in piece.rows])
        grown = (2 * arb((piece.end, -certificate.bits))).exp()
        found.append(float((grown * loss(equations, state)).mid()))
    return min(found)
