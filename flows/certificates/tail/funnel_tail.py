"""Continuation of a certificate of two neurons for ever: a funnel, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.certificates.stated import Stated
from flows.certificates.tail.funnel import Funnel

Ball = Any  # flint.arb


@dataclass(frozen=True)
class FunnelTail:
    """What continues a certificate of two neurons for ever.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    funnel : Funnel
        The flow is in it at the end of the pieces.
    limit : Stated
        ``lim t^3 L``.
    h : tuple of Stated
        Limits of the neurons' parts along the teacher, in its direction.
    all_times : tuple of float
        ``lower (1+t)^-3 <= L <= upper (1+t)^-3`` for all ``t >= 0``.
    """

    bits: int
    funnel: Funnel
    limit: Stated
    h: tuple[Stated, ...]
    all_times: tuple[float, float]

    @property
    def constant(self) -> Ball:
        """Ball that contains ``lim t^3 L``."""
        return self.limit.ball(self.bits)

    @property
    def parts(self) -> list[Ball]:
        """Balls that contain the limits of the neurons' parts along the teacher."""
        return [part.ball(self.bits) for part in self.h]

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {
            "kind": "funnel",
            **self.funnel.to_json(),
            "limit": self.limit.to_json(),
            "h": [part.to_json() for part in self.h],
            "all_times": [x.hex() for x in self.all_times],
        }

    @classmethod
    def from_json(cls, data: Any, bits: int) -> FunnelTail:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        low, high = map(float.fromhex, data["all_times"])
        return cls(
            bits,
            Funnel.from_json(data),
            Stated.from_json(data["limit"]),
            tuple(map(Stated.from_json, data["h"])),
            (low, high),
        )
