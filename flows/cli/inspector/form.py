"""The form of the inspector: fields for the options of the command line, and the way back.

What a person types goes through the parser of the command line, so that both accept the same
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

from flows.cli.options import FLOW, T_END, flow_options
from flows.cli.systems import DEFAULTS, SYSTEMS, Options
from flows.core.errors import InputError

__all__ = ["Field", "command", "fields", "parsed", "place_of", "title"]

# Options that are files on the command line; here one writes the numbers.
ARRAYS = ("initial", "teacher", "target")
# Ends of sliders, for people; the fields beside them take any value.
SLIDERS: dict[str, tuple[float, float, float]] = {
    "n": (1, 20, 1),
    "d": (1, 30, 1),
    "seed": (0, 100, 1),
    "depth": (2, 6, 1),
    "regularization": (0, 50, 0.5),
    "noise_time": (0, 4, 0.1),
}
# The same for the decimal logarithm.
LOG_SLIDERS: dict[str, tuple[float, float, float]] = {
    "scale": (-9, 1, 0.1),
    "t_end": (0, 15, 0.25),
}
LABELS = {"n": "n", "d": "d", "t_end": "horizon T", "t_eval": "output times"}
USUAL = {**DEFAULTS, "t_end": T_END, "depth": 4, "regularization": 5.0, "noise_time": 0.0}
# Options that have no meaning for a system although they are everybody's.
FOREIGN = {"matrix_factorization": ("n",)}
RARE = ("initial", "t_eval", "rtol", "method")


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


def fields(given: Options) -> list[Field]:
    """Fields of all options, those of one system alone last.

    Parameters
    ----------
    given : mapping
        Values that the command line gives; of arrays, their text.
    """
    from flows.solvers.choice import METHODS

    parameters = {p.name: p for p in _flow.params if isinstance(p, click.Option)}
    made = []
    for name, option in parameters.items():
        assert name is not None
        systems = tuple(s for s in SYSTEMS if name in _known(s))
        value: Any = USUAL.get(name, "") if given.get(name) is None else given[name]
        choices = tuple(getattr(option.type, "choices", METHODS if name == "method" else ()))
        kind = (
            "array"
            if name in ARRAYS
            else "flag"
            if option.is_flag
            else "choice"
            if choices
            else "number"
            if name in SLIDERS or name in LOG_SLIDERS
            else "text"
        )
        ends = LOG_SLIDERS.get(name, SLIDERS.get(name))
        slider = None
        if ends is not None:
            number = float(value)
            at = math.log10(number) if name in LOG_SLIDERS and number > 0 else number
            slider = (*ends, min(max(at, ends[0]), ends[1]))
        made.append(
            Field(
                name,
                LABELS.get(name, name.replace("_", " ")),
                _words(option.help or "", kind),
                kind,
                _text(value),
                systems,
                choices,
                slider,
                name in LOG_SLIDERS,
                name in RARE,
            )
        )
    return made


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
    words = []
    for name, text in _asked(system, texts).items():
        if name == "balanced":
            words.append("--balanced")
            continue
        if name in ARRAYS:
            path = folder / f"{name}.json"
            path.write_text(text, "utf-8")
            text = str(path)
        words.append(f"{_flag(name)}={text}")
    try:
        options: Options = _flow.main(words, prog_name="popflow", standalone_mode=False)
    except click.ClickException as error:
        raise InputError(error.format_message()) from None
    return options


def command(system: str, texts: Mapping[str, str]) -> str:
    """Command line that repeats a run and its verdicts."""
    words, files = [f"popflow check {system}"], []
    for name, text in _asked(system, texts).items():
        if name == "balanced":
            words.append("--balanced")
        elif name in ARRAYS:
            files.append(f"echo {shlex.quote(' '.join(text.split()))} > {name}.json &&\n")
            words.append(f"--{name} {name}.json")
        else:
            words.append(f"{_flag(name)} {shlex.quote(text)}")
    return "".join(files) + " ".join(words)


def title(system: str, texts: Mapping[str, str]) -> str:
    """What tells a run from others."""
    asked = _asked(system, texts)
    end = [f"T = {asked.pop('t_end')}"] if "t_end" in asked else []
    short = [f"{name} = {asked[name]}" for name in asked if name not in (*ARRAYS, *RARE)]
    written = [f"{name} given" for name in ARRAYS if name in asked]
    return ", ".join((system, *short, *written, *end))


def place_of(message: str) -> str | None:
    """Name of the field that a message is about, if it says so."""
    names = {p.name for p in _flow.params}
    found = re.search(r"--([a-z][a-z-]*)", message) or re.match(r"\W*(\w+)", message)
    name = found[1].replace("-", "_") if found else None
    if name in names:
        return name
    first = re.match(r"unknown (\w+)", message)
    return first[1] if first and first[1] in names else None


def _asked(system: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Texts that say something for this system; a start replaces the law of random ones."""
    asked = {k: v.strip() for k, v in texts.items() if k in _known(system) and v.strip()}
    if "initial" in asked:
        for name in ("n", "d", "scale", "seed"):
            asked.pop(name, None)
    if asked.get("method") == DEFAULTS["method"]:
        del asked["method"]
    return asked


def _known(system: str) -> set[str]:
    """Names of the options that a system has."""
    return {*FLOW, *SYSTEMS[system].options} - {*FOREIGN.get(system, ())}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ",".join(_text(x) for x in value)
    if isinstance(value, float):
        short = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        return re.sub(r"e\+?(-?)0*", r"e\1", short)
    return str(value)


def _words(text: str, kind: str) -> str:
    """Help of an option without what only the command line has."""
    if kind == "array":
        text = text.replace(".npy or JSON", "JSON")
    return text.replace("; replaces the four above", "; replaces n, d, scale and seed")
