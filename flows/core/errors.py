"""Errors that a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from symbolic.language.errors import InputError

__all__ = ["InputError", "nearest", "of_kind", "undefined", "unknown"]

# Names of many words are near each other at a lower ratio than difflib's 0.6.
NEAR = 0.5
# The value that was given is shown up to this many characters.
LONGEST = 60


def unknown(what: str, name: object, known: Iterable[str]) -> InputError:
    """Error for a name that is not known: the nearest one that is, and all of them.

    Parameters
    ----------
    what : str
        What it should be the name of.
    name : object
        What came.
    known : iterable of str
        The names there are.

    Examples
    --------
    >>> print(unknown("option", "size", ("sizes", "depth")))
    unknown option 'size'; did you mean sizes? known: sizes, depth
    """
    names = list(known)
    near = nearest(name, names) if isinstance(name, str) else None
    hint = f" did you mean {near}?" if near else ""
    known_ones = f"known: {', '.join(names)}" if names else "there is none"
    return InputError(f"unknown {what} {name!r};{hint} {known_ones}")


def of_kind(what: str, value: Any, kind: type, advice: str) -> Any:
    """Value, if it is of a kind; else one line that says what it should be.

    Parameters
    ----------
    what : str
        What the value is.
    value : object
        What came.
    kind : type
        What it has to be an instance of.
    advice : str
        What a person can do.

    Examples
    --------
    >>> of_kind("count", 3, int, "give a number")
    3
    """
    if isinstance(value, kind):
        return value
    came = value.__name__ if isinstance(value, type) else repr(value)
    came = came if len(came) <= LONGEST else f"{came[:LONGEST]}..."
    raise InputError(f"{what} must be a {kind.__name__}, got {came}; {advice}")


def undefined(what: object, method: str, because: str) -> NotImplementedError:
    """Error for a method that a class must define because of its other declarations.

    Parameters
    ----------
    what : object
        An instance of the class.
    method : str
        The method that is missing.
    because : str
        What asks for it.

    Examples
    --------
    >>> print(undefined(1.0, "restart", "its watch has ended it early"))
    float: expected a method restart, since its watch has ended it early; define it
    """
    return NotImplementedError(
        f"{type(what).__name__}: expected a method {method}, since {because}; define it"
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Name that was probably meant: one that begins so, else the most similar one.

    Examples
    --------
    >>> nearest("kapa_max", ("kappa_max", "angle_max"))
    'kappa_max'
    >>> nearest("x", ("kappa_max", "angle_max")) is None
    True
    """
    names = list(known)
    folded = {one.casefold(): one for one in names}
    asked = name.casefold().replace("-", "_")
    begin = [one for key, one in folded.items() if len(asked) > 1 and key.startswith(asked)]
    close = difflib.get_close_matches(asked, folded, n=1, cutoff=NEAR)
    return begin[0] if begin else folded[close[0]] if close else None
