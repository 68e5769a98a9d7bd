"""Numbers of a certificate's file, and the refusal of what is wrong with it."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

MOST = 4096  # numbers of a start, coefficients of a polynomial, parts of a piece


class Refused(ValueError):
    """What is wrong with a certificate."""


def require(condition: Any, reason: str) -> None:
    """Refuse unless a condition holds; one on balls holds only where it is certain."""
    if not condition:
        raise Refused(reason)


def number(text: str) -> float:
    """Exact double of its hexadecimal form."""
    require(isfinite(value := float.fromhex(text)), "a number is not finite")
    return value


def exact(value: Any) -> Any:
    """Doubles of hexadecimal text, in lists and objects; other words and integers stay."""
    if isinstance(value, dict):
        return {key: exact(part) for key, part in value.items()}
    if isinstance(value, list):
        return [exact(part) for part in value]
    return number(value) if isinstance(value, str) and value.lstrip("-").startswith("0x") else value


def numbers(value: Any) -> Any:
    """Array of doubles, of complex numbers where real and imaginary parts are stated."""
    value = exact(value)
    if isinstance(value, dict):
        made = np.array(value["real"], dtype=complex)
        made.imag = value["imag"]
        return made
    return np.array(value, dtype=float)
