"""The options of a flow on the command line, made from what the systems say of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import click

from flows.core.errors import InputError, unknown
from flows.core.options import RANDOM_START, START, Option, Options, Slider
from flows.systems.registry import OPTIONS, SYSTEMS

Command = Callable[..., Any]

T_END = 1e9  # where `check` and `inspect` stop unless told otherwise
RTOL, METHOD = 1e-10, "auto"
# Seconds after which a command ends unless told otherwise.
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
    "--workers",
    metavar="W",
    type=int,
    help="Chunks of members at a time [default: one a core].",
)


def all_options() -> list[Option]:
    """Options of every run, then those that systems add; those of one name are joined."""
    own = [option for options in OPTIONS.values() for option in options if not option.refused]
    names = dict.fromkeys(option.name for option in own)
    return [*FLOW, *(_joined([o for o in own if o.name == name]) for name in names)]


def _joined(same: Sequence[Option]) -> Option:
    """One option for those of one name, which says what it means for each system."""
    if len(same) == 1:
        return same[0]
    meanings = sorted(option.meaning_and_default for option in same)
    return replace(same[0], meaning=", or ".join(meanings), default=None)


def options_of(system: str) -> dict[str, Option]:
    """Options that a system has, by name."""
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


def flow_options(command: Command, refused: Sequence[str] = (), **helps: str) -> Command:
    """Give a command the options of a flow, then those of each system.

    Those that the command refuses are read, so that it can say why, and its help is silent on them.
    ``helps`` says of an option what it means here.
    """
    for option in reversed(all_options()):
        decorate = click.option(
            option.flag,
            metavar=option.metavar,
            help=helps.get(option.name, option.text),
            hidden=option.name in refused,
            **_parser(option),
        )
        command = decorate(command)
    return command


class FlowCommand(click.Command):
    """Command whose help lists the options of a system below its name, after those of all."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list of options for each heading."""
        found: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            line = parameter.get_help_record(ctx)
            if line and isinstance(parameter, click.Option):
                found.setdefault(_heading(parameter.name), []).append(line)
        for heading, lines in found.items():
            with formatter.section(heading):
                formatter.write_dl(lines)


def _heading(name: str | None) -> str:
    """Heading of the list in which an option stands."""
    having = [
        system
        for system, own in OPTIONS.items()
        if any(option.name == name and not option.refused for option in own)
    ]
    return f"Options of {' and '.join(having)}" if having else "Options"


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


def check_given(name: str, options: Options) -> None:
    """Refuse options of another system, and two that exclude each other.

    Parameters
    ----------
    name : str
        The system.
    options : mapping
        All options.

    Raises
    ------
    InputError
        For one option that should not be given.
    """
    one_of("system", name, SYSTEMS)
    names, known = given(options), options_of(name)
    if foreign := [key for key in names if key not in known]:
        reasons = {option.name: option.refused for option in OPTIONS[name]}
        advice = reasons.get(foreign[0]) or "leave it out"
        raise InputError(f"{flag(foreign[0])} is not an option of {name}; {advice}")
    twice = [key for key in names if key in law_names(name)]
    if "initial" in names and twice:
        raise InputError(f"--initial: expected no {flag(twice[0])} beside it; give one of them")


def law_names(name: str) -> list[str]:
    """Names of the options of a system that determine a random start."""
    return [o.name for o in RANDOM_START] + [o.name for o in OPTIONS[name] if o.of_start]


def flag(name: str) -> str:
    """Option of this name on the command line."""
    return "--" + name.replace("_", "-")
