"""Which texts can name a block or a potential; nothing heavy is imported for that."""

from __future__ import annotations

import keyword
import re
from typing import Any

from potentials.notation import CONSTANTS, FROZEN

__all__ = ["is_name", "is_word", "refused"]

# Names of what every run has.
RESERVED = {
    *("loss", "excess", "gradient_norm", "t", "rounding", "expectation_error", "relative_error"),
    *("start", "state", "final_state", "entry", "observable"),
}
ENDINGS = ("_dot", *FROZEN)


def is_word(name: Any) -> bool:
    """Whether a text is a plain identifier, such as a block's name."""
    plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None
    return plain and not keyword.iskeyword(name)


def is_name(name: Any) -> bool:
    """Whether a text can name a potential: a word that is not reserved and has no suffix."""
    return not refused(name)


def refused(name: Any) -> str:
    """Why a text cannot name a potential; nothing where it can.

    Examples
    --------
    >>> refused("d"), refused("size_0"), refused("square")
    ('in claims it is a constant, such as a size', 'in claims _0 says when or how it moves', '')
    """
    if not is_word(name):
        return "it is no plain word"
    if name in CONSTANTS:
        return "in claims it is a constant, such as a size"
    if name in RESERVED:
        return "every run has something of this name"
    ending = next((end for end in ENDINGS if name.endswith(end)), "")
    return f"in claims {ending} says when or how it moves" if ending else ""
