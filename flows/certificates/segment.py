"""A piece of a certificate: a polynomial on a segment of log-time, and its proved bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

from flint import arb

from flows.certificates.chebyshev import Row
from flows.certificates.ellipsoid import Ellipsoid
from flows.core.balls import Ball


class Segment(NamedTuple):
    """A polynomial on a segment of log-time, with what is proved of it.

    Parameters
    ----------
    end : int
        Where it ends, ``tau = end 2^-bits``; it begins where the last one ended.
    signs : tuple of int
        In the plane, the sign of the area of each pair: the branch of the field.
    rho : float
        Parameter of the ellipse on which the field is bounded.
    defect : float
        Bound of ``|p' - e^tau f(p)|``.
    growth : tuple of float
        Bound of the logarithmic norm on each of equal parts.
    tube : float
        Bound of the distance between flow and polynomial on the whole segment.
    error : float
        Bound of this distance at the end.
    rows : tuple of lists of int
        Chebyshev coefficients of each component, multiples of ``2^-bits``.
    arcs : int
        Parts of the ellipse's upper half on which the field is bounded; 1: one box around it all.
    reach : float
        Of arcs: so far from the polynomial the field is bounded too.
    points : int
        Of arcs: at so many the Hessian is evaluated, between which it is interpolated.
    around : Ellipsoid, optional
        A tube that is narrower than ``tube`` in some directions: of a ball of starts.
    """

    end: int
    signs: tuple[int, ...]
    rho: float
    defect: float
    growth: tuple[float, ...]
    tube: float
    error: float
    rows: tuple[Row, ...]
    arcs: int = 1
    reach: float = 0.0
    points: int = 0
    around: Ellipsoid | None = None

    def widths(self, bits: int) -> list[Ball]:
        """Bound of each component of the distance on the segment."""
        if self.around is None:
            return [arb(self.tube)] * len(self.rows)
        return self.around.widths(bits)

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        between = {"arcs": self.arcs, "reach": self.reach.hex(), "points": self.points}
        return {
            "end": f"{self.end:x}",
            "signs": list(self.signs),
            "rho": self.rho.hex(),
            "defect": self.defect.hex(),
            "growth": [nu.hex() for nu in self.growth],
            "tube": self.tube.hex(),
            "error": self.error.hex(),
            "coefficients": [[f"{c:x}" for c in row] for row in self.rows],
            **(between if self.arcs > 1 else {}),
            **({} if self.around is None else self.around.to_json()),
        }

    @classmethod
    def from_json(cls, data: Any) -> Segment:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        number = float.fromhex
        return cls(
            int(data["end"], 16),
            tuple(data["signs"]),
            number(data["rho"]),
            number(data["defect"]),
            tuple(map(number, data["growth"])),
            number(data["tube"]),
            number(data["error"]),
            tuple([int(c, 16) for c in row] for row in data["coefficients"]),
            data.get("arcs", 1),
            number(data["reach"]) if "arcs" in data else 0.0,
            data.get("points", 0),
            Ellipsoid.from_json(data) if "axes" in data else None,
        )
