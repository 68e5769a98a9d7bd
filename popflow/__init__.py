"""The public names of `flows`, under the name of the distribution: the same objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flows

if TYPE_CHECKING:
    from flows import *  # noqa: F403
else:
    __all__ = flows.__all__


def __getattr__(name: str) -> Any:
    """Fetch a public name from `flows`."""
    if name not in dir(flows):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(flows, name)


def __dir__() -> list[str]:
    """Public names."""
    return dir(flows)
