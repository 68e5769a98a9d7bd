"""Errors that a person can act on."""


class InputError(ValueError):
    """Bad input: one line that says what was expected, what came and what to do.

    The command line prints the line and exits with code 2.
    """
