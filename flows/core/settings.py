"""Settings of a system that its runs choose: fields that nobody gives and a signature hides."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

__all__ = ["with_settings"]

S = TypeVar("S")


def with_settings(system: S, **settings: Any) -> S:
    """Return a copy of a system with other settings, and without what it has cached.

    Parameters
    ----------
    system : dataclass
        A system, whose settings are fields with ``init=False``.
    settings : Any
        New values by name.
    """
    found: S = replace(system)  # type: ignore[type-var]
    for field in fields(system):  # type: ignore[arg-type]
        if not field.init:
            value = settings.get(field.name, getattr(system, field.name))
            object.__setattr__(found, field.name, value)
    return found
