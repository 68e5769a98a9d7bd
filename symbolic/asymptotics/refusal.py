"""Why there is no law: a reason in words, which the caller shows in place of a number."""

from __future__ import annotations

__all__ = ["NoLaw"]


class NoLaw(Exception):
    """A loss or a point for which no law is derived; its text is the reason."""
