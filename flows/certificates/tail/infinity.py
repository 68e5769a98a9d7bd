"""A proof to t = infinity: its data, and the bounds for all times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb

from flows.certificates.stated import Stated
from flows.certificates.tail.carry import Step
from flows.certificates.tail.lens import Lens
from flows.certificates.tail.tail import Tail
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
    steps : tuple of Step
        The carry, from the end of the certificate.
    shape : tuple of int
        Limiting shape that the tail is about, times ``2^bits``.
    tail : Tail
        Its radii; ``tail.c`` is the shape.
    limit : Stated
        ``lim t^3 L``.
    h : tuple of Stated
        Limits of the neurons' parts along the teacher, in its direction.
    all_times : tuple of float
        ``lower (1+t)^-3 <= L <= upper (1+t)^-3`` for all ``t >= 0``.
    """

    bits: int
    clock: float
    steps: tuple[Step, ...]
    shape: tuple[int, ...]
    tail: Tail
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
            "steps": [
                {
                    "length": step.length.hex(),
                    "coefficients": [[f"{c:x}" for c in row] for row in step.rows],
                    **{key: float(getattr(step, key)).hex() for key in STEP},
                }
                for step in self.steps
            ],
            "tail": {
                "shape": [f"{c:x}" for c in self.shape],
                **{key: float(getattr(self.tail, key)).hex() for key in TAIL},
                **_frame(self.tail.lens),
            },
            "limit": self.limit.to_json(),
            "h": [part.to_json() for part in self.h],
            "all_times": [x.hex() for x in self.all_times],
        }

    @classmethod
    def from_json(cls, data: Any, bits: int) -> Infinity:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        number = float.fromhex
        shape = tuple(int(c, 16) for c in data["tail"]["shape"])
        values = {key: number(data["tail"][key]) for key in TAIL}
        return cls(
            bits,
            number(data["clock"]),
            tuple(
                Step(
                    number(step["length"]),
                    tuple([int(c, 16) for c in row] for row in step["coefficients"]),
                    **{key: number(step[key]) for key in STEP},
                )
                for step in data["steps"]
            ),
            shape,
            Tail([arb((c, -bits)) for c in shape], **values, lens=_lens(data["tail"])),
            Stated.from_json(data["limit"]),
            tuple(map(Stated.from_json, data["h"])),
            _pair(data["all_times"]),
        )


#: Radii of a step and of a tail, as their files name them.
STEP = ("e", "across", "along", "drift", "growth")
TAIL = ("e", "d", "across", "along", "drift", "rate")


def _frame(lens: Lens) -> dict[str, Any]:
    """The matrix of a lens, if there is one."""
    return {"frame": [[x.hex() for x in row] for row in lens.rows]} if lens.rows else {}


def _lens(data: Any) -> Lens:
    return Lens(tuple(tuple(map(float.fromhex, row)) for row in data.get("frame", ())))


def _pair(data: Sequence[str]) -> tuple[float, float]:
    low, high = map(float.fromhex, data)
    return low, high
