"""What a file about late states of two neurons proves, as a table and as JSON."""

from __future__ import annotations

import os
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TYPE_CHECKING, Any

from flows.cli import output

if TYPE_CHECKING:
    from flows.certificates.verifier.late_states import LateStates


def is_late(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it is about late states; by its beginning."""
    from flows.certificates.verifier.late_states import FORMAT

    try:
        with open(path, encoding="ascii") as file:
            return FORMAT in file.read(len(FORMAT) + 40)
    except (OSError, UnicodeDecodeError):
        return False


def verified(states: LateStates) -> list[Any]:
    """Tables of the states and of what was verified of them."""
    rows = [
        ("accepted", states.statement),
        ("dimension", str(states.d)),
        ("states", "in units of the teacher's length, D = |z_1 - z_2|:"),
        ("", "0 < D <= reach, |z_1 + z_2| <= across D, |h_1 + h_2 - 1| <= along D"),
        ("constants", "lower (1/D + t)^-3 <= L(t) <= (upper + more/D) (1/D + t)^-3, all t >= 0"),
    ]
    heads = ("|h_1 - h_2|", "reach", "across", "along", "t^3 L ->", "lower", "upper", "more")
    boxes = [
        (
            f"{box.low:g} to {box.high:g}",
            *(f"{x:g}" for x in (box.reach, box.across, box.along)),
            f"{_rounded(box.limit[0], ROUND_FLOOR)} to {_rounded(box.limit[1], ROUND_CEILING)}",
            _rounded(box.lower, ROUND_FLOOR),
            *(_rounded(x, ROUND_CEILING) for x in (box.upper, box.more)),
        )
        for box in states.boxes
    ]
    return [output.table(("late states", "two neurons"), rows), output.table(heads, boxes)]


def _rounded(x: float, direction: str) -> str:
    """Four digits; a bound is one only if it is rounded to its side."""
    return f"{Context(prec=4, rounding=direction).create_decimal(x):f}"


def late_json(states: LateStates | None) -> dict[str, Any]:
    """What was verified, as JSON values; nothing if it was refused."""
    if states is None:
        return {}
    return {
        "system": "relu_neuron",
        "d": states.d,
        "statement": states.statement,
        "boxes": [box._asdict() for box in states.boxes],
    }
