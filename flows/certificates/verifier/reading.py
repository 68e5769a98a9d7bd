"""Exact numbers of a certificate's file, and the refusal of a wrong one."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any, NoReturn

MOST = 4096  # numbers of a start, coefficients of a polynomial, parts of a piece
SHOWN = 40  # characters of the file in a message
DOUBLE = re.compile(r"-?0x([0-9a-f]{1,16})(?:\.([0-9a-f]{0,16}))?p([+-]?[0-9]{1,4})")
INTEGER = re.compile(r"-?[0-9a-f]+")


class Refused(ValueError):
    """What is wrong with a certificate."""


def require(condition: Any, reason: str) -> None:
    """Refuse unless a condition holds; one on balls holds only where it is certain."""
    if not condition:
        raise Refused(reason)


def largest(values: Any) -> Any:
    """Upper bound of balls; refused if one is NaN or infinite, which ``max`` passes over."""
    found = [x.upper() for x in values]
    require(all(x.is_finite() for x in found), "a bound is not finite")
    return max(found)


def bounds(values: Any) -> Any:
    """Lower and upper bound of a list of balls; refused likewise."""
    return -largest(-x for x in values), largest(values)


def parsed(text: str) -> Any:
    """Data of JSON; refused if a key occurs twice in an object, or a number is not an integer."""
    return json.loads(
        text, object_pairs_hook=_object, parse_float=_inexact, parse_constant=_inexact
    )


def number(text: Any) -> float:
    """Exact double of its hexadecimal form; refused if it would be rounded."""
    found = DOUBLE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise Refused(f"{_short(text)} is not a double in hexadecimal")
    whole, part, power = found[1], found[2] or "", int(found[3])
    size = int(whole + part, 16)
    try:
        value = float.fromhex(text)
    except OverflowError:
        raise Refused(f"{_short(text)} is too large for a double") from None
    exactly = size * Fraction(2) ** (power - 4 * len(part)) if size else 0
    require(abs(Fraction(value)) == exactly, f"{_short(text)} has more digits than a double")
    return value


def integer(text: Any) -> int:
    """Integer of its hexadecimal digits."""
    if not isinstance(text, str) or not INTEGER.fullmatch(text):
        raise Refused(f"{_short(text)} is not an integer in hexadecimal")
    return int(text, 16)


def exact(value: Any) -> Any:
    """Doubles of hexadecimal text, in lists and objects; other words and integers stay."""
    if isinstance(value, dict):
        return {key: exact(part) for key, part in value.items()}
    if isinstance(value, list):
        return [exact(part) for part in value]
    if isinstance(value, str):
        return number(value) if value.lstrip("-").startswith("0x") else value
    require(type(value) is int, f"{_short(value)} is not a number")
    return value


def numbers(value: Any) -> Any:
    """Array of doubles, of complex numbers where real and imaginary parts are stated."""
    if isinstance(value, dict):
        require(value.keys() == {"real", "imag"}, "a number has other parts than real and imag")
        real, imaginary = numbers(value["real"]), numbers(value["imag"])
        require(real.shape == imaginary.shape, "real and imaginary parts do not fit")
        made = real.astype(complex)
        made.imag = imaginary
        return made
    import numpy as np  # exact numbers alone need none

    made = np.array(value, dtype=object)
    for x in made.ravel():
        require(type(x) is float, f"{_short(x)} is not a double in hexadecimal")
    return made.astype(float)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        require(key not in made, f"the key {_short(key)} occurs twice")
        made[key] = value
    return made


def _inexact(text: str) -> NoReturn:
    raise Refused(f"the number {text[:SHOWN]} is not exact; doubles are stated in hexadecimal")


def _short(value: Any) -> str:
    return repr(value)[:SHOWN]
