"""The form of the inspector: fields for the options of the command line, and the way back.

The form's text goes through the parser of the command line, so that both accept the same
values, and refuse others with the same words.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from flows.cli.options import METHOD, T_END, all_options, flow_options, options_of
from flows.core.errors import InputError
from flows.core.options import RANDOM_START, Option, Options, Slider
from flows.systems.registry import SYSTEMS

__all__ = ["Field", "command", "field_of", "fields", "parsed", "title"]


@dataclass(frozen=True)
class Field:
    """One field of the form.

    Parameters
    ----------
    name, label, help : str
        Of the option.
    kind : str
        ``number``, ``text``, ``choice``, ``flag`` or ``array``.
    value : str
        At first; empty where the option is left out.
    systems : tuple of str
        Which it is for.
    choices : tuple of str
        Of a choice.
    slider : tuple or None
        Least, largest value and step of the slider beside it, and its place.
    logarithmic : bool
        Whether the slider is in decimal logarithms.
    rare : bool
        Whether it is put away.
    """

    name: str
    label: str
    help: str
    kind: str
    value: str
    systems: tuple[str, ...]
    choices: tuple[str, ...] = ()
    slider: tuple[float, float, float, float] | None = None
    logarithmic: bool = False
    rare: bool = False


@click.command()
@flow_options
def _flow(**options: Any) -> Options:
    return options


def fields(options: Options) -> list[Field]:
    """Fields of all options, those of one system alone last.

    Parameters
    ----------
    options : mapping
        Values that the command line gives; of arrays, their text.
    """
    known = {name: options_of(name) for name in SYSTEMS}
    made = []
    for option in all_options():
        systems = tuple(name for name in SYSTEMS if option.name in known[name])
        if systems:
            made.append(_field(option, options.get(option.name), systems))
    return made


def _field(option: Option, value: Any, systems: tuple[str, ...]) -> Field:
    """Field of an option that these systems have."""
    from flows.solvers.choice import METHODS

    choices = tuple(METHODS) if option.name == "method" else option.choices
    kind = (
        "choice"
        if choices
        else option.kind
        if option.kind in ("array", "flag")
        else "number"
        if option.slider
        else "text"
    )
    if value is None:
        usual = T_END if option.name == "t_end" else option.default
        value = usual if isinstance(usual, int | float) or option.name == "method" else ""
    return Field(
        option.name,
        option.label or option.name.replace("_", " "),
        _form_help(option.text, kind),
        kind,
        _text(value),
        systems,
        choices,
        option.slider and _placed(option.slider, float(value)),
        bool(option.slider and option.slider.logarithmic),
        option.rare,
    )


def _placed(slider: Slider, number: float) -> tuple[float, float, float, float]:
    """Ends and step of a slider, and where it stands for a number."""
    place = math.log10(number) if slider.logarithmic and number > 0 else number
    least, largest = slider.least, slider.largest
    return least, largest, slider.step, min(max(place, least), largest)


def parsed(system: str, texts: Mapping[str, str], folder: Path) -> Options:
    """Options that the texts of the form mean.

    Parameters
    ----------
    system : str
        The system chosen.
    texts : mapping
        Text of each field by name; an empty one is left out.
    folder : Path
        Where arrays are put for the parser to read.

    Raises
    ------
    InputError
        With the words of the command line.
    """
    words, known = [], options_of(system)
    for name, text in _filled(system, texts).items():
        option = known[name]
        if option.kind == "flag":
            words.append(option.flag)
            continue
        if option.kind == "array":
            path = folder / f"{name}.json"
            path.write_text(text, "utf-8")
            text = str(path)
        words.append(f"{option.flag}={text}")
    try:
        options: Options = _flow.main(words, prog_name="popflow", standalone_mode=False)
    except click.ClickException as error:
        raise InputError(error.format_message()) from None
    return options


def command(system: str, texts: Mapping[str, str]) -> str:
    """Command line that repeats a run and its verdicts."""
    words, files = [f"popflow check {system}"], []
    known = options_of(system)
    for name, text in _filled(system, texts).items():
        option = known[name]
        if option.kind == "flag":
            words.append(option.flag)
        elif option.kind == "array":
            files.append(f"echo {shlex.quote(' '.join(text.split()))} > {name}.json &&\n")
            words.append(f"{option.flag} {name}.json")
        else:
            words.append(f"{option.flag} {shlex.quote(text)}")
    return "".join(files) + " ".join(words)


def title(system: str, texts: Mapping[str, str]) -> str:
    """What distinguishes a run from others."""
    known, filled = options_of(system), _filled(system, texts)
    end = [f"T = {filled.pop('t_end')}"] if "t_end" in filled else []
    arrays = [name for name in filled if known[name].kind == "array"]
    short = [f"{k} = {v}" for k, v in filled.items() if k not in arrays and not known[k].rare]
    return ", ".join((system, *short, *(f"{name} given" for name in arrays), *end))


def field_of(message: str) -> str | None:
    """Name of the field that a message is about, if it says so."""
    names = {p.name for p in _flow.params}
    found = re.search(r"--([a-z][a-z-]*)", message) or re.match(r"\W*(\w+)", message)
    name = found[1].replace("-", "_") if found else None
    if name in names:
        return name
    first = re.match(r"unknown (\w+)", message)
    return first[1] if first and first[1] in names else None


def _filled(system: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Texts that say something for this system; a start replaces the law of random ones."""
    filled = {k: v.strip() for k, v in texts.items() if k in options_of(system) and v.strip()}
    if "initial" in filled:
        for option in RANDOM_START:
            filled.pop(option.name, None)
    if filled.get("method") == METHOD:
        del filled["method"]
    return filled


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ",".join(_text(x) for x in value)
    if isinstance(value, float):
        short = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        return re.sub(r"e\+?(-?)0*", r"e\1", short)
    return str(value)


def _form_help(text: str, kind: str) -> str:
    """Help of an option without what only the command line has."""
    if kind == "array":
        text = text.replace(".npy or JSON", "JSON")
    return text.replace("--", "")
