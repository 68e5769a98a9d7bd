"""The quartic well `L(y) = |y|^4 / 4`: its gradient and the flow of `|y|^2`."""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document, Step

__all__ = ["SQUARE", "derive", "loss"]

SQUARE = sp.Symbol("s", positive=True)  # |y|^2
SOURCE = "textbook; derived here"


def loss() -> sp.Expr:
    """Return the loss as a function of `s = |y|^2`; the flow depends on nothing else."""
    return SQUARE**2 / 4


def derive() -> Document:
    """Derive what the solver runs and what the claims state.

    Returns
    -------
    Document
        Steps for any dimension: one entry `y` against the sum `r` of the other squares.
    """
    y = sp.Symbol("y", real=True)
    r = sp.Symbol("r", nonnegative=True)
    s = y**2 + r
    whole, slope = loss().subs(SQUARE, s), 2 * sp.diff(loss(), SQUARE).subs(SQUARE, s)
    gradient = Derivation(
        "gradient of the quartic well",
        SOURCE,
        (Step(sp.Derivative(whole, y), slope * y, "chain rule in one entry of y", fresh=True),),
    )
    # dy/dt = -slope y for each entry, so that its square changes by -2 slope y^2.
    law = Derivation(
        "flow of the squared length",
        SOURCE,
        (Step(-2 * slope * y**2 - 2 * slope * r, -2 * s**2, "ds/dt, entry and rest", fresh=True),),
    )
    return Document("quartic", (gradient, law))
