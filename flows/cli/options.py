"""The options of a flow on the command line, made from the systems' own lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import click

from flows.core.errors import InputError, unknown
from flows.core.options import BY_NAME, START, Option, Options, Slider
from flows.systems.registry import OPTIONS

Command = Callable[..., Any]

T_END = 1e9  # where runs stop by default
RTOL, METHOD = 1e-10, "auto"
# Seconds after which a command ends by default.
MAX_SECONDS = 600.0
SIZE = click.IntRange(1, 10**7)  # far beyond any memory, but n d is a number NumPy can count to
#: Options of every run: its end, start and solver.
FLOW = (
    Option(
        "t_end",
        "number",
        "Integrate to this time",
        "T",
        label="horizon T",
        slider=Slider(0, 15, 0.25, logarithmic=True),
    ),
    *START,
    Option(
        "t_eval",
        "numbers",
        "Output times, else geometric",
        "T1,T2,..",
        example="1,10,100",
        plural="times",
        label="output times",
        rare=True,
    ),
    Option("rtol", "number", "Relative tolerance of a step", "R", RTOL, rare=True),
    Option("method", "text", "Solver", "M", METHOD, rare=True),
    Option("max_seconds", "number", "End after this many seconds", "S", MAX_SECONDS, rare=True),
)

#: Of members: which ends count, and how many chunks go side by side.
below_option = click.option(
    "--below",
    metavar="R",
    type=float,
    default=1e-6,
    show_default=True,
    help="Count members with loss(T) <= R loss(0).",
)
workers_option = click.option(
    "--workers", metavar="W", type=int, help="Chunks of members at a time [default: one a core]."
)


def all_options() -> list[Option]:
    """Options of every run, of a loss of one's own, of systems; those of one name are joined."""
    own = [option for options in OPTIONS.values() for option in options if not option.refused]
    names = dict.fromkeys(option.name for option in own)
    joined = (_joined([o for o in own if o.name == name]) for name in names)
    return [*FLOW, BY_NAME, *joined]


def _joined(same: Sequence[Option]) -> Option:
    """One option for those of one name, which says what it means for each system."""
    if len(same) == 1:
        return same[0]
    meanings = sorted(option.meaning_and_default for option in same)
    return replace(same[0], meaning=", or ".join(meanings), default=None)


#: Options that say nothing about a minimiser, a potential or a derivation.
OF_RUNS = ("t_end", "t_eval", "rtol", "method", "initial", "scale", "seed")
#: Options of which none is given.
NOT_GIVEN: dict[str, Any] = {option.name: None for option in all_options()}


def options_of(system: str) -> dict[str, Option]:
    """Options that a shipped system has, by name."""
    known = {option.name: option for option in (*FLOW, *OPTIONS[system])}
    return {name: option for name, option in known.items() if not option.refused}


def comma_separated(plural: str, example: str) -> Callable[..., list[float] | None]:
    """Click callback that reads numbers with commas between them, such as those of ``example``."""

    def read(
        context: click.Context, option: click.Parameter, text: str | None
    ) -> list[float] | None:
        try:
            return None if text is None else [float(part) for part in text.split(",")]
        except ValueError as error:
            raise InputError(
                f"{option.opts[0]}: expected {plural} separated by commas, like"
                f" {example}, got {text!r}"
            ) from error

    return read


def _parser(option: Option) -> dict[str, Any]:
    """Arguments of click that say how the value of an option is read."""
    match option.kind:
        case "size":
            return {"type": SIZE}
        case "integer":
            return {"type": int}
        case "number":
            return {"type": float}
        case "numbers":
            return {"callback": comma_separated(option.plural, option.example)}
        case "choice":
            return {"type": click.Choice(option.choices)}
        case "flag":
            return {"is_flag": True, "default": None}
        case _:
            return {}


def attributes(option: Option) -> dict[str, Any]:
    """Arguments of click that make an option of the command line of one of a flow."""
    return {"metavar": option.metavar, "help": option.text, **_parser(option)}


def flow_options(command: Command, refused: Sequence[str] = (), **helps: str) -> Command:
    """Give a command the options of a flow, then those of each system.

    Those that the command refuses are read, so that it can say why, and its help is silent on them.
    ``helps`` says of an option what it means here.
    """
    for option in reversed(all_options()):
        said = {"help": helps[option.name]} if option.name in helps else {}
        hidden = option.name in refused
        command = click.option(option.flag, hidden=hidden, **attributes(option) | said)(command)
    return command


def one_of(what: str, name: str | None, known: Iterable[str]) -> None:
    """Refuse a name that is not known.

    Raises
    ------
    InputError
        With the nearest one, and all that are.
    """
    names = list(known)
    if name is not None and name not in names:
        raise unknown(what, name, names)


def given(options: Options) -> list[str]:
    """Names of the options that are given."""
    return [name for name, value in options.items() if value is not None]


def refuse(options: Options, names: Iterable[str], why: str) -> None:
    """Refuse options that say nothing here.

    Raises
    ------
    InputError
        For the first that is given, with what has none.
    """
    for name in names:
        if options[name] is not None:
            raise InputError(f"{flag(name)}: {why}; leave it out")


def flag(name: str) -> str:
    """Option of this name on the command line."""
    return "--" + name.replace("_", "-")
