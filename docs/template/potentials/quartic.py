"""Potentials and claims of the quartic well `L(y) = |y|^4 / 4`."""

from __future__ import annotations

from types import MappingProxyType

import sympy as sp

from potentials.claim import EXPONENT, Claim, Comparison, Identity, Mark, UpperBound
from potentials.notation import symbol, total_derivative
from potentials.potential import Potential, single
from potentials.source import Source

__all__ = ["AUXILIARIES", "CLAIMS", "MARKS", "POTENTIALS"]

NAMES = MappingProxyType({"norm": r"\lvert y \rvert", "loss": "L", "squared_norm": "s"})
HERE = Source("popflow", 2026, "", "template of a system", "derived here")
t, norm, loss, squared_norm = (symbol(x) for x in ("t", "norm", "loss", "squared_norm"))

POTENTIALS: tuple[Potential, ...] = (
    Potential(
        "squared_norm",
        "s",
        single("square", "state", norm**2, None),
        symbol("square"),
        "everywhere",
        HERE,
        NAMES,
    ),
)
AUXILIARIES: tuple[Potential, ...] = ()
MARKS: tuple[Mark, ...] = ()

CLAIMS: tuple[Claim, ...] = (
    UpperBound(
        id="loss_upper",
        statement="L(t) <= t^-2 / 16 for t >= 1",
        source=HERE,
        conclusions=(Comparison(loss, "<=", t**-EXPONENT, sp.Rational(1, 16), (t - 1,)),),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
    Identity(
        id="square_law",
        statement="ds/dt = -2 s^2 for s = |y|^2",
        source=HERE,
        conclusions=(
            Comparison(total_derivative(squared_norm), "==", squared_norm**2, sp.Integer(-2)),
        ),
        names=NAMES,
    ),
)
