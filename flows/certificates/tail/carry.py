r"""The carry: from the end of a certificate to where the shape contracts, in log-time.

On a step of length ``h`` a cubic ``p`` follows the limiting flow. With ``nu`` above the eigenvalues
of the symmetric part of ``DF`` on the box around it, across rotations of ``p``, and ``D = p' -
F(p)``, the distance of the true shape from the rotations of ``p`` obeys ``e' <= nu e + |D|``, so

    e  <=  e^(nu h) e_0 + max(1, e^(nu h)) |D| h.

Cubics are made here, in plain numbers; all bounds are those of
:meth:`flows.certificates.verifier.tail.Flow.step`, which says what becomes of sums and of ``g``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.chebyshev import rounded
from flows.certificates.decision import up
from flows.certificates.stated import LEAST, ROOM, Open, enlarged
from flows.certificates.tail.late import Late, exact
from flows.certificates.verifier.curve import norm
from flows.certificates.verifier.reading import Refused, number, require

Ball = Any  # flint.arb

#: Lengths of steps in log-time.
FIRST, LONGEST, SHORTEST = 2.0**-4, 2.0**-1, 2.0**-12
#: The defect of the cubic itself is at most this part of the speed, or of what else is off.
OWN, OTHER = 2.0**-13, 1.0
#: Where errors shrink at this rate, the cubic may be coarser by this factor; or it may feed errors
#: by this part of what they lose.
FORGETS, COARSER, FED = -0.5, 2.0**5, 0.25
TRIES, WIDEST = 12, 2.0**-3


class Carry:
    """Steps that are tried until they are proved, each as long as it may be."""

    def __init__(self, late: Late, bits: int) -> None:
        self.late, self.bits, self.length = late, bits, FIRST
        self.steps: list[dict[str, Any]] = []
        self.passed = self.speed = self.nu = self.forced = self.drift = 0.0

    def advance(self) -> None:
        """Make and prove one step."""
        reason = ""
        while self.length >= SHORTEST:
            try:
                stated, late = enlarged(self._guess(), self._ended, TRIES)
            except (Open, Refused) as problem:
                reason = str(problem)
                self.length /= 2
                continue
            self.late, self.nu, self.forced = late, late.growth, up(late.ahead[2])
            self.steps.append(stated | {"growth": late.growth.hex()})
            self.drift = number(stated["drift"]) * math.exp(-2 * self.length) / ROOM
            self.passed += self.length
            self.length = min(LONGEST, 2 * self.length)
            return
        raise Open(f"no step from s = {float(self.late.s):.3g}: {reason}")

    def _ended(self, stated: dict[str, Any]) -> Late:
        """The state at the end of a step, if it is proved."""
        require(number(stated["e"]) <= WIDEST, "the shape may be too far from the cubic")
        late = copy.copy(self.late)
        late.step(stated, arb(0), self.bits)
        return late

    def _guess(self) -> dict[str, Any]:
        """A step along the limiting flow; nothing is proved of it.

        Raises
        ------
        Open, Refused
            Where a cubic does not follow it closely.
        """
        late, still = self.late, self.late.resting()
        forgotten = OWN * COARSER if self.nu < FORGETS else OWN
        error = up(late.e + norm((late.c - exact(late.c)).ravel()))
        while True:
            b = self._cubic(still)
            own = up(still.off(b, arb(self.length) / 2))
            if own <= max(forgotten * self.speed, OTHER * self.forced, -FED * self.nu * error):
                break
            self.length /= 2
            if not self.length >= SHORTEST:
                raise Open("the limiting flow is not followed closely by a cubic")
        grown = max(1.0, math.exp(self.nu * self.length))
        radii = {
            "e": grown * (error + (own + self.forced) * self.length),
            "across": up(late.across),
            "along": up(late.along),
            "drift": self.drift,
        }
        # Growth is found where the step is checked.
        return {
            "length": self.length.hex(),
            "coefficients": [
                [f"{rounded(z, self.bits):x}" for z in row]
                for row in zip(*(x.ravel() for x in b), strict=True)
            ],
            **{name: (ROOM * x + LEAST).hex() for name, x in radii.items()},
            "growth": (0.0).hex(),
        }

    def _cubic(self, still: Late) -> Sequence[Any]:
        """Hermite's cubic of a step of Runge and Kutta, in powers of ``v`` in [-1, 1]."""

        def field(c: Any) -> Any:
            return exact(np.array(still.field(c)).reshape(c.shape))

        h, c = arb(self.length), exact(self.late.c)
        k1 = field(c)
        self.speed = float(norm(k1.ravel()))
        k2 = field(exact(c + k1 * (h / 2)))
        k3 = field(exact(c + k2 * (h / 2)))
        k4 = field(exact(c + k3 * h))
        end = exact(c + (k1 + 2 * k2 + 2 * k3 + k4) * (h / 6))
        jump, a, b = end - c, k1 * (h / 2), field(end) * (h / 2)  # slopes by v
        parts = (c + end) / 2 + (a - b) / 4, 3 * jump / 4 - (a + b) / 4, (b - a) / 4
        return [exact(x) for x in (*parts, (a + b) / 4 - jump / 4)]
