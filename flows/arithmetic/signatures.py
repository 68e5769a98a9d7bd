"""Types of the arguments of compiled functions, written as words."""

from __future__ import annotations

from typing import Any

import numba

__all__ = ["Told", "signature_of"]

#: A number, such as ``"real"``; an array in rows, such as ``"real 2"`` with its axes; or a named
#: tuple's class with its fields.
Told = str | tuple[Any, ...]
_NUMBERS = {"real": numba.float64, "whole": numba.int64, "truth": numba.boolean}


def _type_of(told: Told) -> Any:
    if isinstance(told, tuple):
        return numba.types.NamedTuple(tuple(map(_type_of, told[1:])), told[0])
    number, _, axes = told.partition(" ")
    kind = _NUMBERS[number]
    return numba.types.Array(kind, int(axes), "C") if axes else kind


def signature_of(*arguments: Told) -> Any:
    """Signature of a function with these arguments that returns nothing.

    Examples
    --------
    >>> signature_of("real 2", "whole")
    (Array(float64, 2, 'C', False, aligned=True), int64) -> none
    """
    return numba.void(*map(_type_of, arguments))
