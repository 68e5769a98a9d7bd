"""Which texts can name a block or a potential; nothing heavy is imported for that."""

from __future__ import annotations

import keyword
import re
from typing import Any

from potentials.notation import CONSTANTS, FROZEN

__all__ = ["is_name", "is_word"]

# Names that potentials cannot have.
RESERVED = {
    *("loss", "excess", "gradient_norm", "t", "rounding", "expectation_error", "relative_error"),
    *("start", "state", "final_state", "entry", "observable", *CONSTANTS),
}


def is_word(name: Any) -> bool:
    """Whether a text is a plain identifier, such as a block's name."""
    plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None
    return plain and not keyword.iskeyword(name)


def is_name(name: Any) -> bool:
    """Whether a text can name a potential: a word that is not reserved and has no suffix."""
    return is_word(name) and name not in RESERVED and not name.endswith(("_dot", *FROZEN))
