"""What several commands take: systems, files, potentials, claims, which a shell completes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from flows.systems.registry import SYSTEMS

__all__ = [
    "COMPLETION",
    "as_json",
    "claim_names",
    "force",
    "one_system",
    "potential_names",
    "subject",
    "subjects",
    "system",
    "systems",
]

#: Environment variable that is set while a shell asks for completions.
COMPLETION = "_POPFLOW_COMPLETE"


def _systems(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in SYSTEMS if name.startswith(incomplete)]


def subjects(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Systems, and files."""
    return [*_systems(ctx, param, incomplete), CompletionItem(incomplete, type="file")]


def potential_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Potentials of the system that stands before."""
    from potentials import potentials

    return _named(ctx, incomplete, lambda name: [p.name for p in potentials(name)])


def claim_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Claims about the system that stands before."""
    from potentials import claims

    return _named(ctx, incomplete, lambda name: [c.id for c in claims(name)])


def _named(
    ctx: click.Context, incomplete: str, names: Callable[[str], Iterable[str]]
) -> list[CompletionItem]:
    # Where the last word is an option without its value, click has parsed nothing.
    typed = os.environ.get("COMP_WORDS", "").split()
    chosen = [word for word in typed if word in SYSTEMS] or SYSTEMS
    found = dict.fromkeys(name for system in chosen for name in names(system))
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


subject = click.argument("subject", metavar="SYSTEM|FILE.nc", shell_complete=subjects)
system = click.argument("system", shell_complete=subjects)
one_system = click.argument("system", metavar="[SYSTEM]", required=False, shell_complete=subjects)
systems = click.argument("systems", metavar="[SYSTEM ...]", nargs=-1, shell_complete=subjects)
force = click.option("--force", is_flag=True, help="Replace an existing output file.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
