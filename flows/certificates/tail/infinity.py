"""A proof to t = infinity: its data, and the bounds for all times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.certificates.stated import Stated
from flows.core.errors import InputError

Ball = Any  # flint.arb


@dataclass(frozen=True)
class Infinity:
    """What continues a finite certificate for ever.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    clock : float
        ``t0`` of ``s = 1/(t0 + t)``.
    steps : tuple of dict
        The carry, from the end of the certificate, as its file states it: ``coefficients`` of
        cubics in powers of ``v`` in [-1, 1], times ``2^bits``, for a ``length`` of log-time; bounds
        ``e`` of the distance of shapes, ``across`` and ``along`` of ``|rho|`` and ``|sigma|``,
        ``drift`` of how far ``g`` moves, and ``growth`` of that of errors.
    tail : dict
        The ``shape`` that the tail is about, times ``2^bits``, and its radii, likewise.
    limit : Stated
        ``lim t^3 L``.
    h : tuple of Stated
        Limits of the neurons' parts along the teacher, in its direction.
    all_times : tuple of float
        ``lower (1+t)^-3 <= L <= upper (1+t)^-3`` for all ``t >= 0``.
    """

    bits: int
    clock: float
    steps: tuple[dict[str, Any], ...]
    tail: dict[str, Any]
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

    def proves(self, relation: str, constant: float) -> bool:
        """Whether ``L <= constant (1+t)^-3``, or ``>=``, is proved for all ``t >= 0``.

        Raises
        ------
        InputError
            For another relation than ``<=`` and ``>=``.
        """
        lower, upper = self.all_times
        if relation not in ("<=", ">="):
            raise InputError(f"relation: expected <= or >=, got {relation!r}; give one of them")
        return upper <= constant if relation == "<=" else constant <= lower

    def proves_limit(self, interval: Ball) -> bool:
        """Whether it is proved that ``t^3 L`` has its limit in a ball."""
        return bool(interval.contains(self.constant))

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {
            "clock": self.clock.hex(),
            "steps": list(self.steps),
            "tail": self.tail,
            "limit": self.limit.to_json(),
            "h": [part.to_json() for part in self.h],
            "all_times": [x.hex() for x in self.all_times],
        }

    @classmethod
    def from_json(cls, data: Any, bits: int) -> Infinity:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        low, high = map(float.fromhex, data["all_times"])
        return cls(
            bits,
            float.fromhex(data["clock"]),
            tuple(map(dict, data["steps"])),
            dict(data["tail"]),
            Stated.from_json(data["limit"]),
            tuple(map(Stated.from_json, data["h"])),
            (low, high),
        )
