"""The theorem about a critical point of a hidden layer, and its file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.document import Document
from flows.certificates.verifier.stationary import Block
from flows.core.balls import precision

Ball = Any  # flint.arb

FORMAT = "popflow stationary 1"
#: Precision of the centre, and what the working precision exceeds it by.
BITS, GUARD = 128, 32


class Setting(NamedTuple):
    """What fixes the loss: teachers, a row each, weights of both layers, slope; exact doubles.

    Its system is the name that a file states. Outputs are empty where they are coordinates, and
    else those of the point where they are trained. A leaky ReLU is a ReLU with its slope.
    """

    system: str
    teachers: tuple[tuple[float, ...], ...]
    outputs: tuple[float, ...]
    weights: tuple[float, ...]
    slope: float = 0.0
    activation: str = "relu"
    trained: bool = False


@dataclass(frozen=True)
class Proof(Document):
    """A critical point of a hidden layer that is proved.

    Parameters
    ----------
    setting : Setting
        Teachers, weights and slope.
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    centre : tuple of tuples of int
        Students near the point, times ``2^bits``.
    radius : float
        No other critical point has all coordinates within this of the centre.
    near : float
        All coordinates of the point are within this of the centre.
    within : Block
        Of the Hessian in the coordinates of students and teachers.
    across : Block, optional
        Of the matrix ``S`` of all other directions; None where nothing is said of these.
    loss : tuple of int, int and float
        Value times a power of 2, this power, and the radius.
    held : tuple of pairs of int
        Coordinates that are the centre's, as many as there are moves: student and axis.
    moves : tuple of pairs of int
        Students that turn into each other with the same loss.
    """

    setting: Setting
    bits: int
    centre: tuple[tuple[int, ...], ...]
    radius: float
    near: float
    within: Block
    across: Block | None
    loss: tuple[int, int, float]
    held: tuple[tuple[int, int], ...] = ()
    moves: tuple[tuple[int, int], ...] = ()

    @property
    def kind(self) -> str:
        """What is proved of the point in every dimension."""
        if self.within.index:
            return "saddle"
        if self.across is None:
            return "minimum in its space"
        return "minimum in its space, saddle beyond it" if self.across.index else "minimum"

    @property
    def up_to(self) -> str:
        """What a minimum is moved by with the same loss; empty where it is isolated."""
        found = ["turns of students among each other"] if self.moves else []
        if self.setting.trained and self.setting.outputs:
            found.append("scales of each student and its output")
        return " and ".join(found)

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        value, bits, radius = self.loss
        setting = self.setting
        more: dict[str, Any] = {}
        if setting.activation != "relu":
            more["activation"] = setting.activation
        if setting.trained:
            more["trained"] = True
        if self.moves:
            more |= {"held": [*map(list, self.held)], "moves": [*map(list, self.moves)]}
        return {
            "format": FORMAT,
            "system": setting.system,
            "slope": self.setting.slope.hex(),
            "teachers": [[x.hex() for x in row] for row in self.setting.teachers],
            "output_weights": [x.hex() for x in self.setting.outputs],
            "teacher_weights": [x.hex() for x in self.setting.weights],
            "bits": self.bits,
            "precision": self.bits + GUARD,
            "centre": [[f"{x:x}" for x in row] for row in self.centre],
            "radius": self.radius.hex(),
            "kind": self.kind,
            "hessian": _written(self.within),
            "across": None if self.across is None else _written(self.across),
            "loss": {"value": f"{value:x}", "bits": bits, "radius": radius.hex()},
            **more,
        }

    def summary(self) -> dict[str, Any]:
        """Return what a person reads: loss, bound of the Hessian, radius; in doubles and digits."""
        across, (value, bits, radius) = self.across, self.loss
        with precision(max(64, bits + GUARD)):
            digits = arb((value, -bits)).str(max(15, int(bits * math.log10(2))), radius=False)
        low = self.within.least if self.within.index == 0 else None
        return {
            "kind": self.kind,
            "loss": {"value": digits, "radius": radius},
            "hessian_lower": low,
            "curvature_upper": None if low is not None else self.within.least,
            "index": self.within.index,
            "across": across and {"index": across.index, "least": across.least},
            "unique_radius": self.radius,
            "dimensions": len(self.setting.teachers[0]),
        }

    @property
    def loss_ball(self) -> Ball:
        """Ball that contains the loss."""
        value, bits, radius = self.loss
        return arb((value, -bits)) + arb(0, radius)


def _written(kind: Block) -> dict[str, Any]:
    return {"index": kind.index, "least": kind.least.hex()}
