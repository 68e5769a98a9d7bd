"""Options of a run, as data from which the command line and the form are made.

The options that every system has are here; a system states its own ones beside its code, in a file
that imports nothing heavy, so that a help text is there at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

__all__ = [
    "BY_NAME",
    "FIXED",
    "RANDOM_START",
    "START",
    "Option",
    "Options",
    "Slider",
    "chosen",
    "law_options",
]

#: Values by the names of the options, None where an option is not given.
Options = Mapping[str, Any]

#: ``size``: a positive integer; ``numbers``: several with commas between them; ``array``: a file of
#: numbers; ``text``: anything.
Kind = Literal["size", "integer", "number", "numbers", "choice", "flag", "array", "text"]


class Slider(NamedTuple):
    """Ends and step of a slider, for people: the field beside it takes any value.

    Parameters
    ----------
    least, largest, step : float
        In decimal logarithms if ``logarithmic``.
    logarithmic : bool
        Whether the slider moves over decades.
    """

    least: float
    largest: float
    step: float
    logarithmic: bool = False


@dataclass(frozen=True)
class Option:
    """One option of a run.

    Parameters
    ----------
    name : str
        A word with underscores. An array's name is also that of the parameter of the system.
    kind : str
        What its value is.
    help : str
        What it says, without a full stop.
    metavar : str, optional
        Placeholder of the value in a help text.
    default : float or str, optional
        What holds if it is not given: a number, or words about it.
    meaning : str
        What it is for this system; systems may have an option of the same name and ``help``.
    choices : tuple of str
        Of the kind ``choice``.
    example : str
        Of the kind ``numbers``.
    plural : str
        What such numbers are.
    label : str
        Beside the field of a form; the name by default.
    slider : Slider, optional
        Beside the field of a form.
    rare : bool
        Whether a form puts it away.
    of_start : bool
        Whether it shapes the random start: it is an argument of ``initial``, not of the system.
    refused : str
        Why this system does not take it although others do: what to do instead.
    """

    name: str
    kind: Kind
    help: str
    metavar: str | None = None
    default: float | str | None = None
    meaning: str = ""
    choices: tuple[str, ...] = ()
    example: str = ""
    plural: str = "numbers"
    label: str = ""
    slider: Slider | None = None
    rare: bool = False
    of_start: bool = False
    refused: str = ""

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def meaning_and_default(self) -> str:
        """What it is for this system, and what holds if it is not given."""
        default = f"{self.default:g}" if isinstance(self.default, int | float) else self.default
        parts = [self.meaning, "" if default is None else f"[default: {default}]"]
        return " ".join(filter(None, parts))

    @property
    def text(self) -> str:
        """Help text: what it says, means for this system, and what holds if it is not given."""
        return f"{self.help}{':' * bool(self.meaning)} {self.meaning_and_default}".strip() + "."


#: Sizes and law of a random start, and the start that replaces it: options of every system.
RANDOM_START = (
    Option("n", "size", "Number of neurons or components", "N", 3, slider=Slider(1, 20, 1)),
    Option("d", "size", "Dimension", "D", 5, slider=Slider(1, 30, 1)),
    Option(
        "scale",
        "number",
        "Size of the random start",
        "S",
        0.1,
        slider=Slider(-9, 1, 0.1, logarithmic=True),
    ),
    Option("seed", "integer", "Seed of the random start", "K", 0, slider=Slider(0, 100, 1)),
)
START = (
    *RANDOM_START,
    Option(
        "initial",
        "array",
        "Start, .npy or JSON lists; replaces --n, --d, --scale and --seed",
        "FILE",
        rare=True,
    ),
)
#: Of a loss of one's own, whose variables have names, and whose blocks have their sizes.
BY_NAME = Option(
    "start", "text", "Start of a loss of your own, numbers by name", "x=0.5,..", rare=True
)
FIXED = tuple(
    Option(name, "size", "Size", refused="its blocks have their sizes") for name in ("n", "d")
)
_DEFAULTS = {option.name: option.default for option in RANDOM_START}


def chosen(options: Options, name: str) -> Any:
    """Value of an option of a random start, or its default."""
    return _DEFAULTS[name] if options[name] is None else options[name]


def law_options(own: tuple[Option, ...], options: Options) -> dict[str, Any]:
    """Arguments beyond scale and seed that shape a random start, as far as they are given."""
    names = [option.name for option in own if option.of_start]
    return {name: options[name] for name in names if options[name]}
