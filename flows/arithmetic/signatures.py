"""Types of what compiled functions take and return, written as words."""

from __future__ import annotations

from typing import Any

import numba

__all__ = ["Kind", "signature_of"]

#: A number, such as ``"real"``; an array in rows, such as ``"real 2"`` with its axes; a class of
#: named tuples, or ``tuple``, with the kinds of its fields.
Kind = str | tuple[Any, ...]
_NUMBERS = {"real": numba.float64, "whole": numba.int64, "truth": numba.boolean}


def _type_of(kind: Kind) -> Any:
    if isinstance(kind, tuple):
        fields = tuple(map(_type_of, kind[1:]))
        plain = kind[0] is tuple
        return numba.types.Tuple(fields) if plain else numba.types.NamedTuple(fields, kind[0])
    number, _, axes = kind.partition(" ")
    number_type = _NUMBERS[number]
    return numba.types.Array(number_type, int(axes), "C") if axes else number_type


def signature_of(*arguments: Kind, returns: Kind | None = None) -> Any:
    """Signature of a function with these arguments, which may return something.

    Examples
    --------
    >>> signature_of("real 2", "whole")
    (Array(float64, 2, 'C', False, aligned=True), int64) -> none
    """
    returned = numba.void if returns is None else _type_of(returns)
    return returned(*map(_type_of, arguments))
