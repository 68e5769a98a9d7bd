"""What continues a certificate of means on a line for ever, where ``t^2 L`` has its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.certificates.stated import Stated

Ball = Any  # flint.arb


@dataclass(frozen=True)
class MeansTail:
    """What continues a certificate of means for ever.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    clock : float
        ``t0`` of ``s = 1/(t0 + t)``.
    e, across, aside : float
        Bounds of ``N`` about ``N*``, of ``|rho|``, and of ``|f|/|e|``, from the end of the pieces
        on; the last one is zero where there is no ``f``. What they are is said by
        :mod:`flows.certificates.verifier.means`.
    limit : Stated
        ``lim t^2 L``.
    all_times : tuple of float
        ``lower (1+t)^-2 <= L <= upper (1+t)^-2`` for all ``t >= 0``.
    """

    bits: int
    clock: float
    e: float
    across: float
    aside: float
    limit: Stated
    all_times: tuple[float, float]

    @property
    def constant(self) -> Ball:
        """Ball that contains ``lim t^2 L``."""
        return self.limit.ball(self.bits)

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {
            "kind": "means",
            "clock": self.clock.hex(),
            "e": self.e.hex(),
            "across": self.across.hex(),
            "aside": self.aside.hex(),
            "limit": self.limit.to_json(),
            "all_times": [x.hex() for x in self.all_times],
        }

    @classmethod
    def from_json(cls, data: Any, bits: int) -> MeansTail:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        number = float.fromhex
        low, high = map(number, data["all_times"])
        return cls(
            bits,
            number(data["clock"]),
            number(data["e"]),
            number(data["across"]),
            number(data.get("aside", "0x0p+0")),  # files of two means and equal weights have none
            Stated.from_json(data["limit"]),
            (low, high),
        )
