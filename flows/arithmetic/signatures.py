"""Types of the arguments of compiled functions, written as words."""

from __future__ import annotations

from typing import Any

import numba

__all__ = ["Kind", "signature_of"]

#: A number, such as ``"real"``; an array in rows, such as ``"real 2"`` with its axes; or a named
#: tuple's class with its fields.
Kind = str | tuple[Any, ...]
_NUMBERS = {"real": numba.float64, "whole": numba.int64, "truth": numba.boolean}


def _type_of(kind: Kind) -> Any:
    if isinstance(kind, tuple):
        return numba.types.NamedTuple(tuple(map(_type_of, kind[1:])), kind[0])
    number, _, axes = kind.partition(" ")
    number_type = _NUMBERS[number]
    return numba.types.Array(number_type, int(axes), "C") if axes else number_type


def signature_of(*arguments: Kind) -> Any:
    """Signature of a function with these arguments that returns nothing.

    Examples
    --------
    >>> signature_of("real 2", "whole")
    (Array(float64, 2, 'C', False, aligned=True), int64) -> none
    """
    return numba.void(*map(_type_of, arguments))
