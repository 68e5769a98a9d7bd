"""Ways to show a result that rooms above provide: a method offers a view that is made higher up.

Rooms import downwards only: a run cannot know how its figure is drawn. The face of the package
knows both, and enters here what a result offers; nobody else writes to this table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["VIEWS"]

#: From the name of a method to its function, which imports its room when it is called.
VIEWS: dict[str, Callable[..., Any]] = {}
