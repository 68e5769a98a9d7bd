"""What is said of all times, and of which trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import Any, Protocol

from flint import arb

from flows.certificates.decision import down, interval_end, up

__all__ = ["Enclosed", "ForAllTimes", "above", "below", "dot", "said"]

Ball = Any  # flint.arb


class Enclosed(Protocol):
    """A state at a time T, enclosed in balls: that of a certificate at its end, or a start."""

    @property
    def system(self) -> Any:
        """The flow."""

    @property
    def start(self) -> Any:
        """User's parameters at time 0, exact."""

    @property
    def radius(self) -> float:
        """Every start within this distance is meant."""

    @property
    def t_end(self) -> float:
        """The time T."""

    @property
    def precision(self) -> int:
        """Working precision in bits."""

    def state(self, t: float) -> list[Any]:
        """User's parameters at T."""

    def loss(self, t: float) -> Ball:
        """Loss at T."""


@dataclass(frozen=True)
class ForAllTimes:
    """What a theorem says of one trajectory for all times from T on.

    Parameters
    ----------
    theorem : str
        Its name.
    begin : float
        The time T, the end of the certificate, or 0.
    proved : bool
        Whether all hypotheses about time T are proved.
    hypotheses : tuple of (str, bool)
        Each, and whether it is proved.
    says : str
        The conclusion, with numbers.
    """

    theorem: str
    begin: float
    proved: bool
    hypotheses: tuple[tuple[str, bool], ...]
    says: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        lines = [{"hypothesis": label, "proved": holds} for label, holds in self.hypotheses]
        about = {"theorem": self.theorem, "begin": self.begin, "proved": self.proved}
        return {**about, "hypotheses": lines, "says": self.says}


def said(theorem: str, enclosed: Enclosed, lines: list[tuple[str, bool]], says: str) -> ForAllTimes:
    """A conclusion, under hypotheses each of which is proved or not."""
    holds = all(ok for _, ok in lines)
    return ForAllTimes(theorem, enclosed.t_end, holds, tuple(lines), says)


def dot(a: list[Ball], b: list[Ball]) -> Ball:
    """Inner product."""
    return sum((x * y for x, y in zip(a, b, strict=True)), arb(0))


def above(x: Ball) -> str:
    """Four digits of a number that is not below it."""
    return interval_end(up(x), ROUND_CEILING)


def below(x: Ball) -> str:
    """Four digits of a number that is not above it."""
    return interval_end(down(x), ROUND_FLOOR)
