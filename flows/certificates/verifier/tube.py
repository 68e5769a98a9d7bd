"""Tubes of one radius about the pieces of a certificate, and where they end."""

from typing import Any, NamedTuple

from flint import arb

from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.positive import positive
from flows.certificates.verifier.reading import number, require

NESTED = 4  # boxes about a polynomial, of a ball of starts: its tube is wide


class End(NamedTuple):
    """States where a piece ends: ``p + axes y``, ``|y| <= left``, and within ``error`` of ``p``.

    Without axes the latter alone.
    """

    axes: Any
    left: arb
    error: arb


class Ball:
    """A tube of one radius about a piece."""

    def __init__(self, stated: Any, wide: bool) -> None:
        self.reach, self.left = (arb(number(stated[key])) for key in ("tube", "error"))
        self.nested, self.widest = NESTED if wide else 1, self.reach

    def entered(self, before: End, jump: Any) -> arb:
        """Bound the distance where the piece begins."""
        return before.error + norm(jump)

    def largest(self, equations: Any, segment: Any, rho: arb) -> arb:
        """Bound of the field on an ellipse."""
        found: arb = segment.most(equations, rho)
        return found

    def forms(self, equations: Any, segment: Any, part: int, parts: int) -> tuple[Any, arb]:
        """Mean Hessians on a part, and how far off they may be in any direction.

        A mean Hessian is that between any state of the tube and its polynomial: on the way from
        there to the state, the ``k``-th part is within ``k/nested`` of it.
        """
        box, m = segment.box(part, parts), self.nested
        found = [equations.hessian(box + self.reach * (k + 1) / m * UNIT) for k in range(m)]
        return sum(found[1:], found[0]) / m, arb(0)

    def grows(self, equations: Any, segment: Any, part: int, parts: int, nu: arb) -> arb:
        """Refuse unless ``e' <= nu e + defect``; what the defect counts is one."""
        hessian, off = self.forms(equations, segment, part, parts)
        shift = nu * (-segment.time(part, parts)).exp() - off
        require(positive(hessian, shift), "errors may grow faster")
        return arb(1)

    def end(self) -> End:
        """Where the piece ends."""
        return End(None, arb(0), self.left)
