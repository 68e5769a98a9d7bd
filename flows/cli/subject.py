"""The argument SYSTEM of every verb: a name, a file of one's own, a typed loss, or a saved run.

One function reads it; a verb gets a :class:`Subject`, which makes a system and a start of options.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.cli.options import FLOW, flag, given
from flows.core.errors import InputError, nearest
from flows.core.options import BY_NAME, FIXED, RANDOM_START, Option, Options, chosen
from flows.systems.registry import MODELS, OPTIONS, SYSTEMS

if TYPE_CHECKING:
    from flows.core.system import System
    from potentials import Statements

__all__ = ["NAMES", "SavedRun", "Subject", "asked_of", "subject_of", "system_of"]

PYTHON = re.compile(r"(?P<path>.+\.py)(:(?P<name>\w+))?")
# A text of these characters alone is a name with a slip of the pen, and no loss.
WORD = re.compile(r"[A-Za-z_][\w./\\-]*")
# Systems that have a name.
NAMES = (*SYSTEMS, *MODELS)
EXAMPLE = '"(x*y - 1)**2/2"'


@dataclass(frozen=True)
class SavedRun:
    """A file that ``popflow run --out`` wrote; it takes no options."""

    path: str


@dataclass(frozen=True)
class Subject:
    """What is followed, before the options say of which size and from where.

    Parameters
    ----------
    name : str
        As messages show it.
    options : tuple of Option
        Its own beside those of every flow, and those that it refuses.
    build : callable
        From options, and whether they hold several starts, to a system and a start.
    shipped : bool
        Whether it is one of :data:`flows.systems.registry.SYSTEMS`.
    definition : Model, optional
        The class that a file defines.
    """

    name: str
    options: tuple[Option, ...]
    build: Callable[[Options, bool], tuple[System, Any]]
    shipped: bool = False
    definition: Any = None

    @property
    def known(self) -> dict[str, Option]:
        """Options that it has, by name."""
        found = {option.name: option for option in (*FLOW, *self.options)}
        return {name: option for name, option in found.items() if not option.refused}

    @property
    def law_names(self) -> list[str]:
        """Names of the options that determine a random start."""
        sizes = RANDOM_START if self.shipped else RANDOM_START[2:]
        return [o.name for o in sizes] + [o.name for o in self.options if o.of_start]

    def check(self, options: Options) -> None:
        """Refuse options of another system, and two that exclude each other.

        Raises
        ------
        InputError
            For one option that should not be given.
        """
        names, known = given(options), self.known
        if foreign := [key for key in names if key not in known]:
            reasons = {option.name: option.refused for option in self.options}
            advice = reasons.get(foreign[0]) or "leave it out"
            raise InputError(f"{flag(foreign[0])} is not an option of {self.name}; {advice}")
        for start in ("initial", BY_NAME.name):
            others = {*self.law_names, BY_NAME.name} - {start}
            twice = [key for key in names if key in others]
            if start in names and twice:
                raise InputError(
                    f"{flag(start)}: expected no {flag(twice[0])} beside it; give one of them"
                )

    def problem(self, options: Options, members: bool = False) -> tuple[System, Any]:
        """System and start that the options ask for.

        Raises
        ------
        InputError
            For options that exclude each other, are another system's, or have bad values.
        """
        self.check(options)
        return self.build(options, members)

    def statements(self, options: Options) -> Statements:
        """Potentials and claims; of a shipped system without making it."""
        if self.shipped:
            from potentials import statements

            return statements(self.name)
        return self.build({**options, "initial": None, BY_NAME.name: None}, False)[0].statements


def subject_of(text: str) -> Subject | SavedRun:
    """Read the argument SYSTEM.

    Parameters
    ----------
    text : str
        The name of a system that comes with popflow, in a folder or a file; ``FILE.py`` or
        ``FILE.py:NAME``, which is run as Python runs it; a loss of at most 1000 characters;
        ``FILE.json``, a loss as data; any other file, a saved run.

    Raises
    ------
    InputError
        For what is none of these, and a file of one's own that fails.
    """
    if text in SYSTEMS:
        return _shipped(text)
    if found := PYTHON.fullmatch(MODELS.get(text, text)):
        from flows.cli.own_file import defined_in

        return _defined(defined_in(found["path"], found["name"]), found["path"])
    if text.endswith(".json"):
        from flows.cli.losses import read_loss

        return _made(read_loss(text))
    if text.endswith(".nc") or os.path.exists(text):
        return SavedRun(text)
    if WORD.fullmatch(text) or not text.strip():
        near = nearest(text, NAMES)
        hint = f" did you mean {near}?" if near else ""
        raise InputError(
            f"unknown system {text!r};{hint} known: {', '.join(NAMES)}, FILE.py, a loss such as"
            f" {EXAMPLE}, or a file that popflow run --out wrote"
        )
    from flows.cli.losses import typed_loss

    return _made(typed_loss(text))


def system_of(text: str) -> Subject:
    """Read the argument SYSTEM of a verb that begins anew.

    Raises
    ------
    InputError
        Also for a saved run.
    """
    found = subject_of(text)
    if isinstance(found, SavedRun):
        raise InputError(
            f"{text}: expected a system, got a saved run; give its name, FILE.py or a loss"
        )
    return found


def asked_of(system: System) -> Subject:
    """Read of a system that is there, as a certificate states it, what options may say of it."""
    return _shipped(system.name) if system.name in SYSTEMS else _made(system)


def _shipped(name: str) -> Subject:
    return Subject(
        name,
        OPTIONS[name],
        lambda options, members: SYSTEMS[name].from_options(options, members=members),
        shipped=True,
    )


def _made(system: System) -> Subject:
    """Of a system that is there: options choose its start alone."""
    return Subject(
        system.name,
        (BY_NAME, *FIXED),
        lambda options, members: (system, start_of(system, options, members)),
    )


def _defined(found: Any, path: str) -> Subject:
    """Of a file: a system, or a model whose options are those of the command line."""
    from flows.core.system import System

    if isinstance(found, System):
        return _made(found)
    from flows.cli.own_file import errors_named

    own = found.options()
    names = {option.name for option in own}

    def build(options: Options, members: bool) -> tuple[System, Any]:
        asked = {name: options[name] for name in names if options.get(name) is not None}
        with errors_named(path):
            system: System = found(**asked)
            return system, start_of(system, options, members)

    fixed = tuple(option for option in FIXED if option.name not in names)
    return Subject(found.__name__, (BY_NAME, *fixed, *own), build, definition=found)


def start_of(system: System, options: Options, members: bool = False) -> Any:
    """Start that options choose of a system: in a file, by names, or random.

    Raises
    ------
    InputError
        For a start of another shape or other names.
    """
    from flows.core.starts import given_array

    axes = (*(("members",) if members else ()), *system.dimensions)
    start = given_array(options, "initial", axes)
    if start is not None:
        return start if members else system.check_start(start)
    if options.get(BY_NAME.name) is not None:
        start = system.check_start(by_name(options[BY_NAME.name]))
        return start[None] if members else start
    return system.initial(scale=chosen(options, "scale"), seed=chosen(options, "seed"))


def by_name(text: str) -> dict[str, float]:
    """Read numbers by names, such as ``x=0.5,y=0.4``.

    Raises
    ------
    InputError
        For other words.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            message = f"expected numbers by name, such as x=0.5,y=0.4, got {text!r:.60}"
            raise InputError(message) from None
        if name.strip() in found:
            raise InputError(f"expected one number a name, got two of {name.strip()}")
        found[name.strip()] = value
    return found
