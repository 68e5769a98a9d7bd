"""A loss of one's own on the command line: a polynomial in a file, as data, or typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flows.core.errors import InputError
from flows.systems.registry import OWN, make

if TYPE_CHECKING:
    from flows.core.system import System

KEYS = "name", "blocks"
MAX_BYTES = 2**24


def read_loss(path: str) -> System:
    """System of a loss file: JSON of name, blocks, and terms or steps, as certificates have it.

    Raises
    ------
    InputError
        For a file that is missing or holds anything else.
    """
    wanted = f"{path}: expected a loss, JSON with {', '.join(KEYS)}, terms or steps"
    if not Path(path).is_file():
        raise InputError(f"{wanted}, got no file; name one")
    if Path(path).stat().st_size > MAX_BYTES:
        raise InputError(f"{wanted}, got more than {MAX_BYTES} bytes; name another")
    try:
        data = json.loads(Path(path).read_text("ascii"))
        if not isinstance(data, dict):
            raise InputError(f"{wanted}, got a {type(data).__name__}; mend it")
        kind = OWN["steps" in data]
        if {*data} != {*KEYS, "steps" if "steps" in data else "terms"}:
            raise InputError(f"{wanted}, got {', '.join(data) or 'none'}; mend it")
        return make(kind, data)
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{wanted}, got {type(error).__name__}: {error}; mend it") from None


def typed_loss(text: str) -> System:
    """System of a loss that is typed, in numbers whose names are those of its variables.

    Raises
    ------
    InputError
        For what is no formula.
    """
    import sympy as sp

    from symbolic.language.text import names_in, read_expression

    blocks = {name: sp.Symbol(name, real=True) for name in names_in(text)}
    if not blocks:
        raise InputError(f"LOSS: expected a formula with variables, got {text!r:.60}")
    loss = read_expression(text, blocks)
    from flows.systems.own.system import OwnSystem  # takes long: what is no formula is refused

    return OwnSystem("typed", tuple(blocks.values()), loss)
