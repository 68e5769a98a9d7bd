"""A loss of one's own on the command line: a polynomial in a file, as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cli.options import check_given, flag, given
from flows.core.errors import InputError
from flows.core.options import Options
from flows.systems.registry import POLYNOMIAL, SYSTEMS, make

if TYPE_CHECKING:
    from flows.core.system import System

KEYS = ("name", "blocks", "terms")
MAX_BYTES = 2**24
#: Options of a flow that say something about it beside the system.
OPTIONS = ("t_end", "t_eval", "max_seconds", "initial")


def read_loss(path: str) -> System:
    """System of a loss file: JSON of ``name``, ``blocks`` and ``terms``, as certificates have it.

    Raises
    ------
    InputError
        For a file that is missing or holds anything else.
    """
    wanted = f"{path}: expected a polynomial loss, JSON with {', '.join(KEYS)}"
    if not Path(path).is_file():
        raise InputError(f"{wanted}, got no file; name one")
    if Path(path).stat().st_size > MAX_BYTES:
        raise InputError(f"{wanted}, got more than {MAX_BYTES} bytes; name another")
    try:
        data = json.loads(Path(path).read_text("ascii"))
        if not isinstance(data, dict):
            raise InputError(f"{wanted}, got a {type(data).__name__}; mend it")
        if {*data} != {*KEYS}:
            raise InputError(f"{wanted}, got {', '.join(data) or 'none'}; mend it")
        return make(POLYNOMIAL, data)
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{wanted}, got {type(error).__name__}: {error}; mend it") from None


def is_name(subject: str) -> bool:
    """Whether a word is a name, not a file or a formula."""
    return subject.isidentifier()


def loss_or_system(subject: str, options: Options) -> System:
    """System of a name and its options, of a file of a loss, or of a loss that is typed.

    Raises
    ------
    InputError
        For options that it does not have, and for what is none of these.
    """
    if subject in SYSTEMS:
        check_given(subject, options)
        return SYSTEMS[subject].from_options(options)[0]
    if foreign := given(options):
        raise InputError(f"{flag(foreign[0])}: a loss has none; leave it out")
    return read_loss(subject) if subject.endswith(".json") else typed_loss(subject)


def typed_loss(text: str) -> System:
    """System of a loss that is typed, in numbers whose names are those of its variables.

    Raises
    ------
    InputError
        For what is no formula.
    """
    import sympy as sp

    from flows.systems.own.system import OwnSystem
    from symbolic.language.text import names_in, read_expression

    blocks = {name: sp.Symbol(name, real=True) for name in names_in(text)}
    if not blocks:
        raise InputError(f"LOSS: expected a formula with variables, got {text!r:.60}")
    return OwnSystem("typed", tuple(blocks.values()), read_expression(text, blocks))


def own_problem(system: System, options: Options) -> tuple[System, Any]:
    """System and start of an own loss, which has no start of its own.

    Raises
    ------
    InputError
        For options that it does not have, and without a start.
    """
    from flows.core.starts import given_array

    foreign = [name for name in given(options) if name not in OPTIONS]
    if foreign:
        raise InputError(f"{flag(foreign[0])} is not an option of {system.name}; leave it out")
    start = given_array(options, "initial", ("entry",))
    if start is None:
        raise InputError(f"--initial: expected a start of {system.name}, got none; name a file")
    return system, system.check_start(start)
