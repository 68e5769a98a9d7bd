"""The error of bad input, which every package raises."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: one line that says what was expected, what came and what to do.

    The command line prints the line and exits with code 2.
    """
