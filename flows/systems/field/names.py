"""Which texts can name a block or a potential; nothing heavy is imported for that."""

from __future__ import annotations

import keyword
import re
from typing import Any

from potentials.notation import FROZEN, is_time

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
    """Whether a text can name a quantity: a word that is not reserved and has no suffix."""
    return not refused(name)


def refused(name: Any) -> str:
    """Why a text cannot name a potential or a parameter; nothing where it can.

    Examples
    --------
    >>> refused("T2"), refused("size_0"), refused("square")
    ('in claims it is a time of the run', 'in claims _0 says when or how it moves', '')
    """
    if not is_word(name):
        return "it is no plain word"
    if is_time(name):
        return "in claims it is a time of the run"
    if name in RESERVED:
        return "every run has something of this name"
    ending = next((end for end in ENDINGS if name.endswith(end)), "")
    return f"in claims {ending} says when or how it moves" if ending else ""
