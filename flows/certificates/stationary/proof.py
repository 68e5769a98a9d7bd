"""What is proved of a critical point of a hidden layer of ReLUs, leaky or not, and its file."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flint import arb

from flows.certificates.stationary.layer import Setting
from flows.core.balls import precision
from flows.core.files import check_output, write_file

Ball = Any  # flint.arb

FORMAT = "popflow stationary 1"
#: Precision of the centre, and what the working precision exceeds it by.
BITS, GUARD = 128, 32


@dataclass(frozen=True)
class Kind:
    """Inertia of a symmetric matrix, and a bound of its least eigenvalue.

    Parameters
    ----------
    index : int
        Negative eigenvalues; no eigenvalue is zero.
    least : float
        Below the least eigenvalue if none is negative, else above it.
    """

    index: int
    least: float


@dataclass(frozen=True)
class Proof:
    """A critical point of a hidden layer of ReLUs that is proved.

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
    within : Kind
        Of the Hessian in the coordinates of students and teachers.
    across : Kind
        Of the matrix ``S`` of all other directions.
    loss : tuple of int, int and float
        Value times a power of 2, this power, and the radius.
    """

    setting: Setting
    bits: int
    centre: tuple[tuple[int, ...], ...]
    radius: float
    near: float
    within: Kind
    across: Kind
    loss: tuple[int, int, float]

    @property
    def kind(self) -> str:
        """What is proved of the point in every dimension."""
        if self.within.index:
            return "saddle"
        return "minimum in its space, saddle beyond it" if self.across.index else "minimum"

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        value, bits, radius = self.loss
        return {
            "format": FORMAT,
            "system": "two_layer",
            "slope": self.setting.slope.hex(),
            "teachers": [[x.hex() for x in row] for row in self.setting.teachers],
            "output_weights": [x.hex() for x in self.setting.outputs],
            "teacher_weights": [x.hex() for x in self.setting.weights],
            "bits": self.bits,
            "precision": self.bits + GUARD,
            "centre": [[f"{x:x}" for x in row] for row in self.centre],
            "radius": self.radius.hex(),
            "kind": self.kind,
            "hessian": {"index": self.within.index, "least": self.within.least.hex()},
            "across": {"index": self.across.index, "least": self.across.least.hex()},
            "loss": {"value": f"{value:x}", "bits": bits, "radius": radius.hex()},
        }

    def summary(self) -> dict[str, Any]:
        """Return what a person reads: loss, bound of the Hessian, radius; in doubles and digits."""
        value, bits, radius = self.loss
        with precision(max(64, bits + GUARD)):
            digits = arb((value, -bits)).str(max(15, int(bits * math.log10(2))), radius=False)
        low = self.within.least if self.within.index == 0 else None
        return {
            "kind": self.kind,
            "loss": {"value": digits, "radius": radius},
            "hessian_lower": low,
            "curvature_upper": None if low is not None else self.within.least,
            "index": self.within.index,
            "across": {"index": self.across.index, "least": self.across.least},
            "unique_radius": self.radius,
            "dimensions": len(self.setting.teachers[0]),
        }

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the certificate as JSON, which `popflow verify` checks.

        Raises
        ------
        InputError
            If the file exists and ``force`` is not given.
        """
        check_output(os.fspath(path), force)
        text = json.dumps(self.to_json(), separators=(",", ":"))
        write_file(os.fspath(path), lambda part: Path(part).write_text(text + "\n", "ascii"))

    @property
    def loss_ball(self) -> Ball:
        """Ball that contains the loss."""
        value, bits, radius = self.loss
        return arb((value, -bits)) + arb(0, radius)


def is_point(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it is about a critical point; by its beginning."""
    try:
        with open(path, encoding="ascii") as file:
            return FORMAT in file.read(len(FORMAT) + 40)
    except (OSError, UnicodeDecodeError):
        return False
