"""Why there is no law: a reason in words, which the caller shows in place of a number."""

from __future__ import annotations

__all__ = ["Degenerate", "NoLaw"]


class NoLaw(Exception):
    """A loss or a point for which no law is derived; its text is the reason."""


class Degenerate(NoLaw):
    """The leading form does not decide by itself: conserved quantities or valleys may."""
