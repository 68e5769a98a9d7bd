"""The decision of one comparison, and the comparison of two balls."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from typing import Any

import sympy as sp
from flint import arb

Ball = Any  # flint.arb


class Proof(StrEnum):
    """What is proved of a statement along an enclosed trajectory."""

    PROVED = "PROVED"
    ENCLOSED = "ENCLOSED"
    REFUTED = "REFUTED"
    HYPOTHESIS_NOT_MET = "HYPOTHESIS_NOT_MET"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Decision:
    """What is proved of one comparison, after how many boxes."""

    proof: Proof
    boxes: int
    message: str
    constant: str = ""
    #: Between these doubles is the tightest constant.
    bounds: tuple[float, float] | None = None
    #: Whether it is about all times, not only those of the finite certificate.
    forever: bool = False
    #: Whether no time is selected.
    empty: bool = False


def compared(left: Ball, relation: str, right: Ball, strict: bool = False) -> Proof:
    """Decide ``left <= right`` or ``left >= right`` for all, or for no, points of two balls."""
    gap = right - left if relation == "<=" else left - right
    if gap > 0 or (gap >= 0 and not strict):
        return Proof.PROVED
    return Proof.REFUTED if gap < 0 or (gap <= 0 and strict) else Proof.UNDECIDED


@functools.cache
def conditions(where: tuple[sp.Expr, ...]) -> tuple[tuple[sp.Expr, ...], tuple[bool, ...]]:
    """Conditions as ``x >= 0``, or as ``x > 0`` where one is written ``sign(x) - 1 >= 0``."""
    inner = [condition + 1 for condition in where]
    strict = tuple(isinstance(x, sp.sign) for x in inner)
    plain = zip(where, inner, strict, strict=True)
    return tuple(x.args[0] if s else condition for condition, x, s in plain), strict


def up(x: Ball) -> float:
    """Least double above a ball, or the next one."""
    nearest = float(x.upper())
    return nearest if arb(nearest) >= x else math.nextafter(nearest, math.inf)


def down(x: Ball) -> float:
    """Largest double below a ball, or the one before."""
    return -up(-x)


def interval_end(x: float, rounding: str) -> str:
    """Six digits, rounded outwards."""
    return f"{Context(prec=6, rounding=rounding).create_decimal(Decimal(x)):g}"
