"""What continues a finite certificate for ever where the flow rests in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb

from flows.certificates.stated import Stated

Ball = Any  # flint.arb


@dataclass(frozen=True)
class Rest:
    """A ball in which the flow stays, and a bound of ``L - L*`` at all times.

    ``0 <= L(t) - L* <= amplitude e^(-rate (t - delay))`` for all ``t >= 0``.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    kind : str
        ``convex``: Hessians are positive definite on the ball. ``layers``: the loss of a
        factorisation falls at a rate there (Polyak and Lojasiewicz). ``squares``: so does a sum
        of squares.
    centre : tuple of int
        Its centre, times ``2^bits``.
    radius : float
        Its radius.
    rates : tuple of float
        Of ``convex`` what Hessians are above; of ``layers`` what the two quadratic forms are above,
        see ``flows/certificates/rest/balls.py``.
    rate : float
        Of the loss.
    loss : Stated
        ``L*``, the limit of the loss.
    amplitude, delay : float
        Of this bound.
    squares : tuple
        Of ``squares``, half whose sum is ``L - L*``: numerator and denominator of each weight, and
        the terms of each polynomial.
    """

    bits: int
    kind: str
    centre: tuple[int, ...]
    radius: float
    rates: tuple[float, ...]
    rate: float
    loss: Stated
    amplitude: float
    delay: float
    squares: tuple[Any, ...] = ()

    @property
    def limit_loss(self) -> Ball:
        """Ball that contains the limit of the loss."""
        return self.loss.ball(self.bits)

    @property
    def limit(self) -> list[Ball]:
        """Balls that contain the limits of the coordinates."""
        return [arb((x, -self.bits)) + arb(0, self.radius) for x in self.centre]

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {
            "kind": self.kind,
            "centre": [f"{x:x}" for x in self.centre],
            "radius": self.radius.hex(),
            "rates": [x.hex() for x in self.rates],
            "rate": self.rate.hex(),
            "loss": self.loss.to_json(),
            "amplitude": self.amplitude.hex(),
            "delay": self.delay.hex(),
            **({"squares": list(self.squares)} if self.squares else {}),
        }

    @classmethod
    def from_json(cls, data: Any, bits: int) -> Rest:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        number = float.fromhex
        return cls(
            bits,
            str(data["kind"]),
            tuple(int(x, 16) for x in data["centre"]),
            number(data["radius"]),
            tuple(map(number, data["rates"])),
            number(data["rate"]),
            Stated.from_json(data["loss"]),
            number(data["amplitude"]),
            number(data["delay"]),
            tuple(data.get("squares", ())),
        )
