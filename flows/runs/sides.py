"""Both sides of a comparison along a run, and what is found of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.runs.regime import Regime
from potentials.claim import EXPONENT, Claim
from potentials.notation import rate_symbol

__all__ = [
    "FEWEST",
    "ROUNDING",
    "ComparisonResult",
    "Mask",
    "Sides",
    "has_exponent",
    "moving",
    "waiting",
]

Mask = NDArray[np.bool_]

#: Fewer output times than this show nothing about all times.
FEWEST = 4
#: Rounding of an expression in doubles, relative to its terms.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Sides:
    """Both sides of a comparison, the error of their difference, and where they are compared.

    `once` says that they are to be compared at the start alone.
    """

    lhs: Array
    rhs: Array
    error: Array
    chosen: Mask
    once: bool


@dataclass(frozen=True)
class ComparisonResult:
    """One comparison measured: `holds` is None if undecided; `defined` is False if it is void."""

    holds: bool | None
    defined: bool
    measured: float | None = None
    bound: float | None = None
    error: float | None = None
    constant: float | None = None
    attained_at: float | None = None
    message: str = ""
    resolution: float | None = None
    exponent_resolution: float | None = None
    relation: str = ""
    compared: Literal["sides", "exponents", ""] = ""


def moving(*expressions: sp.Expr) -> set[str]:
    """What changes along the flow in expressions."""
    found = (x for e in expressions for x in e.free_symbols)
    return {x.name for x in found if rate_symbol(x) != 0}


def has_exponent(claim: Claim, place: int) -> bool:
    """Whether a conclusion depends on the exponent of its claim."""
    sides = claim.conclusions[place].lhs, claim.conclusions[place].rhs
    return claim.exponent is not None and any(x.has(EXPONENT) for x in sides)


def waiting(regime: Regime) -> str:
    """Why a claim about later times is not decided."""
    if regime.turns:
        return "the state can still turn, to where the loss has another constant or power"
    when = f"; not before t = {regime.not_before:.3g}" if np.isfinite(regime.not_before) else ""
    return f"the late regime has not begun: {regime.reason}{when}"
