"""Sums for expectations: boxes of states, steps, strips and counts, proposed where asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flint import arb, ctx

from flows.certificates.steps import BALL_GUARD
from flows.certificates.verifier.average import Average, Sums
from flows.certificates.verifier.derived import Derived
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.trapezoidal import Part, Rule, beyond, cells

#: Halves of the sides of boxes of states, and strips, that are tried.
NEAR = [2.0**-k for k in (3, 4, 5, 6, 8, 10, 13, 17, 23, 30, 38)]
STRIPS = [2.0 ** (k / 2) for k in range(5, -12, -1)]
#: Bits of coefficients that sums need not keep; and those of Hessians.
UNUSED, ROUGH = 28, 30
#: Where inputs may end, at first and in the end, and how much further the next one is; of an error,
#: what is beyond is no larger part.
FIRST, LAST, FURTHER, SMALL = 4.0, 2.0**10, 1.0625, 64
#: Points aside.
MOST = 2**13


class Proposing(Sums):
    """Sums for states, proposed where they are asked for, in the order of the file."""

    def __init__(self, average: Derived, size: int, inputs: int) -> None:
        super().__init__(average, size, inputs)
        kept = max(ctx.prec - BALL_GUARD - UNUSED, ROUGH)
        self.errors = [arb((1, -kept)), arb((1, -ROUGH))]
        self.stated: list[dict[str, Any]] = []

    def find(self, x: Sequence[Any]) -> int:
        """The first box with these states, which is made if there is none."""
        try:
            return super().find(x)
        except Refused:
            self._propose([c.real for c in x])
            return len(self.boxes) - 1

    def _proved(self, k: int, order: int) -> None:
        """What is proposed was proved."""

    def _propose(self, x: Sequence[arb]) -> None:
        wide, reason = max(float(c.rad()) for c in x), "states are too far apart for one sum"
        for radius in NEAR:
            if not wide <= radius / 2:
                break
            middle = [round(float(c.mid()) / radius) * radius for c in x]
            try:
                rules = [self._rule(k, [arb(c, radius) for c in middle]) for k in (0, 1)]
            except Refused as refused:
                reason = str(refused)
                continue
            stated = {
                "middle": [c.hex() for c in middle],
                "radius": radius.hex(),
                "rules": [[float(r.step).hex(), float(r.strip).hex(), r.aside] for r in rules],
            }
            self.stated.append(stated)
            self.add(stated)
            return
        raise Refused(reason)

    def _rule(self, order: int, near: list[arb]) -> Rule:
        """The one of the fewest points."""
        code, goal, end = self.codes[order], self.errors[order] / 2, FIRST
        while not (left := beyond(code, self.inputs, near, arb(end))) < goal / SMALL:
            end *= FURTHER
            if end > LAST:
                raise Refused("an integrand grows too fast")
        best, reason = None, "no strip serves"
        for strip in STRIPS:
            try:
                parts = [*cells(code, near, self.inputs, arb(end), arb(strip))]
                rule = _longest(parts, left, end, strip, goal)
            except Refused as refused:
                reason = str(refused)
                continue
            if best is not None and rule.aside >= best.aside:
                break
            best = rule
        if best is None:
            raise Refused(reason)
        return best


def _longest(parts: list[Part], left: arb, end: float, strip: float, goal: arb) -> Rule:
    """The rule of the longest step with which an error is as small as it should be."""
    count = math.ceil(end / min(strip, 1 / strip))
    while count < MOST:
        rule = Rule(arb(end / (count + 0.5)), arb(strip), count)
        off = rule.off(parts, left)
        if off <= goal:
            return rule
        less = float((off / goal).log()) / (2 * math.pi * strip)
        count += 1 + math.ceil(max(0.0, less) * end)
    raise Refused("an expectation takes too many points")


class Proposed(Average):
    """The verifier's equations, with sums that are proposed for states that have none yet."""

    kind = Proposing


def written(equations: Any) -> Any:
    """What a file states of the sums of its equations; None where they have none."""
    if not isinstance(equations, Proposed):
        return None
    made: Any = equations.sums
    return {"errors": [float(e).hex() for e in made.errors], "near": [*made.stated]}
