"""Commands that take the options of a flow, also those that a file of one's own adds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from flows.cli.options import FLOW, all_options, attributes
from flows.cli.subject import system_of
from flows.core.errors import InputError
from flows.core.options import BY_NAME, Option
from flows.systems.registry import MODELS, OPTIONS

__all__ = ["FlowCommand"]

# A system is in a file of this name.
OWN_FILE = re.compile(r"[^-].*\.py(:\w+)?")
# Options that a verb keeps where a file of one's own has its own.
ALWAYS = (*FLOW, BY_NAME)
# Sizes of random starts, which a file has only as options of its own.
SIZES = frozenset({"n", "d"})
OF = "Options of "


class FlowCommand(click.Command):
    """Command whose help lists the options of a system below its name, after those of all.

    Where it is about a model in a file, its options are those of the model in this file.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for a file before options are read."""
        words = (word for word in args if OWN_FILE.fullmatch(MODELS.get(word, word)))
        ctx.meta[OWN_FILE.pattern] = next(words, None)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Parameters; of a file of one's own, those of its model for those of the systems."""
        found, word = super().get_params(ctx), ctx.meta.get(OWN_FILE.pattern)
        if word is None:
            return found
        name, own = _own_options(word)
        flow = {option.name: option for option in all_options()}
        kept = [p for p in found if p.name not in flow or flow[p.name] in ALWAYS]
        taken = {p.name for p in kept} & {option.name for option in own}
        if clash := taken - SIZES:
            said = ", ".join(sorted(map(str, clash)))
            raise InputError(f"{word}: option {said} is one of {ctx.command_path}; rename it")
        heading = f"{OF}{name}"
        made = [_Headed([o.flag], heading=heading, **attributes(o)) for o in own]
        return [p for p in kept if p.name not in taken | SIZES] + made

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list of options for each heading."""
        found: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            line = parameter.get_help_record(ctx)
            if line and isinstance(parameter, click.Option):
                heading = getattr(parameter, "heading", "") or _heading(parameter.name)
                found.setdefault(heading, []).append(line)
        for heading, lines in found.items():
            with formatter.section(heading):
                formatter.write_dl(lines)


class _Headed(click.Option):
    """An option that stands below a heading of a help text."""

    def __init__(self, words: Sequence[str], heading: str, **attributes: Any) -> None:
        super().__init__(words, **attributes)
        self.heading = heading


def _own_options(word: str) -> tuple[str, tuple[Option, ...]]:
    """Name of what a file defines, and the options that it adds."""
    found = system_of(word)
    return found.name, tuple(o for o in found.options if o != BY_NAME and not o.refused)


def _heading(name: str | None) -> str:
    """Heading of the list in which an option stands."""
    having = [
        system
        for system, own in OPTIONS.items()
        if any(option.name == name and not option.refused for option in own)
    ]
    return f"{OF}{' and '.join(having)}" if having else "Options"
