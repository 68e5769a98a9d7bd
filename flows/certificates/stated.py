"""Numbers of a file, and how they are enlarged until the checker proves what they state."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeVar

from flint import arb

from flows.certificates import chebyshev
from flows.certificates.decision import up
from flows.certificates.verifier.positive import Exceeded
from flows.certificates.verifier.reading import Refused

Ball = Any  # flint.arb
Proved = TypeVar("Proved")

#: Bounds of all times that say nothing: the independent checker proves better ones.
NOTHING = (0.0, sys.float_info.max)
#: Enlargements, each by so much beyond what was needed.
TRIES, ROOM = 40, 1.25
#: Where nothing is known of a number that is stated, it is tried from here on.
LEAST = 1e-300


class Stated(NamedTuple):
    """A number: a multiple of ``2^-bits``, and how far off it is at most."""

    value: int
    radius: float

    @classmethod
    def of(cls, x: Ball, bits: int, room: float) -> Stated:
        """A ball, its radius taken so often: other machines round otherwise."""
        value = chebyshev.rounded(x, bits)
        off = abs(x - arb((value, -bits)))
        return cls(value, 0.0 if off == 0 else up(room * off))

    def ball(self, bits: int) -> Ball:
        """As a ball."""
        return arb((self.value, -bits)) + arb(0, self.radius)

    def to_json(self) -> dict[str, str]:
        """A number as its file states it."""
        return {"value": f"{self.value:x}", "radius": self.radius.hex()}

    @classmethod
    def from_json(cls, data: Any) -> Stated:
        """A number of a file."""
        return cls(int(data["value"], 16), float.fromhex(data["radius"]))


class Open(ArithmeticError):
    """The inequality that failed, with its numbers."""


def enlarged(
    stated: dict[str, Any],
    check: Callable[[dict[str, Any]], Proved],
    tries: int = TRIES,
    names: Collection[str] | None = None,
) -> tuple[dict[str, Any], Proved]:
    """Enlarge doubles of a file, each as the inequality asks that refuses it; and what is proved.

    Others than those of these names stay as they are.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    reason, free = "", stated.keys() if names is None else names
    for _ in range(tries):
        try:
            return stated, check(stated)
        except Exceeded as short:
            reason = str(short)
            if not all(name in free and 1 <= x < math.inf for name, x in short.times.items()):
                break
            stated = stated | {
                name: (ROOM * often * float.fromhex(stated[name])).hex()
                for name, often in short.times.items()
            }
        except Refused as refused:
            raise Open(str(refused)) from None
    raise Open(reason)
